package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// This file is a second reading of the language, made only of what is plainly
// right: it keeps the whole history, decodes all JSON and counts from scratch.

// question is a condition as the generator thinks of it.
type question struct {
	word     string // all, any, not, did, trait, property, in_segment
	parts    []question
	name     string // of the event or segment, or the path
	min, max int    // max < 0: none
	within   int64
	before   int64
	since    bool
	measures []gauge
	tests    []test // of trait and property, or the where of did
}

// test is one comparison.
type test struct {
	path string
	op   string
	arg  string   // YAML flow text of the operand, or of each in a list
	args []string // in, not_in, any_of, all_of, none_of, between
	fold bool     // ignore_case
}

// naive is a person with everything that ever happened.
type naive struct {
	traits, props any
	segments      map[string]bool
	history       []happening
}

// holds answers a question at an instant.
func (q *question) holds(w *naive, at At) bool {
	switch q.word {
	case "all":
		return !slices.ContainsFunc(q.parts, func(p question) bool { return !p.holds(w, at) })
	case "any":
		return slices.ContainsFunc(q.parts, func(p question) bool { return p.holds(w, at) })
	case "not":
		return !q.parts[0].holds(w, at)
	case "in_segment":
		return w.segments[q.name]
	case "trait":
		return allTests(w.traits, q.tests)
	case "property":
		return allTests(w.props, q.tests)
	}
	n := 0
	var counted []happening
	for _, h := range w.history {
		ok := h.name == q.name && h.at <= at.Now && allTests(decode(h.props), q.tests)
		ok = ok && (q.within == 0 || h.at > at.Now-q.within)
		ok = ok && (q.before == 0 || h.at <= at.Now-q.before)
		ok = ok && (!q.since || h.at > at.Since)
		if ok {
			n++
			counted = append(counted, h)
		}
	}
	for _, g := range q.measures {
		if !g.holds(counted) {
			return false
		}
	}
	return n >= q.min && (q.max < 0 || n <= q.max)
}

// durations are the distances from an event at which q may change its mind.
func (q *question) durations() []int64 {
	var list []int64
	if d := q.within + q.before; d > 0 {
		list = append(list, d)
	}
	for _, p := range q.parts {
		list = append(list, p.durations()...)
	}
	return list
}

