package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBreachCommands walks through a breach with the true commands, from the first look
// to its end.
func TestBreachCommands(t *testing.T) {
	t.Parallel()
	run := atServer(t, "ann", "bob")
	run("people  2\n", false, "privacy", "breach", "look", "--source", "server", "--from", "1h")
	run("No breaches.", false, "privacy", "breach", "list")
	run("say what was open", true, "privacy", "breach", "open", "--from", "1h")
	run("--from takes a day", true, "privacy", "breach", "look", "--everything", "--from", "yesterday")
	opened := run("everything", false, "privacy", "breach", "open", "--everything", "--from", "2026-01-01", "--aware", "73h", "--nature", "A disk was stolen.")
	id := regexp.MustCompile(`breach-\w+`).FindString(opened)
	run("overdue", false, "privacy", "breach", "list", "--open")
	run("note first when the authority was told", true, "privacy", "breach", "close", id)
	run("a scope needs --from", true, "privacy", "breach", "change", id, "--everything")
	run("a scope needs --from", true, "privacy", "breach", "change", id, "--key", "key_1")
	changed := run("people told", false, "privacy", "breach", "change", id, "--authority-told", "1m", "--delay", "Weekend.", "--source", "server", "--from", "1h")
	if !strings.Contains(changed, "source server") || !strings.Contains(changed, "A disk was stolen.") {
		t.Errorf("it is changed to\n%s", changed)
	}
	draft, people := filepath.Join(t.TempDir(), "draft.md"), filepath.Join(t.TempDir(), "people.ndjson")
	run("", false, "privacy", "breach", "report", id, "--out", draft)
	run("", false, "privacy", "breach", "people", id, "--out", people)
	for file, want := range map[string]string{draft: "| Weekend. |", people: `"kinds":["identifiers","events"]`} {
		if raw, err := os.ReadFile(file); err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("%s lacks %s: %s %v", file, want, raw, err)
		}
	}
	run("told", false, "privacy", "breach", "close", id)
	run("told", false, "privacy", "breach", "show", id, "--json")
}
