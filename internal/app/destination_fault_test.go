package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/audit"
	"rapport/internal/destination"
	"rapport/internal/project"
)

// refs are the events in the order in which they came, by message id.
func refs(all []*message) (out []string) {
	for _, m := range all {
		out = append(out, fmt.Sprint(m.Data["message_id"]))
	}
	return out
}

// fails answers a status to some events and takes the others.
func fails(status int, header string, ids ...string) func(*message, http.ResponseWriter) {
	return func(m *message, w http.ResponseWriter) {
		if slices.Contains(ids, fmt.Sprint(m.Data["message_id"])) {
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.WriteHeader(status)
		}
	}
}

const wantsEvents = "events: all\n"

func (l *lived) tracks(t *testing.T, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if code := l.track("Seen", pairs[i], pairs[i+1]); code != 200 {
			t.Fatal(code)
		}
	}
}

// TestAPersonsItemsComeInOrder: what fails is told again by the schedule, under
// its id; the person's next waits for it, nobody else's does.
func TestAPersonsItemsComeInOrder(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		clock := handClock()
		r := receiving(t, whsec("SECRET_ONE"))
		r.answers(fails(500, "", "a1"))
		l, _ := told(t, database, clock, map[string]string{"destinations/d.yaml": hook(r, wantsEvents)})
		l.tracks(t, "ann", "a1", "ann", "a2", "bob", "b1")
		r.wait("bob's", func(all []*message) bool { return slices.Contains(refs(all), "b1") })
		l.until("d", "ann's wait", func(x line) bool { return x.Waiting == 2 && x.Behind == 0 })
		l.tracks(t, "ann", "a3", "bob", "b2")
		r.wait("bob's next", func(all []*message) bool { return slices.Contains(refs(all), "b2") })
		l.until("d", "ann's next waits too", func(x line) bool { return x.Waiting == 3 && x.Behind == 0 })
		clock.Set(clock.Now().Add(6 * time.Second)) // the second attempt
		r.wait("another attempt", func(all []*message) bool { return len(all) == 4 })
		l.until("d", "two failures", func(x line) bool { return x.Counts["failed.refused"] == 2 && x.Waiting == 3 })
		r.answers(nil)
		clock.Set(clock.Now().Add(4 * time.Minute)) // too early for the third, after five minutes
		l.tracks(t, "bob", "b3")
		r.wait("bob's third", func(all []*message) bool { return slices.Contains(refs(all), "b3") })
		clock.Set(clock.Now().Add(2 * time.Minute))
		all := r.wait("all", func(all []*message) bool { return len(all) == 8 })
		var anns []string
		ids := map[string]string{}
		for _, m := range all {
			ref := fmt.Sprint(m.Data["message_id"])
			if ref[0] == 'a' {
				anns = append(anns, ref)
			}
			if was, ok := ids[ref]; ok && was != m.ID {
				t.Errorf("%s came as %s and as %s", ref, was, m.ID)
			}
			ids[ref] = m.ID
		}
		if got := strings.Join(anns, " "); got != "a1 a1 a1 a2 a3" {
			t.Errorf("ann's came as %s", got)
		}
		l.until("d", "nothing waits", func(x line) bool { return x.Waiting == 0 && x.Behind == 0 && x.Dead == 0 })
	})
}

// TestRetryAfterIsHeeded: where the destination asks to wait, nothing is sent
// until then and no attempt is spent, however often it asks.
func TestRetryAfterIsHeeded(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		clock := handClock()
		r := receiving(t, whsec("SECRET_ONE"))
		r.answers(fails(429, "100", "a1"))
		l, _ := told(t, database, clock, map[string]string{"destinations/d.yaml": hook(r, wantsEvents)})
		l.tracks(t, "ann", "a1")
		for n := 1; n <= 12; n++ { // more often than an item has attempts
			r.wait("an attempt", func(all []*message) bool { return len(all) == n })
			if x := l.until("d", "it waits", func(x line) bool { return x.State == "waiting" && x.At.Equal(clock.Now()) }); x.Reason != "asked_to_wait" || x.Dead != 0 || x.Waiting != 0 {
				t.Fatalf("%+v", x)
			}
			if n == 12 {
				r.answers(nil)
			}
			clock.Set(clock.Now().Add(101 * time.Second))
		}
		r.wait("it is taken", func(all []*message) bool { return len(all) == 13 })
		l.until("d", "delivered", func(x line) bool { return x.Counts["delivered"] == 1 && x.Counts["failed"] == 0 && x.Behind == 0 })
	})
}

