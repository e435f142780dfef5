package liquid

import "strings"

func (c *unit) forTag(t tag, toks *tokens) (node, error) {
	n := &forNode{pos: t.pos, body: block{blank: true}, loopSym: c.prog.symbols.intern("forloop")}
	err := c.forHeadStrictly(n, t)
	if err != nil && !c.strict() {
		strictErr := err
		if err = c.forHead(n, t); err == nil {
			c.lenient(strictErr)
		}
	}
	if err != nil {
		return nil, err
	}
	if n.fromLast {
		c.prog.continues = true
	}
	bodies := []*block{&n.body}
	arms := c.arms()
	err = c.block(t, toks, &n.body, func(tg tag) (*block, error) {
		if tg.name != "else" || n.otherwise != nil {
			return nil, nil
		}
		arms.next()
		n.otherwise = &block{blank: true}
		bodies = append(bodies, n.otherwise)
		return n.otherwise, nil
	})
	arms.close(true)
	n.blank = dropBlankBodies(bodies)
	return n, err
}

// forHeadStrictly reads `x in list reversed limit: 2, offset: 1`.
func (c *unit) forHeadStrictly(n *forNode, t tag) error {
	*n = forNode{pos: n.pos, body: n.body, loopSym: n.loopSym}
	g, err := c.grammar(t.markup, t.at)
	if err != nil {
		return err
	}
	name, err := g.expect(lexID)
	if err != nil {
		return err
	}
	if !g.acceptID("in") {
		return syntaxErrorf(g.peek().pos, "for loops need 'in': write for [name] in [list]")
	}
	from := g.p
	if n.collection, err = g.expression(); err != nil {
		return err
	}
	var list strings.Builder // the expression without white space
	for _, t := range g.toks[from:g.p] {
		list.WriteString(t.text)
	}
	c.nameLoop(n, name.text, list.String())
	n.reversed = g.acceptID("reversed")
	for {
		comma := g.accept(lexComma)
		if !g.look(lexID) || !g.lookAhead(lexColon) {
			if comma && c.strict() {
				return syntaxErrorf(g.peek().pos, "a limit or an offset must follow the comma")
			}
			break
		}
		key := g.peek()
		g.p += 2
		if key.text != "limit" && key.text != "offset" {
			return &syntaxError{
				pos: key.pos, msg: "a for loop knows limit and offset only, not " + key.text,
				suggest: suggest(key.text, []string{"limit", "offset"}),
			}
		}
		if key.text == "offset" && g.acceptID("continue") {
			n.fromLast = true
			continue
		}
		e, err := g.expression()
		if err != nil {
			return err
		}
		n.attribute(key.text, e)
	}
	_, err = g.expect(lexEnd)
	return err
}

func (n *forNode) attribute(key string, e expr) {
	if key == "limit" {
		n.limit = e
	} else {
		n.offset, n.fromLast = e, false
	}
}

func (c *unit) nameLoop(n *forNode, name, collection string) {
	n.sym = c.prog.symbols.intern(name)
	n.name = name + "-" + collection
}

// forHead reads the head of a for loop as the older parser does.
func (c *unit) forHead(n *forNode, t tag) error {
	*n = forNode{pos: n.pos, body: n.body, loopSym: n.loopSym}
	s := sub{t.markup, t.at}
	m := forForm.FindStringSubmatchIndex(t.markup)
	if m == nil {
		return syntaxErrorf(t.pos, "syntax error in tag 'for': write for [name] in [list]")
	}
	name, _ := s.group(m, 1)
	list, _ := s.group(m, 2)
	_, n.reversed = s.group(m, 3)
	var err error
	if n.collection, err = c.laxExpression(list); err != nil {
		return err
	}
	c.nameLoop(n, name.text, list.text)
	return c.attributes(s, func(key string, val sub) error {
		switch {
		case key == "offset" && val.text == "continue":
			n.fromLast = true
		case key == "offset" || key == "limit":
			e, err := c.fragment(val)
			if err != nil {
				return err
			}
			n.attribute(key, e)
		}
		return nil
	})
}

// attributes finds every name: value in the markup.
func (c *unit) attributes(s sub, each func(key string, val sub) error) error {
	for _, m := range laxAttribute.FindAllStringSubmatchIndex(s.text, -1) {
		key, _ := s.group(m, 1)
		val, _ := s.group(m, 2)
		if err := each(key.text, val); err != nil {
			return err
		}
	}
	return nil
}

