package app_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"rapport/internal/app"
)

// TestTraitsEndWithTheirTerm: a trait that the plan keeps for a term is gone the
// instant the term ends, segments follow at that instant, a newer write begins it
// anew, and what comes late and is older brings nothing back.
func TestTraitsEndWithTheirTerm(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		clock := app.NewClock(at, 0)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), map[string]string{
			"plan/people.yaml":     "traits:\n  city: {type: string, retention: 30d}\n  name: {type: string}\n  email: string\n",
			"segments/locals.yaml": "rule: {trait: city, is: Sampletown}\n",
		}))
		says := func(messageID, city string, when time.Time) {
			t.Helper()
			if w := l.ask("POST", "/v1/identify", `{"messageId":"`+messageID+`","userId":"ann","timestamp":"`+when.Format(time.RFC3339)+`","sentAt":"`+clock.Now().Format(time.RFC3339)+`","traits":{"name":"Ann","city":"`+city+`"}}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			l.settle()
		}
		city := func() any {
			t.Helper()
			var p struct{ Traits map[string]any }
			l.get("/v1/people/user_id:ann", &p)
			if p.Traits["name"] != "Ann" {
				t.Errorf("her name is %v", p.Traits["name"])
			}
			return p.Traits["city"]
		}
		passes := func(d time.Duration) {
			t.Helper()
			for until := clock.Now().Add(d); ; {
				reached, err := l.house.Proceed(t.Context(), until)
				if err != nil {
					t.Fatal(err)
				}
				if !reached.Before(until) {
					return
				}
			}
		}
		says("1", "Sampletown", at)
		passes(20 * 24 * time.Hour)
		says("2", "Sampletown", clock.Now())
		passes(29 * 24 * time.Hour)
		if got := city(); got != "Sampletown" || l.people("locals") != 1 {
			t.Fatalf("before its term: %v, %d", got, l.people("locals"))
		}
		passes(25 * time.Hour)
		if got := city(); got != nil || l.people("locals") != 0 {
			t.Errorf("after its term: %v, %d", got, l.people("locals"))
		}
		says("3", "Sampletown", at.Add(time.Hour)) // It was said before the second, and comes late.
		if got := city(); got != nil {
			t.Errorf("something older brought it back: %v", got)
		}
		says("4", "Sampletown", clock.Now())
		if got := city(); got != "Sampletown" || l.people("locals") != 1 {
			t.Errorf("said anew: %v, %d", got, l.people("locals"))
		}
	})
}

// TestEventsEndWithTheirTerm: an event that the plan keeps for a term is gone from
// every history once the term is over, and what is before and behind it stays.
func TestEventsEndWithTheirTerm(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		clock := app.NewClock(at, 0)
		data := t.TempDir()
		l := live(t, app.Options{Data: data, Database: database, Clock: clock}, small(t, sink.Addr(), map[string]string{
			"plan/events.yaml": "events:\n  Looked:\n    retention: 30d\n    properties: {about: string}\n  Asked:\n    retention: 60d\n    properties: {about: string}\n  Paid: {properties: {about: string}}\n",
		}))
		says := func(name, messageID string) {
			t.Helper()
			if w := l.ask("POST", "/v1/track", `{"messageId":"`+messageID+`","userId":"ann","event":"`+name+`","properties":{"about":"secret-`+messageID+`"}}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			l.settle()
		}
		has := func(when string, want ...string) {
			t.Helper()
			if err := l.house.Retain(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := slices.Sorted(maps.Keys(l.timeline("ann")))
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		day := 24 * time.Hour
		says("Paid", "p1")
		says("Looked", "l1")
		says("Asked", "a1")
		clock.Set(at.Add(20 * day))
		says("Looked", "l2")
		says("Paid", "p2")
		has("after 20 days", "a1", "l1", "l2", "p1", "p2")
		clock.Set(at.Add(31 * day))
		has("after 31 days", "a1", "l2", "p1", "p2")
		clock.Set(at.Add(51 * day))
		says("Looked", "l3")
		has("after 51 days", "a1", "l3", "p1", "p2")
		clock.Set(at.Add(70 * day))
		has("after 70 days", "l3", "p1", "p2")
		if r, err := l.house.Retention(t.Context()); err != nil || r.Taken != 3 || !r.At.Equal(at.Add(70*day)) {
			t.Errorf("it tells of %+v, %v", r, err)
		}
		l.end()
		where := data
		if database != "" {
			where = database
		}
		for text, want := range map[string]int{"secret-l1": 0, "secret-a1": 0, "secret-p1": 1} {
			tables, err := app.Holds(t.Context(), where, data, text)
			if err != nil || len(tables) != want {
				t.Errorf("%s stands in %v, %v", text, tables, err)
			}
		}
	})
}
