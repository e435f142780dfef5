package liquid

import (
	"fmt"
	"regexp"
	"strings"
)

// tagNames are all the tags that begin something, for suggestions.
var tagNames = []string{
	"assign", "break", "capture", "case", "comment", "continue", "cycle", "decrement", "doc", "echo", "for", "if", "ifchanged",
	"include", "increment", "liquid", "raw", "render", "tablerow", "unless",
}

var (
	assignForm    = regexp.MustCompile(`(?s)((?:\(?[\w\-.\[\]]\)?)+)\s*=\s*(.*)`)
	captureForm   = regexp.MustCompile(`(?:\(?[\w\-.\[\]]\)?)+`)
	forForm       = regexp.MustCompile(`^([\w\-]+)\s+in\s+((?:` + quotedFragment + `)+)\s*(reversed)?`)
	tableForm     = regexp.MustCompile(`(\w+)\s+in\s+((?:` + quotedFragment + `)+)`)
	whenSeparator = regexp.MustCompile(`^(?:\s+or\s+|\s*,\s*)`)
	cycleNamed    = regexp.MustCompile(`(?s)^(` + quotedFragment + `)\s*:\s*(.*)`)
	renderForm    = regexp.MustCompile(
		`((?:"[^"]*"|'[^']*')+)(?:\s+(with|for)\s+((?:` + quotedFragment + `)+))?(?:\s+as\s+([\w\-]+))?`)
	includeForm = regexp.MustCompile(
		`((?:` + quotedFragment + `)+)(?:\s+(with|for)\s+((?:` + quotedFragment + `)+))?(?:\s+as\s+([\w\-]+))?`)
	strayLine = regexp.MustCompile(`\n\s*[^#\s]`)
)

