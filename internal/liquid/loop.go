package liquid

import "strconv"

// loop is the `forloop` or `tablerowloop` of one running loop.
type loop struct {
	name   string
	index  int64
	length int64
	parent *loop
	// table is set for a tablerowloop.
	table    bool
	col, row int64
	cols     int64
	// shared says that a template holds on to the loop, so that it may not be used again for another.
	shared bool
}

var (
	_ Object = (*loop)(nil)
	_ sized  = (*loop)(nil)
)

// Keys lists nothing: like a drop of Shopify's, a loop answers by name but cannot be walked.
func (l *loop) Keys() []string { return nil }

// Len is nought, as for Keys.
func (l *loop) Len() int { return 0 }

// Get answers the names of forloop and tablerowloop.
func (l *loop) Get(key string) (Value, bool) {
	switch key {
	case "index":
		return Int(l.index + 1), true
	case "index0":
		return Int(l.index), true
	case "rindex":
		return Int(l.length - l.index), true
	case "rindex0":
		return Int(l.length - l.index - 1), true
	case "first":
		return Bool(l.index == 0), true
	case "last":
		return Bool(l.index == l.length-1), true
	case "length":
		return Int(l.length), true
	}
	if !l.table {
		switch key {
		case "name":
			return String(l.name), true
		case "parentloop":
			if l.parent == nil {
				return Nil, true
			}
			l.parent.share()
			return ObjectOf(l.parent), true
		}
		return Nil, false
	}
	switch key {
	case "row":
		return Int(l.row), true
	case "col":
		return Int(l.col), true
	case "col0":
		return Int(l.col - 1), true
	case "col_first":
		return Bool(l.col == 1), true
	case "col_last":
		return Bool(l.col == l.cols), true
	}
	return Nil, false
}

// typeName is what is printed for the loop itself, which has no text.
func (l *loop) typeName() string {
	if l.table {
		return "Liquid::TablerowloopDrop"
	}
	return "Liquid::ForloopDrop"
}

// share says that the template may hold on to the loop, and through it to those around it.
func (l *loop) share() {
	for ; l != nil; l = l.parent {
		l.shared = true
	}
}

func (l *loop) next() {
	l.index++
	if !l.table {
		return
	}
	if l.col == l.cols {
		l.col = 1
		l.row++
	} else {
		l.col++
	}
}

// newLoop takes a loop that is free again, or a new one.
func (st *state) newLoop() *loop {
	if n := len(st.free); n > 0 {
		l := st.free[n-1]
		st.free = st.free[:n-1]
		return l
	}
	return &loop{}
}

func (st *state) endLoop(l *loop) {
	if !l.shared {
		*l = loop{}
		st.free = append(st.free, l)
	}
}

// sequence is what a loop walks: the part of a list, range or object between two places.
type sequence struct {
	v        Value
	keys     []string
	from, to int64
	reversed bool
}

func (s *sequence) len() int64 { return s.to - s.from }

func (st *state) at(s *sequence, i int64) Value {
	if s.reversed {
		i = s.len() - 1 - i
	}
	i += s.from
	switch s.v.kind {
	case KindArray:
		return s.v.items()[i]
	case KindRange:
		return Int(s.v.n + i)
	case KindObject:
		k := s.keys[i]
		e, _ := s.v.object().Get(k)
		st.charge(2 * valueBytes)
		return Array([]Value{String(k), e})
	}
	return s.v
}

// sizeOf is the number of things in a value, or of characters in a text.
func sizeOf(v Value) int64 {
	switch v.kind {
	case KindString:
		return int64(runeCount(v.s))
	case KindArray:
		return int64(len(v.items()))
	case KindRange:
		return v.rangeLen()
	case KindObject:
		return int64(objectLen(v.object()))
	case KindInt:
		return 8 // Ruby's size of a machine word.
	case kindBig:
		return int64(v.big().BitLen()+7) / 8
	}
	return 0
}

