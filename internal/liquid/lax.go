package liquid

import (
	"regexp"
	"strings"
)

// The forms that Shopify's older parser searches for. Go's expressions run in linear time.
const (
	quotedFragment = `(?:"[^"]*"|'[^']*'|(?:[^\s,|'"]|"[^"]*"|'[^']*')+)`
	attributeForm  = `(\w[\w-]*)\s*:\s*(` + quotedFragment + `)`
)

var (
	laxName        = regexp.MustCompile(`(?s)(` + quotedFragment + `)(.*)`)
	laxFilterChain = regexp.MustCompile(`(?s)\|\s*(.*)`)
	laxFilter      = regexp.MustCompile(`(?:\s+|` + quotedFragment + `|,)+`)
	laxWord        = regexp.MustCompile(`\w+`)
	laxFilterArg   = regexp.MustCompile(`(?::|,)\s*((?:\w+\s*:\s*)?` + quotedFragment + `)`)
	laxKeyword     = regexp.MustCompile(`^` + attributeForm + `$`)
	laxAttribute   = regexp.MustCompile(attributeForm)
	laxComparison  = regexp.MustCompile(`(` + quotedFragment + `)\s*([=!<>a-z_]+)?\s*(` + quotedFragment + `)?`)
	laxFragment    = regexp.MustCompile(`^` + quotedFragment)
)

// sub is a part of the source and where it begins.
type sub struct {
	text string
	pos  int
}

func (s sub) at(from, to int) sub { return sub{s.text[from:to], s.pos + from} }

// group returns a group of a match, and whether it took part.
func (s sub) group(m []int, n int) (sub, bool) {
	if m[2*n] < 0 {
		return sub{}, false
	}
	return s.at(m[2*n], m[2*n+1]), true
}

func (s sub) trim() sub {
	from, to := 0, len(s.text)
	for from < to && isSpace(s.text[from]) {
		from++
	}
	for to > from && isSpace(s.text[to-1]) {
		to--
	}
	return s.at(from, to)
}

// laxExpression reads one value as the older parser does, which takes nearly anything for a path.
func (c *unit) laxExpression(s sub) (expr, error) {
	s = s.trim()
	t := s.text
	if n := len(t); n > 0 && (t[0] == '"' || t[0] == '\'') && t[n-1] == t[0] {
		return &literal{String(t[1:max(n-1, 1)])}, nil
	}
	if v, ok := keyword(t); ok || t == "" {
		return &literal{v}, nil
	}
	if a, b, ok := rangeParts(s); ok {
		first, err := c.laxExpression(a)
		if err != nil {
			return nil, err
		}
		last, err := c.laxExpression(b)
		if err != nil {
			return nil, err
		}
		return c.makeRange(first, last, s.pos)
	}
	if v, ok := laxNumber(t); ok {
		return &literal{v}, nil
	}
	return c.laxPath(s)
}

// rangeParts splits (a..b), the ends of which hold no white space.
func rangeParts(s sub) (a, b sub, ok bool) {
	t := s.text
	if len(t) < 2 || t[0] != '(' || t[len(t)-1] != ')' {
		return
	}
	in := s.at(1, len(t)-1)
	dots := strings.LastIndex(in.text, "..")
	if dots < 0 {
		return
	}
	a, b = in.at(0, dots).trim(), in.at(dots+2, len(in.text)).trim()
	ok = a.text != "" && b.text != "" && !strings.ContainsAny(a.text, " \t\r\n\f\v") && !strings.ContainsAny(b.text, " \t\r\n\f\v")
	return a, b, ok
}

