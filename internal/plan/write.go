package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/plan/pii"
)

// Write writes a plan as the file that Parse reads.
func Write(d *Document) ([]byte, error) {
	m := mapped{}
	m.text("title", d.Title)
	m.text("description", d.Description)
	if len(d.Sources) > 0 {
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		plain := true
		rules := mapped{}
		for _, name := range slices.Sorted(maps.Keys(d.Sources)) {
			list.Content = append(list.Content, scalar(name))
			one := mapped{}
			one.rules(d.Sources[name])
			plain = plain && len(one.nodes) == 0
			rules.put(name, one.node())
		}
		if plain {
			m.put("sources", list)
		} else {
			m.put("sources", rules.node())
		}
	}
	m.rules(d.Rules)
	if d.Quiet {
		m.text("violations", "count")
	}
	for _, part := range []struct {
		key string
		of  event.Type
	}{{"events", event.Track}, {"pages", event.Page}, {"screens", event.Screen}} {
		list := mapped{}
		for _, e := range d.Events {
			if e.Type == part.of {
				list.put(e.Name, e.node())
			}
		}
		m.some(part.key, list)
	}
	for _, e := range d.Events {
		if key := map[event.Type]string{event.Identify: "traits", event.Group: "group_traits"}[e.Type]; key != "" {
			m.some(key, fieldNodes(e.Versions[0].Fields))
		}
	}
	m.some("context", fieldNodes(d.Context))
	if d.Personal != nil {
		m.put("personal_data", d.Personal.node())
	}
	b, err := yaml.Dump(m.node(), yaml.WithIndent(2))
	if err != nil {
		return nil, fmt.Errorf("write the plan: %w", err)
	}
	return b, nil
}

// mapped builds a mapping in order.
type mapped struct{ nodes []*yaml.Node }

func scalar(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func (m *mapped) put(key string, value *yaml.Node) { m.nodes = append(m.nodes, scalar(key), value) }

func (m *mapped) text(key, value string) {
	if value != "" {
		m.put(key, scalar(value))
	}
}

func (m *mapped) plain(key, value, tag string) {
	if value != "" {
		m.put(key, &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value})
	}
}

func (m *mapped) some(key string, value mapped) {
	if len(value.nodes) > 0 {
		m.put(key, value.node())
	}
}

func (m *mapped) node() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Content: m.nodes} }

func (m *mapped) rules(r Rules) {
	m.text("on_violation", r.OnViolation.String())
	m.text("unplanned_events", r.UnplannedEvents.String())
	m.text("unplanned_fields", r.UnplannedFields.String())
}

func (m *mapped) attribute(a Attribute) {
	m.text("class", a.Class.String())
	if len(a.Purposes) > 0 {
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, p := range a.Purposes {
			list.Content = append(list.Content, scalar(string(p)))
		}
		m.put("purposes", list)
	}
	if a.Retention > 0 {
		m.text("retention", Span(a.Retention))
	}
}

func (e *Event) node() *yaml.Node {
	m := mapped{}
	m.text("description", e.Description)
	m.rules(e.Rules)
	m.attribute(e.Attribute)
	if len(e.Versions) == 1 && e.Versions[0].Number == 1 {
		m.version(&e.Versions[0])
		return m.node()
	}
	versions := mapped{}
	for i := range e.Versions {
		one := mapped{}
		one.text("description", e.Versions[i].Description)
		one.version(&e.Versions[i])
		key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(e.Versions[i].Number)}
		versions.nodes = append(versions.nodes, key, one.node())
	}
	m.put("versions", versions.node())
	return m.node()
}

func (m *mapped) version(v *Version) {
	m.some("properties", fieldNodes(v.Fields))
	if len(v.Schema) > 0 {
		m.put("schema", valueNode(v.Schema))
	}
}

func fieldNodes(fields map[string]*Field) (m mapped) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		m.put(name, fields[name].node())
	}
	return m
}

func (f *Field) node() *yaml.Node {
	m := mapped{}
	switch {
	case len(f.Types) == 1:
		m.text("type", f.Types[0])
	case len(f.Types) > 1:
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, t := range f.Types {
			list.Content = append(list.Content, scalar(t))
		}
		m.put("type", list)
	}
	if f.Required {
		m.plain("required", "true", "!!bool")
	}
	m.text("description", f.Description)
	if f.Enum != nil {
		n := valueNode(f.Enum)
		n.Style = yaml.FlowStyle
		m.put("enum", n)
	}
	m.text("format", f.Format)
	m.text("pattern", f.Pattern)
	m.plain("minimum", f.Minimum, "!!float")
	m.plain("maximum", f.Maximum, "!!float")
	m.attribute(f.Attribute)
	if f.Items != nil {
		m.put("items", f.Items.node())
	}
	m.some("properties", fieldNodes(f.Fields))
	if len(f.Schema) > 0 {
		m.put("schema", valueNode(f.Schema))
	}
	if len(m.nodes) == 2 && m.nodes[0].Value == "type" && m.nodes[1].Kind == yaml.ScalarNode {
		return m.nodes[1] // A type alone is all that is said.
	}
	n := m.node()
	if len(m.nodes) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// valueNode writes what JSON holds.
func valueNode(v any) *yaml.Node {
	switch v := v.(type) {
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: string(v)}
	case string:
		return scalar(v)
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, one := range v {
			n.Content = append(n.Content, valueNode(one))
		}
		return n
	case map[string]any:
		m := mapped{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			m.put(name, valueNode(v[name]))
		}
		return m.node()
	}
	return scalar(fmt.Sprint(v))
}

func (p *Personal) node() *yaml.Node {
	m := mapped{}
	for _, k := range pii.Kinds() {
		m.text(k.String(), p.Acts[k].String())
	}
	for _, s := range []struct {
		key   string
		how   Shorten
		words [3]string
	}{{"client_ip", p.IP, [3]string{"", "truncate", "drop"}}, {"user_agent", p.Agent, [3]string{"", "reduce", "drop"}}} {
		m.text(s.key, s.words[s.how])
	}
	if len(p.Places) > 0 {
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, place := range p.Places {
			list.Content = append(list.Content, scalar(place))
		}
		m.put("places", list)
	}
	return m.node()
}

// Paths lists the fields of a version with those below them: "address.city",
// "products.sku".
func (v *Version) Paths() []string {
	var out []string
	var walk func(fields map[string]*Field, above string)
	walk = func(fields map[string]*Field, above string) {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			out = append(out, above+name)
			f := fields[name]
			for f.Fields == nil && f.Items != nil {
				f = f.Items
			}
			walk(f.Fields, above+name+".")
		}
	}
	walk(v.Fields, "")
	return out
}

// At gives the field at a path, and what holds for it in an event.
func (v *Version) At(e *Event, path string) (*Field, Attribute) {
	a, _ := e.attribute(v, path)
	fields, f := v.Fields, &Field{}
	for step := range strings.SplitSeq(path, ".") {
		below := fields[step]
		if below == nil {
			return &Field{}, a
		}
		f = below
		for below.Fields == nil && below.Items != nil {
			below = below.Items
		}
		fields = below.Fields
	}
	return f, a
}
