package liquid

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Guard says what a template does about a value that may be missing.
type Guard uint8

// The guards, weakest first.
const (
	// GuardNone is a value used as it is.
	GuardNone Guard = iota
	// GuardTested is a value that a test asks for, that is read only where a test has found it, that a loop walks, or that
	// is only given another name: where that name is read, the value is listed again.
	GuardTested
	// GuardDefault is a value with a default filter.
	GuardDefault
)

// String returns the name of the guard.
func (g Guard) String() string { return [...]string{"none", "tested", "default"}[g] }

// Read is a value that a template reads.
type Read struct {
	// Path is the value from the root of the data; a name that is assigned, bound by a loop or given to a partial is
	// replaced by what it stands for. Items of a list show as []: "order.items[].title"; a name that is no plain word
	// is quoted in brackets: order["gift note"].
	Path  string
	Guard Guard
	Position
}

// Reads lists every value that the template and its partials read, by place.
func (t *Template) Reads() []Read { return slices.Clone(t.reads) }

// Warnings lists what is allowed but probably not meant: branches that are never rendered, names that are assigned
// and never read, unknown filters and expressions read leniently, values at odd places in the HTML.
func (t *Template) Warnings() []Error {
	out := make([]Error, len(t.prog.warnings))
	for i, w := range t.prog.warnings {
		out[i] = *w
	}
	return out
}

// origin is what a local name stands for.
type origin struct {
	path  string
	guard Guard
}

// local is a name that a template has bound, with everything it may stand for; none for a value of its own making.
type local struct {
	origins []origin
	// pos and src are where it was assigned; read is set when anything reads it.
	src  *source
	pos  int
	read *bool
}

// environment is what the names of a template mean at some point.
type environment map[symbol]local

// maxAnalysis bounds how many nodes are walked: partials are followed at each place that uses them.
const maxAnalysis = 100_000

// analysis walks a compiled template.
type analysis struct {
	prog  *program
	src   *source
	env   environment
	facts []string // the paths that are there at this point
	// isolated is set inside a rendered partial, which does not see the data.
	isolated bool
	active   map[*partial]bool
	steps    int
	reads    map[Read]bool
	warned   map[string]bool
	assigned []local
	dynamic  bool
}

func newAnalysis(p *program, src *source) *analysis {
	return &analysis{
		prog: p, src: src, env: environment{}, active: map[*partial]bool{}, reads: map[Read]bool{}, warned: map[string]bool{},
	}
}

// sorted is what was read, by place.
func (a *analysis) sorted() []Read {
	out := make([]Read, 0, len(a.reads))
	for r := range a.reads {
		out = append(out, r)
	}
	slices.SortFunc(out, func(x, y Read) int {
		return cmp.Or(strings.Compare(x.Template, y.Template), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column),
			strings.Compare(x.Path, y.Path), cmp.Compare(x.Guard, y.Guard))
	})
	return out
}

