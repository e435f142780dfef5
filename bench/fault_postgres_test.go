package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"rapport/internal/delivery/deliverytest"
	"rapport/internal/store/pgstore/pgtest"
)

// The database crashes under load, as its machine does when power fails: every
// event that was acknowledged is there, once, and the server goes on by itself.
func TestTheDatabaseCrashesUnderLoad(t *testing.T) {
	t.Parallel()
	cluster, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	sink := scripted(t, func(string, int) deliverytest.Fault { return deliverytest.Fault{} })
	f := newFaulty(t, sink.Addr())
	f.database = ownDatabase(t, cluster.URL("postgres"))
	f.start("--listen", freeAddress(t)) // It keeps its address when it opens the house anew.
	const clients, crashes = 4, 3
	var acked, stop atomic.Int64
	counts := make([]int, clients)
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			for n := 0; stop.Load() == 0; {
				body := fmt.Sprintf(`{"messageId":"c%d-%d","userId":"crash-%d","event":"Seen"}`, c, n, c)
				status, _, _, err := f.tryAsk("POST", "/v1/track", body)
				if err == nil && status == http.StatusOK {
					n++ // What was not acknowledged is sent again, as an SDK would.
					counts[c] = n
					acked.Add(1)
				}
			}
		})
	}
	for range crashes {
		before := acked.Load()
		until(t, "events are taken", time.Minute, func() bool { return acked.Load() > before+200 })
		if err := cluster.Restart(); err != nil {
			t.Error(err)
		}
	}
	before := acked.Load()
	until(t, "events are taken after the last crash", time.Minute, func() bool { return acked.Load() > before+50 })
	stop.Store(1)
	group.Wait()
	until(t, "everything is walked", time.Minute, func() bool { // Meanwhile it may open the house anew.
		st, err := f.status(t.Context())
		live := st.Lanes["live"]
		return err == nil && live.Appended > 0 && live.Walked == live.Appended
	})
	if strings.Contains(f.said.String(), "set aside") {
		t.Errorf("a record was blamed for the crash:\n%s", f.said)
	}
	for c := range clients {
		var p struct {
			EventsCount int `json:"events_count"`
		}
		if err := f.call(context.Background(), "GET", fmt.Sprintf("/v1/people/user_id:crash-%d", c), nil, &p); err != nil {
			t.Fatal(err)
		}
		// The last one may have been taken without the client hearing of it.
		if p.EventsCount != counts[c] && p.EventsCount != counts[c]+1 {
			t.Errorf("client %d was told of %d events, %d are there", c, counts[c], p.EventsCount)
		}
	}
}

// freeAddress gives an address of the loopback on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// 550 5.7.515 is about us, not about the reader: the stream to that domain is
// paused, nobody is suppressed, and other domains get their mail.
func TestARefusalForOurFaultSuppressesNobody(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		var tries atomic.Int64
		sink := scripted(t, func(to string, _ int) deliverytest.Fault {
			if strings.HasSuffix(to, "@strict.example") {
				tries.Add(1)
				return deliverytest.Fault{Refuse: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 515}, Message: "not authenticated"}}
			}
			return deliverytest.Fault{}
		})
		f := newFaulty(t, sink.Addr())
		f.database = database
		f.start()
		const each = 30
		for i := range each {
			f.trigger(fmt.Sprintf("s%d", i), fmt.Sprintf("s%d@strict.example", i))
			f.trigger(fmt.Sprintf("o%d", i), fmt.Sprintf("o%d@other%d.example", i, i))
		}
		until(t, "the others have their mail", 30*time.Second, func() bool {
			n := 0
			for i := range each {
				n += sink.To(fmt.Sprintf("o%d@other%d.example", i, i))
			}
			return n == each
		})
		until(t, "the stream is paused", 30*time.Second, func() bool { return strings.Contains(f.said.String(), "provider_paused") })
		if n := tries.Load(); n == 0 || n > 20 {
			t.Errorf("%d tries against a wall, want as many as were on the wire", n)
		}
		for i := range each {
			for _, m := range f.mailsOf(fmt.Sprintf("s%d", i)) {
				if m.State == "bounced" || m.State == "accepted" {
					t.Errorf("mail s%d is %s", i, m.State)
				}
			}
			var p struct{ Suppressed []any }
			if err := f.call(context.Background(), "GET", fmt.Sprintf("/v1/people/user_id:u-s%d", i), nil, &p); err != nil || len(p.Suppressed) > 0 {
				t.Errorf("s%d is suppressed: %v %v", i, p.Suppressed, err)
			}
		}
	})
}
