package liquid

import (
	"fmt"
	"strconv"
	"strings"
)

// symbol stands for a name in a set of templates, so that a render compares numbers.
type symbol int32

const noSymbol symbol = -1

// symbols are the names of a set of templates. They only grow while it is compiled.
type symbols struct{ ids map[string]symbol }

func (s *symbols) intern(name string) symbol {
	if id, ok := s.ids[name]; ok {
		return id
	}
	id := symbol(len(s.ids))
	s.ids[name] = id
	return id
}

func (s *symbols) find(name string) symbol {
	if id, ok := s.ids[name]; ok {
		return id
	}
	return noSymbol
}

func (s *symbols) len() int { return len(s.ids) }

// program is a template with all partials it may use.
type program struct {
	opts     Options
	symbols  symbols
	partials map[partialKey]*partial
	// cycleIDs numbers the groups of cycle tags, of which there are cycles.
	cycleIDs map[string]int
	cycles   int
	// continues is set when a loop begins where another ended.
	continues bool
	warnings  Errors
	errs      Errors
}

func newProgram(o Options) *program {
	return &program{
		opts: o, partials: map[partialKey]*partial{}, symbols: symbols{ids: map[string]symbol{}}, cycleIDs: map[string]int{},
	}
}

// unit is one template or partial while it is compiled.
type unit struct {
	prog  *program
	src   *source
	opts  *Options
	errs  Errors
	depth int
	// laxDepth counts the brackets around an expression.
	laxDepth int
	// trim says that the text which follows loses its leading white space.
	trim bool
	// liquidDepth counts liquid tags inside liquid tags.
	liquidDepth int
	// html is the place in an HTML part that the template has led to.
	html htmlState
}

// maxErrors is how many errors of one template are listed.
const maxErrors = 50

// maxSource is the longest template that is compiled.
const maxSource = 1 << 20

// parseDepth bounds how deep blocks nest in the text of a template.
const parseDepth = 100

func (c *unit) compile() block {
	b := block{blank: true}
	if len(c.src.text) > maxSource {
		c.report(syntaxErrorf(0, "the template is longer than %d bytes", maxSource))
		return b
	}
	toks := tokenize(c.src.text)
	for {
		end, ok, err := c.body(toks, &b)
		if err != nil {
			c.report(err)
			return b
		}
		if !ok {
			return b
		}
		if c.report(c.stray(end)); len(c.errs) >= maxErrors {
			return b
		}
	}
}

func (c *unit) report(err error) { c.errs = append(c.errs, c.src.wrap(err)) }

// stray is the error for a tag that stands where nothing of its name may.
func (c *unit) stray(t tag) error {
	switch {
	case t.name == "":
		return syntaxErrorf(t.pos, "a tag without a name")
	case t.name == "else" || t.name == "elsif" || t.name == "when":
		return syntaxErrorf(t.pos, "unexpected %s", t.name)
	case strings.HasPrefix(t.name, "end"):
		return syntaxErrorf(t.pos, "%s closes no open tag", t.name)
	}
	return &syntaxError{
		pos: t.pos, msg: fmt.Sprintf("unknown tag %q", t.name), suggest: suggest(t.name, tagNames),
	}
}

// body parses until the end or a tag that does not begin anything, which it returns.
func (c *unit) body(toks *tokens, b *block) (tag, bool, error) {
	if toks.lines {
		return c.lineBody(toks, b)
	}
	for {
		t, ok := toks.shift()
		if !ok {
			return tag{}, false, nil
		}
		switch {
		case strings.HasPrefix(t.text, "{%"):
			c.trimAround(t, b)
			tg, named := t.tagOf()
			if !named {
				if strings.HasSuffix(t.text, "%}") && len(t.text) >= 4 {
					return tag{pos: t.pos}, true, nil
				}
				return tag{}, false, syntaxErrorf(t.pos, "the tag is not closed: %%} is missing")
			}
			known, err := c.tag(tg, toks, b)
			if err != nil {
				return tag{}, false, err
			}
			if !known {
				return tg, true, nil
			}
		case strings.HasPrefix(t.text, "{{"):
			c.trimAround(t, b)
			if err := c.variable(t, b); err != nil {
				return tag{}, false, err
			}
		default:
			c.text(t, b)
		}
	}
}

func (c *unit) lineBody(toks *tokens, b *block) (tag, bool, error) {
	for {
		t, ok := toks.shift()
		if !ok {
			return tag{}, false, nil
		}
		if strings.Trim(t.text, " \t\r\n\v\f") == "" {
			continue
		}
		tg, named := t.lineTag()
		if !named {
			return tag{pos: t.pos}, true, nil
		}
		known, err := c.tag(tg, toks, b)
		if err != nil {
			return tag{}, false, err
		}
		if !known {
			return tg, true, nil
		}
	}
}

// trimAround applies the dashes of a tag: the one at its start to the text before it, that at its end to the next.
func (c *unit) trimAround(t token, b *block) {
	if t.trimsBefore() && len(b.nodes) > 0 {
		if text, ok := b.nodes[len(b.nodes)-1].(*textNode); ok {
			text.text = strings.TrimRight(text.text, " \t\r\n\v\f\x00")
		}
	}
	c.trim = t.trimsAfter()
}

func (c *unit) text(t token, b *block) {
	s := t.text
	if c.trim {
		s = strings.TrimLeft(s, " \t\r\n\v\f\x00")
		c.trim = false
	}
	c.html.walk(s)
	b.nodes = append(b.nodes, &textNode{text: s, pos: t.pos})
	b.blank = b.blank && strings.Trim(s, " \t\r\n\v\f") == ""
}