// TestGoneDisables: 410 ends the telling, also over a restart; enable lets it go
// on from there with nothing lost.
func TestGoneDisables(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		clock := handClock()
		r := receiving(t, whsec("SECRET_ONE"))
		r.answers(fails(410, "", "a1", "a2", "a3"))
		sink := taking(t, func(string) bool { return false })
		o := app.Options{Data: t.TempDir(), Database: database, Clock: clock, Secrets: project.Secrets{Env: secrets}}
		config := small(t, sink.Addr(), map[string]string{"destinations/d.yaml": hook(r, wantsEvents)})
		l := live(t, o, config)
		l.tracks(t, "ann", "a1")
		l.until("d", "it is disabled", func(x line) bool { return x.State == "disabled" && x.Reason == "gone" })
		l.tracks(t, "ann", "a2")
		l.settle()
		l.end()
		l = live(t, o, config)
		l.tracks(t, "bob", "b1")
		l.until("d", "it still is, and all is kept", func(x line) bool { return x.State == "disabled" && x.Behind >= 3 })
		if n := len(r.wait("one attempt", func(all []*message) bool { return len(all) > 0 })); n != 1 {
			t.Errorf("%d attempts", n)
		}
		r.answers(nil)
		if w := l.ask("POST", "/v1/destinations/d/enable", ""); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
		all := r.wait("all three", func(all []*message) bool { return len(all) == 4 })
		got := refs(all[1:])
		if slices.Index(got, "a1") > slices.Index(got, "a2") || !slices.Contains(got, "b1") {
			t.Errorf("told %q", got)
		}
		l.until("d", "nothing is left", func(x line) bool { return x.State == "telling" && x.Behind == 0 && x.Waiting == 0 })
		var page struct{ Rows []audit.Entry }
		l.get("/v1/audit?act=destination.&limit=50", &page)
		var acts []string
		for _, e := range page.Rows {
			acts = append(acts, e.What)
		}
		for _, want := range []string{"destination.disabled", "destination.enabled", "destination.enable_asked"} {
			if !slices.Contains(acts, want) {
				t.Errorf("the trail has %q, not %s", acts, want)
			}
		}
	})
}