func decode(s string) any {
	if s == "" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

func allTests(root any, tests []test) bool {
	for _, t := range tests {
		if !t.holds(reach(root, t.path)) {
			return false
		}
	}
	return true
}

// reach follows a path; nil for what is missing.
func reach(v any, path string) any {
	path = strings.ReplaceAll(path, `\.`, "\x00")
	for step := range strings.SplitSeq(path, ".") {
		step = strings.ReplaceAll(step, "\x00", ".")
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(x) || strconv.Itoa(i) != step {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (t test) holds(v any) bool {
	if t.fold {
		v = naiveFold(v)
	}
	arg := func(s string) any {
		if t.fold {
			return naiveFold(decode(s))
		}
		return decode(s)
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	switch t.op {
	case "not_contains", "not_starts_with", "not_ends_with":
		return !test{t.path, t.op[4:], t.arg, t.args, t.fold}.holds(v)
	case "none_of", "any_of":
		meets := slices.ContainsFunc(list, func(x any) bool {
			return slices.ContainsFunc(t.args, func(a string) bool { return same(x, arg(a)) })
		})
		return meets == (t.op == "any_of")
	case "all_of":
		return !slices.ContainsFunc(t.args, func(a string) bool {
			return !slices.ContainsFunc(list, func(x any) bool { return same(x, arg(a)) })
		})
	case "is_empty":
		object, isObject := v.(map[string]any)
		empty := v == nil || v == "" || isList && len(list) == 0 || isObject && len(object) == 0
		return empty == (t.arg == "true")
	case "between":
		low, ok1 := naiveOrder(v, arg(t.args[0]))
		high, ok2 := naiveOrder(v, arg(t.args[1]))
		return ok1 && ok2 && low >= 0 && high <= 0
	case "exists":
		return (v != nil) == (t.arg == "true")
	case "is":
		return same(v, arg(t.arg))
	case "is_not":
		return !same(v, arg(t.arg))
	case "in", "not_in":
		in := slices.ContainsFunc(t.args, func(a string) bool { return same(v, arg(a)) })
		return in == (t.op == "in")
	case "contains":
		if isList {
			return slices.ContainsFunc(list, func(x any) bool { return same(x, arg(t.arg)) })
		}
		return texts(v, arg(t.arg), strings.Contains)
	case "starts_with":
		return texts(v, arg(t.arg), strings.HasPrefix)
	case "ends_with":
		return texts(v, arg(t.arg), strings.HasSuffix)
	}
	n, ok := naiveOrder(v, arg(t.arg))
	if !ok {
		return false
	}
	return map[string]bool{"gt": n > 0, "gte": n >= 0, "lt": n < 0, "lte": n <= 0}[t.op]
}

func texts(v, arg any, f func(s, part string) bool) bool {
	s, ok1 := v.(string)
	part, ok2 := arg.(string)
	return ok1 && ok2 && f(s, part)
}

// naiveFold takes the case out of every text in a value.
func naiveFold(v any) any {
	switch x := v.(type) {
	case string:
		if _, isDate := naiveDate(x); isDate {
			return x // Its letters are no words.
		}
		return strings.ToLower(strings.ToUpper(x))
	case []any:
		var list []any
		for _, e := range x {
			list = append(list, naiveFold(e))
		}
		if list == nil {
			return x
		}
		return list
	}
	return v
}

func same(a, b any) bool {
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		return ok && x == y
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case json.Number:
		y, ok := b.(json.Number)
		return ok && rat(x).Cmp(rat(y)) == 0
	}
	return false
}

func rat(n json.Number) *big.Rat {
	r, ok := new(big.Rat).SetString(n.String())
	if !ok {
		panic("no number: " + n.String())
	}
	return r
}

// naiveOrder orders a value against an operand whose type says what is meant.
func naiveOrder(v, operand any) (int, bool) {
	switch o := operand.(type) {
	case json.Number:
		x, ok := v.(json.Number)
		if !ok {
			return 0, false
		}
		return rat(x).Cmp(rat(o)), true
	case string:
		if date, ok := naiveDate(o); ok {
			at, ok := naiveDate(v)
			if !ok {
				return 0, false
			}
			return at.Cmp(date), true
		}
		x, ok := v.(string)
		return strings.Compare(x, o), ok
	}
	return 0, false
}

// naiveDate gives a moment in seconds since 1970.
func naiveDate(v any) (*big.Rat, bool) {
	switch x := v.(type) {
	case string:
		for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
			if t, err := time.Parse(layout, x); err == nil {
				return new(big.Rat).Add(new(big.Rat).SetInt64(t.Unix()), big.NewRat(int64(t.Nanosecond()), 1e9)), true
			}
		}
	case json.Number:
		r := rat(x)
		if new(big.Rat).Abs(r).Cmp(big.NewRat(100_000_000_000, 1)) >= 0 {
			r.Quo(r, big.NewRat(1000, 1))
		}
		return r, true
	}
	return nil, false
}

// The generator's small world: few names and values, so that they meet.
var (
	eventNames   = []string{"Product Added", "Order Completed", "yes", "a: b # c"}
	asked        = append([]string{"Product Added", "Product Added", "Order Completed"}, eventNames...) // mostly what happens
	segmentNames = []string{"buyers", "vip"}
	paths        = []string{"plan", "a.b", `a\.b`, "items.0.sku", "items.1", "0"}
	scalars      = []string{
		`"DE"`, `"de"`, `"D"`, `"5"`, `"true"`, `"K\u00f6ln \ud83d\ude00 \"x\\"`, `5`, `5.0`, `50e-1`, `0`, `-0.0`, `-5`, `4.999`,
		`9007199254740992`, `9007199254740993`, `123456789012345678901234567890`, `1.5e400`, `true`, `false`,
		`"2026-01-01"`, `"2026-01-01T00:00:00Z"`, `"2026-01-01T01:00:00.000+01:00"`, `"2025-12-31T23:59:59.999Z"`,
		`1767225600`, `1767225600000`, `1767225600.5`,
	}
	values = append([]string{
		`null`, `""`, `"\u0044E"`, `[]`, `{}`, `["DE", 5, "x\n"]`, `[[5]]`, `{"b": "DE", "0": 5}`, `{"b": 5.00, "b": "DE"}`,
		`[{"sku": "DE"}, 5]`, `{"0": {"sku": "DE"}, "1": 5}`, ` true `, `"\ud83d"`,
	}, scalars...)
	bounds = [][]string{
		{`-5`, `5`}, {`5`, `5.0`}, {`4.999`, `9007199254740993`}, {`"D"`, `"de"`}, {`"2025-12-31T23:59:59.999Z"`, `"2026-01-01"`},
		{`"2026-01-01"`, `"2026-01-01T00:00:00Z"`},
	}
	plainOps = []string{"is", "is_not", "gt", "gte", "lt", "lte", "contains", "starts_with", "ends_with", "exists", "in", "not_in",
		"not_contains", "not_starts_with", "not_ends_with", "any_of", "all_of", "none_of", "is_empty", "between"}
	objectKey = []string{"plan", "a", "a.b", "items", "0", "p\\u006can"}
)

func drawObject(t *rapid.T, label string) string {
	var parts []string
	for i := range rapid.IntRange(0, 4).Draw(t, label) {
		key := rapid.SampledFrom(objectKey).Draw(t, "key")
		value := rapid.SampledFrom(values).Draw(t, "value")
		parts = append(parts, fmt.Sprintf(`%s"%s"%s:%s`, strings.Repeat(" ", i%2), key, strings.Repeat("\n", i%3), value))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func drawTest(t *rapid.T, path string) test {
	x := test{path: path, op: rapid.SampledFrom(plainOps).Draw(t, "op")}
	text := func(s string) bool { return s[0] == '"' }
	switch x.op {
	case "exists", "is_empty":
		x.arg = rapid.SampledFrom([]string{"true", "false"}).Draw(t, "arg")
	case "between":
		x.args = rapid.SampledFrom(bounds).Draw(t, "bounds")
	case "in", "not_in", "any_of", "all_of", "none_of":
		x.args = rapid.SliceOfN(rapid.SampledFrom(scalars), 1, 6).Draw(t, "args")
	case "gt", "gte", "lt", "lte":
		x.arg = rapid.SampledFrom(scalars).Filter(func(s string) bool { return s != "true" && s != "false" && s != `"5"` && s != `"true"` }).Draw(t, "arg")
	case "starts_with", "ends_with", "not_starts_with", "not_ends_with":
		x.arg = rapid.SampledFrom(scalars).Filter(text).Draw(t, "arg")
	default:
		x.arg = rapid.SampledFrom(scalars).Draw(t, "arg")
	}
	return x
}

// hasText says whether there is a text whose case could matter.
func (t test) hasText() bool {
	return slices.ContainsFunc(append([]string{t.arg}, t.args...), func(s string) bool { return strings.HasPrefix(s, `"`) })
}

// drawTests draws comparisons, of one path or of several, no operator twice.
func drawTests(t *rapid.T, least, most int, onePath bool) []test {
	var list []test
	fold := rapid.IntRange(0, 4).Draw(t, "fold") == 0
	path := rapid.SampledFrom(paths).Draw(t, "path")
	for range rapid.IntRange(least, most).Draw(t, "tests") {
		if !onePath {
			path = rapid.SampledFrom(paths).Draw(t, "path")
		}
		x := drawTest(t, path)
		x.fold = fold && x.hasText()
		if !slices.ContainsFunc(list, func(y test) bool { return y.path == x.path && y.op == x.op }) {
			list = append(list, x)
		}
	}
	return list
}

func drawQuestion(t *rapid.T, depth int) question {
	words := []string{"did", "did", "did", "trait", "property", "in_segment"}
	if depth > 0 {
		words = append(words, "all", "any", "not", "all", "any", "not")
	}
	q := question{word: rapid.SampledFrom(words).Draw(t, "word"), max: -1}
	switch q.word {
	case "all", "any":
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			q.parts = append(q.parts, drawQuestion(t, depth-1))
		}
	case "not":
		q.parts = []question{drawQuestion(t, depth-1)}
	case "in_segment":
		q.name = rapid.SampledFrom(segmentNames).Draw(t, "segment")
	case "trait", "property":
		q.tests = drawTests(t, 1, 3, true)
		fold := foldWord(q.tests...) != ""
		for i := range q.tests {
			q.tests[i].fold = fold
		}
		q.name = q.tests[0].path
	default:
		q = drawDid(t)
	}
	return q
}

func drawDid(t *rapid.T) question {
	q := question{word: "did", name: rapid.SampledFrom(asked).Draw(t, "event"), min: 1, max: -1}
	switch rapid.IntRange(0, 4).Draw(t, "count") {
	case 1:
		q.min = rapid.IntRange(1, 4).Draw(t, "min")
	case 2:
		q.min, q.max = 0, rapid.IntRange(0, 3).Draw(t, "max")
	case 3:
		q.min = rapid.IntRange(0, 3).Draw(t, "exactly")
		q.max = q.min
	case 4:
		q.min = rapid.IntRange(0, 3).Draw(t, "min")
		q.max = q.min + rapid.IntRange(0, 2).Draw(t, "more")
	}
	switch rapid.IntRange(0, 4).Draw(t, "window") {
	case 1, 2:
		q.within = rapid.Int64Range(1, 5).Draw(t, "within") * 1000
		q.since = rapid.Bool().Draw(t, "since")
	case 3:
		q.before = rapid.Int64Range(1, 5).Draw(t, "before") * 1000
	case 4:
		q.since = true
	}
	if rapid.IntRange(0, 2).Draw(t, "filtered") == 0 {
		q.tests = drawTests(t, 1, 2, false)
	}
	for i, word := range []string{"sum", "avg", "min", "max", "first", "last"} {
		if rapid.IntRange(0, 5).Draw(t, "measured") == i {
			q.measures = append(q.measures, drawGauge(t, word))
		}
	}
	return q
}

// yaml writes a question in the language, in one of its spellings.
func (q *question) yaml(t *rapid.T) string {
	switch q.word {
	case "all", "any":
		var parts []string
		for i := range q.parts {
			parts = append(parts, q.parts[i].yaml(t))
		}
		list := "[" + strings.Join(parts, ", ") + "]"
		if q.word == "all" && rapid.Bool().Draw(t, "bare") {
			return list
		}
		return "{" + q.word + ": " + list + "}"
	case "not":
		return "{not: " + q.parts[0].yaml(t) + "}"
	case "in_segment":
		return "{in_segment: " + q.name + "}"
	case "trait", "property":
		s := "{" + q.word + ": '" + q.name + "'"
		for _, x := range q.tests {
			s += ", " + x.yaml()
		}
		return s + foldWord(q.tests...) + "}"
	}
	s := "{did: " + strconv.Quote(q.name)
	switch {
	case q.max < 0 && q.min > 1 && rapid.Bool().Draw(t, "short"):
		s += fmt.Sprintf(", count: %d", q.min)
	case q.max < 0 && q.min > 1:
		s += fmt.Sprintf(", count: {min: %d}", q.min)
	case q.max >= 0 && q.min == q.max:
		s += fmt.Sprintf(", count: {exactly: %d}", q.min)
	case q.max >= 0:
		s += fmt.Sprintf(", count: {min: %d, max: %d}", q.min, q.max)
	}
	if q.within > 0 {
		s += fmt.Sprintf(", within: %ds", q.within/1000)
	}
	if q.before > 0 {
		s += fmt.Sprintf(", before: %ds", q.before/1000)
	}
	if q.since {
		s += ", since: trigger"
	}
	if len(q.tests) > 0 {
		var list []string
		for _, x := range q.tests {
			list = append(list, "{'"+x.path+"': {"+x.yaml()+foldWord(x)+"}}")
		}
		s += ", where: [" + strings.Join(list, ", ") + "]"
	}
	for _, g := range q.measures {
		s += ", " + g.word + ": {property: '" + g.test.path + "', " + g.test.yaml() + foldWord(g.test) + "}"
	}
	return s + "}"
}

// foldWord is ignore_case where a comparison asks for it.
func foldWord(tests ...test) string {
	if slices.ContainsFunc(tests, func(t test) bool { return t.fold }) {
		return ", ignore_case: true"
	}
	return ""
}

func (t test) yaml() string {
	if t.args != nil {
		var list []string
		for _, a := range t.args {
			list = append(list, yamlText(a))
		}
		return t.op + ": [" + strings.Join(list, ", ") + "]"
	}
	return t.op + ": " + yamlText(t.arg)
}

// yamlText is JSON that YAML reads as the same: halves of a surrogate pair are
// written out.
func yamlText(raw string) string {
	if raw[0] != '"' {
		return raw
	}
	return quoteText(decode(raw).(string))
}