// laxNumber reads digits and points; what follows a second point is dropped.
func laxNumber(t string) (Value, bool) {
	body := strings.TrimPrefix(t, "-")
	if body == "" || !isDigit(body[0]) {
		return Nil, false
	}
	dots, end := 0, len(t)
	for i := len(t) - len(body); i < len(t); i++ {
		switch {
		case t[i] == '.':
			if dots++; dots == 2 {
				end = i
			}
		case !isDigit(t[i]):
			return Nil, false
		}
	}
	if dots == 0 {
		return parseDigits(t), true
	}
	if t[end-1] == '.' {
		return numberLiteral(t[:end] + "0"), true
	}
	return numberLiteral(t[:end]), true
}

// laxPath scans for names and brackets and passes over all else.
func (c *unit) laxPath(s sub) (expr, error) {
	var p *path
	t := s.text
	closes, depth := matchBrackets(t)
	if depth > exprDepth {
		return nil, syntaxErrorf(s.pos, "brackets nest deeper than %d", exprDepth)
	}
	for i := 0; i < len(t); {
		switch {
		case t[i] == '[':
			n := closes[i]
			if n == 0 {
				i++
				continue
			}
			if n > 2 {
				e, err := c.laxBracket(s.at(i+1, i+n-1))
				if err != nil {
					return nil, err
				}
				if p == nil {
					p = c.newRootPath(e, s.pos+i)
				} else {
					p.steps = append(p.steps, indexStep(e))
				}
			}
			i += n
		case isNameByte(t[i]) || t[i] == '-':
			n := 1
			for i+n < len(t) && (isNameByte(t[i+n]) || t[i+n] == '-') {
				n++
			}
			if i+n < len(t) && t[i+n] == '?' {
				n++
			}
			word := t[i : i+n]
			if p == nil {
				p = c.newPath(word, s.pos+i)
			} else {
				p.steps = append(p.steps, step{key: word, cmd: commandOf(word)})
			}
			i += n
		default:
			i++
		}
	}
	if p == nil {
		return &literal{Nil}, nil
	}
	return c.keep(p), nil
}

func (c *unit) laxBracket(s sub) (expr, error) {
	if c.laxDepth++; c.laxDepth > exprDepth {
		return nil, syntaxErrorf(s.pos, "brackets nest deeper than %d", exprDepth)
	}
	defer func() { c.laxDepth-- }()
	return c.laxExpression(s)
}

// matchBrackets returns the length of every balanced [...] by where it begins, and how deep they nest.
func matchBrackets(s string) (_ map[int]int, depth int) {
	if strings.IndexByte(s, '[') < 0 {
		return nil, 0
	}
	out := map[int]int{}
	var open []int
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '[':
			open = append(open, i)
			depth = max(depth, len(open))
		case s[i] == ']' && len(open) > 0:
			at := open[len(open)-1]
			open = open[:len(open)-1]
			out[at] = i + 1 - at
		}
	}
	return out, depth
}

// laxFiltered reads a value and its filters, passing over what it cannot read.
func (c *unit) laxFiltered(s sub) (expr, error) {
	m := laxName.FindStringSubmatchIndex(s.text)
	if m == nil {
		return &literal{Nil}, nil
	}
	name, _ := s.group(m, 1)
	rest, _ := s.group(m, 2)
	base, err := c.laxExpression(name)
	if err != nil {
		return nil, err
	}
	fm := laxFilterChain.FindStringSubmatchIndex(rest.text)
	if fm == nil {
		return base, nil
	}
	chain, _ := rest.group(fm, 1)
	var calls []call
	for _, loc := range laxFilter.FindAllStringIndex(chain.text, -1) {
		f := chain.at(loc[0], loc[1])
		w := laxWord.FindStringIndex(f.text)
		if w == nil {
			continue
		}
		cl := call{name: f.text[w[0]:w[1]], src: c.src, pos: f.pos + w[0]}
		for _, am := range laxFilterArg.FindAllStringSubmatchIndex(f.text, -1) {
			arg, _ := f.group(am, 1)
			if err := c.laxArgument(&cl, arg); err != nil {
				return nil, err
			}
		}
		calls = append(calls, cl)
	}
	return c.makeFiltered(base, calls)
}

