package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport/internal/delivery/deliverytest"
	"rapport/internal/store/pgstore"
)

// filler is text that does not get smaller when it is packed.
func filler(r *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%016x", r.Uint64())
	}
	return b.String()
}

// owes sends an event that owes a mail and takes room, and tells whether it was taken.
func (f *faulty) owes(r *rand.Rand, ref string) bool {
	f.t.Helper()
	status, header, answer := f.ask("POST", "/v1/track", fmt.Sprintf(
		`{"messageId":%q,"userId":"u-%s","event":"Trigger","context":{"traits":{"email":"%s@full.example"}},"properties":{"ref":%q,"filler":%q}}`, ref, ref, ref, ref, filler(r, 1000)))
	if status != http.StatusOK && (status != http.StatusServiceUnavailable || header.Get("Retry-After") == "") {
		f.t.Fatalf("%s: %d, Retry-After %q, %s; want 503", ref, status, header.Get("Retry-After"), answer)
	}
	return status == http.StatusOK
}

// checkOnce holds the house against what was acknowledged: each event is there
// once, and its mail was decided, sent and written down once.
func (f *faulty) checkOnce(sink *deliverytest.Sink, refs []string) {
	f.t.Helper()
	for _, ref := range refs {
		var page struct {
			Events []struct {
				MessageID string `json:"message_id"`
			} `json:"events"`
		}
		status, _, answer := f.ask("GET", "/v1/people/user_id:u-"+ref+"/events", "")
		if err := json.Unmarshal([]byte(answer), &page); err != nil || status != http.StatusOK {
			f.t.Fatalf("event %s was acknowledged: %d %s", ref, status, answer)
		}
		n := 0
		for _, e := range page.Events {
			if e.MessageID == ref {
				n++
			}
		}
		mails := f.mailsOf(ref)
		if n != 1 || len(mails) != 1 || mails[0].State != "accepted" || sink.To(ref+"@full.example") != 1 {
			f.t.Errorf("event %s is there %d times, its mail came %d times, and the ledger says %+v", ref, n, sink.To(ref+"@full.example"), mails)
		}
	}
	if sink.Total() != len(refs) {
		f.t.Errorf("%d mails arrived for %d events", sink.Total(), len(refs))
	}
}

// The disk of the log is full: callers hear 503 and when to try again, nothing
// refused is there, and events are taken again by themselves when there is room.
func TestTheDiskOfTheDatabaseIsFull(t *testing.T) {
	t.Parallel()
	sink := scripted(t, func(string, int) deliverytest.Fault { return deliverytest.Fault{} })
	room := newRoom(t)
	f := room.house(sink.Addr())
	r := rand.New(rand.NewPCG(1, 4))
	room.put(append(stateTables("person", "timeline", "reject"), pgstore.LogSchema+".frame")...)
	var taken, refused []string
	send := func(n int) bool {
		ref := fmt.Sprintf("l%d", n)
		if f.owes(r, ref) {
			taken = append(taken, ref)
			return true
		}
		refused = append(refused, ref)
		return false
	}
	n := 0
	for ; n < 20; n++ {
		if !send(n) {
			t.Fatal("refused before anything was full")
		}
	}
	room.fill()
	until(t, "the disk is full", 30*time.Second, func() bool { n++; return !send(n) })
	for range 20 {
		n++
		send(n)
	}
	room.free()
	until(t, "events are taken when there is room", 30*time.Second, func() bool { n++; return send(n) })
	f.quiet(30 * time.Second)
	f.checkOnce(sink, taken)
	for _, ref := range refused {
		if status, _, answer := f.ask("GET", "/v1/people/user_id:u-"+ref, ""); status != http.StatusNotFound {
			t.Errorf("event %s was refused and its person is there: %d %s", ref, status, answer)
		}
	}
}