// variable parses {{ … }}.
func (c *unit) variable(t token, b *block) error {
	s := t.text
	if len(s) < 4 || !strings.HasSuffix(s, "}}") {
		return syntaxErrorf(t.pos, "the output is not closed: }} is missing")
	}
	from, to := 2, len(s)-2
	if from < to && s[from] == '-' {
		from++
	}
	if to > from && s[to-1] == '-' {
		to--
	}
	b.blank = false
	return c.output(sub{s[from:to], t.pos + from}, t.pos, b)
}

// output adds a node that prints the markup's value. An error in it is noted, and parsing goes on.
func (c *unit) output(markup sub, pos int, b *block) error {
	e, err := c.filtered(markup)
	if err != nil {
		if c.report(err); len(c.errs) >= maxErrors {
			return err
		}
		return nil
	}
	b.nodes = append(b.nodes, c.outputNode(e, pos))
	return nil
}

func (c *unit) outputNode(e expr, pos int) *outputNode {
	n := &outputNode{pos: pos, e: e}
	if c.opts.Escape == HTML {
		c.placeOutput(n)
	}
	if p, ok := e.(*path); ok {
		n.bare = p
	}
	if f, ok := e.(*filtered); ok {
		n.raw = f.raw
		if p, ok := f.base.(*path); ok && !f.guarded {
			n.bare, n.calls = p, f.calls
		}
	}
	return n
}

// placeOutput finds out where in the HTML a value stands.
func (c *unit) placeOutput(n *outputNode) {
	inName := c.html.inName()
	n.place = c.html.value()
	f, _ := n.e.(*filtered)
	if inName && (f == nil || !f.raw) && !c.prog.warnedEnough() {
		c.prog.warn(c.src.errorAt(n.pos, "a value inside a tag, outside of an attribute, is escaped so that it cannot become one"))
	}
	if f == nil {
		return
	}
	last := f.calls[len(f.calls)-1]
	if last.name == "json" && n.place == placeScript {
		n.place = placeText // It is JSON already, in the form that a script element can hold.
		return
	}
	if last.name == "url_encode" && (n.place == placeQuery || n.place == placeURLPath || n.place == placeURL) {
		// The author has encoded it; only letters, digits, %, + and -_.~ are left.
		n.place = placeHTML
	}
}

// filtered parses a value with filters: strictly first and, where that is allowed, laxly after.
func (c *unit) filtered(s sub) (expr, error) {
	g, err := c.grammar(s.text, s.pos)
	if err == nil {
		var e expr
		if e, err = g.filtered(); err == nil {
			return e, nil
		}
	}
	if c.strict() {
		return nil, err
	}
	c.lenient(err)
	return c.laxFiltered(s)
}

// lenient notes what a strict parse would have refused.
func (c *unit) lenient(err error) {
	if c.prog.warnedEnough() {
		return
	}
	w := c.src.wrap(err)
	w.Message = "read leniently: " + w.Message
	c.prog.warn(w)
}

func (p *program) warn(e *Error) {
	if !p.warnedEnough() {
		p.warnings = append(p.warnings, e)
	}
}

// warnedEnough says that no more warnings are listed, so that none need be made.
func (p *program) warnedEnough() bool { return len(p.warnings) >= maxErrors }

func (c *unit) strict() bool { return c.opts.Strict || c.opts.Strict2 }

func (c *unit) newPath(name string, pos int) *path {
	return &path{src: c.src, pos: pos, name: name, sym: c.prog.symbols.intern(name)}
}

// newRootPath is a path whose first name is computed; a text in the brackets is a plain name.
func (c *unit) newRootPath(root expr, pos int) *path {
	if l, ok := root.(*literal); ok && l.v.kind == KindString {
		return c.newPath(l.v.s, pos)
	}
	return &path{src: c.src, pos: pos, root: root}
}

// keep finishes a path: its label is how reports name it.
func (c *unit) keep(p *path) *path {
	p.label = pathLabel(p.name, p.root != nil, p.steps)
	return p
}

func pathLabel(root string, computed bool, steps []step) string {
	if computed {
		root = "[]"
	} else {
		root = strings.TrimPrefix(keyLabel(root), ".")
	}
	for _, s := range steps {
		if s.expr != nil {
			root += "[]"
		} else {
			root += keyLabel(s.key)
		}
	}
	return root
}

// keyLabel names a member: .name, or ["a name"] where it is no plain word.
func keyLabel(key string) string {
	if kind, n := lexOne(key + " "); kind == lexID && n == len(key) {
		return "." + key
	}
	return "[" + strconv.Quote(key) + "]"
}

// block parses the inside of a block tag up to its end. Each time another tag appears, inner is asked whether it
// belongs to the block and into which body the parse goes on.
func (c *unit) block(t tag, toks *tokens, b *block, inner func(tag) (*block, error)) error {
	if c.depth++; c.depth > parseDepth {
		return syntaxErrorf(t.pos, "blocks nest deeper than %d", parseDepth)
	}
	defer func() { c.depth-- }()
	for {
		end, ok, err := c.body(toks, b)
		switch {
		case err != nil:
			return err
		case !ok:
			return syntaxErrorf(t.pos, "the tag %q is never closed", t.name)
		case end.name == "end"+t.name:
			return nil
		}
		var next *block
		if inner != nil {
			if next, err = inner(end); err != nil {
				return err
			}
		}
		if next == nil {
			return c.stray(end)
		}
		b = next
	}
}