// TestDeadLettersAreDrivenAgain: an item that fails for three days becomes a dead
// letter and lets the person's next go; driven again it passes through the
// filters and the permission of that moment.
func TestDeadLettersAreDrivenAgain(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		clock := handClock()
		r := receiving(t, whsec("SECRET_ONE"))
		r.answers(fails(400, "", "a1", "b1", "c1"))
		l, _ := told(t, database, clock, map[string]string{"destinations/d.yaml": hook(r, wantsEvents)})
		for _, who := range []string{"ann", "bob", "cat"} {
			l.tracks(t, who, who[:1]+"1", who, who[:1]+"2")
			for n := 1; n <= 10; n++ {
				x := l.until("d", fmt.Sprint(who, " fails ", n), func(x line) bool {
					return x.Counts["failed"]%10 == int64(n%10) && x.Counts["failed"] > 0 && x.State == "telling" && (n == 10 || x.Waiting == 2)
				})
				if n == 9 { // Another success, so that the breaker has no say.
					l.tracks(t, "dan", who)
					l.until("d", "dan is told", func(y line) bool { return y.Counts["delivered"] > x.Counts["delivered"] })
				}
				clock.Set(clock.Now().Add(27 * time.Hour))
			}
			r.wait("the next goes", func(all []*message) bool { return slices.Contains(refs(all), who[:1]+"2") })
		}
		if x := l.until("d", "three are dead", func(x line) bool { return x.Dead == 3 && x.Waiting == 0 }); x.Counts["dead.refused"] != 3 {
			t.Errorf("%+v", x)
		}
		r.answers(nil)
		var page struct {
			Dead []struct {
				Seq                        int64
				Type, Name, Person, Reason string
				ID                         string `json:"webhook_id"`
				Attempts, Status           int
			}
		}
		l.get("/v1/destinations/d/dead", &page)
		if len(page.Dead) != 3 || page.Dead[0].Attempts != 10 || page.Dead[0].Status != 400 || page.Dead[0].Type != "event.track" || page.Dead[0].Name != "Seen" || page.Dead[0].Person != "per_1" {
			t.Fatalf("%+v", page)
		}
		if code := l.object("bob"); code > 299 {
			t.Fatal(code)
		}
		l.settle()
		before := len(r.wait("all so far", func([]*message) bool { return true }))
		if w := l.ask("POST", "/v1/destinations/d/redrive", fmt.Sprintf(`{"seqs":[%d]}`, page.Dead[0].Seq)); w.Code != 200 || !strings.Contains(w.Body.String(), `"redriven":1`) {
			t.Fatal(w.Code, w.Body)
		}
		all := r.wait("ann's again", func(all []*message) bool { return len(all) == before+1 })
		if m := all[before]; m.ID != page.Dead[0].ID || m.Data["message_id"] != "a1" {
			t.Errorf("%s is not %s", m.Raw, page.Dead[0].ID)
		}
		if w := l.ask("POST", "/v1/destinations/d/redrive", `{"all":true}`); w.Code != 200 || !strings.Contains(w.Body.String(), `"redriven":2`) {
			t.Fatal(w.Code, w.Body)
		}
		l.until("d", "bob's is dropped", func(x line) bool { return x.Counts["dropped.objected"] == 1 && x.Dead == 0 && x.Waiting == 0 })
		all = r.wait("cat's again", func(all []*message) bool { return len(all) == before+2 })
		if got := refs(all[before:]); !slices.Equal(got, []string{"a1", "c1"}) {
			t.Errorf("driven again: %q", got)
		}
	})
}

// TestPermissionAndFiltersAreAskedAtEveryAttempt: what failed once is not told
// after the person objected, nor after the filters have changed.
func TestPermissionAndFiltersAreAskedAtEveryAttempt(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		clock := handClock()
		r := receiving(t, whsec("SECRET_ONE"))
		r.answers(fails(503, "", "a1", "b1", "c1"))
		l, with := told(t, database, clock, map[string]string{"destinations/d.yaml": hook(r, wantsEvents)})
		l.tracks(t, "ann", "a1", "bob", "b1", "cat", "c1")
		l.until("d", "three wait", func(x line) bool { return x.Waiting == 3 })
		if code := l.object("ann"); code > 299 {
			t.Fatal(code)
		}
		r.answers(nil)
		clock.Set(clock.Now().Add(6 * time.Second))
		l.until("d", "ann's is dropped, the others are told", func(x line) bool {
			return x.Counts["dropped.objected"] == 1 && x.Counts["delivered"] == 2 && x.Waiting == 0
		})
		r.answers(fails(503, "", "b2", "c2"))
		l.tracks(t, "bob", "b2", "cat", "c2")
		l.until("d", "two wait", func(x line) bool { return x.Waiting == 2 })
		next := with(map[string]string{"destinations/d.yaml": hook(r, "events: all\nwhere: {ref: c2}\n")})
		if _, err := l.house.Apply(t.Context(), next.Files, 0); err != nil {
			t.Fatal(err)
		}
		r.answers(nil)
		clock.Set(clock.Now().Add(6 * time.Second))
		l.until("d", "bob's is filtered", func(x line) bool {
			return x.Counts["dropped.filtered"] == 1 && x.Counts["delivered"] == 3 && x.Waiting == 0
		})
		if got := refs(r.wait("all", func(all []*message) bool { return len(all) == 8 })); got[len(got)-1] != "c2" {
			t.Errorf("told %q", got)
		}
	})
}