func (c *unit) tableTag(t tag, toks *tokens) (node, error) {
	if err := c.checkStrictly(t, (*grammar).tableShape); err != nil {
		return nil, err
	}
	n := &tableNode{pos: t.pos, body: block{blank: true}, loopSym: c.prog.symbols.intern("tablerowloop")}
	s := sub{t.markup, t.at}
	m := tableForm.FindStringSubmatchIndex(t.markup)
	if m == nil {
		return nil, syntaxErrorf(t.pos, "syntax error in tag 'tablerow': write tablerow [name] in [list] cols: 3")
	}
	name, _ := s.group(m, 1)
	list, _ := s.group(m, 2)
	var err error
	if n.collection, err = c.fragment(list); err != nil {
		return nil, err
	}
	n.sym = c.prog.symbols.intern(name.text)
	err = c.attributes(s, func(key string, val sub) error {
		e, err := c.fragment(val)
		switch key {
		case "limit":
			n.limit = e
		case "offset":
			n.offset = e
		case "cols":
			n.cols = e
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	at := c.html
	c.html = htmlState{} // A cell of the table.
	err = c.block(t, toks, &n.body, nil)
	c.html = at
	return n, err
}

func (c *unit) partialTag(t tag) (node, error) {
	if err := c.checkStrictly(t, (*grammar).partialShape); err != nil {
		return nil, err
	}
	n := &partialNode{pos: t.pos, isolated: t.name == "render", loopSym: c.prog.symbols.intern("forloop")}
	form := includeForm
	if n.isolated {
		form = renderForm
	}
	s := sub{t.markup, t.at}
	m := form.FindStringSubmatchIndex(t.markup)
	if m == nil {
		return nil, syntaxErrorf(t.pos, "syntax error in tag '%s': write %s 'name', value: value", t.name, t.name)
	}
	name, _ := s.group(m, 1)
	how, _ := s.group(m, 2)
	with, hasWith := s.group(m, 3)
	alias, _ := s.group(m, 4)
	n.each, n.alias = how.text == "for", alias.text
	var err error
	if hasWith {
		if n.with, err = c.fragment(with); err != nil {
			return nil, err
		}
	}
	e, err := c.fragment(name)
	if err != nil {
		return nil, err
	}
	err = c.attributes(s, func(key string, val sub) error {
		e, err := c.fragment(val)
		if err == nil {
			n.args = append(n.args, argument{c.prog.symbols.intern(key), e})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if n.alias != "" {
		c.prog.symbols.intern(n.alias)
	}
	if l, ok := e.(*literal); ok {
		if n.target, err = c.prog.partial(l.v.s, name.pos, c.html); err != nil {
			return nil, err
		}
		c.html = c.html.join(n.target.end)
		if !n.each {
			c.html = n.target.end
		}
		return n, nil
	}
	n.nameExpr = e
	n.place = c.html
	c.prog.compileAll(c.html)
	return n, nil
}

// partial returns the partial called name, compiling it when it is met for the first time.
func (p *program) partial(name string, pos int, at htmlState) (*partial, error) {
	key := partialKey{name, at}
	if known, ok := p.partials[key]; ok {
		return known, nil
	}
	text, ok := p.opts.Partials[name]
	if !ok {
		return nil, &syntaxError{
			pos: pos, msg: "there is no partial " + strings.ToValidUTF8(name, "?"), suggest: suggest(name, sortedKeys(p.opts.Partials)),
		}
	}
	// A partial that renders itself is taken to end where it began.
	out := &partial{name: name, src: newSource(name, text), end: at}
	p.partials[key] = out
	p.symbols.intern(name)
	out.own = p.symbols.intern(lastPart(name))
	u := &unit{prog: p, src: out.src, opts: &p.opts, html: at}
	out.body = u.compile()
	out.end = u.html
	p.errs = append(p.errs, u.errs...)
	return out, nil
}

// compileAll compiles every partial, because a computed name may ask for any.
func (p *program) compileAll(at htmlState) {
	for _, name := range sortedKeys(p.opts.Partials) {
		// The name is in the set, so there is no error to return; those inside the partial are collected.
		_, _ = p.partial(name, 0, at)
	}
}