// The disk of the state is full while the log has room: events are taken, the
// walk waits, and when there is room it goes on by itself. Nothing is walked
// twice or in part, and nothing is set aside for it.
func TestTheDiskOfTheDatabaseIsFullDuringTheWalk(t *testing.T) {
	t.Parallel()
	sink := scripted(t, func(string, int) deliverytest.Fault { return deliverytest.Fault{} })
	room := newRoom(t)
	f := room.house(sink.Addr())
	r := rand.New(rand.NewPCG(2, 4))
	room.put(stateTables("person", "timeline", "ident", "seen")...)
	var refs []string
	send := func() {
		ref := fmt.Sprintf("w%d", len(refs))
		if !f.owes(r, ref) {
			t.Fatalf("%s was refused, while the log has room", ref)
		}
		refs = append(refs, ref)
	}
	for range 10 {
		send()
	}
	f.quiet(30 * time.Second)
	room.fill()
	until(t, "the walk finds the disk full", 30*time.Second, func() bool { send(); return f.foundFull("walking a batch failed") })
	// Pages that are there already may take a little more yet.
	until(t, "what is taken waits to be walked", 30*time.Second, func() bool {
		send()
		st, err := f.status(t.Context())
		return err == nil && st.Lanes["live"].Walked+30 <= st.Lanes["live"].Appended
	})
	room.free()
	f.quiet(time.Minute)
	f.checkOnce(sink, refs)
	var aside struct {
		Records []json.RawMessage `json:"set_aside"`
	}
	if err := f.call(context.Background(), "GET", "/v1/set-aside", nil, &aside); err != nil || len(aside.Records) > 0 {
		t.Errorf("%d records were set aside: %v", len(aside.Records), err)
	}
}

// The disk of the mails is full while some are on the wire and others are owed.
// What the mail server has taken is not sent again although it cannot be written
// down yet; what cannot be marked as handed over does not leave; and when there
// is room every mail was sent once and the ledger says so.
func TestTheDiskOfTheDatabaseIsFullDuringHandOvers(t *testing.T) {
	t.Parallel()
	held, release := make(chan struct{}, 100), make(chan struct{})
	sink, err := deliverytest.NewSink(deliverytest.SinkConfig{Judge: func(_, to string) deliverytest.Fault {
		if strings.HasPrefix(to, "held") {
			held <- struct{}{}
			<-release
		}
		return deliverytest.Fault{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Close)
	let := sync.OnceFunc(func() { close(release) })
	t.Cleanup(let) // before the sink is closed
	room := newRoom(t)
	f := room.house(sink.Addr(), map[string]string{"providers/sink.yaml": paced(t, sink.Addr())})
	r := rand.New(rand.NewPCG(3, 4))
	room.put(stateTables("mail", "step", "intent", "parts", "mail_key", "cap", "relay")...)
	var refs []string
	send := func(kind string) {
		ref := fmt.Sprintf("%s%d", kind, len(refs))
		if !f.owes(r, ref) {
			t.Fatalf("%s was refused, while the log has room", ref)
		}
		refs = append(refs, ref)
	}
	const onTheWire, owed = 12, 60
	for range onTheWire {
		send("held")
	}
	for range onTheWire {
		select {
		case <-held:
		case <-time.After(30 * time.Second):
			t.Fatalf("the mails do not come:\n%s", f.said)
		}
	}
	for range owed { // The provider's pace lets them go for seconds.
		send("owed")
	}
	until(t, "all mails are decided", 30*time.Second, func() bool {
		st, err := f.status(t.Context())
		return err == nil && st.Mails["pending"]+st.Mails["claimed"]+st.Mails["deferred"]+st.Mails["handing_over"]+st.Mails["accepted"] == onTheWire+owed
	})
	room.fill(
		junk(pgstore.StateSchema+".step", "1000000000000 + g, 0, 0, 0, 0, NULL, '', NULL"),
		junk(pgstore.StateSchema+".relay", "1000000000000 + g, ''"),
		junk(pgstore.StateSchema+".intent", "1000000000000 + g, ''"))
	let()
	until(t, "a claim or a hand-over finds the disk full", 30*time.Second, func() bool {
		return f.foundFull("claiming failed") || f.foundFull("handing over failed")
	})
	until(t, "an outcome finds the disk full", 30*time.Second, func() bool { return f.foundFull("an outcome cannot be written") })
	until(t, "a decision finds the disk full", 30*time.Second, func() bool { send("late"); return f.foundFull("walking a batch failed") })
	arrived := int64(sink.Total())
	st, err := f.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if marked := st.Mails["handing_over"] + st.Mails["accepted"]; arrived > marked || arrived < onTheWire {
		t.Errorf("%d mails arrived, of which %d were on the wire before the disk was full, and %d are marked as handed over", arrived, onTheWire, marked)
	}
	room.free()
	f.quiet(time.Minute)
	f.checkOnce(sink, refs)
}

// paced is a provider that takes a few mails a second.
func paced(t *testing.T, address string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("kind: smtp\nhost: %s\nport: %s\ntls: none\npacing: {per_second: 20, connections: 16}\n", host, port)
}
