package source

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/rule"
)

// Parse reads a source's `file` section, or a mapping file as a whole.
func Parse(n *yaml.Node) (*Format, []rule.Problem) {
	p := &parser{f: &Format{Comma: ',', Quote: '"', Header: true, Encoding: UTF8, Zone: time.UTC}}
	if n != nil && n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, []rule.Problem{{Line: 1, Column: 1, Message: "file is a mapping", Hint: "write format:, columns: and event:"}}
	}
	for k, v := range pairs(n) {
		p.key(k, v)
	}
	p.whole(n)
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return p.f, nil
}

// pairs walks the keys of a mapping with their values.
func pairs(n *yaml.Node) func(func(k, v *yaml.Node) bool) {
	return func(yield func(k, v *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

type parser struct {
	f        *Format
	problems []rule.Problem
}

func (p *parser) fail(n *yaml.Node, hint, format string, args ...any) {
	p.problems = append(p.problems, rule.Problem{Line: n.Line, Column: n.Column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// whole looks at what only the file as a whole can get wrong.
func (p *parser) whole(n *yaml.Node) {
	if p.f.Kind == "" {
		p.fail(n, "write format: fixed, csv or ndjson", "the file has no format")
	}
	if p.f.Kind == Fixed && len(p.f.Columns) == 0 {
		p.fail(n, "write columns: {customer: 2-6}", "a fixed file needs columns")
	}
	if p.f.Kind == NDJSON && len(p.f.types) > 0 {
		p.fail(n, "leave types out", "lines of JSON have types of their own")
	}
	if len(p.f.calls) == 0 && len(p.f.consents) == 0 {
		p.fail(n, `write event: {event: Order Completed, user_id: "{{ customer }}", timestamp: "{{ day }}"}`, "the mapping makes nothing: it needs event, events or consent")
	}
	for i := range p.f.calls {
		if p.f.calls[i].fields["timestamp"] == nil {
			p.fail(n, `write timestamp: "{{ date }}" below event:`, "an event needs a timestamp")
		}
	}
	for i := range p.f.consents {
		if c := &p.f.consents[i]; len(p.f.calls) == 0 && c.nobody() {
			p.fail(n, `write user_id: or email: beside purpose:`, "without an event, consent must say whose it is")
		}
	}
}

// fileKeys are the keys of the `file` section.
var fileKeys = []string{"format", "comma", "quote", "header", "encoding", "time_zone", "until", "columns", "types", "event", "events", "consent"}

func (p *parser) key(k, v *yaml.Node) {
	switch k.Value {
	case "format":
		p.f.Kind = p.word(v, "format", Fixed, CSV, NDJSON)
	case "comma":
		r := []rune(v.Value)
		if len(r) != 1 || r[0] == '"' || r[0] == '\n' || r[0] == '\r' {
			p.fail(v, `write one character, for example comma: ";"`, "comma is one character")
			return
		}
		p.f.Comma = r[0]
	case "quote":
		p.quote(v)
	case "header":
		p.f.Header = p.word(v, "header", "true", "false") == "true"
	case "encoding":
		p.f.Encoding = p.word(v, "encoding", UTF8, Latin1, Windows1252)
	case "time_zone":
		zone, err := time.LoadLocation(v.Value)
		if err != nil {
			p.fail(v, "write a name such as Europe/Berlin or UTC", "there is no time zone %q", v.Value)
			return
		}
		p.f.Zone = zone
	case "until":
		until, err := time.Parse(time.RFC3339, v.Value)
		if err != nil {
			p.fail(v, "write an instant such as 1998-07-01T00:00:00Z", "%q is no instant", v.Value)
			return
		}
		p.f.Until = until.UTC()
	case "columns":
		p.columns(v)
	case "types":
		p.types(v)
	case "event":
		p.event(v)
	case "events":
		for _, n := range p.list(v, "events", MaxCalls) {
			p.event(n)
		}
	case "consent":
		for _, n := range p.list(v, "consent", MaxConsents) {
			p.consent(n)
		}
	default:
		p.fail(k, "file has "+strings.Join(fileKeys, ", "), "unknown key %q", k.Value)
	}
}

// word reads one of some words.
func (p *parser) word(n *yaml.Node, key string, words ...string) string {
	if !slices.Contains(words, n.Value) {
		p.fail(n, "write "+strings.Join(words, " or "), "there is no %s %q", key, n.Value)
		return words[0]
	}
	return n.Value
}

func (p *parser) quote(n *yaml.Node) {
	switch {
	case n.Value == "none":
		p.f.Quote = 0
	case len(n.Value) == 1 && n.Value[0] > ' ' && n.Value[0] < 0x7f:
		p.f.Quote = n.Value[0]
	default:
		p.fail(n, `write one ASCII character, or none`, "quote is the character that stands around columns")
	}
}

// list gives the entries of a list that has at most so many.
func (p *parser) list(n *yaml.Node, key string, most int) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		p.fail(n, "begin each with a dash", "%s is a list", key)
		return nil
	}
	if len(n.Content) > most {
		p.fail(n, "split the mapping", "%s has more than %d entries", key, most)
		return nil
	}
	return n.Content
}

func (p *parser) columns(n *yaml.Node) {
	if len(n.Content) > 2*MaxColumns {
		p.fail(n, "split the file", "more than %d columns (MaxColumns)", MaxColumns)
		return
	}
	switch n.Kind {
	case yaml.SequenceNode:
		p.f.Header = false
		for _, c := range n.Content {
			p.f.Columns = append(p.f.Columns, column{name: c.Value})
		}
	case yaml.MappingNode:
		for name, place := range pairs(n) {
			if c, ok := p.place(name.Value, place); ok {
				p.f.Columns = append(p.f.Columns, c)
			}
		}
	default:
		p.fail(n, "write {customer: 2-6} for a fixed file, [customer, date] for a CSV without header", "columns is a mapping or a list")
	}
}

// place reads where a column stands: "2-6", or {start: 2, width: 5}.
func (p *parser) place(name string, n *yaml.Node) (column, bool) {
	c := column{name: name}
	first, last, ok := strings.Cut(n.Value, "-")
	var err, err2 error
	if n.Kind == yaml.MappingNode {
		width := 0
		ok = len(n.Content) == 4
		for k, v := range pairs(n) {
			switch k.Value {
			case "start":
				c.from, err = strconv.Atoi(v.Value)
			case "width":
				width, err2 = strconv.Atoi(v.Value)
			default:
				ok = false
			}
		}
		c.to = c.from + width - 1
	} else {
		c.from, err = strconv.Atoi(first)
		c.to, err2 = strconv.Atoi(last)
	}
	if !ok || err != nil || err2 != nil || c.from < 1 || c.to < c.from {
		p.fail(n, "write the first and the last character, for example 2-6, or {start: 2, width: 5}", "%q is no place", n.Value)
		return c, false
	}
	return c, true
}

func (p *parser) types(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "write {total: number, member: boolean, day: date %d.%m.%Y}", "types is a mapping")
		return
	}
	p.f.types = map[string]columnType{}
	for name, v := range pairs(n) {
		t, err := parseType(v.Value)
		if err != nil {
			p.fail(v, "write text, number, boolean, date, or date and its form, for example date %d.%m.%Y", "%v", err)
			continue
		}
		p.f.types[name.Value] = t
	}
}

func (p *parser) event(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "write type:, user_id:, timestamp: …", "event is a mapping")
		return
	}
	c := call{fields: map[string]*value{}}
	for k, v := range pairs(n) {
		switch {
		case k.Value == "properties":
			c.props = p.members(v)
		case k.Value == "traits":
			c.traits = p.members(v)
		case k.Value == "external_ids":
			c.external = p.members(v)
		case k.Value == "when":
			c.when = p.condition(v)
		case slices.Contains(fieldNames, k.Value):
			c.fields[k.Value] = p.value(v)
		default:
			p.fail(k, "an event has "+strings.Join(fieldNames, ", ")+", properties, traits, external_ids and when", "unknown key %q", k.Value)
		}
	}
	p.f.calls = append(p.f.calls, c)
}

func (p *parser) members(n *yaml.Node) []member {
	if n.Kind != yaml.MappingNode {
		p.fail(n, `write {value: "{{ dollars }}"}`, "a mapping is needed here")
		return nil
	}
	var out []member
	for k, v := range pairs(n) {
		key, _ := json.Marshal(k.Value) // A text always marshals.
		out = append(out, member{k.Value, key, p.value(v)})
	}
	return out
}
