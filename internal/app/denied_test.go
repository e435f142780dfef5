package app_test

import (
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
)

// TestAWithdrawalEndsWhatWaits: whoever has said no to a journey's purpose does not
// enter it; whoever says no to a journey's purpose while they wait
// in it has left it: nothing more is done there, also when they say yes again before
// the wait is over. What waits for another purpose, and for others, goes on; and a
// restriction, which may be lifted, ends nothing.
func TestAWithdrawalEndsWhatWaits(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		const steps = "trigger: {event: Trigger}\nreentry: always\nsteps:\n  - wait: 3d\n  - set: {waited: true}\n  - send: "
		clock := handClock()
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), map[string]string{
			"journeys/news.yaml": "purpose: marketing.newsletter\n" + steps + "note\n",
			"journeys/help.yaml": "purpose: service\n" + strings.Replace(steps, "waited", "helped", 1) + "receipt\n",
		}))
		everybody := []string{"ann", "bob", "cora", "dora", "erin"}
		for _, who := range everybody {
			l.identify("i-"+who, who, `{"email":"`+who+`@people.example"}`)
			if who == "erin" {
				l.permits("user_id:erin", "marketing.newsletter", "objected")
			}
			l.track("Trigger", who, "t-"+who)
		}
		l.settle()
		l.permits("user_id:ann", "marketing.newsletter", "objected")
		l.permits("user_id:ann", "marketing.newsletter", "granted")
		l.permits("user_id:bob", "marketing.newsletter", "objected")
		for _, act := range []string{"restrict", "lift"} {
			if w := l.ask("POST", "/v1/people/user_id:dora/"+act, `{}`, "Idempotency-Key", act); w.Code > 299 {
				t.Fatal(w.Code, w.Body)
			}
			clock.Set(clock.Now().Add(time.Minute))
			l.settle()
		}
		l.passes(clock.Now().Add(4 * 24 * time.Hour))
		l.settle()
		for _, row := range []struct {
			who    string
			waited bool
		}{{"ann", false}, {"bob", false}, {"cora", true}, {"dora", true}, {"erin", false}} {
			person := l.ask("GET", "/v1/people/user_id:"+row.who, "").Body.String()
			if got := strings.Contains(person, `"waited":true`); got != row.waited {
				t.Errorf("%s went on: %t, in %s", row.who, got, person)
			}
			if !strings.Contains(person, `"helped":true`) {
				t.Errorf("%s: what waited for another purpose ended too", row.who)
			}
			mails := l.ask("GET", "/v1/messages?person=user_id:"+row.who, "").Body.String()
			if got := strings.Contains(mails, `"note"`); got != row.waited {
				t.Errorf("a mail to %s was decided: %t, in %s", row.who, got, mails)
			}
		}
		for who, want := range map[string]string{"ann": "not_permitted: marketing.newsletter: objected", "erin": "not_permitted"} {
			if why := l.ask("GET", "/v1/journeys/news/explain?person=user_id:"+who, "").Body.String(); !strings.Contains(why, want) {
				t.Errorf("%s is told %s", who, why)
			}
		}
	})
}
