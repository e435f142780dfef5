// Package schema is what may stand in the files of the configuration, in a form
// that programs read: JSON Schemas for editors, and the tables from which the
// reference is made. What comes in are the tables of this package, which a test
// holds against the parsers, key by key and in both directions; what goes out is
// JSON. It never judges a configuration: that is the work of `rapport check`,
// whose messages say more than a schema can.
package schema

import (
	"bytes"
	"encoding/json"
	"slices"

	"rapport/internal/spec"
)

// Dialect is the version of JSON Schema in which the schemas are written.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// File is one kind of file of the configuration.
type File struct {
	Name  string // of the schema: rapport schema NAME
	Path  string // where such files stand, with NAME for what may vary
	Title string
	Type  *Type
}

// Type is what may stand in one place.
type Type struct {
	Name   string // of a type that is named in the reference, or refers to itself
	Doc    string
	Kind   Kind
	Words  []string // Word: those that may be written; Text: some that editors offer
	Keys   []Key    // Mapping
	Others *Type    // Mapping: what stands under keys of the author's own; nil: there are none
	Item   *Type    // List
	OneOf  []*Type  // Choice
}

// Key is one key of a mapping.
type Key struct {
	Name    string
	Doc     string // what it means, in one line
	Default string // what holds without it; "" where that is nothing, or told in Doc
	Must    bool   // it must be given
	Type    *Type
}

// Kind is a kind of value.
type Kind string

// The kinds.
const (
	Text     Kind = "text"
	Word     Kind = "word" // one of some words
	Number   Kind = "number"
	Integer  Kind = "whole number"
	Truth    Kind = "true or false"
	Duration Kind = "duration" // 30s, 15m, 24h, 7d, 2w
	Size     Kind = "bytes"    // 512, 32KB, 4MB
	Liquid   Kind = "Liquid"   // a text with Liquid in it
	Any      Kind = "anything"
	Mapping  Kind = "mapping"
	List     Kind = "list"
	Choice   Kind = "choice"
)

// Files lists every kind of file, in the order of the reference.
func Files() []File {
	return []File{
		{"rapport", "rapport.yaml", "The workspace: what holds for everything else", workspace},
		{"purposes", "purposes.yaml", "Why personal data is used", purposes},
		{"source", "sources/NAME.yaml", "A place that events come from", source},
		{"plan", "plan/NAME.yaml", "Which events may come, with which fields, and what becomes of others", plan},
		{"segment", "segments/NAME.yaml", "A group of people", segment},
		{"journey", "journeys/NAME.yaml", "What follows when something happens to one person", journey},
		{"template", "templates/NAME/template.yaml", "A mail", template},
		{"provider", "providers/NAME.yaml", "A way out for mails", provider},
		{"destination", "destinations/NAME.yaml", "Another system that is told what happens", told},
		{"theme", "theme.yaml", "How the pages for readers look", theme},
		{"page", "pages/LANGUAGE.yaml", "What the pages for readers say in a language; what is left out stays as it is shipped", page},
		{"test", "tests/NAME.yaml", "What happens in a test of journeys, and which mails must leave", script},
		{"mapping", "a file of its own, for rapport import --map", "How the lines of a file become events", mapping},
	}
}

// Find gives a kind of file by its name.
func Find(name string) (File, bool) {
	files := Files()
	i := slices.IndexFunc(files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return File{}, false
	}
	return files[i], true
}

// JSON writes the schema of a kind of file.
func (f File) JSON() []byte {
	w := writer{defs: map[string]object{}}
	root := w.schema(f.Type)
	root["$schema"], root["title"] = Dialect, f.Title+" ("+f.Path+")"
	if len(w.defs) > 0 {
		root["$defs"] = w.defs
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		panic(err) // It is made of texts and mappings only.
	}
	return b.Bytes()
}

type object = map[string]any

// writer writes types as JSON Schema; those with a name once, as definitions.
type writer struct {
	defs map[string]object
}

