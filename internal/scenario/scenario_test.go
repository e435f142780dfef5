package scenario_test

import (
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/project"
	"rapport/internal/scenario"
)

const shop = "../../examples/shop/config"

func load(t *testing.T, dir string) *project.Config {
	t.Helper()
	config, problems := project.Load(os.DirFS(dir))
	if config == nil {
		t.Fatalf("%s: %v", dir, problems)
	}
	return config
}

// run plays every scenario of a script against the example shop.
func run(t *testing.T, name string, text []byte) []*scenario.Result {
	t.Helper()
	script, err := scenario.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	config := load(t, shop)
	var out []*scenario.Result
	for i := range script.Scenarios {
		r := scenario.Runner{Config: config, Dir: t.TempDir(), Load: func(dir string) (*project.Config, error) { return load(t, dir), nil }}
		out = append(out, r.Run(ctx, &script.Scenarios[i]))
	}
	return out
}

// TestShop runs the scripts that the example shop ships.
func TestShop(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(shop + "/tests/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("the example shop has no scripts (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range run(t, file, text) {
				if !r.Passed() {
					t.Errorf("%s: %v\n%s", r.Name, r.Err, r.Describe())
				}
			}
		})
	}
}

const begins = `start: 2026-03-02T09:00:00+01:00
scenarios:
  - name: one
    until: +10d
    steps:
      - {identify: {email: ann@shop.example}, person: user_id:ann}
      - {consent: {purpose: marketing, state: granted}, person: user_id:ann}
      - {event: Checkout Started, person: user_id:ann, properties: {value: 12.5}}
    expect:
      mails:
`

// TestExact names every way in which mails may differ from what was expected.
func TestExact(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, expect, want string }{
		{"as expected", "{at: +4h, to: ann@shop.example, template: basket}", ""},
		{"a second late", "{at: +4h1s, to: ann@shop.example, template: basket}", "-   at: 2026-03-02T13:00:01+01:00\n+   at: 2026-03-02T13:00:00+01:00\n"},
		{"another template", "{at: +4h, to: ann@shop.example, template: welcome}", "-   template: welcome\n+   template: basket\n"},
		{"words that are not there", "{at: +4h, to: ann@shop.example, text: Sputnik}", "-   text: somewhere \"Sputnik\"\n"},
		{"words that must not be there", "{at: +4h, to: ann@shop.example, without: something behind}", "-   without: nowhere \"something behind\"\n"},
		{"another reader", "{at: +4h, to: bob@shop.example, template: basket}", "-   to: bob@shop.example\n+   to: ann@shop.example\n"},
		{"nobody of the kind", "{at: +9d, to: bob@shop.example, template: welcome}", "- 2026-03-11T09:00:00+01:00 to bob@shop.example welcome — expected, did not leave\n+ 2026-03-02T13:00:00+01:00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, "script.yaml", []byte(begins+"        - "+row.expect+"\n"))[0]
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if got := r.Describe(); !strings.Contains(got, row.want) || (got == "") != (row.want == "") {
				t.Errorf("it says\n%s\nwant\n%s", got, row.want)
			}
		})
	}
	t.Run("one too many", func(t *testing.T) {
		t.Parallel()
		r := run(t, "script.yaml", []byte(strings.TrimSuffix(begins, "      mails:\n")+"      mails: []\n"))[0]
		if got := r.Describe(); !strings.Contains(got, "left, not expected") {
			t.Errorf("it says %q, %v", got, r.Err)
		}
	})
}

// TestMistakes names what a script gets wrong before anything runs.
func TestMistakes(t *testing.T) {
	t.Parallel()
	const one = "start: 2026-03-02T09:00:00Z\nscenarios:\n  - name: a\n    expect: {mails: []}\n    steps:\n      - "
	for _, row := range []struct{ name, text, want string }{
		{"empty", "", "empty"},
		{"no scenarios", "start: 2026-03-02T09:00:00Z\n", "there are no scenarios"},
		{"unknown key", "scenario: []\n", "scenario"},
		{"nothing expected", "start: 2026-03-02T09:00:00Z\nscenarios: [{name: a}]\n", "say what must leave"},
		{"no start", "scenarios: [{name: a, expect: {mails: []}}]\n", "start"},
		{"two things", one + "{event: A, trigger: b, person: c}\n", "here are 2"},
		{"nobody", one + "{event: A}\n", "say who"},
		{"back in time", one + "{at: 2026-03-01T09:00:00Z, event: A, person: c}\n", "before the step above"},
		{"no duration", one + "{after: soon, event: A, person: c}\n", "no duration"},
		{"too long", one + "{after: 99999w, event: A, person: c}\n", "MaxSpan"},
		{"two times", one + "{at: +1h, after: 1h, event: A, person: c}\n", "exclude"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := scenario.Parse("script.yaml", []byte(row.text)); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want something with %q", err, row.want)
			}
		})
	}
}

// TestJUnit writes a report that reads back, with what differs in it.
func TestJUnit(t *testing.T) {
	t.Parallel()
	results := run(t, "script.yaml", []byte(begins+"        - {at: +5h, to: ann@shop.example}\n"))
	report, err := scenario.JUnit([]scenario.Suite{{Name: "script.yaml", Results: results, Took: []time.Duration{time.Second}}})
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure string `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(report, &back); err != nil {
		t.Fatal(err)
	}
	if back.Failures != 1 || !strings.Contains(back.Suites[0].Cases[0].Failure, "+   at: 2026-03-02T13:00:00+01:00") {
		t.Errorf("the report is\n%s", report)
	}
}

// FuzzParse never panics, whatever the script.
func FuzzParse(f *testing.F) {
	f.Add([]byte(begins + "        - {at: +5h, to: ann@shop.example}\n"))
	f.Add([]byte("scenarios: [{name: a, start: +1h}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := scenario.Parse("script.yaml", b)
		if (s == nil) == (err == nil) {
			t.Errorf("a script and an error, or neither: %v", err)
		}
	})
}
