package journey

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"rapport/internal/message"
	"rapport/internal/rule"
)

// TestMistakes reads testdata/mistakes.txt: beneath each definition, indented,
// stands every problem that it has.
func TestMistakes(t *testing.T) {
	t.Parallel()
	const file = "testdata/mistakes.txt"
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(raw), "\n-- ")
	var out strings.Builder
	out.WriteString(parts[0])
	for _, part := range parts[1:] {
		head, body, _ := strings.Cut(part, " --\n")
		text, _, _ := strings.Cut(body, "\n=>")
		text = strings.TrimRight(text, "\n")
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatalf("%s: %v", head, err)
		}
		name := "test"
		if n, ok := strings.CutPrefix(head, "named "); ok {
			name = n
		}
		d, problems := Parse(name, &n)
		if (d == nil) != (len(problems) > 0) {
			t.Errorf("%s: a definition and problems, or neither", head)
		}
		out.WriteString("\n-- " + head + " --\n" + text)
		if len(problems) == 0 {
			out.WriteString("\n=> fine")
		}
		for _, p := range problems {
			out.WriteString("\n=> " + p.String())
		}
	}
	out.WriteString("\n")
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(strings.Split(string(raw), "\n"), strings.Split(out.String(), "\n")); d != "" {
		t.Errorf("%s (-file +run):\n%s", file, d)
	}
}

// TestLimits breaks each limit of a definition once: it is named with its value.
func TestLimits(t *testing.T) {
	t.Parallel()
	const head = "trigger: {event: E}\npurpose: m\nsteps:\n"
	nested := func(depth int) string {
		s := "- send: x"
		for range depth - 1 {
			s = "- if: {trait: a, exists: true}\n  then:\n    " + strings.ReplaceAll(s, "\n", "\n    ")
		}
		return head + "  " + strings.ReplaceAll(s, "\n", "\n  ")
	}
	set := func(n int) string {
		s := head + "  - set:\n"
		for i := range n {
			s += "      t" + strings.Repeat("x", i) + ": 1\n"
		}
		return s
	}
	branches := func(n int) string {
		return head + "  - if:\n" + strings.Repeat("      - {when: {trait: a, exists: true}, then: [stop]}\n", n)
	}
	anyOf := func(n int) string {
		return "exit_when:\n  any:\n" + strings.Repeat("    - event: X\n", n) + head + "  - stop\n"
	}
	waitFor := "  - wait_for: {event: X, timeout: 1h}\n"
	for _, c := range []struct {
		name, fits, breaks, says string
	}{
		{"steps", head + strings.Repeat("  - stop\n", MaxSteps), head + strings.Repeat("  - stop\n", MaxSteps+1), "(MaxSteps)"},
		{"waits", head + strings.Repeat(waitFor, MaxWaitFors), head + strings.Repeat(waitFor, MaxWaitFors+1), "(MaxWaitFors)"},
		{"depth", nested(MaxDepth), nested(MaxDepth + 1), "(MaxDepth)"},
		{"branches", branches(MaxBranches), branches(MaxBranches + 1), "(MaxBranches)"},
		{"sets", set(MaxSets), set(MaxSets + 1), "(MaxSets)"},
		{"conditions", anyOf(MaxConditions), anyOf(MaxConditions + 1), "(MaxConditions)"},
		{"wait", head + "  - wait: 3660d\n", head + "  - wait: 3661d\n", "(MaxWait)"},
		{"text", head + "  - stop: " + strings.Repeat("x", MaxText), head + "  - stop: " + strings.Repeat("x", MaxText+1), "(MaxText)"},
		{"values", head + "  - set: {a: [" + strings.Repeat("1,", 4000) + "1]}", head + "  - set: {a: [" + strings.Repeat("1,", MaxNodes) + "1]}", "(MaxNodes)"},
		{"nesting", head + "  - set: {a: " + strings.Repeat("[", 50) + strings.Repeat("]", 50) + "}", head + "  - set: {a: " + strings.Repeat("[", MaxNesting) + strings.Repeat("]", MaxNesting) + "}", "(MaxNesting)"},
		{"problems", head + "  - stop\n", head + strings.Repeat("  - oops\n", MaxSteps), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, problems := problemsOf(t, c.fits); len(problems) > 0 {
				t.Errorf("at the limit: %v", problems)
			}
			_, problems := problemsOf(t, c.breaks)
			if len(problems) == 0 || len(problems) > MaxProblems || !strings.Contains(problems[len(problems)-1].Message+problems[0].Message, c.says) {
				t.Errorf("beyond the limit: got %v, want a problem that says %q", problems, c.says)
			}
		})
	}
}

func problemsOf(t testing.TB, text string) (*Definition, []rule.Problem) {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return Parse("test", &n)
}