// tag parses a tag that begins something into b; known is false for any other.
func (c *unit) tag(t tag, toks *tokens, b *block) (known bool, err error) {
	var n node
	blank := false
	switch t.name {
	case "#":
		if strayLine.MatchString(t.markup) {
			return true, syntaxErrorf(t.pos, "each line of a # comment must begin with #")
		}
		return true, nil
	case "comment":
		return true, c.skipComment(t, toks)
	case "doc":
		return true, c.skipDoc(t, toks)
	case "raw":
		return true, c.rawText(t, toks, b)
	case "liquid":
		return true, c.liquidTag(t, b)
	case "echo":
		b.blank = false
		return true, c.output(sub{t.markup, t.at}, t.pos, b)
	case "assign":
		n, err = c.assignTag(t)
		blank = true
	case "capture":
		n, err = c.captureTag(t, toks)
		blank = true
	case "if", "unless":
		n, err = c.ifTag(t, toks)
	case "case":
		n, err = c.caseTag(t, toks)
	case "for":
		n, err = c.forTag(t, toks)
	case "tablerow":
		n, err = c.tableTag(t, toks)
	case "cycle":
		n, err = c.cycleTag(t)
	case "increment", "decrement":
		n = c.countTag(t)
	case "ifchanged":
		n, err = c.changedTag(t, toks)
	case "break":
		n = &jumpNode{t.pos, flowBreak}
	case "continue":
		n = &jumpNode{t.pos, flowContinue}
	case "render", "include":
		n, err = c.partialTag(t)
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	if q, ok := n.(quiet); ok {
		blank = q.quiet()
	}
	b.blank = b.blank && blank
	b.nodes = append(b.nodes, n)
	return true, nil
}

// skipComment passes over a comment; comments nest, and what is raw inside must be closed.
func (c *unit) skipComment(t tag, toks *tokens) error {
	for depth := 1; ; {
		tok, ok := toks.shift()
		if !ok {
			return syntaxErrorf(t.pos, "the tag %q is never closed", "comment")
		}
		var in tag
		if toks.lines {
			in, ok = tok.lineTag()
		} else if ok = strings.HasPrefix(tok.text, "{%"); ok {
			in, ok = tok.tagOf()
		}
		if !ok {
			continue
		}
		switch in.name {
		case "raw":
			if err := skipRaw(t, toks); err != nil {
				return err
			}
		case "comment":
			depth++
		case "endcomment":
			if depth--; depth == 0 {
				if !toks.lines {
					c.trim = tok.trimsAfter()
				}
				return nil
			}
		}
	}
}

func skipRaw(t tag, toks *tokens) error {
	for {
		tok, ok := toks.shift()
		if !ok {
			return syntaxErrorf(t.pos, "the tag %q is never closed", "raw")
		}
		if name, _ := tok.closing(); name == "endraw" {
			return nil
		}
	}
}

func (c *unit) skipDoc(t tag, toks *tokens) error {
	if strings.TrimSpace(t.markup) != "" {
		return syntaxErrorf(t.at, "the tag %q takes nothing", "doc")
	}
	for {
		tok, ok := toks.shift()
		if !ok {
			return syntaxErrorf(t.pos, "the tag %q is never closed", "doc")
		}
		switch name, _ := tok.closing(); name {
		case "doc":
			return syntaxErrorf(tok.pos, "doc tags do not nest")
		case "enddoc":
			c.trim = tok.trimsAfter()
			return nil
		}
	}
}

func (c *unit) rawText(t tag, toks *tokens, b *block) error {
	if strings.TrimSpace(t.markup) != "" {
		return syntaxErrorf(t.at, "the tag %q takes nothing", "raw")
	}
	var text strings.Builder
	for {
		tok, ok := toks.shift()
		if !ok {
			return syntaxErrorf(t.pos, "the tag %q is never closed", "raw")
		}
		if name, before := tok.closing(); name == "endraw" {
			text.WriteString(before)
			c.trim = tok.trimsAfter()
			break
		}
		text.WriteString(tok.text)
	}
	if text.Len() > 0 {
		b.blank = false
		c.html.walk(text.String())
		b.nodes = append(b.nodes, &rawNode{textNode{text: text.String(), pos: t.pos}})
	}
	return nil
}

// rawNode is the text of a raw tag, which the dashes of neighbours do not trim.
type rawNode struct{ textNode }

func (c *unit) liquidTag(t tag, b *block) error {
	if c.liquidDepth++; c.liquidDepth > parseDepth {
		return syntaxErrorf(t.pos, "blocks nest deeper than %d", parseDepth)
	}
	defer func() { c.liquidDepth-- }()
	end, ok, err := c.body(liquidLines(t.markup, t.at), b)
	if err == nil && ok {
		err = c.stray(end)
	}
	return err
}

func (c *unit) assignTag(t tag) (node, error) {
	s := sub{t.markup, t.at}
	m := assignForm.FindStringSubmatchIndex(t.markup)
	if m == nil {
		return nil, syntaxErrorf(t.pos, "syntax error in tag 'assign': write assign [name] = [value]")
	}
	name, _ := s.group(m, 1)
	value, _ := s.group(m, 2)
	e, err := c.filtered(value)
	if err != nil {
		return nil, err
	}
	return &assignNode{pos: t.pos, sym: c.prog.symbols.intern(name.text), e: e}, nil
}

func (c *unit) captureTag(t tag, toks *tokens) (node, error) {
	name := captureForm.FindString(t.markup)
	if name == "" {
		return nil, syntaxErrorf(t.pos, "syntax error in tag 'capture': write capture [name]")
	}
	n := &captureNode{pos: t.pos, sym: c.prog.symbols.intern(name), html: c.opts.Escape == HTML}
	n.body.blank = true
	at := c.html
	c.html = htmlState{} // What is captured is text until it is printed.
	err := c.block(t, toks, &n.body, nil)
	c.html = at
	return n, err
}

func (c *unit) ifTag(t tag, toks *tokens) (node, error) {
	n := &ifNode{pos: t.pos}
	bodies := []*block{}
	arms := c.arms()
	add := func(tg tag) (*block, error) {
		br := branch{pos: tg.pos, body: &block{blank: true}, negate: tg.name == "unless"}
		if tg.name != "else" {
			test, err := c.conditionOf(tg)
			if err != nil {
				return nil, err
			}
			br.test = test
		} else if c.opts.Strict2 && strings.TrimSpace(tg.markup) != "" {
			return nil, syntaxErrorf(tg.at, "else takes nothing")
		}
		n.branches = append(n.branches, br)
		bodies = append(bodies, br.body)
		return br.body, nil
	}
	first, err := add(t)
	if err != nil {
		return nil, err
	}
	err = c.block(t, toks, first, func(tg tag) (*block, error) {
		if tg.name != "elsif" && tg.name != "else" {
			return nil, nil
		}
		arms.next()
		return add(tg)
	})
	arms.close(n.branches[len(n.branches)-1].test != nil)
	n.blank = dropBlankBodies(bodies)
	return n, err
}

// arms follows the branches of a tag through the HTML: each begins where the tag does.
type arms struct {
	c          *unit
	start, end htmlState
	joined     bool
}

func (c *unit) arms() *arms { return &arms{c: c, start: c.html} }

// next ends a branch.
func (a *arms) next() {
	if a.joined {
		a.end = a.end.join(a.c.html)
	} else {
		a.end, a.joined = a.c.html, true
	}
	a.c.html = a.start
}

// close ends the last branch; skip says that all of them may be passed over.
func (a *arms) close(skip bool) {
	a.next()
	if skip {
		a.end = a.end.join(a.start)
	}
	a.c.html = a.end
}

// dropBlankBodies takes the white space out of a block tag in which nothing can be seen.
func dropBlankBodies(bodies []*block) bool {
	for _, b := range bodies {
		if !b.blank {
			return false
		}
	}
	for _, b := range bodies {
		b.dropBlank()
	}
	return true
}

func (c *unit) conditionOf(t tag) (expr, error) {
	g, err := c.grammar(t.markup, t.at)
	if err == nil {
		var cond condition
		if cond, err = g.condition(); err == nil {
			return cond, nil
		}
	}
	if c.strict() {
		return nil, err
	}
	cond, laxErr := c.laxCondition(sub{t.markup, t.at})
	if laxErr != nil {
		return nil, laxErr
	}
	c.lenient(err)
	return cond, nil
}

func (c *unit) caseTag(t tag, toks *tokens) (node, error) {
	n := &caseNode{pos: t.pos}
	var err error
	if n.subject, err = c.caseSubject(t); err != nil {
		return nil, err
	}
	lead := &block{blank: true}
	bodies := []*block{lead}
	arms := c.arms()
	whole := false
	err = c.block(t, toks, lead, func(tg tag) (*block, error) {
		if len(bodies) > 1 {
			arms.next()
		} else {
			c.html = arms.start // What stands before the first when is never shown.
		}
		body := &block{blank: true}
		switch tg.name {
		case "when":
			tests, err := c.whenTests(tg)
			if err != nil {
				return nil, err
			}
			for _, test := range tests {
				n.branches = append(n.branches, caseBranch{pos: tg.pos, test: test, body: body})
			}
		case "else":
			if strings.TrimSpace(tg.markup) != "" {
				return nil, syntaxErrorf(tg.at, "else takes nothing")
			}
			n.branches = append(n.branches, caseBranch{pos: tg.pos, body: body})
			whole = true
		default:
			return nil, nil
		}
		bodies = append(bodies, body)
		return body, nil
	})
	arms.close(!whole)
	n.blank = dropBlankBodies(bodies)
	return n, err
}

func (c *unit) caseSubject(t tag) (expr, error) {
	if c.opts.Strict2 {
		g, err := c.grammar(t.markup, t.at)
		if err != nil {
			return nil, err
		}
		e, err := g.operand()
		if err == nil {
			_, err = g.expect(lexEnd)
		}
		return e, err
	}
	loc := laxFragmentAny.FindStringIndex(t.markup)
	if loc == nil {
		return nil, syntaxErrorf(t.pos, "syntax error in tag 'case': write case [value]")
	}
	return c.fragment(sub{t.markup, t.at}.at(loc[0], loc[1]))
}

var laxFragmentAny = regexp.MustCompile(quotedFragment)

// fragment reads one value of a tag, strictly first, for its better positions.
func (c *unit) fragment(s sub) (expr, error) {
	if g, err := c.grammar(s.text, s.pos); err == nil {
		if e, err := g.expression(); err == nil && g.look(lexEnd) {
			return e, nil
		}
	}
	return c.laxExpression(s)
}

func (c *unit) whenTests(t tag) ([]expr, error) {
	if c.opts.Strict2 {
		return c.whenTestsStrictly(t)
	}
	s := sub{t.markup, t.at}
	loc := laxFragmentAny.FindStringIndex(s.text)
	if loc == nil {
		return nil, syntaxErrorf(t.pos, "syntax error in tag 'case': write when [value] [or value2 …]")
	}
	var out []expr
	for {
		word := s.at(loc[0], loc[1])
		e, err := c.fragment(word)
		if err != nil {
			return nil, err
		}
		out = append(out, operandWord(word.text, e))
		s = s.at(loc[1], len(s.text))
		sep := whenSeparator.FindStringIndex(s.text)
		if sep == nil {
			return out, nil
		}
		s = s.at(sep[1], len(s.text))
		if loc = laxFragment.FindStringIndex(s.text); loc == nil {
			return out, nil
		}
	}
}

func (c *unit) whenTestsStrictly(t tag) ([]expr, error) {
	g, err := c.grammar(t.markup, t.at)
	if err != nil {
		return nil, err
	}
	var out []expr
	for {
		e, err := g.operand()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if !g.accept(lexComma) && !g.acceptID("or") {
			_, err := g.expect(lexEnd)
			return out, err
		}
	}
}

func (c *unit) countTag(t tag) node {
	name := strings.TrimSpace(t.markup)
	n := &countNode{pos: t.pos, name: name, sym: c.prog.symbols.intern(name), by: 1}
	if t.name == "decrement" {
		n.by = -1
	}
	return n
}

func (c *unit) changedTag(t tag, toks *tokens) (node, error) {
	n := &changedNode{pos: t.pos, body: block{blank: true}}
	arms := c.arms()
	err := c.block(t, toks, &n.body, nil)
	arms.close(true)
	return n, err
}

// cycle returns the number of the group of cycle tags with the key.
func (p *program) cycle(key string) int {
	id, ok := p.cycleIDs[key]
	if !ok {
		id = len(p.cycleIDs)
		p.cycleIDs[key] = id
		p.cycles = len(p.cycleIDs)
	}
	return id
}

func (c *unit) cycleTag(t tag) (node, error) {
	if err := c.checkStrictly(t, (*grammar).cycleShape); err != nil {
		return nil, err
	}
	n := &cycleNode{pos: t.pos, out: outputNode{pos: t.pos}}
	if c.opts.Escape == HTML {
		n.out.place = c.html.value()
	}
	s := sub{t.markup, t.at}
	if m := cycleNamed.FindStringSubmatchIndex(t.markup); m != nil {
		name, _ := s.group(m, 1)
		g, err := c.fragment(name)
		if err != nil {
			return nil, err
		}
		n.group = g
		s, _ = s.group(m, 2)
	} else if laxFragment.FindString(t.markup) == "" {
		return nil, syntaxErrorf(t.pos, "syntax error in tag 'cycle': write cycle [name:] value [, value2 …]")
	}
	var keys []byte
	for from := 0; from <= len(s.text); {
		end := strings.IndexByte(s.text[from:], ',')
		if end < 0 {
			end = len(s.text) - from
		}
		part := s.at(from, from+end)
		from += end + 1
		loc := laxFragmentAny.FindStringIndex(part.text)
		if loc == nil {
			continue
		}
		part = part.at(loc[0], loc[1])
		e, err := c.fragment(part)
		if err != nil {
			return nil, err
		}
		n.values = append(n.values, e)
		if l, ok := e.(*literal); ok {
			keys = appendInspect(append(keys, ','), l.v, 0, nil)
		} else {
			// As in Shopify's, tags with variables do not share their place even if they are written alike.
			keys = fmt.Appendf(keys, ",@%s:%d", c.src.name, t.pos)
		}
	}
	n.id = c.prog.cycle(string(keys))
	return n, nil
}
