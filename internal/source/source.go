// Package source is everything that brings events in its own dialect. What
// comes in are files: fixed width, CSV or lines of JSON, with a mapping whose
// values are Liquid; what goes out are events for ingest, each with the number
// of its line. It never validates an event's meaning and never appends.
package source

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/liquid"
	"rapport/internal/rule"
)

// The formats of files.
const (
	Fixed  = "fixed"  // columns at fixed places
	CSV    = "csv"    // RFC 4180
	NDJSON = "ndjson" // one JSON object a line
)

// Format says how the lines of a file become events: the `file` section of a
// source.
type Format struct {
	Kind    string
	Comma   rune     // CSV: what parts columns
	Header  bool     // CSV: the first line names the columns
	Columns []column // fixed: with places; CSV without header: names in order
	Zone    *time.Location
	Until   time.Time         // where business time stops when the file is played back; zero: with the last line
	content string            // what message ids begin with, see Of
	fields  map[string]*value // of the event: type, event, user_id …
	props   []member
	traits  []member
}

// column is one named column; from and to count characters from 1.
type column struct {
	name     string
	from, to int
}

type member struct {
	name  string
	value *value
}

// value is a mapped value: one Liquid expression, which keeps its type, or a
// text with Liquid in it.
type value struct {
	expr    *liquid.Expr
	operand string       // what expr calculates with, as it is written; "": it calculates nothing
	number  *liquid.Expr // the same, to be a number
	text    *liquid.Template
}

// The members of an event that can be mapped.
var fieldNames = []string{"type", "event", "user_id", "anonymous_id", "email", "message_id", "timestamp"}

// MaxColumns is how many columns a file may have.
const MaxColumns = 500

// Of gives the format for one file of a certain content. Without it a line's
// message id, where the mapping makes none, is its bare number, which is the
// same in every file; with it the content stands before the number, so that the
// lines of one file are known again and those of another file are others.
func (f *Format) Of(content string) *Format {
	g := *f
	g.content = content
	return &g
}

// NamesMessages tells whether the mapping makes message ids itself.
func (f *Format) NamesMessages() bool { return f.fields["message_id"] != nil }

// Parse reads a source's `file` section.
func Parse(n *yaml.Node) (*Format, []rule.Problem) {
	p := &parser{f: &Format{Comma: ',', Header: true, Zone: time.UTC, fields: map[string]*value{}}}
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, []rule.Problem{{Line: 1, Column: 1, Message: "file is a mapping", Hint: "write format:, columns: and event:"}}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		p.key(n.Content[i], n.Content[i+1])
	}
	if p.f.Kind == "" {
		p.fail(n, "write format: fixed, csv or ndjson", "the file has no format")
	}
	if p.f.Kind == Fixed && len(p.f.Columns) == 0 {
		p.fail(n, "write columns: {customer: 2-6}", "a fixed file needs columns")
	}
	if p.f.fields["timestamp"] == nil && p.f.Kind != NDJSON {
		p.fail(n, `write timestamp: "{{ date }}" below event:`, "an event needs a timestamp")
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return p.f, nil
}

type parser struct {
	f        *Format
	problems []rule.Problem
}

func (p *parser) fail(n *yaml.Node, hint, format string, args ...any) {
	p.problems = append(p.problems, rule.Problem{Line: n.Line, Column: n.Column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (p *parser) key(k, v *yaml.Node) {
	switch k.Value {
	case "format":
		if !slices.Contains([]string{Fixed, CSV, NDJSON}, v.Value) {
			p.fail(v, "write fixed, csv or ndjson", "there is no format %q", v.Value)
			return
		}
		p.f.Kind = v.Value
	case "comma":
		r := []rune(v.Value)
		if len(r) != 1 || r[0] == '"' || r[0] == '\n' || r[0] == '\r' {
			p.fail(v, `write one character, for example comma: ";"`, "comma is one character")
			return
		}
		p.f.Comma = r[0]
	case "header":
		p.f.Header = v.Value == "true"
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
	case "event":
		p.event(v)
	default:
		p.fail(k, "file has format, comma, header, time_zone, until, columns and event", "unknown key %q", k.Value)
	}
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
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, place := n.Content[i], n.Content[i+1]
			from, to, ok := strings.Cut(place.Value, "-")
			c := column{name: name.Value}
			var err, err2 error
			c.from, err = strconv.Atoi(from)
			c.to, err2 = strconv.Atoi(to)
			if !ok || err != nil || err2 != nil || c.from < 1 || c.to < c.from {
				p.fail(place, "write the first and the last character, for example 2-6", "%q is no place", place.Value)
				continue
			}
			p.f.Columns = append(p.f.Columns, c)
		}
	default:
		p.fail(n, "write {customer: 2-6} for a fixed file, [customer, date] for a CSV without header", "columns is a mapping or a list")
	}
}

func (p *parser) event(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "write type:, user_id:, timestamp: …", "event is a mapping")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Value == "properties":
			p.f.props = p.members(v)
		case k.Value == "traits":
			p.f.traits = p.members(v)
		case slices.Contains(fieldNames, k.Value):
			p.f.fields[k.Value] = p.value(v)
		default:
			p.fail(k, "an event has "+strings.Join(fieldNames, ", ")+", properties and traits", "unknown key %q", k.Value)
		}
	}
}

func (p *parser) members(n *yaml.Node) []member {
	if n.Kind != yaml.MappingNode {
		p.fail(n, `write {value: "{{ dollars }}"}`, "a mapping is needed here")
		return nil
	}
	var out []member
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, member{n.Content[i].Value, p.value(n.Content[i+1])})
	}
	return out
}

// value compiles one mapped value.
func (p *parser) value(n *yaml.Node) *value {
	if n.Kind != yaml.ScalarNode {
		p.fail(n, `write a text, with {{ column }} in it where it is mapped`, "a mapped value is a text")
		return nil
	}
	text := strings.TrimSpace(n.Value)
	inner, ok := strings.CutPrefix(text, "{{")
	if inner, closed := strings.CutSuffix(inner, "}}"); ok && closed && !strings.Contains(inner, "{{") {
		inner = strings.Trim(inner, "- ")
		x, err := liquid.CompileExpr(inner, liquid.Options{Name: "mapping"})
		if err != nil {
			p.fail(n, "", "%v", err)
			return nil
		}
		v := &value{expr: x}
		if operand, ok := operandOf(inner); ok {
			v.operand = operand
			if v.number, err = liquid.CompileExpr(operand, liquid.Options{Name: "mapping"}); err != nil {
				p.fail(n, "", "%v", err)
				return nil
			}
		}
		return v
	}
	t, err := liquid.Compile(n.Value, liquid.Options{Name: "mapping"})
	if err != nil {
		p.fail(n, "", "%v", err)
		return nil
	}
	return &value{text: t}
}

// calculating are the filters that read a text which is no number as 0, or as
// the digits it begins with.
var calculating = []string{"plus", "minus", "times", "divided_by", "modulo", "abs", "ceil", "floor", "round", "at_least", "at_most"}

// operandOf gives what an expression calculates with: what stands before its
// first filter that calculates.
func operandOf(expr string) (string, bool) {
	quote := byte(0)
	for i := range len(expr) {
		switch c := expr[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '|':
			name := strings.TrimSpace(expr[i+1:])
			if end := strings.IndexAny(name, " \t:|"); end >= 0 {
				name = name[:end]
			}
			if slices.Contains(calculating, name) {
				return strings.TrimSpace(expr[:i]), true
			}
		}
	}
	return "", false
}
