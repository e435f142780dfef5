package app_test

import (
	"strings"
	"testing"

	"rapport/internal/app"
	"rapport/internal/project"
)

// TestAVersionThatIsNotReadAnyMoreHidesWhatItComputed: what a stored configuration
// computed of which this program cannot tell what it was made of is seen for no purpose,
// after a start as well; and behind one of which not even that can be read no other is
// taken.
func TestAVersionThatIsNotReadAnyMoreHidesWhatItComputed(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		files := map[string]string{"plan/people.yaml": "traits:\n  secret_note: {type: string, purposes: [service]}\n  colour: string\n"}
		with := func(title string) *project.Config {
			more := map[string]string{"segments/titled.yaml": "title: " + title + "\nrule: {trait: colour, exists: true}\n"}
			for name, text := range files {
				more[name] = text
			}
			return small(t, sink.Addr(), more)
		}
		o := app.Options{Data: t.TempDir(), Database: database, Clock: handClock()}
		l := live(t, o, with("one"))
		l.identify("i", "ann", `{"copied":"hush","colour":"red"}`)
		stored := func(journey string) {
			t.Helper()
			v := project.Version{Applied: l.house.Clock().Now(), Digest: "of then", Files: with("one").Files}
			v.Files["journeys/help.yaml"] = []byte(journey)
			if err := app.StoreVersion(t.Context(), l.house, v); err != nil {
				t.Fatal(err)
			}
		}
		sees := func(when string) {
			t.Helper()
			for _, why := range []string{"service", "marketing.newsletter"} {
				person := l.ask("GET", "/v1/people/user_id:ann?purpose="+why, "").Body.String()
				if strings.Contains(person, "hush") || !strings.Contains(person, `"colour":"red"`) {
					t.Errorf("%s %s sees %s", when, why, person)
				}
			}
		}
		stored("purpose: service\nof_then: true\ntrigger: {event: Asked}\nsteps:\n  - set: {copied: \"{{ person.secret_note }}\"}\n")
		if _, err := l.house.Apply(t.Context(), with("two").Files, 0); err != nil {
			t.Fatal(err)
		}
		sees("when it is followed,")
		l.end()
		l = live(t, o, with("two"))
		sees("after a start")

		stored("purpose: {\n")
		if _, err := l.house.Apply(t.Context(), with("three").Files, 0); err == nil || !strings.Contains(err.Error(), "serve this house with the version") {
			t.Errorf("a folder was applied behind one that nobody can read: %v", err)
		}
	})
}