// TestSendersMayForbidADestination: the integrations of an event are Segment's.
func TestSendersMayForbidADestination(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		crm, other := receiving(t, whsec("SECRET_ONE")), receiving(t, whsec("SECRET_ONE"))
		l, _ := told(t, database, handClock(), map[string]string{
			"destinations/crm.yaml": hook(crm, wantsEvents+"integration: CRM\n"), "destinations/other.yaml": hook(other, wantsEvents),
		})
		for id, says := range map[string]string{"m1": `{"All":false}`, "m2": `{"All":false,"CRM":true}`, "m3": `{"CRM":false}`, "m4": `{"CRM":{"list":7}}`, "m5": `{"crm":false}`} {
			body := fmt.Sprintf(`{"messageId":%q,"userId":%q,"event":"Seen","integrations":%s}`, id, id, says)
			if w := l.ask(http.MethodPost, "/v1/track", body); w.Code != 200 {
				t.Fatal(w.Code, w.Body)
			}
		}
		l.tracks(t, "last", "m6")
		for _, x := range []struct {
			r    *receiver
			want []string
		}{{crm, []string{"m2", "m4", "m5", "m6"}}, {other, []string{"m3", "m4", "m5", "m6"}}} {
			all := x.r.wait("what may go", func(all []*message) bool { return len(all) >= len(x.want) })
			got := refs(all)
			if slices.Sort(got); !slices.Equal(got, x.want) {
				t.Errorf("told %q, want %q", got, x.want)
			}
			for _, m := range all {
				if options, _ := json.Marshal(m.Data["options"]); m.Data["message_id"] == "m4" && x.r == crm && string(options) != `{"list":7}` {
					t.Errorf("options are %s", options)
				}
			}
		}
		l.until("crm", "no more is to come", func(x line) bool { return x.Behind == 0 && x.Counts["delivered"] == 4 })
		l.until("other", "no more is to come", func(x line) bool { return x.Behind == 0 && x.Counts["delivered"] == 4 })
	})
}

// TestOneThatIsDownHoldsUpNobody: its breaker opens, the others are told, and
// when it is back it has everything, in order, with no attempt spent on most.
func TestOneThatIsDownHoldsUpNobody(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		clock := handClock()
		down, up := receiving(t), receiving(t, whsec("SECRET_ONE"))
		down.answers(func(_ *message, w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) })
		l, _ := told(t, database, clock, map[string]string{"destinations/down.yaml": hook(down, wantsEvents), "destinations/up.yaml": hook(up, wantsEvents)})
		const n = 60
		for i := range n {
			l.tracks(t, fmt.Sprint("p", i%30), fmt.Sprint("m", i))
		}
		up.wait("all", func(all []*message) bool { return len(all) == n })
		x := l.until("down", "the breaker is open", func(x line) bool { return x.State == "down" })
		if x.Waiting+x.Behind < n || x.Counts["failed"] > 30 {
			t.Errorf("%+v", x)
		}
		down.answers(nil)
		l.until("down", "it works again", func(x line) bool { // One tries whether it does, as soon as what was on the wire has failed too.
			clock.Set(clock.Now().Add(10 * time.Second))
			return x.State == "telling" && x.Counts["delivered"] > 0
		})
		for range 3 {
			clock.Set(clock.Now().Add(2 * time.Second))
		}
		l.until("down", "it has all", func(x line) bool { return x.Waiting == 0 && x.Behind == 0 && x.Counts["delivered"] == n })
		last := map[string]int{}
		for _, m := range down.taken() {
			who := fmt.Sprint(m.Data["user_id"])
			var k int
			if _, err := fmt.Sscanf(fmt.Sprint(m.Data["message_id"]), "m%d", &k); err != nil {
				t.Fatal(err)
			}
			if was, ok := last[who]; ok && k < was {
				t.Errorf("%s: m%d came after m%d", who, k, was)
			}
			last[who] = k
		}
	})
}

// TestRedirectsAreFailures: a destination that moves is not followed.
func TestRedirectsAreFailures(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		moved, to := receiving(t, whsec("SECRET_ONE")), receiving(t)
		moved.answers(func(_ *message, w http.ResponseWriter) {
			w.Header().Set("Location", to.server.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		l, _ := told(t, database, handClock(), map[string]string{"destinations/d.yaml": hook(moved, wantsEvents)})
		l.tracks(t, "ann", "a1")
		if x := l.until("d", "it fails", func(x line) bool { return x.Counts["failed.refused"] == 1 }); x.Waiting != 1 {
			t.Errorf("%+v", x)
		}
		if all := to.wait("nothing", func([]*message) bool { return true }); len(all) != 0 {
			t.Errorf("%d were told elsewhere", len(all))
		}
	})
}

// TestWithoutDestinationsNothingIsWritten: what nobody wants costs nothing.
func TestWithoutDestinationsNothingIsWritten(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		o := app.Options{Data: t.TempDir(), Database: database, Clock: handClock()}
		l := live(t, o, small(t, sink.Addr(), nil))
		l.tracks(t, "ann", "a1", "bob", "b1")
		if code := l.object("ann"); code > 299 {
			t.Fatal(code)
		}
		l.told()
		l.end()
		where := o.Data
		if database != "" {
			where = database
		}
		counts := countsOf(t, where, o.Data)
		if counts["told"]+counts["told_held"]+counts["destination"] != 0 || counts["person"] != 2 {
			t.Errorf("%v", counts)
		}
	})
}