// analyze fills in what a template reads and warns of. A template for which that cannot be told is refused: whoever asks
// what it reads must get all of it.
func (t *Template) analyze() *Error {
	a := newAnalysis(t.prog, t.src)
	a.block(&t.body)
	for _, l := range a.assigned {
		if !*l.read && !a.dynamic {
			a.warnAt(l.src, l.pos, "a name is assigned here and never read")
		}
	}
	if a.steps > maxAnalysis {
		return t.src.errorAt(0, "the template is too large, or uses its partials too often, for all that it reads to be listed")
	}
	t.reads = a.sorted()
	slices.SortStableFunc(t.prog.warnings, func(x, y *Error) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	return nil
}

func (a *analysis) warnAt(src *source, pos int, msg string) {
	if a.prog.warnedEnough() {
		return
	}
	e := src.errorAt(pos, msg)
	if key := e.Error(); !a.warned[key] {
		a.warned[key] = true
		a.prog.warn(e)
	}
}

func (a *analysis) warn(pos int, format string, args ...any) {
	a.warnAt(a.src, pos, fmt.Sprintf(format, args...))
}

func (a *analysis) block(b *block) {
	for i, n := range b.nodes {
		if a.steps++; a.steps > maxAnalysis {
			return
		}
		a.node(n)
		if j, ok := n.(*jumpNode); ok && i+1 < len(b.nodes) {
			a.warn(j.pos, "what follows in this block is never rendered")
			return
		}
	}
}

func (a *analysis) node(n node) {
	switch n := n.(type) {
	case *outputNode:
		a.expr(n.e, GuardNone)
	case *assignNode:
		a.assign(n)
	case *captureNode:
		a.block(&n.body)
		a.bindLocal(n.sym, nil, n.pos)
	case *ifNode:
		a.ifNode(n)
	case *caseNode:
		a.caseNode(n)
	case *forNode:
		a.forNode(n)
	case *tableNode:
		a.exprs(GuardTested, n.collection, n.limit, n.offset, n.cols)
		a.loop(n.sym, n.loopSym, a.origins(n.collection), func() { a.block(&n.body) })
	case *cycleNode:
		a.exprs(GuardNone, append([]expr{n.group}, n.values...)...)
	case *countNode:
		a.env[n.sym] = local{}
	case *changedNode:
		a.block(&n.body)
	case *partialNode:
		a.partialNode(n)
	}
}

// assign binds a name. A value that comes from the data is listed here and again where the name is read, with the guard
// it has there.
func (a *analysis) assign(n *assignNode) {
	var origins []origin
	switch e := n.e.(type) {
	case *path:
		a.expr(e, GuardTested)
		origins = a.origins(e)
	case *filtered:
		a.expr(e, GuardTested)
		if !e.guarded {
			origins = a.origins(e.base)
		}
	default:
		a.expr(n.e, GuardNone)
	}
	a.bindLocal(n.sym, origins, n.pos)
}

func (a *analysis) bindLocal(sym symbol, origins []origin, pos int) {
	l := local{origins: origins, src: a.src, pos: pos, read: new(bool)}
	a.env[sym] = l
	a.assigned = append(a.assigned, l)
}

func (a *analysis) exprs(g Guard, list ...expr) {
	for _, e := range list {
		if e != nil {
			a.expr(e, g)
		}
	}
}

// expr notes all that an expression reads.
func (a *analysis) expr(e expr, g Guard) {
	switch e := e.(type) {
	case *path:
		a.inner(e)
		a.read(e, g)
	case *rangeExpr:
		a.exprs(g, e.first, e.last)
	case *filtered:
		a.arguments(e)
		if e.guarded {
			g = GuardDefault
		}
		a.expr(e.base, g)
	case condition:
		for _, c := range e {
			a.exprs(GuardTested, c.left, c.right)
		}
	}
}

func (a *analysis) arguments(f *filtered) {
	for _, c := range f.calls {
		a.exprs(GuardNone, c.args...)
		a.exprs(GuardNone, c.vals...)
	}
}

// inner notes what the brackets of a path read.
func (a *analysis) inner(p *path) {
	a.exprs(GuardNone, p.root)
	for _, s := range p.steps {
		a.exprs(GuardNone, s.expr)
	}
}

// origins is what a path may stand for; nothing if it is of the template's own making.
func (a *analysis) origins(e expr) []origin {
	p, ok := e.(*path)
	if !ok {
		return nil
	}
	tail := stepsLabel(p.steps)
	if p.root != nil {
		return []origin{{path: "[]" + tail}}
	}
	l, ok := a.env[p.sym]
	if !ok {
		if a.isolated {
			a.warnAt(p.src, p.pos, fmt.Sprintf("%q is not given to this partial", p.name))
			return nil
		}
		return []origin{{path: pathLabel(p.name, false, nil) + tail}}
	}
	if l.read != nil {
		*l.read = true
	}
	out := make([]origin, 0, len(l.origins))
	for _, o := range l.origins {
		if tail != "" {
			o.guard = GuardNone
		}
		o.path += tail
		out = append(out, o)
	}
	return out
}

// stepsLabel names the members of a path: an item of a list is [], and a size belongs to the list itself.
func stepsLabel(steps []step) string {
	var b strings.Builder
	for i, s := range steps {
		switch {
		case s.expr != nil, s.cmd == commandFirst, s.cmd == commandLast:
			b.WriteString("[]")
		case s.cmd == commandSize && i == len(steps)-1:
		default:
			b.WriteString(keyLabel(s.key))
		}
	}
	return b.String()
}

func (a *analysis) read(p *path, g Guard) {
	found := a.origins(p)
	if len(found) == 1 {
		p.label = found[0].path
	}
	for _, o := range found {
		at := max(g, o.guard)
		if at == GuardNone && a.known(o.path) {
			at = GuardTested
		}
		a.reads[Read{Path: o.path, Guard: at, Position: p.src.position(p.pos)}] = true
	}
}

// known says whether a test has found the value, or something inside it.
func (a *analysis) known(path string) bool {
	for _, f := range a.facts {
		if f == path || (strings.HasPrefix(f, path) && (f[len(path)] == '.' || f[len(path)] == '[')) {
			return true
		}
	}
	return false
}

// maxFacts bounds how many tested paths are remembered from one test.
const maxFacts = 64

// given walks something where the facts hold.
func (a *analysis) given(facts []string, walk func()) {
	n := len(a.facts)
	a.facts = append(a.facts, facts[:min(len(facts), maxFacts)]...)
	walk()
	a.facts = a.facts[:n]
}

func (a *analysis) forNode(n *forNode) {
	a.exprs(GuardTested, n.collection, n.limit, n.offset)
	if l, ok := n.collection.(*literal); ok {
		switch {
		case l.v.kind == KindRange && l.v.rangeLen() > 0:
			if n.otherwise != nil {
				a.warn(n.pos, "the else of this loop is never rendered")
			}
		case l.v.kind != KindString || l.v.s == "":
			a.warn(n.pos, "this loop has nothing to walk")
		}
	}
	before := a.env
	a.env = before.clone()
	a.loop(n.sym, n.loopSym, a.origins(n.collection), func() { a.block(&n.body) })
	a.env = before.merge(a.env)
	if n.otherwise != nil {
		a.env = before.clone().merge(a.env)
		a.block(n.otherwise)
	}
}

// loop walks a body in which the items of a collection have a name.
func (a *analysis) loop(sym, loopSym symbol, from []origin, body func()) {
	saved := a.save(sym, loopSym)
	items := make([]origin, len(from))
	for i, o := range from {
		items[i] = origin{path: o.path + "[]", guard: GuardTested}
	}
	a.env[sym] = local{origins: items}
	a.env[loopSym] = local{}
	body()
	saved()
}

// save keeps what names mean, to be put back after an inner scope.
func (a *analysis) save(syms ...symbol) func() {
	type kept struct {
		l  local
		ok bool
	}
	old := make([]kept, len(syms))
	for i, s := range syms {
		old[i].l, old[i].ok = a.env[s]
	}
	return func() {
		for i, s := range syms {
			if old[i].ok {
				a.env[s] = old[i].l
			} else {
				delete(a.env, s)
			}
		}
	}
}

func (e environment) clone() environment {
	out := make(environment, len(e))
	for k, v := range e {
		out[k] = v
	}
	return out
}

// maxOrigins bounds what one name is said to stand for.
const maxOrigins = 64

// merge is what names mean when one of two ways was taken.
func (e environment) merge(o environment) environment {
	for k, v := range o {
		mine, ok := e[k]
		if !ok {
			e[k] = v
			continue
		}
		mine.origins = slices.Clone(mine.origins)
		for _, x := range v.origins {
			if !slices.Contains(mine.origins, x) && len(mine.origins) < maxOrigins {
				mine.origins = append(mine.origins, x)
			}
		}
		if v.read != nil && mine.read != nil && v.read != mine.read {
			mine.read = shared(mine.read, v.read)
		}
		e[k] = mine
	}
	return e
}

// shared marks both names as read: after a branch it is not known which assignment is the one that is read.
func shared(x, y *bool) *bool {
	*x, *y = true, true
	return x
}

func (a *analysis) partialNode(n *partialNode) {
	a.exprs(GuardNone, n.nameExpr)
	targets := []*partial{n.target}
	if n.target == nil {
		a.dynamic = true
		targets = targets[:0]
		for _, name := range sortedKeys(a.prog.opts.Partials) {
			if p := a.prog.partials[partialKey{name, n.place}]; p != nil {
				targets = append(targets, p)
			}
		}
	}
	for _, p := range targets {
		if a.active[p] {
			continue // A partial that renders itself reads the same again.
		}
		a.active[p] = true
		a.follow(n, p)
		delete(a.active, p)
	}
}

// follow walks a partial as it is used here.
func (a *analysis) follow(n *partialNode, p *partial) {
	src, isolated, env, facts := a.src, a.isolated, a.env, a.facts
	inner := env
	if n.isolated {
		inner = environment{}
	}
	type bound struct {
		sym symbol
		l   local
	}
	var names []bound
	for _, arg := range n.args {
		names = append(names, bound{arg.sym, a.argument(arg.e)})
	}
	if n.with != nil {
		l := a.argument(n.with)
		if n.each {
			for i := range l.origins {
				l.origins[i] = origin{path: l.origins[i].path + "[]", guard: GuardTested}
			}
			names = append(names, bound{n.loopSym, local{}})
		}
		names = append(names, bound{n.boundName(a.prog, p), l})
	}
	syms := make([]symbol, len(names))
	for i, b := range names {
		syms[i] = b.sym
	}
	a.env = inner
	restore := a.save(syms...)
	for _, b := range names {
		a.env[b.sym] = b.l
	}
	a.src = p.src
	if n.isolated {
		a.isolated = true
	}
	a.block(&p.body)
	restore()
	a.src, a.isolated, a.facts = src, isolated, facts
	if n.isolated {
		a.env = env
	}
}

// argument is what an argument stands for; what it reads on the way is noted.
func (a *analysis) argument(e expr) local {
	a.expr(e, GuardTested)
	return local{origins: a.origins(e)}
}