func (c *unit) laxArgument(cl *call, arg sub) error {
	if km := laxKeyword.FindStringSubmatchIndex(arg.text); km != nil {
		key, _ := arg.group(km, 1)
		val, _ := arg.group(km, 2)
		e, err := c.laxExpression(val)
		if err != nil {
			return err
		}
		cl.setKeyword(key.text, e)
		return nil
	}
	e, err := c.laxExpression(arg)
	if err != nil {
		return err
	}
	cl.args = append(cl.args, e)
	return nil
}

// laxCondition reads tests tied by `and` and `or` from right to left.
func (c *unit) laxCondition(s sub) (condition, error) {
	parts := splitCondition(s)
	bad := syntaxErrorf(s.pos, "syntax error in tag 'if': write if [expression]")
	if len(parts) == 0 {
		return nil, bad
	}
	var out condition
	for i := len(parts) - 1; i >= 0; i -= 2 {
		cmp, ok, err := c.laxComparison(parts[i])
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, bad
		}
		if i+1 < len(parts) {
			switch strings.TrimSpace(parts[i+1].text) {
			case "and":
				cmp.tie = tieAnd
			case "or":
				cmp.tie = tieOr
			default:
				return nil, bad
			}
		}
		out = append(out, cmp)
		if i == 1 { // A tie with nothing before it.
			return nil, bad
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, nil
}

func (c *unit) laxComparison(s sub) (comparison, bool, error) {
	out := comparison{src: c.src, pos: s.pos}
	m := laxComparison.FindStringSubmatchIndex(s.text)
	if m == nil {
		return out, false, nil
	}
	left, _ := s.group(m, 1)
	op, _ := s.group(m, 2)
	right, _ := s.group(m, 3)
	out.op = op.text
	var err error
	if out.left, err = c.laxOperand(left); err == nil {
		out.right, err = c.laxOperand(right)
	}
	return out, true, err
}

func (c *unit) laxOperand(s sub) (expr, error) {
	e, err := c.laxExpression(s)
	if err != nil {
		return nil, err
	}
	return operandWord(s.text, e), nil
}

// splitCondition cuts a condition into its tests and the words that tie them.
func splitCondition(s sub) []sub {
	var out []sub
	for i := 0; i < len(s.text); {
		if n := tieLen(s.text, i); n > 0 {
			out = append(out, s.at(i, i+n))
			i += n
			continue
		}
		start := i
		for i < len(s.text) {
			j := i
			for j < len(s.text) && isSpace(s.text[j]) {
				j++
			}
			if j == len(s.text) || tieLen(s.text, j) > 0 {
				break
			}
			if loc := laxFragment.FindStringIndex(s.text[j:]); loc != nil {
				j += loc[1]
			} else {
				for j < len(s.text) && !isSpace(s.text[j]) {
					j++
				}
			}
			for j < len(s.text) && isSpace(s.text[j]) {
				j++
			}
			i = j
		}
		if i == start {
			i++
			continue
		}
		out = append(out, s.at(start, i))
	}
	return out
}

// tieLen is the length of `and` or `or` as a word at i, with one white space on either side, or nought.
func tieLen(s string, i int) int {
	if !boundary(s, i) {
		return 0
	}
	j := i
	if j < len(s) && isSpace(s[j]) {
		j++
	}
	switch {
	case strings.HasPrefix(s[j:], "and"):
		j += 3
	case strings.HasPrefix(s[j:], "or"):
		j += 2
	default:
		return 0
	}
	if j < len(s) && isSpace(s[j]) && boundary(s, j+1) {
		return j + 1 - i
	}
	if boundary(s, j) {
		return j - i
	}
	return 0
}

// boundary is \b.
func boundary(s string, i int) bool {
	before := i > 0 && isNameByte(s[i-1])
	after := i < len(s) && isNameByte(s[i])
	return before != after
}
