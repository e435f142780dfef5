package liquid

import (
	"strconv"
	"strings"
)

// exprDepth bounds how deep brackets nest in one expression.
const exprDepth = 64

// grammar parses expressions as Shopify's strict parser does.
type grammar struct {
	c     *unit
	toks  []lexeme
	p     int
	depth int
}

func (c *unit) grammar(markup string, pos int) (*grammar, error) {
	toks, err := lex(markup, pos)
	if err != nil {
		return nil, err
	}
	return &grammar{c: c, toks: toks}, nil
}

func (g *grammar) peek() lexeme { return g.toks[g.p] }

func (g *grammar) look(k lexKind) bool { return g.toks[g.p].kind == k }

func (g *grammar) lookAhead(k lexKind) bool {
	return g.p+1 < len(g.toks) && g.toks[g.p+1].kind == k
}

func (g *grammar) accept(k lexKind) bool {
	if g.look(k) {
		g.p++
		return true
	}
	return false
}

func (g *grammar) acceptID(word string) bool {
	if t := g.peek(); t.kind == lexID && t.text == word {
		g.p++
		return true
	}
	return false
}

func (g *grammar) expect(k lexKind) (lexeme, error) {
	t := g.peek()
	if t.kind != k {
		return t, syntaxErrorf(t.pos, "expected %s but found %s", k, describe(t))
	}
	if k != lexEnd {
		g.p++
	}
	return t, nil
}

func describe(t lexeme) string {
	switch t.kind {
	case lexID, lexNumber, lexString, lexComparison:
		return t.kind.String() + " " + t.text
	}
	return t.kind.String()
}

// expression parses one value: a literal, a range or a path.
func (g *grammar) expression() (expr, error) {
	if g.depth++; g.depth > exprDepth {
		return nil, syntaxErrorf(g.peek().pos, "brackets nest deeper than %d", exprDepth)
	}
	defer func() { g.depth-- }()
	t := g.peek()
	switch t.kind {
	case lexID:
		g.p++
		p := g.c.newPath(t.text, t.pos)
		if err := g.lookups(p); err != nil {
			return nil, err
		}
		if len(p.steps) == 0 {
			if v, ok := keyword(t.text); ok {
				return &literal{v}, nil
			}
		}
		return g.c.keep(p), nil
	case lexOpenSquare:
		g.p++
		root, err := g.expression()
		if err != nil {
			return nil, err
		}
		if _, err := g.expect(lexCloseSquare); err != nil {
			return nil, err
		}
		p := g.c.newRootPath(root, t.pos)
		if err := g.lookups(p); err != nil {
			return nil, err
		}
		return g.c.keep(p), nil
	case lexString:
		g.p++
		return &literal{String(t.text[1 : len(t.text)-1])}, nil
	case lexNumber:
		g.p++
		return &literal{numberLiteral(t.text)}, nil
	case lexOpenRound:
		return g.rangeExpression()
	}
	return nil, syntaxErrorf(t.pos, "%s is not a valid expression", describe(t))
}

func (g *grammar) rangeExpression() (expr, error) {
	open := g.peek()
	g.p++
	first, err := g.expression()
	if err != nil {
		return nil, err
	}
	if _, err := g.expect(lexDotDot); err != nil {
		return nil, err
	}
	last, err := g.expression()
	if err != nil {
		return nil, err
	}
	if _, err := g.expect(lexCloseRound); err != nil {
		return nil, err
	}
	return g.c.makeRange(first, last, open.pos)
}

// makeRange builds a range; of two literals it is one itself, whose ends are cut to whole numbers.
func (c *unit) makeRange(first, last expr, pos int) (expr, error) {
	a, ok1 := first.(*literal)
	b, ok2 := last.(*literal)
	if !ok1 || !ok2 {
		return &rangeExpr{src: c.src, pos: pos, first: first, last: last}, nil
	}
	x, ok1 := literalEnd(a.v)
	y, ok2 := literalEnd(b.v)
	if !ok1 || !ok2 {
		return nil, syntaxErrorf(pos, "a range needs whole numbers at its ends")
	}
	return &literal{rangeOf(x, y)}, nil
}

