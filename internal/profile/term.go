package profile

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/rule"
	"rapport/internal/scan"
)

// Term is how long something is kept, zero for ever, with what below it is kept
// shorter, by name.
type Term struct {
	Term  time.Duration
	Below map[string]*Term
}

// Terms are those of a configuration. They are immutable and safe for concurrent use.
type Terms struct {
	Traits map[string]*Term         // of people, by the names under which they are kept
	Events map[plan.EventName]*Term // the event, and its properties or traits below it
}

// TermsOf reads plans: of each event, and of each attribute, the shortest term that
// any of them, its class or its purposes say.
func TermsOf(set *plan.Set, limits plan.Limits) *Terms {
	t := &Terms{Traits: map[string]*Term{}, Events: map[plan.EventName]*Term{}}
	for _, d := range set.Documents() {
		for _, e := range d.Events {
			name := plan.EventName{Type: e.Type, Name: e.Name}
			root := t.Events[name]
			if root == nil {
				root = &Term{}
			}
			root.Term = plan.Shorter(root.Term, limits.Of(e.Attribute))
			for _, v := range e.Versions {
				root.add(v.Fields, e.Attribute, limits)
			}
			if root.trim(0); root.Term > 0 || root.Below != nil {
				t.Events[name] = root
			}
		}
	}
	if people := t.Events[plan.EventName{Type: event.Identify}]; people != nil {
		t.Traits = people.Below
	}
	return t
}

// Limit gives a trait of people a term, where it has none that is shorter. It is for
// whoever makes the terms.
func (t *Terms) Limit(trait string, term time.Duration) {
	if term == 0 {
		return
	}
	name := plan.EventName{Type: event.Identify}
	people := t.Events[name]
	if people == nil {
		people = &Term{}
		t.Events[name] = people
	}
	if people.Below == nil {
		people.Below = map[string]*Term{}
	}
	t.Traits = people.Below
	x := people.Below[known(trait)]
	if x == nil {
		x = &Term{}
		people.Below[known(trait)] = x
	}
	x.Term = plan.Shorter(x.Term, term)
}

// add puts fields below: what is said of a field holds for all below it. The items of
// a list are no step.
func (t *Term) add(fields map[string]*plan.Field, above plan.Attribute, limits plan.Limits) {
	for name, f := range fields {
		child := t.Below[known(name)]
		if child == nil {
			child = &Term{}
		}
		child.of(f, above, limits)
		if t.Below == nil {
			t.Below = map[string]*Term{}
		}
		t.Below[known(name)] = child
	}
}

func (t *Term) of(f *plan.Field, above plan.Attribute, limits plan.Limits) {
	a := above.And(f.Attribute)
	t.Term = plan.Shorter(t.Term, limits.Of(a))
	t.add(f.Fields, a, limits)
	if f.Items != nil {
		t.of(f.Items, a, limits)
	}
}

// trim forgets what is kept no shorter than what it stands in.
func (t *Term) trim(above time.Duration) {
	if t.Term == 0 || above > 0 && t.Term >= above {
		t.Term = 0
	}
	for name, child := range t.Below {
		if child.trim(plan.Shorter(above, t.Term)); child.Term == 0 && child.Below == nil {
			delete(t.Below, name)
		}
	}
	if len(t.Below) == 0 {
		t.Below = nil
	}
}

// known gives one name for all spellings of a reserved one.
func known(name string) string {
	name = Canonical(name)
	if twin, ok := Twin(name); ok {
		return min(name, twin)
	}
	return name
}

// Each calls fn for what has a term of its own, with where it stands, in order.
func (t *Term) Each(fn func(path string, term time.Duration)) { t.each("", fn) }

func (t *Term) each(path string, fn func(string, time.Duration)) {
	if t == nil {
		return
	}
	if t.Term > 0 {
		fn(path, t.Term)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Below)) {
		t.Below[name].each(strings.TrimPrefix(path+"."+rule.Quote(name), "."), fn)
	}
}

// Of gives the term of an event, nil where it and its properties are kept for ever.
// The name "*" of pages and screens is any that is not planned.
func (t *Terms) Of(e *event.Event) *Term {
	if x := t.Events[plan.EventName{Type: e.Type, Name: e.Name}]; x != nil {
		return x
	}
	if e.Type == event.Page || e.Type == event.Screen {
		return t.Events[plan.EventName{Type: e.Type, Name: "*"}]
	}
	return nil
}

// Cut takes out of an event what is kept no longer than so long, and tells how many
// values; gone tells that nothing may be left of it.
func (t *Terms) Cut(e *event.Event, age time.Duration) (n int, gone bool) {
	own := t.Of(e)
	if own != nil && own.Term > 0 && own.Term <= age {
		return 0, true
	}
	cut := func(raw *[]byte, of *Term) {
		out, taken := of.Without(*raw, age)
		*raw, n = out, n+taken
	}
	switch e.Type {
	case event.Group, event.Identify:
		cut(&e.Traits, own)
	default:
		cut(&e.Properties, own)
		if len(t.Traits) > 0 { // a call's context may bring traits of the person
			cut(&e.Traits, &Term{Below: t.Traits})
		}
	}
	return n, false
}

// Without gives a value without what below it is kept no longer than so long, and
// tells how much that was: the same slice where all stays.
func (t *Term) Without(raw []byte, age time.Duration) ([]byte, int) {
	if t == nil || t.Below == nil || len(raw) == 0 {
		return raw, 0
	}
	switch raw[0] {
	case '{':
		return t.object(raw, age)
	case '[':
		return t.list(raw, age)
	}
	return raw, 0
}

func (t *Term) object(raw []byte, age time.Duration) (out []byte, n int) {
	out = []byte{'{'}
	for m := scan.MembersOf(raw); ; {
		key, value, ok := m.Next()
		if !ok {
			break
		}
		below := t.Below[known(string(key))]
		if below != nil && below.Term > 0 && below.Term <= age {
			n++
			continue
		}
		next, taken := below.Without(value, age)
		n += taken
		if len(out) > 1 {
			out = append(out, ',')
		}
		out, _ = jsontext.AppendQuote(out, string(key)) // Keys were found to be UTF-8 at the door.
		out = append(append(out, ':'), next...)
	}
	if n == 0 {
		return raw, 0
	}
	return append(out, '}'), n
}

func (t *Term) list(raw []byte, age time.Duration) (out []byte, n int) {
	out = []byte{'['}
	for l := scan.ElementsOf(raw); ; {
		value, ok := l.Next()
		if !ok {
			break
		}
		next, taken := t.Without(value, age)
		n += taken
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, next...)
	}
	if n == 0 {
		return raw, 0
	}
	return append(out, ']'), n
}

// first gives the shortest term of what stands below in a value, zero where nothing
// has one.
func (t *Term) first(raw []byte) (out time.Duration) {
	if t.Below == nil || len(raw) == 0 {
		return 0
	}
	switch raw[0] {
	case '{':
		for m := scan.MembersOf(raw); ; {
			key, value, ok := m.Next()
			if !ok {
				return out
			}
			if below := t.Below[known(string(key))]; below != nil {
				out = plan.Shorter(out, plan.Shorter(below.Term, below.first(value)))
			}
		}
	case '[':
		for l := scan.ElementsOf(raw); ; {
			value, ok := l.Next()
			if !ok {
				return out
			}
			out = plan.Shorter(out, t.first(value))
		}
	}
	return 0
}