// TestWhatWaitsTooLongDies: what could not be told for four days is a dead letter,
// and comes in order when it is driven again.
func TestWhatWaitsTooLongDies(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		clock := handClock()
		r := receiving(t, whsec("SECRET_ONE"))
		r.answers(func(_ *message, w http.ResponseWriter) { w.WriteHeader(http.StatusGone) })
		l, _ := told(t, database, clock, map[string]string{"destinations/d.yaml": hook(r, wantsEvents)})
		l.tracks(t, "ann", "a1", "ann", "a2", "ann", "a3", "bob", "b1")
		l.settle()
		l.until("d", "it is disabled", func(x line) bool { return x.State == "disabled" && x.Dead == 0 && x.Behind == 4 })
		clock.Set(clock.Now().Add(95 * time.Hour))
		l.tracks(t, "cat", "c1")
		l.until("d", "nothing is too old", func(x line) bool { return x.Dead == 0 && x.Behind == 5 })
		clock.Set(clock.Now().Add(2 * time.Hour))
		if x := l.until("d", "four are", func(x line) bool { return x.Dead == 4 && x.Behind == 1 }); x.Counts["dead.gave_up"] != 4 {
			t.Errorf("%+v", x)
		}
		r.answers(nil)
		if w := l.ask("POST", "/v1/destinations/d/redrive", `{"all":true}`); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
		if w := l.ask("POST", "/v1/destinations/d/enable", ""); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
		l.until("d", "all are told", func(x line) bool { return x.Counts["delivered"] == 5 && x.Dead == 0 && x.Behind == 0 && x.Waiting == 0 })
		var anns []string
		for _, ref := range refs(r.taken()) {
			if ref[0] == 'a' {
				anns = append(anns, ref)
			}
		}
		if got := strings.Join(anns, " "); got != "a1 a2 a3" {
			t.Errorf("ann's came as %s", got)
		}
	})
}

// TestErasuresAskNobody: a room that erases tells every destination, whatever it
// wants and whatever the person said; an alert goes to who wants alerts, and
// nobody can yet.
func TestErasuresAskNobody(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		clock := handClock()
		one, two := receiving(t, whsec("SECRET_ONE")), receiving(t, whsec("SECRET_ONE"))
		l, _ := told(t, database, clock, map[string]string{"destinations/one.yaml": hook(one, wantsEvents), "destinations/two.yaml": hook(two, "segments: all\n")})
		l.tracks(t, "ann", "a1")
		if code := l.object("ann"); code > 299 {
			t.Fatal(code)
		}
		l.settle()
		for _, it := range []destination.Item{
			{Kind: destination.Alert, Name: "disk", At: clock.Now(), Body: []byte(`{}`)},
			{Kind: destination.Erasure, Person: 1, At: clock.Now(), Body: []byte(`{"identifiers":{"user_id":["ann"],"email":["ann@people.example"]}}`)},
		} {
			if err := app.Enqueue(t.Context(), l.house, it); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range []*receiver{one, two} {
			all := r.wait("the erasure", func(all []*message) bool { return len(all) > 0 && all[len(all)-1].Type == "person.erased" })
			if m := all[len(all)-1]; fmt.Sprint(m.Data) != "map[identifiers:map[user_id:[ann]]]" {
				t.Errorf("%s", m.Raw)
			}
			for _, m := range all {
				if strings.HasPrefix(m.Type, "alert.") {
					t.Errorf("told %s", m.Type)
				}
			}
		}
	})
}
