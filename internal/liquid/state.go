package liquid

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Limit names a budget of a render.
type Limit string

// The budgets, as errors name them.
const (
	LimitSteps        Limit = "steps"
	LimitOutput       Limit = "output bytes"
	LimitAssign       Limit = "assigned bytes"
	LimitWork         Limit = "work bytes"
	LimitNesting      Limit = "nesting"
	LimitPartialDepth Limit = "partial depth"
	LimitRange        Limit = "range length"
	LimitTime         Limit = "time"
)

// Limits are the budgets of one render. A zero field takes the default, which is also its comment.
type Limits struct {
	Steps        int // 500,000 nodes, loop turns, filters, comparisons, and one for each 256 bytes worked through
	OutputBytes  int // 2 MiB written
	AssignBytes  int // 2 MiB kept by assign and capture, counted anew each time
	WorkBytes    int // 16 MiB made by filters on the way
	Nesting      int // 100 blocks and partials inside each other
	PartialDepth int // 20 partials inside each other
	RangeLength  int // 10,000 numbers in a range that is walked
}

func (l Limits) withDefaults() Limits {
	set := func(field *int, def int) {
		if *field == 0 {
			*field = def
		}
	}
	set(&l.Steps, 500_000)
	set(&l.OutputBytes, 2<<20)
	set(&l.AssignBytes, 2<<20)
	set(&l.WorkBytes, 16<<20)
	set(&l.Nesting, 100)
	set(&l.PartialDepth, 20)
	set(&l.RangeLength, 10_000)
	return l
}

// valueBytes is what one Value counts for in the budgets of bytes.
const valueBytes = 64

// checkEvery is how many steps may pass between two looks at the context.
const checkEvery = 128

// binding is a name bound in an inner scope.
type binding struct {
	sym   symbol
	value Value
}

// slot is an assigned name.
type slot struct {
	value Value
	set   bool
}

// state is one render on its way. It is used by one goroutine and then kept for the next render.
type state struct {
	prog *program
	opts RenderOptions
	ctx  context.Context
	root Object

	// scope holds the bindings of loops and partials, innermost last. Names below base belong to the caller of an
	// isolated partial and are not seen; those between base and floor are its arguments, which assign replaces in place.
	scope       []binding
	base, floor int
	// vars are the names that assign and capture have set, by symbol; counters those of increment and decrement.
	vars     []slot
	freeVars [][]slot
	counters map[symbol]Value

	out     []byte
	start   int // where the output of this render begins in out
	err     *Error
	src     *source
	pos     int
	args    []Value
	frame   args
	loops   []*loop
	free    []*loop
	regs    *registers
	missing []Missing
	errors  []*Error

	steps, nextCheck  int
	assigned, worked  int
	nesting, partials int
	includesOff       bool
	zone              *time.Location
	limits            Limits
	scratch           []byte          // room for one filter at a time
	texts             strings.Builder // the short texts that filters have made
	chunk             int             // how much room for them is made at a time
}

// registers is what tags keep between their turns; an isolated partial has its own.
type registers struct {
	cycles  []int          // the places of unnamed groups
	named   map[string]int // and of named ones
	offsets map[string]int64
	changed string
}

// step counts one unit of work and reports whether the render may go on.
func (st *state) step() bool {
	st.steps++
	if st.steps >= st.nextCheck {
		return st.check()
	}
	return st.err == nil
}

// work counts the walk over n bytes.
func (st *state) work(n int) bool {
	st.steps += n >> 8
	return st.step()
}

func (st *state) check() bool {
	if st.err != nil {
		return false
	}
	if st.steps > st.limits.Steps {
		st.exceed(LimitSteps, st.limits.Steps)
		return false
	}
	if err := st.ctx.Err(); err != nil {
		e := st.src.errorAt(st.pos, "the time for rendering is over: "+err.Error())
		e.Limit, e.cause = LimitTime, err
		st.err = e
		return false
	}
	st.nextCheck = min(st.steps+checkEvery, st.limits.Steps+1)
	return true
}

