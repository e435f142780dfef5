package rule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Parse checks a rule and compiles it. Either the rule is nil or there are no
// problems; the problems are all there are, in the order of the text, up to
// MaxProblems.
func Parse(n *yaml.Node, ctx Context) (*Rule, []Problem) {
	p := &parser{ctx: ctx}
	root, ok := p.condition(n, 1)
	if len(p.problems) > 0 || !ok {
		slices.SortStableFunc(p.problems, func(a, b Problem) int {
			if a.Line != b.Line {
				return cmp.Compare(a.Line, b.Line)
			}
			return cmp.Compare(a.Column, b.Column)
		})
		return nil, p.problems
	}
	r := &Rule{root: root, text: "{" + root.text + "}", usesNow: root.usesNow, cost: root.cost}
	if err := r.collect(&r.root); err != nil {
		return nil, []Problem{{Line: n.Line, Column: n.Column, Message: err.Error(), Hint: "rename either event"}}
	}
	r.traits, r.properties = sortUnique(r.traits), sortUnique(r.properties)
	r.segments, r.events = sortUnique(r.segments), sortUnique(r.events)
	return r, nil
}

// collect notes what a condition reads.
func (r *Rule) collect(n *node) (err error) {
	switch n.kind {
	case kindDid:
		r.events = append(r.events, n.did.event)
		list := []Tally{n.did.tally()}
		for i := range n.did.measures {
			list = append(list, n.did.measures[i].tally(&n.did))
		}
		r.tallies, err = Union(r.tallies, list...)
		return err
	case kindTrait:
		r.traits = append(r.traits, n.terms[0].path)
	case kindProperty:
		r.properties = append(r.properties, n.terms[0].path)
	case kindSegment:
		r.segments = append(r.segments, n.segment)
	}
	for i := range n.kids {
		if err = r.collect(&n.kids[i]); err != nil {
			return err
		}
	}
	return nil
}

// parser walks over the YAML and gathers every mistake.
type parser struct {
	ctx      Context
	problems []Problem
	nodes    int
	inner    int // how many lists of properties the reading stands in: there is no now there
}

// add notes a problem where n stands.
func (p *parser) add(n *yaml.Node, hint, format string, args ...any) {
	switch {
	case len(p.problems) < MaxProblems-1:
		p.problems = append(p.problems, Problem{Line: n.Line, Column: n.Column, Message: fmt.Sprintf(format, args...), Hint: hint})
	case len(p.problems) == MaxProblems-1:
		p.problems = append(p.problems, Problem{Line: n.Line, Column: n.Column,
			Message: fmt.Sprintf("there are more mistakes than the limit max_problems = %d", MaxProblems), Hint: "mend those above first"})
	}
}

// resolve follows aliases.
func resolve(n *yaml.Node) *yaml.Node {
	for range 8 {
		switch {
		case n == nil:
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
		case n.Kind == yaml.AliasNode:
			n = n.Alias
		case n.Kind == yaml.DocumentNode && len(n.Content) == 1:
			n = n.Content[0]
		default:
			return n
		}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
}

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	at    *yaml.Node
	value *yaml.Node
}

// entries gives the keys of a mapping; doubles and keys that are no text are problems.
func (p *parser) entries(n *yaml.Node) []entry {
	list := make([]entry, 0, len(n.Content)/2)
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		at, value := n.Content[i], resolve(n.Content[i+1])
		key := resolve(at)
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null":
			p.add(at, "keys are words of the rule language", "a key must be one word")
		case key.ShortTag() == "!!merge":
			p.add(at, "write the keys out", "<< is not part of the rule language")
		case seen[key.Value]:
			p.add(at, "write it once", "%s stands here twice", key.Value)
		default:
			seen[key.Value] = true
			list = append(list, entry{key.Value, at, value})
		}
	}
	return list
}