func TestRefs(t *testing.T) {
	t.Parallel()
	d := parse(t, "all", `
trigger: {event: Product Added, where: {value: {gt: 3}}, if: {trait: country, is: DE}}
purpose: marketing
provider: main
exit_when: {any: [{event: Order Completed}, {in_segment: staff}]}
steps:
  - send: a
  - wait: {until: {trait: renews_at}}
  - if: {did: Login, within: 3d}
    then:
      - send: b
        purpose: service
        class: transactional
        provider: other
        valid_for: 2h
      - send: a
  - wait_for: {event: Replied, timeout: 1d}
  - set: {seen: true}
`)
	refs := d.Refs()
	names := func(refs []Ref) (out []string) {
		for _, r := range refs {
			if r.Line == 0 || r.Column == 0 {
				t.Errorf("%s has no place", r.Name)
			}
			out = append(out, r.Name)
		}
		return out
	}
	var counted []string
	for _, y := range refs.Tallies {
		counted = append(counted, y.Event+y.Where.String())
	}
	got := map[string][]string{
		"templates": names(refs.Templates), "purposes": names(refs.Purposes), "providers": names(refs.Providers),
		"segments": names(refs.Segments), "events": names(refs.Events), "traits": names(refs.Traits), "sets": names(refs.Sets),
	}
	want := map[string][]string{
		"templates": {"a", "b"}, "purposes": {"marketing", "service"}, "providers": {"main", "other"},
		"segments": {"staff"}, "events": {"Product Added", "Order Completed", "Login", "Replied"},
		"traits": {"country", "renews_at"}, "sets": {"seen"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("refs (-want +got):\n%s", d)
	}
	if len(counted) != 5 {
		t.Errorf("tallies: %q, want five: the trigger's with and without where, and one for each other event", counted)
	}
	type send struct {
		step, template, purpose, provider string
		class                             message.Class
		valid                             string
	}
	var sends []send
	for _, s := range refs.Sends {
		sends = append(sends, send{s.Step, s.Template, string(s.Purpose), s.Provider, s.Class, s.ValidFor.String()})
	}
	wantSends := []send{
		{"a", "a", "marketing", "main", message.Triggered, "24h0m0s"},
		{"b", "b", "service", "other", message.Transactional, "2h0m0s"},
		{"a-2", "a", "marketing", "main", message.Triggered, "24h0m0s"},
	}
	if d := cmp.Diff(wantSends, sends, cmp.AllowUnexported(send{})); d != "" {
		t.Errorf("sends (-want +got):\n%s", d)
	}
}

// TestValidFor: a step's own word counts before the journey's, that before the
// class's.
func TestValidFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ journey, step, want string }{
		{"", "", "24h0m0s"},
		{"", "class: transactional", "0s"},
		{"class: transactional", "", "0s"},
		{"class: transactional", "class: triggered", "24h0m0s"},
		{"valid_for: 2h", "", "2h0m0s"},
		{"valid_for: 2h", "class: transactional", "2h0m0s"},
		{"valid_for: 2h", "valid_for: forever", "0s"},
		{"valid_for: forever", "valid_for: 3d", "72h0m0s"},
	} {
		d := parse(t, "j", "trigger: {event: E}\npurpose: m\n"+c.journey+"\nsteps:\n  - send: x\n    "+c.step)
		if got := d.Refs().Sends[0].ValidFor.String(); got != c.want {
			t.Errorf("journey %q, step %q: valid for %s, want %s", c.journey, c.step, got, c.want)
		}
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	const one = "trigger: {event: E}\npurpose: m\nsteps: [{send: x}]"
	a := parse(t, "j", one)
	for _, c := range []struct {
		name, text string
		same       bool
	}{
		{"comments and style", "# hello\ntrigger:\n  event: \"E\"\npurpose: m # why\nsteps:\n  - send: x\n", true},
		{"another template", "trigger: {event: E}\npurpose: m\nsteps: [{send: y}]", false},
		{"a number for a text", "trigger: {event: E}\npurpose: m\nsteps: [{set: {x: 1}}]", false},
	} {
		if got := a.Same(parse(t, "j", c.text)); got != c.same {
			t.Errorf("%s: same %v, want %v", c.name, got, c.same)
		}
	}
	if a.Same(parse(t, "k", one)) {
		t.Error("two journeys of different names are not the same")
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	d := parse(t, "j", "trigger: {event: E}\npurpose: m\nsteps: [{send: x}]")
	for name, defs := range map[string][]*Definition{
		"two of one name": {d, d}, "a missing one": {nil}, "too many": make([]*Definition, MaxJourneys+1),
	} {
		if _, err := Compile(1, defs); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"30s": 30_000, "15m": 900_000, "1h30m": 5_400_000, "7d": 7 * day, "2w": 14 * day,
		"": -1, "1": -1, "h": -1, "1y": -1, "-1h": -1, "1.5h": -1, "1h ": -1, "9999999999s": -1,
	} {
		got, ok := parseDuration(text)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
