package liquid

import "strings"

// expr is a compiled expression.
type expr interface {
	// eval returns the value, or Nil after st.fail.
	eval(st *state) Value
}

// literal is a value written in the template.
type literal struct{ v Value }

func (e *literal) eval(*state) Value { return e.v }

// command is a word that asks a value something where it has no member of that name.
type command uint8

const (
	commandNone command = iota
	commandSize
	commandFirst
	commandLast
)

func commandOf(name string) command {
	switch name {
	case "size":
		return commandSize
	case "first":
		return commandFirst
	case "last":
		return commandLast
	}
	return commandNone
}

// step is one member or index of a path.
type step struct {
	key  string
	expr expr // an index in brackets; nil for a plain key
	cmd  command
}

// path reads a variable and members of it.
type path struct {
	src  *source
	pos  int
	name string
	root expr // a computed name, as in {{ [name] }}; nil for a plain one
	sym  symbol
	// steps follow the root, in order.
	steps []step
	// label is the path as Report names it; the analysis replaces local names with what they stand for.
	label string
}

func (e *path) eval(st *state) Value {
	var held Value
	at := e.start(st, &held)
	if len(e.steps) == 0 && at.kind == KindObject {
		if l, ok := at.ref.(*loop); ok {
			l.share()
		}
		return *at
	}
	for i := range e.steps {
		s := &e.steps[i]
		ok := false
		if s.expr != nil {
			held, ok = st.index(*at, s.expr.eval(st))
		} else {
			if m, isMap := at.ref.(*Map); isMap {
				if i := m.find(s.key); i >= 0 {
					at = &m.values[i]
					continue
				}
			}
			held, ok = st.member(*at, s.key, s.cmd)
		}
		if at = &held; !ok {
			e.undefined(st)
			return Nil
		}
	}
	return *at
}

// start finds the root of the path. What is not in a scope is kept in held.
func (e *path) start(st *state, held *Value) *Value {
	sym, name := e.sym, e.name
	if e.root != nil {
		k := e.root.eval(st)
		if k.kind != KindString {
			return held
		}
		sym, name = st.prog.symbols.find(k.s), k.s
	}
	if at := st.local(sym); at != nil {
		return at
	}
	if st.root != nil {
		var ok bool
		if *held, ok = st.root.Get(name); ok {
			return held
		}
	}
	e.undefined(st)
	return held
}

func (e *path) undefined(st *state) {
	if st.opts.StrictVariables {
		st.fail(e.src, e.pos, "undefined variable "+e.label)
	}
}

// member reads a named member; first, last and size work on what has no member of that name.
func (st *state) member(v Value, key string, cmd command) (Value, bool) {
	switch v.kind {
	case KindObject:
		if out, ok := v.object().Get(key); ok {
			return out, true
		}
	case KindArray, KindString, KindRange:
	case KindInt, kindBig:
		if cmd != commandSize {
			return Nil, false
		}
	default:
		return Nil, false
	}
	switch cmd {
	case commandSize:
		if v.kind == KindObject {
			return Int(int64(objectLen(v.object()))), true
		}
		return Int(sizeOf(v)), true
	case commandFirst:
		return st.first(v)
	case commandLast:
		return lastOf(v)
	}
	return Nil, false
}

// index reads a list by a whole number or an object by a name. As in Ruby, a computed name never asks for first, last
// or size.
func (st *state) index(v, k Value) (Value, bool) {
	switch {
	case k.kind == KindString && v.kind == KindObject:
		return v.object().Get(k.s)
	case k.kind == KindInt && v.kind == KindArray:
		items := v.items()
		i := k.n
		if i < 0 {
			i += int64(len(items))
		}
		if i < 0 || i >= int64(len(items)) {
			return Nil, true
		}
		return items[i], true
	}
	return Nil, false
}

func objectLen(o Object) int {
	if s, ok := o.(sized); ok {
		return s.Len()
	}
	return len(o.Keys())
}

// first returns the first item; of an object that is its first name and value.
func (st *state) first(v Value) (Value, bool) {
	switch v.kind {
	case KindArray:
		if items := v.items(); len(items) > 0 {
			return items[0], true
		}
		return Nil, true
	case KindRange:
		if v.rangeLen() > 0 {
			return Int(v.n), true
		}
		return Nil, true
	case KindObject:
		keys := v.object().Keys()
		if len(keys) == 0 {
			return Nil, true
		}
		e, _ := v.object().Get(keys[0])
		st.charge(2 * valueBytes)
		return Array([]Value{String(keys[0]), e}), true
	}
	return Nil, false
}

