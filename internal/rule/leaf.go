package rule

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// did reads a count of events.
func (p *parser) did(e entry, rest []entry) (node, bool) {
	before := len(p.problems)
	d := did{least: 1, most: unlimited}
	d.event, _ = p.text(e.value, "did", "the name of an event")
	has := map[string]entry{}
	var other []entry
	for _, r := range rest {
		has[r.key] = r
		switch r.key {
		case "count":
			p.count(&d, r.value)
		case "within":
			d.within = p.duration(r)
		case "before":
			d.before = p.duration(r)
		case "since":
			d.since = p.since(r)
		case "where":
			d.where = p.where(r.key, r.value)
		case "sum", "avg", "min", "max", "first", "last":
			if m, ok := p.measure(r); ok {
				d.measures = append(d.measures, m)
			}
		default:
			other = append(other, r)
		}
	}
	known := didWords
	if !p.ctx.Since {
		known = slices.DeleteFunc(slices.Clone(known), func(s string) bool { return s == "since" })
	}
	p.unknown(other, "did", known)
	if r, ok := has["before"]; ok {
		for _, word := range [...]string{"within", "since"} {
			if _, ok := has[word]; ok {
				p.add(r.at, "make two conditions under all", "before and %s do not go together", word)
			}
		}
	}
	if len(p.problems) > before {
		return node{}, false
	}
	c := node{kind: kindDid, did: d}
	c.seal()
	return c, true
}

// since reads since: trigger.
func (p *parser) since(r entry) bool {
	if !p.ctx.Since {
		p.add(r.at, "since: trigger is for journeys; write within and a duration", "there is no trigger here that since could mean")
		return false
	}
	if r.value.Kind != yaml.ScalarNode || r.value.Value != "trigger" {
		p.add(r.value, "write since: trigger", "since takes trigger, not %s", describe(r.value))
		return false
	}
	return true
}

func (p *parser) duration(r entry) int64 {
	if r.value.Kind != yaml.ScalarNode || r.value.ShortTag() == "!!null" {
		p.add(r.value, "write "+r.key+": 24h", "%s takes a duration, not %s", r.key, describe(r.value))
		return 0
	}
	millis, err := ParseDuration(r.value.Value)
	if err != nil {
		hint := "write a duration such as 30m, 24h, 7d or 2w"
		if n, err := strconv.ParseUint(r.value.Value, 10, 32); err == nil && n > 0 {
			hint = fmt.Sprintf("write the unit: %ds, %dm, %dh or %dd", n, n, n, n)
		}
		p.add(r.value, hint, "%s: %v", r.key, err)
	}
	return millis
}

// count reads how often: a number, which is the least, or min, max, exactly.
func (p *parser) count(d *did, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		if v, ok := p.times(n, "count"); ok {
			d.least = v
			p.notAlways(d, n)
		}
		return
	}
	list := p.entries(n)
	if len(list) == 0 {
		p.add(n, "write count: 3, or min, max or exactly", "count says no number")
		return
	}
	d.least = 0
	good := true
	var exactly bool
	var other []entry
	for _, e := range list {
		switch e.key {
		case "min", "max", "exactly":
			v, ok := p.times(e.value, e.key)
			if good = good && ok; !ok {
				continue
			}
			if e.key != "max" {
				d.least = v
			}
			if e.key != "min" {
				d.most = v
			}
			exactly = exactly || e.key == "exactly"
		default:
			other = append(other, e)
		}
	}
	p.unknown(other, "count", []string{"min", "max", "exactly"})
	switch {
	case !good || len(other) > 0:
	case exactly && len(list) > 1:
		p.add(n, "write either exactly, or min and max", "exactly goes with nothing else")
	case d.least > d.most:
		p.add(n, "exchange them", "min %d is more than max %d", d.least, d.most)
	default:
		p.notAlways(d, n)
	}
}

// notAlways refuses a count that every number meets.
func (p *parser) notAlways(d *did, n *yaml.Node) {
	if d.least == 0 && d.most == unlimited {
		p.add(n, "for never, write count: {exactly: 0}", "at least 0 times is always true")
	}
}

// times reads a whole number of times.
func (p *parser) times(n *yaml.Node, word string) (int, bool) {
	v, err := strconv.ParseUint(n.Value, 10, 64)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil && !isDigits(n.Value):
		p.add(n, "write "+word+": 3", "%s takes a whole number, not %s", word, describe(n))
	case n.ShortTag() == "!!str" && isQuoted(n):
		p.add(n, "leave out the quotes", "%s takes a whole number, not a text", word)
	case err != nil || v > MaxCount:
		p.add(n, "", "%s %s is more than the limit max_count = %d", word, n.Value, MaxCount)
	default:
		return int(v), true
	}
	return 0, false
}

func isDigits(s string) bool {
	_, end := digits(s, 0)
	return s != "" && end == len(s)
}

func isQuoted(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
}

// where reads comparisons on the properties of the counted events: a mapping
// from paths, or a list of such mappings.
func (p *parser) where(word string, n *yaml.Node) *Where {
	p.inner++
	defer func() { p.inner-- }()
	var terms []comparison
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, item := range list {
		item = resolve(item)
		if item.Kind != yaml.MappingNode {
			p.add(item, "write "+word+": {currency: EUR, value: {gt: 50}}", "%s takes properties with comparisons, not %s", word, describe(item))
			continue
		}
		entries := p.entries(item)
		if p.misread(entries) {
			continue
		}
		for _, e := range entries {
			p.path(e.at, e.key)
			if e.value.Kind == yaml.MappingNode {
				terms = append(terms, p.operators(e.key, e.value, p.entries(e.value))...)
				continue
			}
			c := comparison{path: e.key, op: opIs}
			if p.operand(&c, entry{"is", e.at, e.value}) {
				terms = append(terms, c)
			}
		}
	}
	if len(list) == 0 || len(list) == 1 && list[0].Kind == yaml.MappingNode && len(list[0].Content) == 0 {
		p.add(n, "leave "+word+" out, or name a property", "%s is empty", word)
	}
	if weight(terms) > MaxWhere {
		p.add(n, "", "%s has more comparisons than the limit max_where = %d", word, MaxWhere)
	}
	return newWhere(terms)
}

