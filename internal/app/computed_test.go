package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/fault"
)

// TestAComputedTraitKeepsWhatItInherited: a trait that a journey computed of what is
// for one purpose only is for that purpose when the journey is gone, when another one
// computes it of something harmless, and when no plan says anything any more; also
// after a start, and what would use it otherwise is refused.
func TestAComputedTraitKeepsWhatItInherited(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		base := map[string]string{
			"purposes.yaml": `purposes:
  service: {title: Service, basis: contract}
  support: {title: Support, description: Help., basis: legitimate_interest}
  marketing.newsletter: {title: News, description: News., basis: legitimate_interest, gpc: true}
  profiling: {title: Profile, description: A profile., basis: legitimate_interest, scope: device}
`,
		}
		with := func(more map[string]string) map[string]string {
			out := map[string]string{}
			for _, m := range []map[string]string{base, more} {
				for name, text := range m {
					out[name] = text
				}
			}
			return out
		}
		const plan = "traits:\n  secret_note: {type: string, purposes: [support]}\n  colour: string\n"
		const begins = "trigger: {event: Ticket Opened}\nreentry: always\nsteps:\n"
		first := small(t, sink.Addr(), with(map[string]string{
			"plan/people.yaml": plan, "journeys/help.yaml": "purpose: support\n" + begins + "  - set: {copied: \"{{ person.secret_note }}\"}\n",
		}))
		o := app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)}
		l := live(t, o, first)
		l.says(`{"type":"identify","messageId":"i","userId":"ann","traits":{"secret_note":"hush","colour":"red"}}`)
		l.says(`{"type":"track","messageId":"t","userId":"ann","event":"Ticket Opened"}`)
		sees := func(when string) {
			t.Helper()
			for why, want := range map[string]bool{"support": true, "marketing.newsletter": false} {
				person := l.ask("GET", "/v1/people/user_id:ann?purpose="+why, "").Body.String()
				events := l.ask("GET", "/v1/people/user_id:ann/events?limit=50&purpose="+why, "").Body.String()
				if got := strings.Contains(person, `"copied":"hush"`); got != want {
					t.Errorf("%s: %s sees it: %t, in %s", when, why, got, person)
				}
				if got := strings.Contains(events, `"copied":"hush"`); got != want {
					t.Errorf("%s: %s sees it in the timeline: %t, in %s", when, why, got, events)
				}
			}
		}
		apply := func(files map[string]string) error {
			t.Helper()
			_, err := l.house.Apply(t.Context(), small(t, sink.Addr(), files).Files, 0)
			return err
		}
		sees("while it is computed")
		config := map[string]string{"plan/people.yaml": plan}
		if err := apply(with(config)); err != nil {
			t.Fatal(err)
		}
		sees("once its journey is gone")
		config["journeys/harmless.yaml"] = "purpose: service\ntrigger: {event: Painted}\nsteps:\n  - set: {copied: \"{{ person.colour }}\"}\n"
		if err := apply(with(config)); err != nil {
			t.Fatal(err)
		}
		sees("once another journey computes it")
		asks := map[string]string{"segments/copied.yaml": "rule: {trait: copied, exists: true}\n", "plan/people.yaml": plan}
		if err := apply(with(asks)); err != nil {
			t.Fatal(err)
		}
		sees("once a segment reads it")
		if got := l.ask("GET", "/v1/segments/copied/explain?person=user_id:ann&purpose=marketing.newsletter", ""); got.Code < 400 {
			t.Errorf("a segment that reads it is shown: %d %s", got.Code, got.Body)
		}
		asks["journeys/sells.yaml"] = "purpose: marketing.newsletter\ntrigger: {event: Sold}\nsteps:\n  - if: {trait: copied, exists: true}\n    then: [{send: note}]\n"
		if err := apply(with(asks)); fault.KindOf(err) != fault.Invalid || !strings.Contains(fmt.Sprintf("%+v", detail(err)), `the trait "copied", which was computed once, may be used for support, not for "marketing.newsletter"`) {
			t.Errorf("a use for another purpose: %v %+v", err, detail(err))
		}
		delete(asks, "journeys/sells.yaml")
		delete(asks, "plan/people.yaml")
		if err := apply(with(asks)); err != nil {
			t.Fatal(err)
		}
		sees("without a plan")
		l.end()
		l = live(t, o, small(t, sink.Addr(), with(asks)))
		sees("after a start")
	})
}

// detail gives what a fault names.
func detail(err error) (out []string) {
	if f, ok := err.(*fault.Error); ok { //nolint:errorlint // It is the house's own answer.
		for _, x := range f.Fields {
			out = append(out, x.Detail)
		}
	}
	return out
}