func (w *writer) schema(t *Type) object {
	if t.Name == "" {
		return w.body(t)
	}
	if _, ok := w.defs[t.Name]; !ok {
		w.defs[t.Name] = object{} // Types may contain themselves.
		w.defs[t.Name] = w.body(t)
	}
	return object{"$ref": "#/$defs/" + t.Name}
}

func (w *writer) body(t *Type) object {
	out := object{}
	if t.Doc != "" {
		out["description"] = t.Doc
	}
	switch t.Kind {
	case Text, Liquid:
		out["type"] = []string{"string", "number", "boolean"} // YAML reads 42 without quotes as a number.
		if len(t.Words) > 0 {
			out["examples"] = t.Words // Editors complete them and take any other.
		}
	case Word:
		out["enum"] = words(t.Words)
	case Number:
		out["type"] = []string{"number", "string"}
		out["pattern"] = `^[0-9_]+(\.[0-9]+)?$`
	case Integer:
		out["type"] = []string{"integer", "string"}
		out["pattern"] = `^[0-9_]+$`
	case Truth:
		out["type"] = "boolean"
	case Duration:
		out["type"], out["pattern"] = "string", `^([0-9]+[smhdw])+$`
	case Size:
		out["type"], out["pattern"] = []string{"integer", "string"}, `^[0-9]+ *([KkMmGg][Bb])?$`
	case List:
		out["type"], out["items"] = "array", w.schema(t.Item)
	case Choice:
		var any []object
		for _, o := range t.OneOf {
			any = append(any, w.schema(o))
		}
		out["anyOf"] = any
	case Mapping:
		w.mapping(t, out)
	}
	return out
}

func (w *writer) mapping(t *Type, out object) {
	out["type"] = "object"
	properties, must := object{}, []string{}
	for _, k := range t.Keys {
		p := w.schema(k.Type)
		if _, ref := p["$ref"]; ref || k.Doc != "" {
			p["description"] = k.describe()
		}
		properties[k.Name] = p
		if k.Must {
			must = append(must, k.Name)
		}
	}
	if len(properties) > 0 {
		out["properties"] = properties
	}
	if len(must) > 0 {
		out["required"] = must
	}
	out["additionalProperties"] = false
	if t.Others != nil {
		out["additionalProperties"] = w.schema(t.Others)
	}
}

func (k *Key) describe() string {
	if k.Default == "" {
		return k.Doc
	}
	return k.Doc + " (without it: " + k.Default + ")"
}

// words writes words as an editor's YAML gives them: true and false as such.
func words(list []string) []any {
	var out []any
	for _, w := range list {
		switch w {
		case "true", "false":
			out = append(out, w == "true")
		default:
			out = append(out, w)
		}
	}
	return out
}

// Short ways to write the tables.

var (
	text     = &Type{Kind: Text}
	happened = &Type{Kind: Text, Words: spec.Names()} // the name of an event
	number   = &Type{Kind: Number}
	integer  = &Type{Kind: Integer}
	truth    = &Type{Kind: Truth}
	duration = &Type{Kind: Duration}
	size     = &Type{Kind: Size}
	liquid   = &Type{Kind: Liquid}
	anything = &Type{Kind: Any}
)

func word(words ...string) *Type     { return &Type{Kind: Word, Words: words} }
func list(item *Type) *Type          { return &Type{Kind: List, Item: item} }
func oneOrMore(item *Type) *Type     { return oneOf(item, list(item)) }
func oneOf(types ...*Type) *Type     { return &Type{Kind: Choice, OneOf: types} }
func keys(keys ...Key) *Type         { return &Type{Kind: Mapping, Keys: keys} }
func named(others *Type) *Type       { return &Type{Kind: Mapping, Others: others} }
func (t *Type) as(name string) *Type { t.Name = name; return t }
func must(k Key) Key                 { k.Must = true; return k }
func key(name string, t *Type, doc string) Key {
	return Key{Name: name, Type: t, Doc: doc}
}
func otherwise(name string, t *Type, without, doc string) Key {
	return Key{Name: name, Type: t, Doc: doc, Default: without}
}