// misread finds {property: value, gt: 50}, which is the form that stands outside
// of where.
func (p *parser) misread(list []entry) bool {
	path := -1
	other := ""
	for i, e := range list {
		if e.key == "property" {
			path = i
		} else if slices.Contains(comparisonWords, e.key) {
			other = e.key
		}
	}
	if path < 0 || other == "" {
		return false
	}
	p.add(list[path].at, fmt.Sprintf("write %s: {%s: …}", list[path].value.Value, other), "in where the property's name is the key")
	return true
}

// path checks a path of dots.
func (p *parser) path(n *yaml.Node, path string) {
	if len(path) > MaxPath {
		p.add(n, "", "the path is longer than the limit max_path = %d bytes", MaxPath)
		return
	}
	for rest, last, steps := path, false, 1; !last; steps++ {
		var step string
		var escaped bool
		step, rest, last, escaped = cutStep(rest)
		if step == "" {
			p.add(n, `a dot that belongs to a key is written \.`, "the path %s has an empty step", show(path))
			return
		}
		if steps > MaxSteps {
			p.add(n, "", "the path %s has more steps than the limit max_steps = %d", show(path), MaxSteps)
			return
		}
		if !escaped {
			continue
		}
		for i := 0; i < len(step); i++ {
			if step[i] != '\\' {
				continue
			}
			if i++; i == len(step) || step[i] != '.' && step[i] != '\\' {
				p.add(n, `a backslash that belongs to a key is written \\`, "in the path %s a backslash stands before neither a dot nor a backslash", show(path))
				return
			}
		}
	}
}

// value reads a comparison of a trait or a property of the triggering event.
func (p *parser) value(e entry, rest []entry) (node, bool) {
	before := len(p.problems)
	k := kindTrait
	if e.key == "property" {
		k = kindProperty
		if !p.ctx.Property {
			p.add(e.at, "ask trait, or did with where", "there is no triggering event here whose property could be asked")
			return node{}, false
		}
	}
	path, ok := p.text(e.value, e.key, "a path such as address.country")
	if ok {
		p.path(e.value, path)
	}
	if len(rest) == 0 && ok {
		p.add(e.at, "to ask whether it is there at all, write exists: true", "%s %s is compared with nothing", e.key, show(path))
	}
	terms := p.operators(path, e.value, rest)
	if len(p.problems) > before {
		return node{}, false
	}
	c := node{kind: k, terms: terms}
	c.seal()
	return c, true
}

// operators reads comparisons of one value, all of which must hold.
func (p *parser) operators(path string, n *yaml.Node, list []entry) []comparison {
	var terms []comparison
	if len(list) == 0 && n.Kind == yaml.MappingNode {
		p.add(n, "write is, gt or another comparison", "%s is compared with nothing", show(path))
	}
	var fold *entry
	for _, e := range list {
		if e.key == ignoreCase {
			fold = &e
			continue
		}
		op := slices.Index(operatorNames, e.key)
		if op < 0 {
			hint := "comparisons are " + strings.Join(comparisonWords, ", ") + "; for a value inside, write the path with a dot: " + path + "." + e.key
			if word := suggest(e.key, comparisonWords); word != "" {
				hint = "did you mean " + word + "?"
			}
			p.add(e.at, hint, "%s is no comparison", show(e.key))
			continue
		}
		c := comparison{path: path, op: operator(op)}
		if p.operand(&c, e) {
			terms = append(terms, c)
		}
	}
	if fold != nil {
		p.ignoreCase(*fold, terms, len(list))
	}
	return terms
}

// ignoreCase makes the comparisons beside it disregard case.
func (p *parser) ignoreCase(e entry, terms []comparison, words int) {
	if e.value.Kind != yaml.ScalarNode || e.value.ShortTag() != "!!bool" || !p.boolean(e.value).yes {
		p.add(e.value, "write ignore_case: true, or leave it out", "ignore_case takes true, not %s", describe(e.value))
		return
	}
	some := false
	for i := range terms {
		some = terms[i].disregardCase() || some
	}
	if !some && len(terms) == words-1 {
		p.add(e.at, "leave it out", "ignore_case stands beside no comparison with a text")
	}
}

// disregardCase says whether there was a text whose case could matter.
func (c *comparison) disregardCase() bool {
	if c.more == nil {
		c.more = &beyond{}
	}
	if c.op == opMatches {
		// The expression itself says so, for its classes of letters cannot be folded.
		c.more.pattern = regexp.MustCompile("(?i)" + c.more.pattern.String())
		c.more.fold = true
		return true
	}
	c.more.fold = true
	some := c.one.fold() || len(c.many.texts) > 0
	some = c.more.most.fold() || some
	for i := range c.more.list {
		some = c.more.list[i].fold() || some
	}
	for i, text := range c.many.texts {
		c.many.texts[i] = foldText(text)
	}
	slices.Sort(c.many.texts)
	return some
}

// fold brings a text to the form in which case makes no difference.
func (o *operand) fold() bool {
	if o.kind != isText || o.text == "" {
		return false
	}
	o.text = foldText(o.text)
	return true
}
