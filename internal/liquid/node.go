package liquid

import (
	"fmt"
)

// flow says how a node ended.
type flow uint8

const (
	flowOn flow = iota
	flowBreak
	flowContinue
	flowStop // an error is in the state
)

// node is one compiled part of a template.
type node interface {
	render(st *state) flow
}

// quiet is a node that shows nothing by itself, so an error in it is not shown in its place either.
type quiet interface{ quiet() bool }

// block is a run of nodes.
type block struct {
	nodes []node
	// blank says that nothing in the block can be seen: only white space and tags that show nothing.
	blank bool
}

func (b *block) render(st *state) flow {
	for _, n := range b.nodes {
		f := n.render(st)
		if st.err != nil && !st.absorb(n) {
			return flowStop
		}
		if f == flowBreak || f == flowContinue {
			return f
		}
	}
	return flowOn
}

// absorb takes an error that is to be shown in its place rather than to end the render.
func (st *state) absorb(n node) bool {
	if !st.opts.InlineErrors || st.err.Limit != "" {
		return false
	}
	e := st.err
	st.err = nil
	st.errors = append(st.errors, e)
	if q, ok := n.(quiet); ok && q.quiet() {
		return true
	}
	place := fmt.Sprintf("line %d", e.Line)
	if st.partials > 0 {
		place = e.Name + " " + place
	}
	return st.write("Liquid error (" + place + "): " + e.Message)
}

// dropBlank takes the white space out of a block that shows nothing.
func (b *block) dropBlank() {
	kept := b.nodes[:0]
	for _, n := range b.nodes {
		if _, ok := n.(*textNode); !ok {
			kept = append(kept, n)
		}
	}
	b.nodes = kept
}

// textNode is text of the template.
type textNode struct {
	text string
	pos  int
}

func (n *textNode) render(st *state) flow {
	st.steps++
	if !st.write(n.text) {
		st.pos = n.pos
		return flowStop
	}
	return flowOn
}

// outputNode is {{ … }} or echo.
type outputNode struct {
	pos int
	e   expr
	// place is where the value appears in an HTML part.
	place place
	// bare is the path whose absence is reported: the value has no default. Then calls are the filters after it.
	bare  *path
	calls []call
	// raw says that the author has opted out of escaping.
	raw bool
}

func (n *outputNode) render(st *state) flow {
	st.pos = n.pos
	if !st.step() {
		return flowStop
	}
	var v Value
	if n.bare == nil {
		v = n.e.eval(st)
	} else {
		if v = n.bare.eval(st); v.kind == KindNil {
			st.noteMissing(n.bare)
		}
		for i := range n.calls {
			if st.err != nil {
				break
			}
			v = n.calls[i].apply(st, v)
		}
	}
	if st.err != nil {
		return flowStop
	}
	st.print(v, n)
	if st.err != nil {
		return flowStop
	}
	return flowOn
}

// maxMissing is how many missing values are listed.
const maxMissing = 1000

// noteMissing reports a value that is printed though it is not there.
func (st *state) noteMissing(p *path) {
	if st.err != nil || len(st.missing) >= maxMissing {
		return
	}
	m := Missing{Path: p.label, Position: p.src.position(p.pos)}
	st.missing = append(st.missing, m)
	if st.opts.Missing != nil {
		st.opts.Missing(m.Path, m.Position)
	}
}

// print writes a value; a list is written item by item.
func (st *state) print(v Value, n *outputNode) {
	if n.place == placeScript && !n.raw {
		st.out = appendJSON(st.out, v, 0, st.room)
		st.wrote()
		return
	}
	switch v.kind {
	case KindNil, kindLiteral:
		return
	case KindArray:
		if st.nesting++; st.nesting > st.limits.Nesting {
			st.exceed(LimitNesting, st.limits.Nesting)
		}
		for _, e := range v.items() {
			if !st.step() {
				break
			}
			st.print(e, n)
		}
		st.nesting--
		return
	case KindString, KindObject, KindTime:
		if v.kind != KindString {
			v = String(st.text(v))
		}
		if n.place == placeText || n.raw {
			st.write(v.s)
			return
		}
		st.out = n.place.append(st.out, v)
	default:
		st.out = appendText(st.out, v) // Nothing in a number or a range needs escaping anywhere.
	}
	st.wrote()
}

// assignNode is {% assign %}.
type assignNode struct {
	pos int
	sym symbol
	e   expr
}

