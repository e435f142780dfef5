package liquid

import "strings"

// partial is another template of the set, compiled once for all that use it.
type partial struct {
	name string
	// own is the last part of the name, under which a partial is given its value.
	own  symbol
	src  *source
	body block
	// end is the place in the HTML that the partial leads to.
	end htmlState
}

// partialKey tells the compiled forms of a partial apart: where it stands in the HTML decides how it escapes.
type partialKey struct {
	name  string
	place htmlState
}

// argument is a name given to a partial.
type argument struct {
	sym symbol
	e   expr
}

// partialNode is render and include.
type partialNode struct {
	pos int
	// isolated is set for render: the partial sees its arguments only.
	isolated bool
	target   *partial // known when the template is compiled
	nameExpr expr     // computed, for include
	with     expr
	each     bool // for: once for every item
	alias    string
	args     []argument
	loopSym  symbol
	place    htmlState // where the tag stands in the HTML
}

func (n *partialNode) render(st *state) flow {
	st.pos = n.pos
	if !st.enter() {
		return flowStop
	}
	defer st.leave()
	if !n.isolated && st.includesOff {
		st.fail(st.src, n.pos, "include usage is not allowed in this context")
		return flowStop
	}
	p := n.find(st)
	if p == nil {
		return flowStop
	}
	if st.partials++; st.partials > st.limits.PartialDepth {
		st.exceed(LimitPartialDepth, st.limits.PartialDepth)
		return flowStop
	}
	var f flow
	if n.isolated {
		f = n.renderIsolated(st, p)
	} else {
		f = n.renderIncluded(st, p)
	}
	st.partials--
	return f
}

func (n *partialNode) find(st *state) *partial {
	if n.target != nil {
		return n.target
	}
	v := n.nameExpr.eval(st)
	if st.err != nil {
		return nil
	}
	if v.kind != KindString {
		st.fail(st.src, n.pos, "error in tag 'include': the name of a template is needed")
		return nil
	}
	p := st.prog.partials[partialKey{v.s, n.place}]
	if p == nil {
		st.fail(st.src, n.pos, "there is no template of that name")
	}
	return p
}

// boundName is the name under which `with` and `for` give their value.
func (n *partialNode) boundName(prog *program, p *partial) symbol {
	if n.alias != "" {
		return prog.symbols.find(n.alias)
	}
	return p.own
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func (n *partialNode) renderIncluded(st *state, p *partial) flow {
	var v Value
	if n.with != nil {
		v = n.with.eval(st)
	} else {
		v = st.variable(st.prog.symbols.find(p.name), p.name)
	}
	mark := len(st.scope)
	for _, a := range n.args {
		st.bind(a.sym, a.e.eval(st))
	}
	if st.err != nil {
		st.scope = st.scope[:mark]
		return flowStop
	}
	src := st.src
	st.src = p.src
	f := flowOn
	sym := n.boundName(st.prog, p)
	if v.kind == KindArray {
		slot := st.bind(sym, Nil)
		for _, e := range v.items() {
			if !st.step() {
				f = flowStop
				break
			}
			st.scope[slot].value = e
			if f = p.body.render(st); f != flowOn {
				break
			}
		}
	} else {
		st.bind(sym, v)
		f = p.body.render(st)
	}
	st.scope = st.scope[:mark]
	st.src = src
	return f
}

// outerScope is what an isolated partial does not see.
type outerScope struct {
	base, floor int
	vars        []slot
	counters    map[symbol]Value
	regs        *registers
	root        Object
	loops       []*loop
	includesOff bool
	src         *source
}

func (n *partialNode) renderIsolated(st *state, p *partial) flow {
	var v Value
	if n.with != nil {
		v = n.with.eval(st)
	}
	mark := len(st.scope)
	for _, a := range n.args {
		st.bind(a.sym, a.e.eval(st))
	}
	if st.err != nil {
		st.scope = st.scope[:mark]
		return flowStop
	}
	outer := outerScope{st.base, st.floor, st.vars, st.counters, st.regs, st.root, st.loops, st.includesOff, st.src}
	st.vars, st.root, st.loops = nil, nil, nil
	st.includesOff, st.src = true, p.src
	var f flow
	if n.each && (v.kind == KindArray || v.kind == KindRange || v.kind == KindObject) {
		f = n.renderEach(st, p, v, mark)
	} else {
		f = n.renderOnce(st, p, v, nil, mark)
	}
	st.scope = st.scope[:mark]
	st.base, st.floor, st.vars, st.counters, st.regs = outer.base, outer.floor, outer.vars, outer.counters, outer.regs
	st.root, st.loops, st.includesOff, st.src = outer.root, outer.loops, outer.includesOff, outer.src
	if f == flowStop {
		return f
	}
	// A break inside does not reach the caller's loop.
	return flowOn
}

// renderOnce renders the partial with copies of the arguments, which stand in the scope from mark on: the partial
// may assign to them, and the next turn begins afresh.
func (n *partialNode) renderOnce(st *state, p *partial, v Value, l *loop, mark int) flow {
	st.counters, st.regs = nil, nil
	st.base = len(st.scope)
	if l != nil {
		st.bind(n.loopSym, ObjectOf(l))
	}
	st.scope = append(st.scope, st.scope[mark:mark+len(n.args)]...)
	if v.kind != KindNil {
		st.bind(n.boundName(st.prog, p), v)
	}
	st.floor = len(st.scope)
	f := p.body.render(st)
	st.scope = st.scope[:st.base]
	st.dropVars()
	return f
}

func (n *partialNode) renderEach(st *state, p *partial, v Value, mark int) flow {
	seq, ok := st.sequenceOf(v, 0, 0, false)
	if !ok {
		return flowStop
	}
	l := st.newLoop()
	l.name, l.length = p.name, seq.len()
	f := flowOn
	for i := int64(0); i < seq.len(); i++ {
		if !st.step() {
			f = flowStop
			break
		}
		if f = n.renderOnce(st, p, st.at(&seq, i), l, mark); f == flowStop {
			break
		}
		f = flowOn
		l.next()
	}
	st.endLoop(l)
	return f
}