// exceed ends the render for the named budget.
func (st *state) exceed(l Limit, n int) {
	if st.err != nil {
		return
	}
	e := st.src.errorAt(st.pos, fmt.Sprintf("limit of %s exceeded: more than %d", l, n))
	e.Limit, e.cause = l, ErrLimit
	st.err = e
}

// fail records an error at a place; the first one counts.
func (st *state) fail(src *source, pos int, msg string) {
	if st.err == nil {
		st.err = src.errorAt(pos, msg)
	}
}

// room reports whether a filter may make a text of n bytes on top of what has been made.
func (st *state) room(n int) bool {
	if st.worked+n > st.limits.WorkBytes {
		st.exceed(LimitWork, st.limits.WorkBytes)
	}
	return st.err == nil
}

// charge counts n bytes that a filter makes and reports whether it may.
func (st *state) charge(n int) bool {
	if n < 0 || !st.room(n) {
		st.exceed(LimitWork, st.limits.WorkBytes)
		return false
	}
	st.worked += n
	return st.work(n)
}

// keep counts a value that assign or capture binds.
func (st *state) keep(v Value) bool {
	n := valueBytes
	switch v.kind {
	case KindString:
		n += len(v.s)
	case KindArray:
		n += valueBytes * len(v.items())
	}
	st.assigned += n
	if st.assigned > st.limits.AssignBytes {
		st.exceed(LimitAssign, st.limits.AssignBytes)
	}
	return st.err == nil
}

// wrote checks the output after something was appended to it.
func (st *state) wrote() bool {
	if len(st.out)-st.start > st.limits.OutputBytes {
		st.exceed(LimitOutput, st.limits.OutputBytes)
	}
	return st.err == nil
}

// write appends template text.
func (st *state) write(s string) bool {
	if len(st.out)-st.start+len(s) > st.limits.OutputBytes {
		st.exceed(LimitOutput, st.limits.OutputBytes)
		return false
	}
	st.out = append(st.out, s...)
	return true
}

// local finds a name that the template has bound: in inner scopes, then among assigned names, then counters.
func (st *state) local(sym symbol) *Value {
	if sym == noSymbol {
		return nil
	}
	for i := len(st.scope) - 1; i >= st.base; i-- {
		if st.scope[i].sym == sym {
			return &st.scope[i].value
		}
	}
	if st.vars != nil && st.vars[sym].set {
		return &st.vars[sym].value
	}
	if len(st.counters) > 0 {
		if v, ok := st.counters[sym]; ok {
			return &v
		}
	}
	return nil
}

// variable looks a name up: what the template has bound, then the data of the render.
func (st *state) variable(sym symbol, name string) Value {
	if at := st.local(sym); at != nil {
		return *at
	}
	if st.root == nil {
		return Nil
	}
	v, _ := st.root.Get(name)
	return v
}

// bind puts a name into the innermost scope and returns its place there.
func (st *state) bind(sym symbol, v Value) int {
	st.scope = append(st.scope, binding{sym, v})
	return len(st.scope) - 1
}

// assign sets a name in the outermost scope, whatever the inner ones bind it to.
func (st *state) assign(sym symbol, v Value) {
	for i := st.base; i < st.floor; i++ {
		if st.scope[i].sym == sym {
			st.scope[i].value = v
			return
		}
	}
	if st.vars == nil {
		if n := len(st.freeVars); n > 0 {
			st.vars, st.freeVars = st.freeVars[n-1], st.freeVars[:n-1]
		} else {
			st.vars = make([]slot, st.prog.symbols.len())
		}
	}
	st.vars[sym] = slot{v, true}
}

// dropVars forgets the assigned names of a partial that has ended.
func (st *state) dropVars() {
	if st.vars != nil {
		clear(st.vars)
		st.freeVars = append(st.freeVars, st.vars)
		st.vars = nil
	}
}

// enter counts a block going inwards and reports whether it may.
func (st *state) enter() bool {
	st.nesting++
	if st.nesting > st.limits.Nesting {
		st.exceed(LimitNesting, st.limits.Nesting)
	}
	return st.step()
}

func (st *state) leave() { st.nesting-- }

func (st *state) registers() *registers {
	if st.regs == nil {
		st.regs = &registers{}
	}
	return st.regs
}