// sequenceOf cuts what is to be walked. A text is walked as one item, and what is no collection not at all.
func (st *state) sequenceOf(v Value, from int64, limit int64, limited bool) (sequence, bool) {
	var n int64
	var keys []string // of an object
	switch v.kind {
	case KindArray:
		n = int64(len(v.items()))
	case KindObject:
		keys = v.object().Keys()
		n = int64(len(keys))
	case KindRange:
		n = v.rangeLen()
	case KindString:
		if v.s == "" {
			return sequence{}, true
		}
		// As in Shopify's, the limits do not touch a text.
		return sequence{v: v, to: 1}, true
	default:
		return sequence{}, true
	}
	const far = 1 << 53 // Clear of overflows, and beyond every list.
	from, limit = min(max(from, -far), far), min(max(limit, -far), far)
	to := n
	if limited {
		to = min(n, from+limit)
	}
	from = min(max(from, 0), n)
	s := sequence{v: v, keys: keys, from: from, to: max(to, from)}
	if v.kind == KindRange && s.len() > int64(st.limits.RangeLength) {
		st.exceed(LimitRange, st.limits.RangeLength)
		return s, false
	}
	return s, true
}

// forNode is {% for %}.
type forNode struct {
	pos        int
	sym        symbol
	loopSym    symbol
	name       string // as forloop.name shows it
	collection expr
	limit      expr
	offset     expr
	fromLast   bool // offset: continue
	reversed   bool
	body       block
	otherwise  *block
	blank      bool
}

func (n *forNode) quiet() bool { return n.blank }

func (n *forNode) render(st *state) flow {
	st.pos = n.pos
	if !st.enter() {
		return flowStop
	}
	defer st.leave()
	seq, ok := n.sequence(st)
	if !ok || st.err != nil {
		return flowStop
	}
	if seq.len() == 0 {
		if n.otherwise != nil {
			return n.otherwise.render(st)
		}
		return flowOn
	}
	return n.walk(st, &seq)
}

func (n *forNode) sequence(st *state) (sequence, bool) {
	var from int64
	if n.fromLast {
		from = st.registers().offsets[n.name]
	} else {
		from, _ = n.number(st, n.offset)
	}
	v := n.collection.eval(st)
	limit, limited := n.number(st, n.limit)
	if st.err != nil {
		return sequence{}, false
	}
	seq, ok := st.sequenceOf(v, from, limit, limited)
	seq.reversed = n.reversed
	if st.prog.continues { // A later loop may ask where this one ended.
		regs := st.registers()
		if regs.offsets == nil {
			regs.offsets = map[string]int64{}
		}
		regs.offsets[n.name] = from + seq.len()
	}
	return seq, ok
}

// number reads a limit or an offset, and says whether it is given.
func (n *forNode) number(st *state, e expr) (int64, bool) {
	if e == nil {
		return 0, false
	}
	v := e.eval(st)
	if v.kind == KindNil || st.err != nil {
		return 0, false
	}
	i, ok := st.strictInt(v)
	if !ok {
		st.fail(st.src, n.pos, "invalid integer")
	}
	return i, ok
}

func (n *forNode) walk(st *state, seq *sequence) flow {
	l := st.newLoop()
	l.name, l.length = n.name, seq.len()
	if k := len(st.loops); k > 0 {
		l.parent = st.loops[k-1]
	}
	st.loops = append(st.loops, l)
	mark := len(st.scope)
	st.bind(n.loopSym, ObjectOf(l))
	slot := st.bind(n.sym, Nil)
	out := flowOn
	for i := int64(0); i < seq.len(); i++ {
		if !st.step() {
			out = flowStop
			break
		}
		st.scope[slot].value = st.at(seq, i)
		f := n.body.render(st)
		l.next()
		if f == flowStop {
			out = f
			break
		}
		if f == flowBreak {
			break
		}
	}
	st.scope = st.scope[:mark]
	st.loops = st.loops[:len(st.loops)-1]
	st.endLoop(l)
	return out
}

