package journey

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestDocs parses every example of docs/journeys.md: whole journeys as they
// are, single keys and steps within the least journey that holds them.
func TestDocs(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/journeys.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(raw), -1)
	if len(blocks) < 10 {
		t.Fatalf("%d examples found", len(blocks))
	}
	for i, b := range blocks {
		text := b[1]
		switch {
		case strings.HasPrefix(text, "- "):
			text = "trigger: {event: E}\npurpose: m\nsteps:\n  " + strings.ReplaceAll(text, "\n", "\n  ")
		case !strings.Contains(text, "trigger:\n") && !strings.Contains(text, "trigger: {"):
			text += "trigger: {event: E}\npurpose: m\nsteps: [stop]\n"
		}
		if _, problems := problemsOf(t, text); len(problems) > 0 {
			t.Errorf("example %d: %v\n%s", i+1, problems, text)
		}
	}
}

// TestDocsLimits holds the table of limits to the limits.
func TestDocsLimits(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/journeys.md")
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]string{
		"MaxSteps": strconv.Itoa(MaxSteps), "MaxDepth": strconv.Itoa(MaxDepth), "MaxBranches": strconv.Itoa(MaxBranches),
		"MaxWaitFors": strconv.Itoa(MaxWaitFors), "MaxSets": strconv.Itoa(MaxSets), "MaxConditions": strconv.Itoa(MaxConditions),
		"MaxWait": span(MaxWait.Milliseconds()), "MaxJourneys": strconv.Itoa(MaxJourneys), "MaxPlaces": strconv.Itoa(MaxPlaces),
		"MaxKeys": strconv.Itoa(MaxKeys), "MaxDates": strconv.Itoa(MaxDates), "MaxNotes": strconv.Itoa(MaxNotes), "MaxTriggerData": strconv.Itoa(MaxTriggerData>>10) + "KB",
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(Max\\w+)` \\| ([^|]+) \\|").FindAllStringSubmatch(string(raw), -1) {
		said := strings.NewReplacer(",", "", " ", "").Replace(row[2])
		if want := limits[row[1]]; said != want {
			t.Errorf("%s is %s, the manual says %s", row[1], want, said)
		}
		delete(limits, row[1])
	}
	if len(limits) > 0 {
		t.Errorf("the manual does not name %v", limits)
	}
}
