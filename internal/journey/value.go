package journey

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/liquid"
	"rapport/internal/rule"
)

// assignment is one trait that a set step sets: to a literal, to what a Liquid
// expression gives (with its type), or to a text with Liquid in it.
type assignment struct {
	trait string
	raw   []byte
	expr  *liquid.Expr
	text  *liquid.Template
}

// setLimits are the budgets of one value of a set step.
var setLimits = liquid.Limits{Steps: 10_000, OutputBytes: 16 << 10, AssignBytes: 64 << 10, WorkBytes: 256 << 10}

// set reads the traits of a set step.
func (p *parser) set(v *yaml.Node, at int) {
	p.def.nodes[at].kind = setStep
	if v.Kind != yaml.MappingNode || len(v.Content) == 0 {
		p.fail(v, "write set: {plan: trial}", "set names traits and their values")
		return
	}
	if n := len(v.Content) / 2; n > MaxSets {
		p.fail(v, "", "%d traits in one step, at most %d (MaxSets)", n, MaxSets)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.Content); i += 2 {
		k, x := v.Content[i], v.Content[i+1]
		name := p.name(k, "a trait")
		if seen[name] {
			p.fail(k, "keep one", "trait %q is set twice", cut(name, MaxName))
		}
		seen[name] = true
		p.def.refs.Sets = addRef(p.def.refs.Sets, name, k.Line, k.Column)
		if a, ok := p.assignment(name, x); ok {
			p.def.nodes[at].sets = append(p.def.nodes[at].sets, a)
			p.def.refs.Values = append(p.def.refs.Values, ValueRef{Trait: name, Reads: a.reads(), Line: x.Line, Column: x.Column})
		}
	}
}

func (p *parser) assignment(name string, x *yaml.Node) (a assignment, ok bool) {
	a.trait = name
	if x.Kind != yaml.ScalarNode || x.ShortTag() != "!!str" || !strings.Contains(x.Value, "{{") && !strings.Contains(x.Value, "{%") {
		if a.raw, ok = literal(x); !ok || len(a.raw) > setLimits.OutputBytes {
			p.fail(x, "", "the value of %q cannot be a trait", cut(name, MaxName))
		}
		return a, ok
	}
	if len(x.Value) > MaxText {
		p.fail(x, "", "the value of %q is longer than %d bytes (MaxText)", cut(name, MaxName), MaxText)
		return a, false
	}
	var err error
	if inside, whole := expression(x.Value); whole {
		a.expr, err = liquid.CompileExpr(inside, liquid.Options{Name: name, Strict: true})
	} else {
		a.text, err = liquid.Compile(x.Value, liquid.Options{Name: name, Strict: true})
	}
	if err != nil {
		p.fail(x, "{{ trigger.value }} or {{ person.first_name }}", "the value of %q: %v", cut(name, MaxName), err)
		return a, false
	}
	return a, true
}

// reads lists what the value is made of.
func (a *assignment) reads() (out []string) {
	var all []liquid.Read
	switch {
	case a.expr != nil:
		all = a.expr.Reads()
	case a.text != nil:
		all = a.text.Reads()
	}
	for _, r := range all {
		out = append(out, r.Path)
	}
	return out
}

// expression takes the braces off a text that is one Liquid expression.
func expression(s string) (inside string, ok bool) {
	s = strings.TrimSpace(s)
	inside, open := strings.CutPrefix(s, "{{")
	inside, shut := strings.CutSuffix(inside, "}}")
	if !open || !shut || strings.Contains(inside, "{{") || strings.Contains(inside, "}}") || strings.Contains(inside, "{%") {
		return "", false
	}
	return strings.TrimSpace(strings.Trim(inside, "-")), true
}

// set does a set step. It gives false when the stay ended by it.
func (t *Turn) set(f *flow, p *Place, n *node, at int64) bool {
	vars := liquid.ObjectOf(&scope{t: t})
	options := liquid.RenderOptions{Limits: setLimits, Now: time.UnixMilli(at).UTC()}
	traits := []byte{'{'}
	var names []string
	for i := range n.sets {
		a := &n.sets[i]
		raw, trouble := a.value(vars, options)
		if trouble != "" {
			if !t.failed(f, p, n, at, a.trait+": "+trouble) {
				return false
			}
			continue
		}
		if len(names) > 0 {
			traits = append(traits, ',')
		}
		key, _ := json.Marshal(a.trait) // A string always encodes.
		traits = append(append(append(traits, key...), ':'), raw...)
		names = append(names, a.trait)
	}
	if len(names) == 0 {
		return true
	}
	t.note(p, at, NoteSet, n.id, strings.Join(names, ", "))
	t.emit(f, p, Effect{Kind: Set, At: at, Step: n.id, Traits: append(traits, '}')})
	t.Again = true
	return true
}

func (a *assignment) value(vars liquid.Value, o liquid.RenderOptions) (raw []byte, trouble string) {
	switch {
	case a.expr != nil:
		v, err := a.expr.Eval(context.Background(), vars, o)
		if err != nil {
			return nil, err.Error()
		}
		if v.IsNil() {
			return nil, "there is no value"
		}
		raw = liquid.AppendJSON(nil, v)
	case a.text != nil:
		out, _, err := a.text.Render(context.Background(), nil, vars, o)
		if err != nil {
			return nil, err.Error()
		}
		raw = liquid.AppendJSON(nil, liquid.String(string(out)))
	default:
		raw = a.raw
	}
	if len(raw) > setLimits.OutputBytes {
		return nil, "the value is longer than " + strconv.Itoa(setLimits.OutputBytes) + " bytes"
	}
	return raw, ""
}