// condition reads one condition.
func (p *parser) condition(n *yaml.Node, depth int) (node, bool) {
	at := n
	n = resolve(n)
	if n.Line == 0 && at != nil {
		n = &yaml.Node{Kind: n.Kind, Tag: n.Tag, Line: at.Line, Column: at.Column}
	}
	p.nodes++
	switch {
	case p.nodes > MaxNodes:
		if p.nodes == MaxNodes+1 {
			p.add(n, "make a segment of a part of it and ask in_segment", "the rule has more conditions than the limit max_nodes = %d", MaxNodes)
		}
		return node{}, false
	case depth > MaxDepth:
		p.add(n, "make a segment of a part of it and ask in_segment", "conditions are nested deeper than the limit max_depth = %d", MaxDepth)
		return node{}, false
	case n.Kind == yaml.SequenceNode:
		return p.composite(kindAll, n, depth)
	case n.Kind != yaml.MappingNode:
		p.add(n, "write a mapping such as did: Order Completed", "a condition is missing: %s is none", describe(n))
		return node{}, false
	}
	list := p.entries(n)
	main := -1
	for i, e := range list {
		if !slices.Contains(mainWords, e.key) {
			continue
		}
		if main >= 0 {
			p.add(e.at, "make a list under all, with a dash before each condition", "%s and %s are two conditions", list[main].key, e.key)
			return node{}, false
		}
		main = i
	}
	if main < 0 {
		p.noMain(n, list)
		return node{}, false
	}
	e := list[main]
	rest := slices.Delete(list, main, main+1)
	switch e.key {
	case "all", "any":
		p.unknown(rest, e.key, nil)
		k := kindAll
		if e.key == "any" {
			k = kindAny
		}
		if e.value.Kind != yaml.SequenceNode {
			p.add(e.value, "put a dash before each condition", "%s takes a list of conditions, not %s", e.key, describe(e.value))
			return node{}, false
		}
		return p.composite(k, e.value, depth)
	case "not":
		p.unknown(rest, e.key, nil)
		kid, ok := p.condition(e.value, depth+1)
		if !ok {
			return node{}, false
		}
		c := node{kind: kindNot, kids: []node{kid}}
		c.seal()
		return c, true
	case "did":
		return p.did(e, rest)
	case "in_segment":
		p.unknown(rest, e.key, nil)
		return p.inSegment(e)
	}
	return p.value(e, rest)
}

// noMain explains a mapping without a word that makes a condition.
func (p *parser) noMain(n *yaml.Node, list []entry) {
	for _, e := range list {
		if word := suggest(e.key, mainWords); word != "" {
			p.add(e.at, "did you mean "+word+"?", "%s is not part of the rule language", show(e.key))
			return
		}
	}
	hint := "write one of " + strings.Join(mainWords, ", ")
	if len(list) == 0 {
		p.add(n, hint, "a condition is missing")
		return
	}
	p.add(list[0].at, hint, "%s is no condition", show(list[0].key))
}

// unknown makes problems of all keys that are left over.
func (p *parser) unknown(rest []entry, main string, known []string) {
	for _, e := range rest {
		hint := main + " takes nothing else"
		if len(known) > 0 {
			hint = main + " takes " + strings.Join(known, ", ")
		}
		if word := suggest(e.key, known); word != "" {
			hint = "did you mean " + word + "?"
		}
		p.add(e.at, hint, "%s is not known beside %s", show(e.key), main)
	}
}

func (p *parser) composite(k kind, n *yaml.Node, depth int) (node, bool) {
	if len(n.Content) == 0 {
		p.add(n, "name at least one condition", "the list of %s is empty", k)
		return node{}, false
	}
	c, good := node{kind: k}, true
	for _, item := range n.Content {
		kid, ok := p.condition(item, depth+1)
		good = good && ok
		if good {
			c.kids = append(c.kids, kid)
		}
		if p.nodes > MaxNodes {
			return node{}, false
		}
	}
	if good {
		c.seal()
	}
	return c, good
}

func (p *parser) inSegment(e entry) (node, bool) {
	name, ok := p.text(e.value, "in_segment", "the name of a segment")
	if !ok {
		return node{}, false
	}
	if p.ctx.Segments != nil && !slices.Contains(p.ctx.Segments, name) {
		hint := "there is none"
		if len(p.ctx.Segments) > 0 {
			hint = "there are " + strings.Join(firstOf(p.ctx.Segments, 8), ", ")
		}
		if word := suggest(name, p.ctx.Segments); word != "" {
			hint = "did you mean " + word + "?"
		}
		p.add(e.value, hint, "there is no segment %s", show(name))
		return node{}, false
	}
	c := node{kind: kindSegment, segment: name}
	c.seal()
	return c, true
}

func firstOf(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	return append(slices.Clone(list[:n]), "…")
}

// text reads a text that must not be empty.
func (p *parser) text(n *yaml.Node, word, what string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null":
		p.add(n, "", "%s takes %s, not %s", word, what, describe(n))
	case n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp":
		p.add(n, fmt.Sprintf("write %q", n.Value), "%s takes %s, and %s is no text", word, what, n.Value)
	case n.Value == "":
		p.add(n, "", "%s takes %s, not an empty text", word, what)
	default:
		return n.Value, p.fits(n)
	}
	return "", false
}

// fits checks the length of a text.
func (p *parser) fits(n *yaml.Node) bool {
	if len(n.Value) > MaxText {
		p.add(n, "", "the text is longer than the limit max_text = %d bytes", MaxText)
		return false
	}
	if !utf8.ValidString(n.Value) {
		p.add(n, "save the file as UTF-8", "the text is not valid UTF-8")
		return false
	}
	return true
}

// describe names what stands at n, for messages.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool", "!!int", "!!float":
		return n.Value
	}
	return show(n.Value)
}

// show quotes a text for a message, shortened.
func show(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
