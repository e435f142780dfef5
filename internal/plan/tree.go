package plan

import (
	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/purpose"
	"rapport/internal/scan"
)

// tree says which members of an object are planned, and of which class they are.
type tree struct {
	class  purpose.Class
	fields map[string]*tree
	items  *tree // of a list
	open   bool  // nothing below is unplanned: no fields are named, or the schema permits others
}

// treeOf reads a JSON Schema for the fields that it names.
func treeOf(doc any) *tree {
	schema, ok := doc.(map[string]any)
	if !ok {
		return &tree{open: true}
	}
	t := &tree{fields: map[string]*tree{}}
	properties, named := schema["properties"].(map[string]any)
	for name, below := range properties {
		t.fields[name] = treeOf(below)
	}
	t.open = !named
	for _, other := range [...]string{"patternProperties", "additionalProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf", "$ref", "$dynamicRef", "if", "dependentSchemas"} {
		if v, there := schema[other]; there && v != false {
			t.open = true
		}
	}
	if more, there := schema["additionalProperties"]; there && more == false {
		t.open = false
	}
	if items, there := schema["items"]; there {
		t.items = treeOf(items)
	}
	return t
}

// note adds the classes that the plan says; below a field its class holds on.
func (t *tree) note(fields map[string]*Field, class purpose.Class) {
	for name, f := range fields {
		if below := t.fields[name]; below != nil {
			below.noteField(f, class)
		}
	}
}

func (t *tree) noteField(f *Field, above purpose.Class) {
	t.class = max(above, f.Attribute.Class)
	t.note(f.Fields, t.class)
	if t.items != nil && f.Items != nil {
		t.items.noteField(f.Items, t.class)
	}
}

// unplanned walks over raw JSON and adds what nobody planned. It gives the value
// without that, which is the same slice where nothing was.
type unplanned struct {
	strip bool
	found []Violation
	path  []byte
	most  int
	// unnamed says that the person's address was among it, a trait of the spec.
	unnamed bool
}

// walk looks at a value; changed tells whether anything was taken out.
func (u *unplanned) walk(raw []byte, t *tree) (out []byte, changed bool) {
	switch {
	case t == nil || len(raw) == 0:
	case raw[0] == '{' && (len(t.fields) > 0 || !t.open):
		return u.object(raw, t)
	case raw[0] == '[' && t.items != nil:
		return u.list(raw, t)
	}
	return raw, false
}

func (u *unplanned) object(raw []byte, t *tree) ([]byte, bool) {
	var out []byte // nil as long as everything stays
	for m, kept := scan.MembersOf(raw), 1; ; {
		key, value, ok := m.Next()
		if !ok {
			if out == nil {
				return raw, false
			}
			return append(out, '}'), true
		}
		below, planned := t.fields[string(key)]
		stays := planned || t.open
		was := len(u.path)
		next := value
		if !stays {
			u.step(key)
			u.tell()
			stays = !u.strip
		} else if below != nil && len(value) > 0 && (value[0] == '{' || value[0] == '[') {
			u.step(key)
			next, _ = u.walk(value, below)
		}
		u.path = u.path[:was]
		same := stays && len(next) == len(value)
		if out == nil && same {
			kept = m.At()
			continue
		}
		if out == nil {
			out = append(make([]byte, 0, len(raw)), raw[:kept]...)
		}
		if stays {
			out = member(out, key)
			out = append(out, next...)
		}
	}
}

func (u *unplanned) list(raw []byte, t *tree) ([]byte, bool) {
	var out []byte
	for l, kept := scan.ElementsOf(raw), 1; ; {
		value, ok := l.Next()
		if !ok {
			if out == nil {
				return raw, false
			}
			return append(out, ']'), true
		}
		next, changed := u.walk(value, t.items)
		if out == nil && !changed {
			kept = l.At()
			continue
		}
		if out == nil {
			out = append(make([]byte, 0, len(raw)), raw[:kept]...)
		}
		if out[len(out)-1] != '[' {
			out = append(out, ',')
		}
		out = append(out, next...)
	}
}

// member begins a member of an object that is written.
func member(out, key []byte) []byte {
	if out[len(out)-1] != '{' {
		out = append(out, ',')
	}
	out, _ = jsontext.AppendQuote(out, string(key)) // Keys were found to be UTF-8 at the door.
	return append(out, ':')
}

func (u *unplanned) step(key []byte) {
	if len(u.path) > 0 {
		u.path = append(u.path, '.')
	}
	u.path = append(u.path, safeName(string(key))...)
}

func (u *unplanned) tell() {
	if at := string(u.path); at == "traits.email" || at == "context.traits.email" {
		u.unnamed = true
	}
	if len(u.found) >= u.most {
		return
	}
	field := string(u.path)
	u.found = append(u.found, Violation{Kind: UnplannedProperty, Field: field, Description: field + " is not in the plan"})
}
