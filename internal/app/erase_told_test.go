package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/project"
)

// reached waits until destinations are so far with an erasure.
func (l *lived) reached(request, want string) {
	l.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		var r struct {
			Destinations []struct{ Destination, State string }
		}
		l.get("/v1/requests/"+request, &r)
		out := map[string]string{}
		for _, d := range r.Destinations {
			out[d.Destination] = d.State
		}
		if fmt.Sprint(out) == want {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("destinations: %v, want %s", out, want)
		}
		time.Sleep(2 * time.Millisecond) // How far they are is written down now and then.
	}
}

// TestDestinationsAreToldOfAnErasure: each is told by which identifiers somebody was
// known, and one that fails for days and over a restart is told once it works; what
// waited to be told of the person is never told.
func TestDestinationsAreToldOfAnErasure(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		clock := handClock()
		up, down := receiving(t, whsec("SECRET_ONE")), receiving(t, whsec("SECRET_ONE"))
		refuse := func(_ *message, w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }
		down.answers(refuse)
		sink := taking(t, func(string) bool { return false })
		config := small(t, sink.Addr(), map[string]string{
			"destinations/up.yaml": hook(up, wantsEvents), "destinations/down.yaml": hook(down, wantsEvents+"identifiers: [user_id, email]\n"),
		})
		o := app.Options{Data: t.TempDir(), Database: database, Clock: clock, Secrets: project.Secrets{Env: secrets}}
		l := live(t, o, config)
		l.tracks(t, "ann", "a1")
		l.settle()
		l.until("down", "ann's waits", func(x line) bool { return x.Waiting == 1 && x.Behind == 0 })
		done := l.erase("user_id:ann")
		all := up.wait("the erasure", func(all []*message) bool { return slices.ContainsFunc(all, erasure) })
		if m := all[slices.IndexFunc(all, erasure)]; strings.Contains(string(m.Raw), "@") || fmt.Sprint(m.Data["identifiers"]) != "map[user_id:[ann]]" {
			t.Errorf("one that is told no addresses hears %s", m.Raw)
		}
		l.until("down", "the erasure waits alone", func(x line) bool { return x.Waiting == 1 && x.Behind == 0 })
		l.reached(done.ID, "map[down:retrying up:told]")
		failed := func() int64 { return l.line("down").Counts["failed.refused"] }
		for range 3 { // days on which it is down
			before := failed()
			clock.Set(clock.Now().Add(24 * time.Hour))
			l.until("down", "it failed again", func(x line) bool { return x.Waiting == 1 && failed() > before })
		}
		l.end()
		down.answers(nil)
		clock.Set(clock.Now().Add(24 * time.Hour))
		o.Clock = clock
		l = live(t, o, config)
		down.wait("the erasure, taken", func([]*message) bool { return slices.ContainsFunc(down.taken(), erasure) })
		l.until("down", "nothing waits", func(x line) bool { return x.Waiting == 0 && x.Behind == 0 && x.Dead == 0 })
		l.reached(done.ID, "map[down:told up:told]")
		for _, m := range down.taken() {
			if !erasure(m) {
				t.Errorf("%s was told after the erasure: %s", m.Type, m.Raw)
			}
		}
		m := down.taken()[0]
		if got := fmt.Sprint(m.Data["identifiers"]); got != "map[email:[ann@people.example] user_id:[ann]]" || strings.Contains(string(m.Raw), "Seen") {
			t.Errorf("it says %s", m.Raw)
		}
	})
}

func erasure(m *message) bool { return m.Type == "person.erased" }
