package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/liquid"
)

// value is a mapped value: a column, one Liquid expression, both of which keep
// their type, a text with Liquid in it, or a text without.
type value struct {
	column  string
	expr    *liquid.Expr
	operand string       // what expr calculates with, as it is written; "": it calculates nothing
	number  *liquid.Expr // the same, to be a number
	text    *liquid.Template
	plain   liquid.Value // where nothing else is set
}

// value compiles one mapped value.
func (p *parser) value(n *yaml.Node) *value {
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[0].Value == "column" && n.Content[1].Kind == yaml.ScalarNode {
		return &value{column: n.Content[1].Value}
	}
	if n.Kind != yaml.ScalarNode {
		p.fail(n, `write a text, with {{ column }} in it where it is mapped, or {column: NAME}`, "a mapped value is a text or a column")
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
		if isIdentifier(inner) {
			return &value{column: inner} // The commonest value needs no Liquid.
		}
		if operand, ok := operandOf(inner); ok {
			v.operand = operand
			if v.number, err = liquid.CompileExpr(operand, liquid.Options{Name: "mapping"}); err != nil {
				p.fail(n, "", "%v", err)
				return nil
			}
		}
		return v
	}
	if !strings.Contains(n.Value, "{{") && !strings.Contains(n.Value, "{%") {
		return &value{plain: liquid.String(n.Value)}
	}
	t, err := liquid.Compile(n.Value, liquid.Options{Name: "mapping"})
	if err != nil {
		p.fail(n, "", "%v", err)
		return nil
	}
	return &value{text: t}
}

// isIdentifier tells whether an expression is the bare name of a column.
func isIdentifier(s string) bool {
	switch s {
	case "", "nil", "null", "true", "false", "empty", "blank":
		return false
	}
	return s[0] > '9' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == ""
}

// condition compiles what must hold for a line to make an event.
func (p *parser) condition(n *yaml.Node) *value {
	if n.Kind != yaml.ScalarNode || strings.TrimSpace(n.Value) == "" {
		p.fail(n, `write for example when: status == "paid"`, "when is a condition")
		return nil
	}
	t, err := liquid.Compile("{% if "+n.Value+" %}1{% endif %}", liquid.Options{Name: "mapping"})
	if err != nil {
		p.fail(n, "write what would stand between {% if and %}, for example status == \"paid\"", "%v", err)
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

// mapping evaluates one line's values and remembers the first failure.
type mapping struct {
	zone *time.Location
	ctx  context.Context
	row  liquid.Object
	vars liquid.Value // the same, for Liquid
	err  error
}

func (m *mapping) fail(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

func (m *mapping) eval(v *value) liquid.Value {
	switch {
	case v.column != "":
		got, _ := m.row.Get(v.column)
		return got
	case v.expr == nil && v.text == nil:
		return v.plain
	}
	if v.number != nil {
		operand, err := v.number.Eval(m.ctx, m.vars, liquid.RenderOptions{Zone: m.zone})
		switch {
		case err != nil:
			m.fail("%w", err)
		case !isNumber(operand):
			m.fail("%s is no number; write %s | default: 0 where it may be missing", v.operand, v.operand)
		}
	}
	if v.expr != nil {
		got, err := v.expr.Eval(m.ctx, m.vars, liquid.RenderOptions{Zone: m.zone})
		if err != nil {
			m.fail("%w", err)
		}
		return got
	}
	b, _, err := v.text.Render(m.ctx, nil, m.vars, liquid.RenderOptions{Zone: m.zone})
	if err != nil {
		m.fail("%w", err)
	}
	return liquid.String(string(b))
}

// isNumber tells whether Liquid calculates with all of a value: it reads "1,5"
// as 1 and "n/a" as 0, which nobody means who maps a column.
func isNumber(v liquid.Value) bool {
	s, ok := v.AsString()
	if !ok {
		_, ok = v.AsFloat()
		return ok
	}
	whole, fraction, parted := strings.Cut(strings.TrimPrefix(strings.TrimSpace(s), "-"), ".")
	return digits(whole) && (!parted || digits(fraction))
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func textOf(v liquid.Value) string {
	if s, ok := v.AsString(); ok {
		return s
	}
	if v.IsNil() {
		return ""
	}
	return string(liquid.AppendJSON(nil, v))
}
