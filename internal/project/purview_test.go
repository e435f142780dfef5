package project

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"rapport/internal/purpose"
)

// TestWhatWasStoredOpens: a folder that was in effect before its purposes were
// looked at still opens, hides what it must, and says what is wrong with it.
func TestWhatWasStoredOpens(t *testing.T) {
	t.Parallel()
	a, err := txtar.ParseFile("testdata/check/purposes-kept-apart.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := folder(a.Files[:len(a.Files)-1])
	_, strict := Load(files)
	c, problems := LoadStored(files, nil)
	if c == nil || Errors(problems) != 0 || len(problems) != len(strict) {
		t.Fatalf("it does not open, or says other things: %v", problems)
	}
	got := map[string]string{}
	for i := range c.Segments {
		s := &c.Segments[i]
		got[s.Name] = fmt.Sprint(s.Use.Purposes, ": ", s.Asks)
	}
	for name, want := range map[string]string{
		"noted":    "support: [support]",
		"pro":      "marketing, service: [service marketing.news]",
		"spenders": "service: [service]",
		"copied":   "support: [support]", // a journey computes what it reads
		"nothing":  "no purpose: []",     // nobody permits that
		"indirect": "no purpose: []",
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
	for _, s := range c.Segments {
		if s.Name == "nothing" && !slices.Equal(s.Asks, []purpose.Purpose{""}) {
			t.Errorf("whoever is in what serves no purpose is asked %q", s.Asks)
		}
	}
}