func (n *assignNode) quiet() bool { return true }

func (n *assignNode) render(st *state) flow {
	st.pos = n.pos
	if !st.step() {
		return flowStop
	}
	v := n.e.eval(st)
	if st.err != nil || !st.keep(v) {
		return flowStop
	}
	st.assign(n.sym, v)
	return flowOn
}

// captureNode is {% capture %}.
type captureNode struct {
	pos  int
	sym  symbol
	body block
	html bool
}

func (n *captureNode) quiet() bool { return true }

func (n *captureNode) render(st *state) flow {
	st.pos = n.pos
	if !st.enter() {
		return flowStop
	}
	from := len(st.out)
	f := n.body.render(st)
	v := String(string(st.out[from:]))
	v.safe = n.html
	st.out = st.out[:from]
	st.leave()
	if st.err != nil || !st.keep(v) {
		return flowStop
	}
	st.assign(n.sym, v)
	return f
}

// branch is one arm of if, unless or case.
type branch struct {
	pos    int
	test   expr // nil for else
	negate bool
	body   *block
}

// ifNode is if and unless.
type ifNode struct {
	pos      int
	branches []branch
	blank    bool
}

func (n *ifNode) quiet() bool { return n.blank }

func (n *ifNode) render(st *state) flow {
	st.pos = n.pos
	if !st.enter() {
		return flowStop
	}
	f := flowOn
	for i := range n.branches {
		b := &n.branches[i]
		if b.test != nil {
			ok := b.test.eval(st).truthy()
			if st.err != nil {
				f = flowStop
				break
			}
			if ok == b.negate {
				continue
			}
		}
		f = b.body.render(st)
		break
	}
	st.leave()
	return f
}

// caseNode is case; as in Shopify's every `when` that fits is rendered, and an `else` if none before it did.
type caseNode struct {
	pos      int
	subject  expr
	branches []caseBranch
	blank    bool
}

type caseBranch struct {
	pos  int
	test expr // nil for else
	body *block
}

func (n *caseNode) quiet() bool { return n.blank }

func (n *caseNode) render(st *state) flow {
	st.pos = n.pos
	if !st.enter() {
		return flowStop
	}
	defer st.leave()
	hit := false
	for i := range n.branches {
		b := &n.branches[i]
		if b.test == nil {
			if hit {
				continue
			}
		} else {
			ok := st.equalLiterals(n.subject.eval(st), b.test.eval(st))
			if st.err != nil {
				return flowStop
			}
			if !ok {
				continue
			}
			hit = true
		}
		if f := b.body.render(st); f != flowOn {
			return f
		}
	}
	return flowOn
}

// jumpNode is break and continue.
type jumpNode struct {
	pos int
	f   flow
}

func (n *jumpNode) render(st *state) flow {
	st.steps++
	return n.f
}

// countNode is increment and decrement.
type countNode struct {
	pos  int
	sym  symbol
	name string
	by   int64
}

func (n *countNode) render(st *state) flow {
	st.pos = n.pos
	if !st.step() {
		return flowStop
	}
	v, ok := st.counters[n.sym]
	if !ok && st.root != nil {
		v, _ = st.root.Get(n.name)
	}
	if v.kind == KindNil {
		v = Int(0)
	}
	if v.kind != KindInt {
		st.fail(st.src, n.pos, "cannot count from a "+v.kind.String())
		return flowStop
	}
	if st.counters == nil {
		st.counters = map[symbol]Value{}
	}
	next := Int(v.n + n.by)
	st.counters[n.sym] = next
	if n.by > 0 {
		next = v
	}
	st.out = appendText(st.out, next)
	st.wrote()
	return flowOn
}

// changedNode is ifchanged: its text is shown when it differs from the one shown last.
type changedNode struct {
	pos  int
	body block
}

func (n *changedNode) quiet() bool { return n.body.blank }

func (n *changedNode) render(st *state) flow {
	st.pos = n.pos
	if !st.enter() {
		return flowStop
	}
	from := len(st.out)
	f := n.body.render(st)
	st.leave()
	if f == flowStop {
		return f
	}
	regs := st.registers()
	if string(st.out[from:]) == regs.changed {
		st.out = st.out[:from]
		return f
	}
	regs.changed = string(st.out[from:])
	if !st.charge(len(regs.changed)) {
		return flowStop
	}
	return f
}
