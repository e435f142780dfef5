package rule

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestManual parses every rule in the manual and looks for every word and limit
// of the language in it.
func TestManual(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(b)
	parts := strings.Split(manual, "```")
	if len(parts) < 11 || len(parts)%2 == 0 {
		t.Fatalf("%d code fences", len(parts)-1)
	}
	section := ""
	for i, part := range parts {
		if i%2 == 0 {
			if at := strings.LastIndex(part, "\n## "); at >= 0 {
				section = part[at+4:]
			}
			continue
		}
		text, ok := strings.CutPrefix(part, "yaml\n")
		if !ok {
			t.Errorf("a block that is no YAML: %s", part)
			continue
		}
		ctx := Context{}
		if strings.HasPrefix(section, "In a journey") {
			ctx = journey
		}
		if _, problems := load(t, text, ctx); len(problems) > 0 {
			t.Errorf("%v in\n%s", problems, text)
		}
	}
	words := append(append(append([]string{}, mainWords...), didWords...), operatorNames[:]...)
	for _, word := range words {
		if !strings.Contains(manual, "`"+word) {
			t.Errorf("the manual does not know %s", word)
		}
	}
	for _, limit := range []string{
		fmt.Sprintf("`max_depth` %d ", MaxDepth), fmt.Sprintf("`max_nodes` %d ", MaxNodes), fmt.Sprintf("`max_list` %d ", MaxList),
		fmt.Sprintf("`max_where` %d ", MaxWhere), fmt.Sprintf("`max_count` %d;", MaxCount), fmt.Sprintf("`max_text` %d ", MaxText),
		fmt.Sprintf("`max_path` %d ", MaxPath), fmt.Sprintf("`max_steps` %d ", MaxSteps),
		fmt.Sprintf("`max_duration` %d days", int64(MaxDuration)/86_400_000), fmt.Sprintf("up to %d", MaxList), fmt.Sprintf("At most %d", MaxCount),
	} {
		if !strings.Contains(manual, limit) {
			t.Errorf("the manual does not name the limit %s", limit)
		}
	}
}