func lastOf(v Value) (Value, bool) {
	switch v.kind {
	case KindArray:
		if items := v.items(); len(items) > 0 {
			return items[len(items)-1], true
		}
		return Nil, true
	case KindRange:
		if v.rangeLen() > 0 {
			return Int(v.last()), true
		}
		return Nil, true
	}
	return Nil, false
}

// rangeExpr is (first..last) where an end is computed.
type rangeExpr struct {
	src         *source
	pos         int
	first, last expr
}

func (e *rangeExpr) eval(st *state) Value {
	a, ok1 := st.rangeEnd(e.first.eval(st))
	b, ok2 := st.rangeEnd(e.last.eval(st))
	if !ok1 || !ok2 {
		st.fail(e.src, e.pos, "invalid integer")
		return Nil
	}
	return rangeOf(a, b)
}

// rangeEnd reads an end of a computed range: a text counts as the number it begins with, and nothing as nought.
func (st *state) rangeEnd(v Value) (int64, bool) {
	switch v.kind {
	case KindNil:
		return 0, true
	case KindString:
		n := leadingInt(v.s)
		return n.n, n.kind == KindInt
	}
	return st.strictInt(v)
}

// comparison is one test of a condition, and how it is tied to the next.
type comparison struct {
	src         *source
	pos         int
	left, right expr
	op          string
	tie         tie
}

// tie joins a test with all that follows it.
type tie uint8

const (
	tieNone tie = iota
	tieAnd
	tieOr
)

// condition is a chain of tests. As in Ruby's Liquid it is worked off from left to right, and `a and b or c` means
// `a and (b or c)`.
type condition []comparison

func (c condition) eval(st *state) Value {
	var v Value
	for i := range c {
		v = c[i].eval(st)
		switch c[i].tie {
		case tieOr:
			if v.truthy() {
				return v
			}
		case tieAnd:
			if !v.truthy() {
				return v
			}
		}
	}
	return v
}

func (c *comparison) eval(st *state) Value {
	a := c.left.eval(st)
	if c.op == "" {
		return a
	}
	b := c.right.eval(st)
	switch c.op {
	case "==":
		return Bool(st.equalLiterals(a, b))
	case "!=", "<>":
		return Bool(!st.equalLiterals(a, b))
	case "contains":
		return Bool(st.contains(a, b))
	case "<", "<=", ">", ">=":
		return c.ordered(st, a, b)
	}
	st.fail(c.src, c.pos, "unknown operator "+c.op)
	return Nil
}

func (c *comparison) ordered(st *state, a, b Value) Value {
	if !hasOrder(a) || !hasOrder(b) {
		return Nil
	}
	n, ok := st.order(a, b)
	if !ok {
		st.fail(c.src, c.pos, "comparison of "+a.kind.String()+" with "+b.kind.String()+" failed")
		return Nil
	}
	switch c.op {
	case "<":
		return Bool(n < 0)
	case "<=":
		return Bool(n <= 0)
	case ">":
		return Bool(n > 0)
	}
	return Bool(n >= 0)
}

// hasOrder says whether < and > mean anything for the value.
func hasOrder(v Value) bool { return v.isNumber() || v.kind == KindString || v.kind == KindTime }

// equalLiterals is == where `blank` and `empty` ask the other side about itself.
func (st *state) equalLiterals(a, b Value) bool {
	if a.kind == kindLiteral {
		a, b = b, a
	}
	if b.kind == kindLiteral {
		if b.n == literalBlank.n {
			return a.isBlank()
		}
		return a.isEmpty()
	}
	return st.equal(a, b)
}

func (st *state) contains(a, b Value) bool {
	if !a.truthy() || !b.truthy() {
		return false
	}
	switch a.kind {
	case KindString:
		needle := st.text(b)
		return st.work(len(a.s)) && strings.Contains(a.s, needle)
	case KindArray:
		for _, e := range a.items() {
			if st.equal(e, b) {
				return true
			}
		}
	case KindObject:
		if b.kind == KindString {
			_, ok := a.object().Get(b.s)
			return ok
		}
	case KindRange:
		return b.isNumber() && compareNumbers(b, Int(a.n)) >= 0 && compareNumbers(b, Int(a.last())) <= 0
	}
	return false
}