func literalEnd(v Value) (int64, bool) {
	switch v.kind {
	case KindNil:
		return 0, true
	case KindInt:
		return v.n, true
	case KindFloat:
		return int64(v.float()), true
	case KindString:
		n := leadingInt(v.s)
		return n.n, n.kind == KindInt
	}
	return 0, false
}

func (g *grammar) lookups(p *path) error {
	for {
		switch {
		case g.accept(lexOpenSquare):
			e, err := g.expression()
			if err != nil {
				return err
			}
			if _, err := g.expect(lexCloseSquare); err != nil {
				return err
			}
			p.steps = append(p.steps, indexStep(e))
		case g.accept(lexDot):
			t, err := g.expect(lexID)
			if err != nil {
				return err
			}
			p.steps = append(p.steps, step{key: t.text, cmd: commandOf(t.text)})
		default:
			return nil
		}
	}
}

// indexStep turns ["name"] into a plain member.
func indexStep(e expr) step {
	if l, ok := e.(*literal); ok && l.v.kind == KindString {
		return step{key: l.v.s}
	}
	return step{expr: e}
}

// keyword returns what a word means that stands alone; as a value `blank` and `empty` are the empty text.
func keyword(s string) (Value, bool) {
	switch s {
	case "nil", "null":
		return Nil, true
	case "true":
		return Bool(true), true
	case "false":
		return Bool(false), true
	case "blank", "empty":
		return String(""), true
	}
	return Nil, false
}

func numberLiteral(s string) Value {
	if !strings.Contains(s, ".") {
		return parseDigits(s)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return Nil
	}
	return Float(f)
}

// operand parses one side of a comparison, where `blank` and `empty` are questions.
func (g *grammar) operand() (expr, error) {
	t := g.peek()
	e, err := g.expression()
	if err != nil {
		return nil, err
	}
	if l, ok := e.(*literal); ok && t.kind == lexID {
		return operandWord(t.text, l), nil
	}
	return e, nil
}

func operandWord(word string, other expr) expr {
	switch word {
	case "blank":
		return &literal{literalBlank}
	case "empty":
		return &literal{literalEmpty}
	}
	return other
}

// condition parses tests tied by `and` and `or`, up to the end.
func (g *grammar) condition() (condition, error) {
	var out condition
	for {
		c, err := g.comparison()
		if err != nil {
			return nil, err
		}
		switch {
		case g.acceptID("and"):
			c.tie = tieAnd
		case g.acceptID("or"):
			c.tie = tieOr
		}
		out = append(out, c)
		if c.tie == tieNone {
			_, err := g.expect(lexEnd)
			return out, err
		}
	}
}

func (g *grammar) comparison() (comparison, error) {
	c := comparison{src: g.c.src, pos: g.peek().pos}
	var err error
	if c.left, err = g.operand(); err != nil {
		return c, err
	}
	if t := g.peek(); t.kind == lexComparison {
		g.p++
		c.op = t.text
		c.right, err = g.operand()
	}
	return c, err
}

// filtered parses a value and its filters, up to the end. An empty markup is nil.
func (g *grammar) filtered() (expr, error) {
	if g.look(lexEnd) {
		return &literal{Nil}, nil
	}
	base, err := g.expression()
	if err != nil {
		return nil, err
	}
	var calls []call
	for g.accept(lexPipe) {
		name, err := g.expect(lexID)
		if err != nil {
			return nil, err
		}
		cl := call{name: name.text, src: g.c.src, pos: name.pos}
		if g.accept(lexColon) {
			if err := g.arguments(&cl); err != nil {
				return nil, err
			}
		}
		calls = append(calls, cl)
	}
	if _, err := g.expect(lexEnd); err != nil {
		return nil, err
	}
	return g.c.makeFiltered(base, calls)
}

func (g *grammar) arguments(cl *call) error {
	for {
		if g.look(lexID) && g.lookAhead(lexColon) {
			key := g.peek().text
			g.p += 2
			e, err := g.expression()
			if err != nil {
				return err
			}
			cl.setKeyword(key, e)
		} else {
			e, err := g.expression()
			if err != nil {
				return err
			}
			cl.args = append(cl.args, e)
		}
		if !g.accept(lexComma) {
			return nil
		}
	}
}
