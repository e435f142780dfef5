package rule

import (
	"encoding/json"
	"testing"

	"go.yaml.in/yaml/v4"
)

var journey = Context{Property: true, Since: true}

// load parses YAML and then the rule in it.
func load(t testing.TB, text string, ctx Context) (*Rule, []Problem) {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("the YAML itself is wrong: %v\n%s", err, text)
	}
	return Parse(&doc, ctx)
}

// must parses a rule that has no mistakes.
func must(t testing.TB, text string) *Rule {
	t.Helper()
	r, problems := load(t, text, journey)
	if len(problems) > 0 {
		t.Fatalf("rule %s: %v", text, problems)
	}
	return r
}

// happening is one event of a history.
type happening struct {
	at    int64
	name  string
	props string
}

// world is a person as a rule sees one, with tallies counted from a history.
type world struct {
	traits, props Object
	segments      map[string]bool
	tallies       map[uint32]TallyState
}

var _ Subject = (*world)(nil)

func (w *world) Trait(path string) ([]byte, bool)    { return w.traits.Get(path) }
func (w *world) Property(path string) ([]byte, bool) { return w.props.Get(path) }
func (w *world) Member(segment string) bool          { return w.segments[segment] }
func (w *world) Tally(id uint32) (TallyState, bool)  { s, ok := w.tallies[id]; return s, ok }

// count makes the tallies of a history, in the order in which it is given.
func count(tallies []Tally, history []happening) map[uint32]TallyState {
	states := map[uint32]TallyState{}
	var props Object
	for i := range tallies {
		of := &tallies[i]
		var s TallyState
		for _, h := range history {
			props.Reset([]byte(h.props))
			if x, ok := of.Take(&props); ok && h.name == of.Event {
				s.Put(h.at, x, of, false)
			}
		}
		if s.Count > 0 {
			states[of.ID] = s
		}
	}
	return states
}

func TestProblemStands(t *testing.T) {
	t.Parallel()
	_, problems := load(t, "all:\n  - did: Order Completed\n    withn: 24h\n", Context{})
	want := `3:5: "withn" is not known beside did (did you mean within?)`
	if len(problems) != 1 || problems[0].String() != want {
		t.Fatalf("got %v, want %s", problems, want)
	}
}

func TestParseNothing(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]*yaml.Node{"nil": nil, "zero": {}, "empty document": {Kind: yaml.DocumentNode}} {
		r, problems := Parse(n, Context{})
		if r != nil || len(problems) != 1 {
			t.Errorf("%s: got %v and %v, want one problem", name, r, problems)
		}
	}
}

