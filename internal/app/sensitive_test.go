package app_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"rapport/internal/app"
	"rapport/internal/project"
)

// TestWhatIsSensitiveNeedsAYes: a purpose that rests on legitimate interest sees
// nothing sensitive of whoever has not said yes to it, anywhere; and sees it once they
// have.
func TestWhatIsSensitiveNeedsAYes(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		r := receiving(t, whsec("SECRET_ONE"))
		files := maps.Clone(apart)
		files["plan/people.yaml"] = "traits:\n  health: {type: string, class: sensitive, purposes: [marketing]}\nevents:\n  Trigger: {properties: {ref: string, illness: {type: string, class: sensitive}}}\n"
		files["segments/noted.yaml"] = "rule: {trait: health, exists: true}\n"
		files["templates/note/template.yaml"] = "subject: \"News {{ trigger.illness | default: '-' }} {{ person.health | default: '-' }}\"\npurpose: marketing.newsletter\n"
		files["destinations/ads.yaml"] = hook(r, "events: all\n")
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: handClock(), Secrets: project.Secrets{Env: secrets}}, small(t, sink.Addr(), files))
		happens := func(n int) string {
			t.Helper()
			l.identify(fmt.Sprint("i", n), "ann", fmt.Sprintf(`{"email":"ann@people.example","health":"%s","n":%d}`, hidden, n))
			if w := l.ask("POST", "/v1/track", fmt.Sprintf(`{"messageId":"t%d","userId":"ann","event":"Trigger","properties":{"ref":"r","illness":%q}}`, n, hidden)); w.Code != 200 {
				t.Fatal(w.Code, w.Body)
			}
			l.told()
			all := r.wait("what happened", func(all []*message) bool {
				return slices.ContainsFunc(all, func(m *message) bool { return m.Data["message_id"] == fmt.Sprint("t", n) })
			})
			subject, _ := letter(t, sink, "ann@people.example")
			left := []string{
				"mail " + strings.ReplaceAll(subject, hidden, "X"),
				"read " + fmt.Sprint(strings.Count(l.ask("GET", "/v1/people/user_id:ann?purpose=marketing.newsletter", "").Body.String(), hidden)),
				"in " + fmt.Sprint(strings.Contains(l.within("ann"), "noted")),
			}
			for _, m := range all {
				if id, _ := m.Data["message_id"].(string); id == fmt.Sprint("i", n) || id == fmt.Sprint("t", n) {
					left = append(left, m.Type+" "+fmt.Sprint(strings.Count(string(m.Raw), hidden)))
				}
			}
			return strings.Join(left, ", ")
		}
		if got, want := happens(1), "mail News - -, read 0, in false, event.identify 0, event.track 0"; got != want {
			t.Errorf("without her yes: %s, want %s", got, want)
		}
		l.permits("user_id:ann", "marketing.newsletter", "granted")
		if got, want := happens(2), "mail News X X, read 1, in true, event.identify 1, event.track 1"; got != want {
			t.Errorf("with her yes: %s, want %s", got, want)
		}
	})
}
