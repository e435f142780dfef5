package rule

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// operandBeyond reads what the comparisons of beyond compare with. It is false
// for comparisons that take one plain value.
func (p *parser) operandBeyond(c *comparison, e entry) (good, mine bool) {
	switch {
	case c.op == opBetween:
		return p.between(c, e), true
	case c.op == opMatches:
		return p.pattern(c, e), true
	case c.op == opDomain || c.op == opDomainIn:
		return p.domains(c, e), true
	case c.op == opAnyItem || c.op == opAllItems || c.op == opNoItem:
		return p.items(c, e), true
	case c.op.isRelative():
		before := len(p.problems)
		if p.inner > 0 {
			p.add(e.at, "compare with a date, or ask the event with within or before", "%s has no now here: it stands beside trait and property only", e.key)
			return false, true
		}
		c.more = &beyond{duration: p.duration(e)}
		c.yaml = FormatDuration(c.more.duration)
		return len(p.problems) == before, true
	}
	return false, false
}

// between reads two bounds of one type.
func (p *parser) between(c *comparison, e entry) bool {
	n := e.value
	if n.Kind != yaml.SequenceNode || len(n.Content) != 2 {
		p.add(n, "write between: [10, 20]", "between takes a list of two values, the least and the most")
		return false
	}
	ends := [2]comparison{{path: c.path, op: opGte}, {path: c.path, op: opLte}}
	for i := range ends {
		if !p.operand(&ends[i], entry{e.key, e.at, resolve(n.Content[i])}) {
			return false
		}
	}
	low, high := ends[0].one, ends[1].one
	if low.kind != high.kind || low.isDate != high.isDate {
		p.add(n, "write two numbers, two dates or two texts", "between takes two values of one type")
		return false
	}
	var order int
	switch {
	case low.kind == isNumber:
		order = compareDecimals(&low.number, low.number.mant, &high.number, high.number.mant)
	case low.isDate:
		order = low.date.compare(high.date)
	default:
		order = strings.Compare(low.text, high.text)
	}
	if order > 0 {
		p.add(n, "exchange them", "between has its greater value first")
		return false
	}
	c.one, c.more = low, &beyond{most: high}
	c.yaml = "[" + low.yaml + ", " + high.yaml + "]"
	return true
}

// pattern reads a regular expression, whose size is bounded, so that its cost is.
func (p *parser) pattern(c *comparison, e entry) bool {
	text, ok := p.text(e.value, e.key, "a regular expression")
	switch {
	case !ok:
		return false
	case len(text) > MaxPattern:
		p.add(e.value, "", "the expression is longer than the limit max_pattern = %d bytes", MaxPattern)
		return false
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		p.add(e.value, "expressions are those of RE2: no look-around, no back-references", "matches: %v", err)
		return false
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err == nil && len(prog.Inst) > MaxProgram {
		p.add(e.value, "repeat less", "the expression becomes %d steps, more than the limit max_program = %d", len(prog.Inst), MaxProgram)
		return false
	}
	re, err := regexp.Compile(text)
	if err != nil {
		p.add(e.value, "", "matches: %v", err)
		return false
	}
	c.more, c.yaml = &beyond{pattern: re}, quoteText(text)
	return true
}

// domains reads one domain or a list of them.
func (p *parser) domains(c *comparison, e entry) bool {
	list := []*yaml.Node{e.value}
	if c.op == opDomainIn {
		if e.value.Kind != yaml.SequenceNode || len(e.value.Content) == 0 {
			p.add(e.value, "write domain_in: [shop.example, shop.test]", "domain_in takes a list of domains, not %s", describe(e.value))
			return false
		}
		if list = e.value.Content; len(list) > MaxList {
			p.add(e.value, "", "the list of domain_in has %d values, more than the limit max_list = %d", len(list), MaxList)
			return false
		}
	}
	more, good := &beyond{}, true
	for _, n := range list {
		n = resolve(n)
		text, ok := p.text(n, e.key, "a domain")
		if ok && !isDomain(text) {
			p.add(n, "write it without @ and https://, such as shop.example", "%s is no domain", show(text))
			ok = false
		}
		good = good && ok
		more.domains = append(more.domains, strings.ToLower(text))
	}
	if !good {
		return false
	}
	more.domains = sortUnique(more.domains)
	c.more = more
	if c.yaml = more.domains[0]; c.op == opDomainIn {
		c.yaml = "[" + strings.Join(more.domains, ", ") + "]"
	}
	return true
}

// items reads comparisons on the objects of a list.
func (p *parser) items(c *comparison, e entry) bool {
	before := len(p.problems)
	if p.inner >= MaxItems {
		p.add(e.at, "", "lists within lists are deeper than the limit max_items = %d", MaxItems)
		return false
	}
	w := p.where(e.key, e.value)
	if len(p.problems) > before {
		return false
	}
	c.more, c.yaml = &beyond{items: w}, w.text
	return true
}

// weight is how much of its limit a list of comparisons takes: those within it
// count too.
func weight(terms []comparison) int {
	n := len(terms)
	for i := range terms {
		if m := terms[i].more; m != nil && m.items != nil {
			n += weight(m.items.terms)
		}
	}
	return n
}

// isTextOnly says whether a comparison takes a text and nothing else.
func (o operator) isTextOnly() bool {
	return slices.Contains([]operator{opStarts, opEnds, opNotStarts, opNotEnds}, o)
}

// hasParts says whether an empty operand would be a part of everything.
func (o operator) hasParts() bool {
	return o.isTextOnly() || o == opContains || o == opNotContains
}