// tableNode is {% tablerow %}.
type tableNode struct {
	pos                 int
	sym, loopSym        symbol
	collection          expr
	limit, offset, cols expr
	body                block
}

func (n *tableNode) quiet() bool { return n.body.blank }

func (n *tableNode) render(st *state) flow {
	st.pos = n.pos
	if !st.enter() {
		return flowStop
	}
	defer st.leave()
	v := n.collection.eval(st)
	if st.err != nil {
		return flowStop
	}
	if !v.truthy() {
		return flowOn
	}
	from, _ := n.number(st, n.offset)
	limit, limited := n.number(st, n.limit)
	seq, ok := st.sequenceOf(v, from, limit, limited)
	if !ok {
		return flowStop
	}
	cols := seq.len()
	if n.cols != nil {
		cols, _ = n.number(st, n.cols)
	}
	if st.err != nil {
		return flowStop
	}
	return n.walk(st, &seq, cols)
}

// number reads an attribute; what is no number counts as nought.
func (n *tableNode) number(st *state, e expr) (int64, bool) {
	if e == nil {
		return 0, false
	}
	v := e.eval(st)
	switch v.kind {
	case KindNil:
		return 0, false
	case KindInt:
		return v.n, true
	case KindFloat:
		return int64(v.float()), true
	case KindString:
		return leadingInt(v.s).n, true
	}
	st.fail(st.src, n.pos, "invalid integer")
	return 0, false
}

func (n *tableNode) walk(st *state, seq *sequence, cols int64) flow {
	l := st.newLoop()
	l.table, l.length, l.cols, l.col, l.row = true, seq.len(), cols, 1, 1
	mark := len(st.scope)
	st.bind(n.loopSym, ObjectOf(l))
	slot := st.bind(n.sym, Nil)
	out := flowOn
	st.write("<tr class=\"row1\">\n")
	for i := int64(0); i < seq.len(); i++ {
		if !st.step() {
			out = flowStop
			break
		}
		st.scope[slot].value = st.at(seq, i)
		st.out = append(st.out, `<td class="col`...)
		st.out = strconv.AppendInt(st.out, l.col, 10)
		st.out = append(st.out, `">`...)
		f := n.body.render(st)
		if f == flowStop {
			out = f
			break
		}
		st.out = append(st.out, "</td>"...)
		if f == flowBreak {
			break
		}
		if l.col == l.cols && l.index != l.length-1 {
			st.out = append(st.out, "</tr>\n<tr class=\"row"...)
			st.out = strconv.AppendInt(st.out, l.row+1, 10)
			st.out = append(st.out, `">`...)
		}
		l.next()
		st.wrote()
	}
	st.scope = st.scope[:mark]
	st.endLoop(l)
	if out == flowOn {
		st.write("</tr>\n")
	}
	return out
}

// cycleNode is {% cycle %}.
type cycleNode struct {
	pos    int
	group  expr // a named group; nil for one told by its values
	id     int  // the number of an unnamed group
	values []expr
	out    outputNode
}

func (n *cycleNode) render(st *state) flow {
	st.pos = n.pos
	if !st.step() {
		return flowStop
	}
	regs := st.registers()
	if regs.cycles == nil {
		regs.cycles = make([]int, st.prog.cycles)
	}
	at := &regs.cycles[n.id]
	key := ""
	if n.group != nil {
		g := n.group.eval(st)
		key = g.kind.String() + ":" + st.text(g)
		i := regs.named[key]
		at = &i
	}
	var v Value
	if *at < len(n.values) {
		v = n.values[*at].eval(st)
	}
	if st.err != nil {
		return flowStop
	}
	st.print(v, &n.out)
	if *at++; *at >= len(n.values) {
		*at = 0
	}
	if n.group != nil {
		if regs.named == nil {
			regs.named = map[string]int{}
		}
		regs.named[key] = *at
	}
	return flowOn
}
