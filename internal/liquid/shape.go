package liquid

import "slices"

// In strict2 mode the tags that are otherwise read by searching for what they need must be right from end to end.

// checkStrictly holds a tag's markup against its shape, where the mode asks for it.
func (c *unit) checkStrictly(t tag, shape func(*grammar) error) error {
	if !c.opts.Strict2 {
		return nil
	}
	g, err := c.grammar(t.markup, t.at)
	if err != nil {
		return err
	}
	if err := shape(g); err != nil {
		return err
	}
	_, err = g.expect(lexEnd)
	return err
}

// cycleShape is [name:] value, value ….
func (g *grammar) cycleShape() error {
	if _, err := g.expression(); err != nil {
		return err
	}
	if g.accept(lexColon) {
		if _, err := g.expression(); err != nil {
			return err
		}
	}
	for g.accept(lexComma) && !g.look(lexEnd) {
		if _, err := g.expression(); err != nil {
			return err
		}
	}
	return nil
}

// tableShape is name in list, with attributes.
func (g *grammar) tableShape() error {
	if _, err := g.expect(lexID); err != nil {
		return err
	}
	if !g.acceptID("in") {
		return syntaxErrorf(g.peek().pos, "tablerow needs 'in': write tablerow [name] in [list]")
	}
	if _, err := g.expression(); err != nil {
		return err
	}
	return g.attributeShape([]string{"cols", "limit", "offset"})
}

// partialShape is 'name' [with|for value] [as name], with arguments.
func (g *grammar) partialShape() error {
	if _, err := g.expression(); err != nil {
		return err
	}
	if g.acceptID("with") || g.acceptID("for") {
		if _, err := g.expression(); err != nil {
			return err
		}
	}
	if g.acceptID("as") {
		if _, err := g.expect(lexID); err != nil {
			return err
		}
	}
	return g.attributeShape(nil)
}

// attributeShape is name: value, with or without commas. Only the known names may stand, if any are given.
func (g *grammar) attributeShape(known []string) error {
	for {
		g.accept(lexComma)
		if g.look(lexEnd) {
			return nil
		}
		key, err := g.expect(lexID)
		if err != nil {
			return err
		}
		if known != nil && !slices.Contains(known, key.text) {
			return &syntaxError{
				pos: key.pos, msg: "the tag knows no attribute " + key.text, suggest: suggest(key.text, known),
			}
		}
		if _, err := g.expect(lexColon); err != nil {
			return err
		}
		if _, err := g.expression(); err != nil {
			return err
		}
	}
}