// failed says why a step could not be done, and ends the stay where the step
// asks for it. It gives false when the stay ended.
func (t *Turn) failed(f *flow, p *Place, n *node, at int64, text string) bool {
	t.note(p, at, NoteSkipped, n.id, text)
	t.emit(f, p, Effect{Kind: Failed, At: at, Step: n.id, Reason: kindNames[n.kind] + "_failed"})
	if n.stopOnFail {
		t.end(f, p, at, StepFailed, n.id)
		return false
	}
	return true
}

// scope is what Liquid in a journey can read: trigger and person.
type scope struct{ t *Turn }

// Get implements liquid.Object.
func (s *scope) Get(key string) (liquid.Value, bool) {
	switch key {
	case "trigger":
		v, err := liquid.FromJSON(s.t.inner.props.Raw())
		return v, err == nil
	case "person":
		return liquid.ObjectOf(traits(*s)), true
	}
	return liquid.Nil, false
}

// Keys implements liquid.Object.
func (s *scope) Keys() []string { return []string{"person", "trigger"} }

// traits are a person's traits by name.
type traits struct{ t *Turn }

// Get implements liquid.Object.
func (s traits) Get(key string) (liquid.Value, bool) {
	raw, ok := s.t.Person.Trait(rule.Quote(key))
	if !ok {
		return liquid.Nil, false
	}
	v, err := liquid.FromJSON(raw)
	return v, err == nil
}

// Keys implements liquid.Object: who a person is cannot be walked over.
func (s traits) Keys() []string { return nil }

// untilSpec is an instant to wait for: a fixed one, or one that stands in a
// trait or a property of the trigger, with a distance from it.
type untilSpec struct {
	fixed    int64
	trait    string
	property string
	shift    int64
	daily    *daily // or the next time the person's clock shows a time of day
}

func (p *parser) until(n *yaml.Node) *untilSpec {
	if n.Kind == yaml.ScalarNode {
		at, ok := parseDate(n.Value)
		if !ok {
			p.fail(n, "2026-12-01, 2026-12-01T09:00:00Z, or {trait: renews_at, before: 3d}", "until: %q is no date", cut(n.Value, MaxName))
		}
		return &untilSpec{fixed: at}
	}
	f := p.fields(n, "until", "trait", "property", "before", "after", "time", "days")
	u := &untilSpec{}
	if f["time"] != nil {
		if f["trait"] != nil || f["property"] != nil || f["before"] != nil || f["after"] != nil {
			p.fail(n, "make two steps of it", "until is a time of day or a date, not both")
		}
		u.daily = &daily{days: p.days(f["days"]), minute: p.minute(f["time"], "time")}
		return u
	}
	if f["days"] != nil {
		p.fail(f["days"], "write time: beside it", "days belong to a time of day")
	}
	if f["trait"] != nil {
		u.trait = p.name(f["trait"], "trait")
		p.def.refs.Traits = addRef(p.def.refs.Traits, u.trait, f["trait"].Line, f["trait"].Column)
	}
	if f["property"] != nil {
		u.property = p.name(f["property"], "property")
		p.def.refs.Properties = addRef(p.def.refs.Properties, u.property, f["property"].Line, f["property"].Column)
	}
	if f != nil && (f["trait"] != nil) == (f["property"] != nil) {
		p.fail(n, "{trait: renews_at, before: 3d}", "until is the date in one trait or one property")
	}
	if f["before"] != nil && f["after"] != nil {
		p.fail(f["after"], "keep one", "before and after exclude each other")
	} else if f["before"] != nil {
		u.shift = -p.duration(f["before"], "before")
	} else if f["after"] != nil {
		u.shift = p.duration(f["after"], "after")
	}
	return u
}

// waitUntil gives the end of a wait. It gives false when the stay ended because
// the end could not be known.
func (t *Turn) waitUntil(f *flow, p *Place, n *node, at int64) (until int64, ok bool) {
	u := n.until
	if n.window != nil {
		return n.window.opens(at, t.zone()), true
	}
	if u != nil && u.daily != nil {
		return u.daily.next(at, t.zone()), true
	}
	if u == nil {
		return add(at, n.length), true
	}
	limit := add(at, int64(MaxWait/time.Millisecond))
	until, trouble := u.fixed, ""
	if u.trait != "" || u.property != "" {
		until, trouble = u.read(t)
	}
	if trouble == "" && until > limit {
		trouble = instant(until) + " is too far away (MaxWait)"
	}
	if trouble == "" {
		return until, true
	}
	return at, t.failed(f, p, n, at, trouble)
}

func (u *untilSpec) read(t *Turn) (at int64, trouble string) {
	get, what := t.inner.Trait, "trait "+u.trait
	path := u.trait
	if path == "" {
		get, what, path = t.inner.Property, "property "+u.property, u.property
	}
	raw, ok := get(path)
	if !ok {
		return 0, what + " is missing"
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return 0, what + " is not readable"
	}
	switch v := v.(type) {
	case string:
		at, ok = parseDate(v)
	case float64:
		at, ok = unixInstant(v)
	default:
		ok = false
	}
	if !ok {
		return 0, what + " is no date"
	}
	return add(at, u.shift), ""
}

// unixInstant reads seconds, or milliseconds where seconds would be beyond the year 5138.
func unixInstant(v float64) (int64, bool) {
	if v < 0 || v > 1e14 {
		return 0, false
	}
	if v < 1e11 {
		v *= 1000
	}
	return int64(v), true
}

// parseDate reads an RFC 3339 instant or a date, whose day begins at midnight UTC.
func parseDate(s string) (int64, bool) {
	for _, layout := range [...]string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 0 {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}
