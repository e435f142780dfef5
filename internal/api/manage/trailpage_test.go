package manage

import (
	"strings"
	"testing"
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
