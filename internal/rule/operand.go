package rule

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/spelling"
)

// operand reads what a comparison compares with.
func (p *parser) operand(c *comparison, e entry) bool {
	n := e.value
	if good, mine := p.operandBeyond(c, e); mine {
		return good
	}
	switch c.op {
	case opIn, opNotIn, opAnyOf, opAllOf, opNoneOf:
		return p.list(c, e)
	case opExists, opIsEmpty, opIsEmail:
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			p.add(n, fmt.Sprintf("write %s: true or %s: false", e.key, e.key), "%s takes true or false, not %s", e.key, describe(n))
			return false
		}
		c.one = p.boolean(n)
		c.yaml = c.one.yaml
		return true
	}
	switch n.Kind {
	case yaml.SequenceNode:
		hint := "for one of several, write " + map[bool]string{true: "not_in", false: "in"}[c.op == opIsNot]
		if c.op == opContains || c.op == opNotContains {
			hint = "for several, write any_of, all_of or none_of"
		}
		p.add(n, hint, "%s takes one value, not a list", e.key)
		return false
	case yaml.MappingNode:
		p.add(n, "for a value inside, write the path with a dot", "%s takes one value, not a mapping", e.key)
		return false
	}
	one, ok := p.scalar(n, e.key)
	if !ok {
		return false
	}
	c.one, c.yaml = one, one.yaml
	switch {
	case c.op >= opGt && c.op <= opLte && one.kind == isBool:
		p.add(n, "write is: "+one.yaml, "%s orders numbers, dates and texts, not true and false", e.key)
		return false
	case c.op >= opGt && c.op <= opLte && one.kind == isText && json.Valid([]byte(one.text)):
		p.add(n, "leave out the quotes", "%s would order the text %s by its letters, not as a number", e.key, show(one.text))
		return false
	case c.op.isTextOnly() && one.kind != isText:
		p.add(n, fmt.Sprintf("write %s: %q", e.key, n.Value), "%s takes a text, not %s", e.key, n.Value)
		return false
	case c.op.hasParts() && one.kind == isText && one.text == "":
		p.add(n, "to ask whether it is there at all, write exists: true", "%s takes a text that is not empty", e.key)
		return false
	}
	return true
}

// list reads the values of in and not_in, any_of, all_of and none_of.
func (p *parser) list(c *comparison, e entry) bool {
	n := e.value
	switch {
	case n.Kind != yaml.SequenceNode:
		p.add(n, "write "+e.key+": [DE, FR]", "%s takes a list, not %s", e.key, describe(n))
		return false
	case len(n.Content) == 0:
		p.add(n, "name at least one value", "the list of %s is empty", e.key)
		return false
	case len(n.Content) > MaxList:
		p.add(n, "", "the list of %s has %d values, more than the limit max_list = %d", e.key, len(n.Content), MaxList)
		return false
	}
	good := true
	var list []operand
	var texts []string
	for _, item := range n.Content {
		item = resolve(item)
		if item.Kind != yaml.ScalarNode {
			p.add(item, "", "%s takes texts, numbers, true and false, not %s", e.key, describe(item))
			good = false
			continue
		}
		o, ok := p.scalar(item, e.key)
		good = good && ok
		list, texts = append(list, o), append(texts, o.yaml)
	}
	if good {
		if c.many = newSet(list); c.op == opAllOf {
			c.more = &beyond{list: list}
		}
		c.yaml = "[" + strings.Join(sortUnique(texts), ", ") + "]"
	}
	return good
}

func (p *parser) boolean(n *yaml.Node) operand {
	yes := strings.EqualFold(n.Value, "true")
	return operand{kind: isBool, yes: yes, yaml: map[bool]string{true: "true", false: "false"}[yes]}
}

// scalar reads one text, number, true or false.
func (p *parser) scalar(n *yaml.Node, word string) (operand, bool) {
	tag := n.ShortTag()
	// Whatever looks like a number of JSON is one, also beyond what YAML counts.
	if !isQuoted(n) && n.Style&yaml.TaggedStyle == 0 && json.Valid([]byte(n.Value)) {
		if num, ok := numberOf(n.Value); ok {
			return operand{kind: isNumber, number: num, yaml: n.Value}, p.fits(n)
		}
	}
	switch lower := strings.ToLower(n.Value); {
	case tag == "!!null":
		p.add(n, "to ask whether it is there at all, write exists: true or exists: false", "%s takes a value, and null is none", word)
		return operand{}, false
	case tag == "!!bool" && (lower == "true" || lower == "false"):
		return p.boolean(n), true
	case tag == "!!int", tag == "!!float":
		p.add(n, fmt.Sprintf("write the number in decimal, or, if it is a text, %q", n.Value), "%s is no number as JSON writes it", n.Value)
		return operand{}, false
	case tag == "!!str", tag == "!!timestamp":
		o := operand{kind: isText, text: n.Value, yaml: quoteText(n.Value)}
		o.date, o.isDate = parseInstant(n.Value)
		return o, p.fits(n)
	}
	p.add(n, "leave out the tag", "%s takes a text, a number, true or false, not %s", word, tag)
	return operand{}, false
}

// synonyms are words that people bring along from elsewhere.
var synonyms = map[string]string{
	"and": "all", "every": "all", "or": "any", "some": "any", "one_of": "any", "none": "not",
	"event": "did", "done": "did", "performed": "did", "has_done": "did", "segment": "in_segment", "member_of": "in_segment",
	"attribute": "trait", "field": "trait", "user": "trait", "traits": "trait", "properties": "property",
	"times": "count", "at_least": "min", "atleast": "min", "atmost": "max", "minimum": "min", "maximum": "max", "at_most": "max", "exact": "exactly",
	"last": "within", "in_last": "within", "during": "within", "ago": "before", "after": "since",
	"total": "sum", "average": "avg", "mean": "avg", "lowest": "min", "highest": "max", "earliest": "first", "latest": "last", "newest": "last",
	"range": "between", "regex": "matches", "regexp": "matches", "match": "matches", "like": "matches", "not_includes": "not_contains", "does_not_contain": "not_contains",
	"is_ci": "ignore_case", "case_insensitive": "ignore_case", "overlaps": "any_of", "contains_any": "any_of", "contains_all": "all_of", "contains_none": "none_of",
	"empty": "is_empty", "blank": "is_empty", "email": "is_email", "at_domain": "domain", "some_item": "any_item", "none_item": "no_item", "every_item": "all_items",
	"upcoming": "in_next", "within_next": "in_next", "more_than_ago": "older_than", "less_than_ago": "newer_than",
	"with": "where", "filter": "where", "if": "where",
	"equals": "is", "eq": "is", "equal": "is", "==": "is", "=": "is", "ne": "is_not", "neq": "is_not", "!=": "is_not", "isnt": "is_not",
	">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "ge": "gte", "le": "lte", "greater_than": "gt", "less_than": "lt", "more_than": "gt",
	"nin": "not_in", "includes": "contains", "has": "contains", "begins_with": "starts_with", "prefix": "starts_with", "suffix": "ends_with",
	"exist": "exists", "present": "exists", "is_set": "exists",
}

// suggest gives the known word that was probably meant, or "".
func suggest(word string, known []string) string {
	word = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(word)), "-", "_")
	if len(word) > 64 {
		return ""
	}
	best, least := "", len([]rune(word))/3+1
	for _, k := range known {
		if k == word || k == strings.ReplaceAll(word, " ", "_") {
			return k
		}
		if k == synonyms[word] {
			return k
		}
		if d := spelling.Distance(word, strings.ToLower(k), least); d < least {
			best, least = k, d
		}
	}
	return best
}
