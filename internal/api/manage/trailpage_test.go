package manage

import (
	"strings"
	"testing"

	"rapport/internal/audit"
	"rapport/internal/breach"
	"rapport/internal/feedback"
)

// TestEveryActOnAPersonHasASentence on the page that tells somebody what happened to
// their data: a row of which they cannot read what it says tells them nothing.
func TestEveryActOnAPersonHasASentence(t *testing.T) {
	t.Parallel()
	for route, act := range rowsOf {
		if strings.Contains(route, "/people/") && told[act] == "" {
			t.Errorf("%s writes %q, and the page has no sentence for it", route, act)
		}
	}
}

// TestABreachKnowsEveryRead: whatever a key can read or change of a person counts when
// the key was in the wrong hands, by name or, where the row names nobody, as such.
func TestABreachKnowsEveryRead(t *testing.T) {
	t.Parallel()
	for route, act := range rowsOf {
		kind, _ := breach.Touch(act, true)
		_, unnamed := breach.Touch(act, false)
		switch {
		case strings.Contains(route, "/people/") && kind == 0:
			t.Errorf("%s writes %q of a person, and a breach does not count it", route, act)
		case strings.HasPrefix(act, "trail.") && !unnamed:
			t.Errorf("%s writes %q of nobody in particular, and a breach does not count it", route, act)
		case act == "trail.searched" && kind == 0: // with ?person=
			t.Errorf("%s writes %q of a person, and a breach does not count it", route, act)
		case strings.HasSuffix(act, "read") && kind == 0 && !unnamed && act != "breach.read" && act != "breaches.read": // Those name nobody.
			t.Errorf("%s writes %q, and a breach counts it neither way", route, act)
		}
	}
}

// TestTheTrailSaysWhoAsked: what a person did themselves on the pages of readers is not
// told to them as the act of an operator.
func TestTheTrailSaysWhoAsked(t *testing.T) {
	t.Parallel()
	for act := range byThemselves {
		operator, own := sentence(&audit.Entry{What: act, Actor: "key/k1"}), sentence(&audit.Entry{What: act, Actor: feedback.Actor})
		if told[act] == "" || operator != told[act] || own == operator || strings.Contains(own, "operator") {
			t.Errorf("%s: an operator %q, themselves %q", act, operator, own)
		}
	}
	if got := sentence(&audit.Entry{What: "permission.changed", Actor: feedback.Actor, Object: "service"}); !strings.Contains(got, "service") {
		t.Errorf("without its object: %q", got)
	}
}
