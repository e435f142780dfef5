package liquid

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// readLines decodes each line of a file.
func readLines[T any](t testing.TB, name string) []T {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // Nothing was written.
	var out []T
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s line %d: %v", name, len(out)+1, err)
		}
		out = append(out, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return out
}

// TestReference holds a sample of generated templates against what Shopify's Liquid 5.4 made of them.
func TestReference(t *testing.T) {
	t.Parallel()
	type refCase struct {
		Template string            `json:"t"`
		Data     json.RawMessage   `json:"d"`
		Partials map[string]string `json:"p"`
		Strict   bool              `json:"strict"`
		Invalid  bool              `json:"invalid"`
		Want     string            `json:"want"`
	}
	for i, c := range readLines[refCase](t, "testdata/reference.jsonl") {
		tpl, err := Compile(c.Template, Options{Partials: c.Partials, Strict: c.Strict, CoreOnly: true})
		if err != nil {
			if !c.Invalid {
				t.Errorf("line %d: %q: %v", i+1, c.Template, err)
			}
			continue
		}
		out, _, err := tpl.Render(t.Context(), nil, mustJSON(t, string(c.Data)), RenderOptions{InlineErrors: true, Now: testNow})
		switch {
		case c.Invalid:
			t.Errorf("line %d: %q was compiled", i+1, c.Template)
		case err != nil:
			t.Errorf("line %d: %q: %v", i+1, c.Template, err)
		case strings.Contains(c.Want, "Liquid error") && strings.Contains(string(out), "Liquid error"):
			// The words of an error are ours.
		case string(out) != c.Want:
			t.Errorf("line %d: %q with %s\n got %q\nwant %q", i+1, c.Template, c.Data, out, c.Want)
		}
	}
}

// TestDatesAsRuby holds strftime and the reading of dates against Ruby's.
func TestDatesAsRuby(t *testing.T) {
	t.Parallel()
	type dateCase struct {
		Parse  string  `json:"parse"`
		Format string  `json:"format"`
		Unix   int64   `json:"unix"`
		Offset string  `json:"offset"`
		Want   *string `json:"want"`
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, c := range readLines[dateCase](t, "testdata/dates.jsonl") {
		got, ok := "", true
		if c.Parse != "" {
			var at time.Time
			if at, ok = parseDate(c.Parse, now, time.UTC); ok {
				got = string(strftime(nil, at, "%Y-%m-%d %H:%M:%S.%N %z", &englishNames))
			}
		} else {
			at := time.Unix(c.Unix, 123456789).In(zoneOffset(c.Offset))
			got = string(strftime(nil, at, c.Format, &englishNames))
		}
		if ok != (c.Want != nil) || (ok && got != *c.Want) {
			t.Errorf("line %d: %q%q: got %q (%v), want %v", i+1, c.Parse, c.Format, got, ok, c.Want)
		}
	}
}
