package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"rapport/internal/event"
)

// Dialect is the version of JSON Schema that plans are written in. A schema that
// was imported may name an older one with "$schema".
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// compiled is one plan, ready.
type compiled struct {
	of       *Document
	tracks   map[string]*planned
	pages    map[string]*planned
	screens  map[string]*planned
	identify *planned
	group    *planned
	context  *form
	personal *personal
}

// planned is one event, ready.
type planned struct {
	of    *Event
	forms []*form // of its versions, the oldest first
}

// form is what the fields of one version must be like.
type form struct {
	number int
	schema *jsonschema.Schema
	shape  *shape // accepts at once what is plainly as planned; nil: the schema decides everything
	tree   *tree  // which fields are planned
}

func compile(d *Document) (*compiled, error) {
	c := &compiled{of: d, tracks: map[string]*planned{}, pages: map[string]*planned{}, screens: map[string]*planned{}}
	for _, e := range d.Events {
		p := &planned{of: e}
		for i := range e.Versions {
			v := &e.Versions[i]
			f, err := compileForm(v.Number, e.schemaOf(v))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.label(), err)
			}
			f.tree.note(v.Fields, e.Attribute.Class)
			p.forms = append(p.forms, f)
		}
		if len(p.forms) == 0 {
			return nil, fmt.Errorf("%s: it has no version", e.label())
		}
		switch e.Type {
		case event.Track:
			c.tracks[e.Name] = p
		case event.Page:
			c.pages[e.Name] = p
		case event.Screen:
			c.screens[e.Name] = p
		case event.Identify:
			c.identify = p
		case event.Group:
			c.group = p
		default:
			return nil, fmt.Errorf("%s: such events are not planned", e.label())
		}
	}
	if d.Context != nil {
		f, err := compileForm(1, object(d.Context, nil))
		if err != nil {
			return nil, fmt.Errorf("context: %w", err)
		}
		f.tree.note(d.Context, 0)
		c.context = f
	}
	if d.Personal != nil {
		c.personal = d.Personal.compile()
	}
	return c, nil
}

// label names an event for whoever wrote it.
func (e *Event) label() string {
	if e.Name == "" {
		return e.Type.String()
	}
	return fmt.Sprintf("%s %q", e.Type, e.Name)
}

func (c *compiled) find(t event.Type, name string) *planned {
	switch t {
	case event.Track:
		return c.tracks[name]
	case event.Page:
		return either(c.pages, name)
	case event.Screen:
		return either(c.screens, name)
	case event.Identify:
		return c.identify
	case event.Group:
		return c.group
	}
	return nil
}

func either(of map[string]*planned, name string) *planned {
	if p := of[name]; p != nil {
		return p
	}
	return of["*"]
}

// plans tells whether a plan says anything of a type of event: one that lists
// no pages has not thought of pages, and a page is not against it.
func (c *compiled) plans(t event.Type) bool {
	switch t {
	case event.Track:
		return len(c.tracks) > 0
	case event.Page:
		return len(c.pages) > 0
	case event.Screen:
		return len(c.screens) > 0
	}
	return false
}

// version gives the form that an event names; the oldest where it names none, or
// one that there is not, as Segment's Protocols do.
func (p *planned) version(n int) *form {
	if n > 0 {
		for _, f := range p.forms {
			if f.number == n {
				return f
			}
		}
	}
	return p.forms[0]
}

// Schema gives the JSON Schema of an event's properties or traits.
func (e *Event) Schema(v *Version) []byte {
	doc := e.schemaOf(v)
	if _, ok := doc["$schema"]; !ok {
		doc["$schema"] = Dialect
	}
	b, _ := json.MarshalIndent(doc, "", "  ") // It is made of what JSON and YAML hold.
	return b
}

func (e *Event) schemaOf(v *Version) map[string]any { return object(v.Fields, v.Schema) }

// object lays fields over a schema that was given beside them.
func object(fields map[string]*Field, below map[string]any) map[string]any {
	out := maps.Clone(below)
	if out == nil {
		out = map[string]any{}
	}
	if len(fields) == 0 && len(below) > 0 {
		return out
	}
	out["type"] = "object"
	properties := map[string]any{}
	if had, ok := out["properties"].(map[string]any); ok {
		maps.Copy(properties, had)
	}
	var required []any
	if had, ok := out["required"].([]any); ok {
		required = slices.Clone(had)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := fields[name]
		properties[name] = f.schema()
		if f.Required && !slices.Contains(required, any(name)) {
			required = append(required, name)
		}
	}
	if len(properties) > 0 {
		out["properties"] = properties
	}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// schema writes a field as JSON Schema.
func (f *Field) schema() map[string]any {
	out := maps.Clone(f.Schema)
	if out == nil {
		out = map[string]any{}
	}
	if f.Fields != nil {
		out = object(f.Fields, out)
	}
	switch len(f.Types) {
	case 0:
	case 1:
		out["type"] = f.Types[0]
	default:
		list := make([]any, 0, len(f.Types))
		for _, t := range f.Types {
			list = append(list, t)
		}
		out["type"] = list
	}
	if f.Enum != nil {
		out["enum"] = f.Enum
	}
	for name, text := range map[string]string{"description": f.Description, "format": f.Format, "pattern": f.Pattern} {
		if text != "" {
			out[name] = text
		}
	}
	for name, number := range map[string]string{"minimum": f.Minimum, "maximum": f.Maximum} {
		if number != "" {
			out[name] = json.Number(number)
		}
	}
	if f.Items != nil {
		out["items"] = f.Items.schema()
	}
	return out
}

// closed loads nothing: a schema that points elsewhere would let whoever writes
// it make the server fetch addresses of their choice.
type closed struct{}

// Load implements jsonschema.URLLoader.
func (closed) Load(string) (any, error) {
	return nil, errors.New("a schema may not point outside of its plan")
}

// compileForm compiles a schema of an object.
func compileForm(number int, doc map[string]any) (*form, error) {
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write its schema: %w", err)
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw)) // Numbers in the form that the library wants.
	if err != nil {
		return nil, fmt.Errorf("read its schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(closed{})
	const here = "plan:///event.json"
	if err := c.AddResource(here, plain); err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	s, err := c.Compile(here)
	if err != nil {
		return nil, schemaError(err)
	}
	return &form{number: number, schema: s, shape: shapeOf(s, 0), tree: treeOf(plain)}, nil
}

// schemaError says in one line what is wrong with a schema.
func schemaError(err error) error {
	var invalid *jsonschema.SchemaValidationError
	var inner *jsonschema.ValidationError
	if errors.As(err, &invalid) && errors.As(invalid.Err, &inner) {
		for len(inner.Causes) > 0 {
			inner = inner.Causes[0]
		}
		return fmt.Errorf("its schema is no JSON Schema: at /%s: %s", join(inner.InstanceLocation, "/"), inner.ErrorKind.LocalizedString(english))
	}
	return fmt.Errorf("its schema cannot be used: %w", err)
}
