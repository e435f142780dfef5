package rule

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// FuzzParse feeds the checker with any text. A rule that it accepts is one that
// its canonical text makes again, and asking it does not panic.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"did: Order Completed\nwithin: 24h\ncount: {min: 2, max: 3}\nwhere: {value: {gt: 50}, currency: EUR}",
		"all:\n  - trait: address.country\n    in: [DE, FR]\n  - not: {in_segment: buyers}\n  - property: a\\.b\n    contains: x",
		"- &a {did: A, since: trigger}\n- *a\n- any: [*a, {did: B, before: 7d}]",
		"trait: x\nis: 1e400", "trait: x\nlt: 2026-01-01T00:00:00+01:00", "trait: x\nis: !!bool yes", "trait: x\nis: !!str 5",
		"all: all\nany: []\nnot:", "{[a]: b}", "did: \"\\u0085\\u2028\\ufeff\"", "<<: {did: A}", "trait: '\\'\nis: .nan",
		"&a [*a]", strings.Repeat("- ", 40) + "did: A", strings.Repeat("{not: ", 40) + "x" + strings.Repeat("}", 40),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var doc yaml.Node
		if yaml.Unmarshal([]byte(text), &doc) != nil {
			return
		}
		r, problems := Parse(&doc, journey)
		if (r == nil) == (len(problems) == 0) {
			t.Fatalf("rule %v and problems %v", r, problems)
		}
		if r == nil {
			return
		}
		again, problems := load(t, r.String(), journey)
		if len(problems) > 0 || again.String() != r.String() {
			t.Fatalf("%s became %s: %v", r, again, problems)
		}
		w := &world{tallies: map[uint32]TallyState{}}
		for _, tally := range r.Tallies() {
			w.tallies[tally.ID] = TallyState{Count: 2, First: 5, Times: []int64{9}}
		}
		w.traits.Reset([]byte(`{"x": "2026-01-01", "address": {"country": "DE"}}`))
		e := r.Explain(w, At{Now: 10, Since: 7})
		if truth, until := r.Eval(w, At{Now: 10, Since: 7}); truth != e.Truth || until != e.ValidUntil {
			t.Fatalf("Eval says %t until %d, Explain %t until %d", truth, until, e.Truth, e.ValidUntil)
		}
	})
}

// FuzzObjectGet looks into any bytes. Of a valid object with one key it gives
// what encoding/json gives; of others it does not panic.
func FuzzObjectGet(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a": 1, "a": [true, {"b": null}]}`, "a.1.b"}, {`{"a.b": "\u00e9\ud83d\ude00"}`, `a\.b`}, {` { "" : {} } `, ""},
		{`{"a": {"0": [1, "]}\""]}}`, "a.0.1"}, {`{"\u0061\\": 1.5e-7}`, `a\\`}, {`{"a":`, "a"}, {`{"a":"`, "a"}, {`{"a":{"b":[`, "a.b.0"},
		{`[1]`, "0"}, {`{"a":1}x`, "a"}, {`{"\ud800": 1}`, "\ufffd"}, {`{"a":[1,2`, "a.1"}, {"", "a"}, {`{"a\`, "a"},
	} {
		f.Add([]byte(seed[0]), seed[1])
	}
	f.Fuzz(func(t *testing.T, raw []byte, path string) {
		var o Object
		o.Reset(raw)
		got, ok := o.Get(path)
		if again, ok2 := o.Get(path); ok != ok2 || !bytes.Equal(got, again) {
			t.Fatalf("first %q, then %q", got, again)
		}
		for op := range operatorNames {
			c := comparison{op: operator(op), one: operand{kind: isText, text: "2026"}, more: filled()}
			c.matchNow(got, ok, 0)
			c.match(got, ok)
			c.one.date, c.one.isDate = parseInstant("2026-01-01")
			c.match(got, ok)
			c.one.kind = isNumber
			c.match(got, ok)
		}
		if key := Root(path); Root(Quote(key)) != key {
			t.Fatalf("key %q became %q", key, Root(Quote(key)))
		}
		var want map[string]json.RawMessage
		if json.Unmarshal(raw, &want) != nil || want == nil {
			return
		}
		for key, value := range want {
			got, ok := o.Get(Quote(key))
			if !strings.Contains(key, "\ufffd") && (!ok || !bytes.Equal(bytes.TrimSpace(value), got)) {
				t.Fatalf("key %q: got %q, want %q", key, got, value)
			}
		}
	})
}

// filled is everything that the rarer comparisons may hold.
func filled() *beyond {
	w := newWhere([]comparison{{path: "a", op: opIs, one: operand{kind: isText, text: "b"}}})
	return &beyond{fold: true, most: operand{kind: isText, text: "x"}, pattern: regexp.MustCompile("a+"), items: w, domains: []string{"shop.example"},
		list: []operand{{kind: isNumber}}}
}