func TestWhatARuleReads(t *testing.T) {
	t.Parallel()
	r := must(t, `
any:
  - did: Order Completed
    within: 7d
    count: {exactly: 2}
  - did: Order Completed
    count: {min: 5}
    since: trigger
  - all:
      - {trait: address.country, is: DE}
      - {trait: plan, exists: true}
      - {trait: address.country, is_not: FR}
      - {in_segment: buyers}
      - {property: value, gt: 5}
      - not: {did: Cart Viewed, where: {value: {gt: 5}}}`)
	type reads struct {
		Traits, Properties, Segments, Events []string
		UsesNow                              bool
		Tallies                              []Tally
	}
	got := reads{r.Traits(), r.Properties(), r.Segments(), r.Events(), r.UsesNow(), r.Tallies()}
	for i := range got.Tallies {
		got.Tallies[i].ID = 0
		got.Tallies[i].Where = nil
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"Traits":["address.country","plan"],"Properties":["value"],"Segments":["buyers"],"Events":["Cart Viewed","Order Completed"],"UsesNow":true,"Tallies":[`,
		`{"ID":0,"Event":"Order Completed","Where":null,"Keep":5,"NeedFirst":false,"Oldest":0,"Property":"","As":null,"Samples":0}`,
		`{"ID":0,"Event":"Cart Viewed","Where":null,"Keep":0,"NeedFirst":true,"Oldest":0,"Property":"","As":null,"Samples":0}`,
	}
	either := []string{want[0] + want[1] + "," + want[2] + "]}", want[0] + want[2] + "," + want[1] + "]}"}
	if s := string(b); s != either[0] && s != either[1] {
		t.Errorf("got  %s\nwant %s", s, either[0])
	}
	if r.Cost() < 8 {
		t.Errorf("cost %d of a rule with eight conditions", r.Cost())
	}
	if must(t, "{trait: a, is: 1}").UsesNow() || must(t, "{did: A, count: 3}").UsesNow() {
		t.Error("a timeless rule says that it uses now")
	}
}

func TestTallyOfTheSameIsOne(t *testing.T) {
	t.Parallel()
	a := must(t, `{did: A, where: {x: {gt: 1, lt: 5}, y: Z}}`).Tallies()[0]
	b := must(t, `{did: A, within: 1h, where: [{y: {is: "Z"}}, {x: {lt: 5}}, {x: {gt: 1}}]}`).Tallies()[0]
	c := must(t, `{did: A, where: {x: {gt: 1, lt: 5}}}`).Tallies()[0]
	if a.ID != b.ID || a.ID == c.ID || a.ID == 0 {
		t.Fatalf("got %d and %d for the same, %d for another", a.ID, b.ID, c.ID)
	}
	set, err := Union(nil, a, b, c)
	if err != nil || len(set) != 2 {
		t.Fatalf("union: %v, %v", set, err)
	}
	forged := c
	forged.ID = a.ID
	if _, err := Union(set, forged); err == nil {
		t.Fatal("two different tallies of one number were not noticed")
	}
}

// TestOneDecides shows when all and any expire: while one condition decides, the
// others do not matter.
func TestOneDecides(t *testing.T) {
	t.Parallel()
	history := []happening{{at: 1000, name: "A"}, {at: 3000, name: "B"}}
	for _, test := range []struct {
		name, rule string
		truth      bool
		until      int64
	}{
		{"all true: the first that ceases", `{all: [{did: A, within: 10s}, {did: B, within: 10s}]}`, true, 11000},
		{"all false: the last that ceases", `{all: [{not: {did: A, within: 10s}}, {not: {did: B, within: 10s}}]}`, false, 13000},
		{"all false, written the other way", `{all: [{not: {did: B, within: 10s}}, {not: {did: A, within: 10s}}]}`, false, 13000},
		{"all false for ever", `{all: [{not: {did: A, within: 10s}}, {did: C, within: 10s}]}`, false, Never},
		{"any true: the last that ceases", `{any: [{did: A, within: 10s}, {did: B, within: 10s}]}`, true, 13000},
		{"any true for ever", `{any: [{did: A, within: 10s}, {did: B}]}`, true, Never},
		{"any false: the first that comes", `{any: [{did: A, before: 9s}, {did: B, before: 9s}, {did: C}]}`, false, 10000},
		{"the true one decides", `{any: [{did: A, before: 9s}, {did: B, within: 10s}]}`, true, 13000},
		{"count and window", `{did: A, within: 1s}`, false, Never},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := must(t, test.rule)
			w := &world{tallies: count(r.Tallies(), history)}
			truth, until := r.Eval(w, At{Now: 5000})
			if truth != test.truth || until != test.until {
				t.Errorf("got %t until %d, want %t until %d", truth, until, test.truth, test.until)
			}
		})
	}
}

// TestFutureEvents asks before events that a tally already knows.
func TestFutureEvents(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]int64{
		`{not: {did: A}}`:                           100, // First says so without any time
		`{not: {did: A, count: 3}}`:                 100,
		`{not: {did: A, within: 10s}}`:              100,
		`{did: A, count: {max: 0}, since: trigger}`: 100,
	} {
		r := must(t, rule)
		of := r.Tallies()[0]
		of.Keep = 5
		var s TallyState
		for _, at := range []int64{100, 200, 300} {
			s.Add(at, &of)
		}
		w := &world{tallies: map[uint32]TallyState{of.ID: s}}
		if truth, until := r.Eval(w, At{Now: 99}); !truth || until != want {
			t.Errorf("%s: got %t until %d, want true until %d", rule, truth, until, want)
		}
	}
	r := must(t, `{did: A, count: {exactly: 2}}`)
	of := r.Tallies()[0]
	w := &world{tallies: map[uint32]TallyState{of.ID: {Count: 3, First: 100, Times: []int64{300, 200, 100}}}}
	if truth, until := r.Eval(w, At{Now: 250}); !truth || until != 300 {
		t.Errorf("got %t until %d, want true until 300", truth, until)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`""`: "", `"a"`: "a", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"K\u00f6ln \u20AC!"`: "Köln €!", `"\ud83d\ude00x"`: "😀x", `"\uD83D\uDE00\u0041"`: "😀A",
		`"\ud83dx"`: "\ufffdx", `"\ude00\ud83d"`: "\ufffd\ufffd", `"\ud83d\u0041"`: "\ufffdA", `"\u12"`: `\u12`, `"\ud83d\u12"`: "\ufffd" + `\u12`,
	} {
		text, s, ok := textOf([]byte(raw))
		if !ok || string(text) != want {
			t.Errorf("%s: got %q, want %q", raw, text, want)
		}
		s.free()
	}
	for _, raw := range []string{``, `"`, `5`, `"a`, `a"`} {
		if text, _, ok := textOf([]byte(raw)); ok {
			t.Errorf("%s was read as the text %q", raw, text)
		}
	}
}

func TestObjectGet(t *testing.T) {
	t.Parallel()
	var o Object
	o.Reset([]byte(` { "a" : {"b": [1, {"c": "x,]}"}], "b.c": 2, "0": 3} , "a.b": 4, "\u00e9": 5, "dup": 6, "dup": 7, "n": null, "list": [[8], 9], "\\": 10, "": 11 } `))
	for path, want := range map[string]string{
		"a.b.0": "1", "a.b.1.c": `"x,]}"`, `a.b\.c`: "2", "a.0": "3", `a\.b`: "4", "é": "5", "dup": "7", "n": "null", "list.0.0": "8", "list.1": "9", `\\`: "10", "": "11",
		"a.b.2": "", "a.b.00": "", "a.b.-1": "", "a.b.x": "", "a.x": "", "x": "", "list.1.0": "", "list.9999999999": "", "dup.a": "", "n.a": "", "A": "",
	} {
		raw, ok := o.Get(path)
		if string(raw) != want || ok != (want != "") {
			t.Errorf("%s: got %q %t, want %q", path, raw, ok, want)
		}
	}
	o.Reset(nil)
	if raw, ok := o.Get("a"); ok {
		t.Errorf("nothing has %q", raw)
	}
	if Root(`a\.b.c`) != "a.b" || Quote(`a.b\`) != `a\.b\\` {
		t.Errorf("got %q and %q", Root(`a\.b.c`), Quote(`a.b\`))
	}
}
