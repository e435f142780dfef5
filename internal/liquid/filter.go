package liquid

import (
	"fmt"
	"slices"
)

// filter is what is known about a filter.
type filter struct {
	// min and max are how many arguments it takes beside its input.
	min, max int
	fn       func(a *args, in Value) Value
	// keywords are the named arguments it knows.
	keywords []string
	// ours marks what Shopify's Liquid does not have.
	ours bool
	// check says what is wrong with arguments that are written out in the template, so that it is known when the template
	// is compiled; an empty text means nothing is.
	check func(cl *call) string
}

// call is a filter in a template with its arguments.
type call struct {
	name string
	def  *filter // nil for one that is unknown and passes its input through
	src  *source
	pos  int
	args []expr
	// keys and vals are the named arguments.
	keys []string
	vals []expr
}

func (c *call) setKeyword(key string, e expr) {
	for i, k := range c.keys {
		if k == key {
			c.vals[i] = e
			return
		}
	}
	c.keys = append(c.keys, key)
	c.vals = append(c.vals, e)
}

// written returns an argument that is written out as a text in the template: one by its place, or by its name.
func (c *call) written(place int, name string) (string, bool) {
	var e expr
	if place >= 0 && place < len(c.args) {
		e = c.args[place]
	}
	for i, k := range c.keys {
		if k == name {
			e = c.vals[i]
		}
	}
	l, ok := e.(*literal)
	if !ok || l.v.kind != KindString {
		return "", false
	}
	return l.v.s, true
}

// filtered is a value that passes through filters.
type filtered struct {
	base  expr
	calls []call
	// raw is set when the author opts out of escaping, guarded when there is a default for a missing value.
	raw, guarded bool
}

func (f *filtered) eval(st *state) Value {
	v := f.base.eval(st)
	for i := range f.calls {
		if st.err != nil {
			return Nil
		}
		v = f.calls[i].apply(st, v)
	}
	return v
}

// args are the arguments of one call, as the filter sees them.
type args struct {
	st   *state
	call *call
	pos  []Value
	kw   []Value
}

func (c *call) apply(st *state, in Value) Value {
	if c.def == nil || !st.step() {
		return in
	}
	st.args = st.args[:0]
	for _, e := range c.args {
		st.args = append(st.args, e.eval(st))
	}
	n := len(st.args)
	for _, e := range c.vals {
		st.args = append(st.args, e.eval(st))
	}
	if st.err != nil {
		return Nil
	}
	a := &st.frame
	*a = args{st: st, call: c, pos: st.args[:n], kw: st.args[n:]}
	if len(c.keys) > 0 && c.def.keywords == nil {
		// As in Ruby, a filter that knows no names gets them as one object.
		m := &Map{}
		for i, k := range c.keys {
			m.Set(k, a.kw[i])
		}
		a.pos = append(append([]Value{}, a.pos...), m.Value())
	}
	if given := len(a.pos); given < c.def.min || given > c.def.max {
		return a.fail(arityMessage(given, c.def))
	}
	return c.def.fn(a, in)
}

func arityMessage(given int, f *filter) string {
	want := fmt.Sprint(f.min + 1)
	if f.max > f.min {
		want += fmt.Sprintf("..%d", f.max+1)
	}
	return fmt.Sprintf("wrong number of arguments (given %d, expected %s)", given+1, want)
}

// fail ends the filter with an error at its place.
func (a *args) fail(msg string) Value {
	a.st.fail(a.call.src, a.call.pos, msg)
	return Nil
}

// at returns an argument, or nil where there is none.
func (a *args) at(i int) Value {
	if i < len(a.pos) {
		return a.pos[i]
	}
	return Nil
}

// named returns a named argument.
func (a *args) named(key string) (Value, bool) {
	for i, k := range a.call.keys {
		if k == key && i < len(a.kw) {
			return a.kw[i], true
		}
	}
	return Nil, false
}

// text returns an argument as text.
func (a *args) text(i int) string { return a.st.text(a.at(i)) }

// makeText turns bytes made by a filter into a value.
func (a *args) makeText(s string) Value {
	if !a.st.charge(len(s)) {
		return Nil
	}
	return String(s)
}

func (a *args) makeSafe(s string) Value {
	v := a.makeText(s)
	v.safe = v.kind == KindString
	return v
}

// makeList turns a list made by a filter into a value.
func (a *args) makeList(items []Value) Value {
	if !a.st.charge(valueBytes * len(items)) {
		return Nil
	}
	return Array(items)
}

// lookupFilter returns what is known of a filter under the options.
func lookupFilter(name string, o *Options) *filter {
	f := filterTable[name]
	if f != nil && f.ours && o.CoreOnly {
		return nil
	}
	return f
}

func filterNames(o *Options) []string {
	out := make([]string, 0, len(filterTable))
	for name, f := range filterTable {
		if !f.ours || !o.CoreOnly {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// makeFiltered resolves the filters of a value.
func (c *unit) makeFiltered(base expr, calls []call) (expr, error) {
	if len(calls) == 0 {
		return base, nil
	}
	f := &filtered{base: base, calls: calls}
	for i := range calls {
		cl := &calls[i]
		cl.def = lookupFilter(cl.name, c.opts)
		if cl.def == nil {
			if !c.strict() && c.prog.warnedEnough() {
				continue
			}
			unknown := &syntaxError{
				pos: cl.pos, msg: fmt.Sprintf("unknown filter %q", cl.name), suggest: suggest(cl.name, filterNames(c.opts)),
			}
			if c.strict() {
				return nil, unknown
			}
			c.prog.warn(c.src.wrap(unknown))
			continue
		}
		if err := c.checkCall(cl); err != nil {
			return nil, err
		}
		f.guarded = f.guarded || cl.name == "default"
		f.raw = cl.name == "raw"
	}
	return f, nil
}

// checkCall finds at compile time what would fail in every render. Where a template is read leniently the failure
// stays in the render.
func (c *unit) checkCall(cl *call) error {
	given := len(cl.args)
	if cl.def.keywords == nil && len(cl.keys) > 0 {
		given++
	}
	var problem *syntaxError
	if given < cl.def.min || given > cl.def.max {
		problem = &syntaxError{pos: cl.pos, msg: "filter " + cl.name + ": " + arityMessage(given, cl.def)}
	}
	for _, k := range cl.keys {
		if cl.def.keywords != nil && !slices.Contains(cl.def.keywords, k) {
			problem = &syntaxError{
				pos: cl.pos, msg: fmt.Sprintf("filter %s knows no argument %q", cl.name, k), suggest: suggest(k, cl.def.keywords),
			}
		}
	}
	if problem == nil && cl.def.check != nil {
		if msg := cl.def.check(cl); msg != "" {
			problem = &syntaxError{pos: cl.pos, msg: "filter " + cl.name + ": " + msg}
		}
	}
	if problem == nil {
		return nil
	}
	if c.strict() {
		return problem
	}
	if !c.prog.warnedEnough() {
		c.prog.warn(c.src.wrap(problem))
	}
	return nil
}

// filterTable is every filter by name. It is filled from the tables beside the filters and never changed.
var filterTable = mergeFilters(textFilters, listFilters, mathFilters, dateFilters, localeFilters, emailFilters)

func mergeFilters(tables ...map[string]*filter) map[string]*filter {
	out := map[string]*filter{}
	for _, t := range tables {
		for name, f := range t {
			out[name] = f
		}
	}
	return out
}
