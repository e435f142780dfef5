package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"rapport/internal/event"
)

// Import reads a tracking plan of Segment (Public API and Config API, draft-07)
// or RudderStack (Tracking Plan and Data Catalog API, draft-04 to 2019-09), as
// their APIs give it. notes name what could not be taken over.
//
// Shapes: docs.segmentapis.com/tag/Tracking-Plans and
// rudderstack.com/docs/api/data-catalog-api.
func Import(name string, data []byte) (d *Document, notes []string, err error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, nil, fmt.Errorf("it is no JSON: %w", err)
	}
	f := foreign{d: &Document{Name: name}}
	f.walk(v, 0)
	if len(f.d.Events) == 0 && f.d.Context == nil {
		return nil, nil, errors.New("no event of a tracking plan is in it: give what Segment's API answers to rules of a tracking plan, or RudderStack's to its events")
	}
	for _, e := range f.d.Events {
		slices.SortFunc(e.Versions, func(a, b Version) int { return a.Number - b.Number })
	}
	if _, err := compile(f.d); err != nil {
		return nil, f.notes, err
	}
	return f.d, f.notes, nil
}

// foreign gathers what is found in an export.
type foreign struct {
	d     *Document
	notes []string
}

func (f *foreign) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// walk looks for events wherever an export may have them.
func (f *foreign) walk(v any, level int) {
	if level > 6 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			if m, ok := one.(map[string]any); ok {
				f.item(m)
			}
		}
	case map[string]any:
		f.title(v)
		for _, key := range [...]string{"data", "trackingPlan", "tracking_plan", "rules", "events"} {
			f.walk(v[key], level+1)
		}
		// Segment's Config API has one schema each for these, beside the events.
		for key, t := range map[string]event.Type{"identify": event.Identify, "group": event.Group} {
			if schema, ok := v[key].(map[string]any); ok && level > 0 && len(schema) > 0 {
				f.event(t, "", "", 1, schema)
			}
		}
		if schema, ok := v["global"].(map[string]any); ok && level > 0 {
			f.common(schema)
		}
	}
}

func (f *foreign) title(m map[string]any) {
	for _, key := range [...]string{"display_name", "name"} {
		if s, ok := m[key].(string); ok && f.d.Title == "" {
			f.d.Title = s
		}
	}
	if s, ok := m["description"].(string); ok && f.d.Description == "" {
		f.d.Description = s
	}
}

// item reads one event of a list.
func (f *foreign) item(m map[string]any) {
	schema, ok := m["jsonSchema"].(map[string]any)
	if !ok {
		schema, ok = m["rules"].(map[string]any)
	}
	name := first(m, "key", "name")
	kind := strings.ToLower(first(m, "type", "eventType", "event_type"))
	if kind == "" {
		kind = "track"
	}
	if kind == "common" {
		f.common(schema)
		return
	}
	t, known := event.ParseType(kind)
	if !known || t == event.Alias {
		f.note("%q is of the type %q, which is not planned here", name, kind)
		return
	}
	if !ok {
		schema = map[string]any{}
	}
	description := first(m, "description")
	if description == "" {
		description = first(schema, "description")
	}
	f.event(t, name, description, numberOf(m["version"]), schema)
}

func first(m map[string]any, keys ...string) string {
	for _, key := range keys {
		if s, ok := m[key].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

func numberOf(v any) int {
	n, err := strconv.Atoi(fmt.Sprint(v))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// common reads Segment's common JSON schema: what every context is held against.
func (f *foreign) common(schema map[string]any) {
	of, _ := schema["properties"].(map[string]any)
	if context, ok := of["context"].(map[string]any); ok {
		v := Version{}
		f.version(&v, context, "context")
		if v.Schema == nil && len(v.Fields) > 0 {
			f.d.Context = v.Fields
			return
		}
		if len(context) > 0 {
			f.note("the common schema of context is more than fields and was left out")
		}
	}
}

// event adds an event, or another version of one that is there.
func (f *foreign) event(t event.Type, name, description string, number int, envelope map[string]any) {
	part := "properties"
	if t == event.Identify || t == event.Group {
		part, name = "traits", ""
	} else if name == "" {
		if t == event.Track {
			f.note("a track without a name was left out")
			return
		}
		name = "*"
	}
	v := Version{Number: number}
	of, _ := envelope["properties"].(map[string]any)
	if schema, ok := of[part].(map[string]any); ok {
		if s := first(envelope, "$schema"); s != "" && schema["$schema"] == nil {
			schema["$schema"] = s
		}
		f.version(&v, schema, name)
	}
	if needs, ok := envelope["required"].([]any); ok && slices.Contains(needs, any("context")) {
		f.note("%s asks for a context; a plan here does so for all events, under context", name)
	}
	for _, e := range f.d.Events {
		if e.Type == t && e.Name == name {
			if slices.ContainsFunc(e.Versions, func(o Version) bool { return o.Number == number }) {
				f.note("version %d of %q is there twice; the first was taken", number, name)
				return
			}
			if t == event.Identify || t == event.Group {
				f.note("traits have no versions here: version %d of %s was left out", number, t)
				return
			}
			e.Versions = append(e.Versions, v)
			return
		}
	}
	f.d.Events = append(f.d.Events, &Event{Type: t, Name: name, Description: description, Versions: []Version{v}})
}

// version turns a schema into fields, where every keyword means the same in all
// drafts, and else keeps it with its own draft.
func (f *foreign) version(v *Version, schema map[string]any, name string) {
	dialect := first(schema, "$schema")
	if older(schema, 0) {
		if dialect == "" {
			dialect = "http://json-schema.org/draft-07/schema#" // What Segment's and RudderStack's plans are written in.
		}
		v.Schema = withoutIDs(schema).(map[string]any)
		v.Schema["$schema"] = dialect
		f.note("%s has keywords that mean something else in JSON Schema 2020-12; its schema was kept as it is, in its own draft", name)
		return
	}
	root := fieldOf(schema)
	v.Fields, v.Schema = root.Fields, root.Schema
	if v.Fields == nil {
		v.Fields = map[string]*Field{}
	}
}

// older tells whether a schema has a keyword whose meaning changed by 2020-12.
func older(v any, level int) bool {
	if level > 2*maxLevels {
		return true
	}
	schema, ok := v.(map[string]any)
	if !ok {
		return false
	}
	for key, value := range schema {
		switch key {
		case "additionalItems", "dependencies", "definitions", "$ref", "$recursiveRef", "$id":
			return true
		case "exclusiveMinimum", "exclusiveMaximum", "required":
			if _, truth := value.(bool); truth {
				return true
			}
		case "items":
			if _, list := value.([]any); list || older(value, level+1) {
				return true
			}
		case "properties", "patternProperties":
			below, _ := value.(map[string]any)
			for _, one := range below {
				if older(one, level+1) {
					return true
				}
			}
		case "allOf", "anyOf", "oneOf":
			list, _ := value.([]any)
			for _, one := range list {
				if older(one, level+1) {
					return true
				}
			}
		case "not", "if", "then", "else", "contains", "additionalProperties", "propertyNames":
			if older(value, level+1) {
				return true
			}
		}
	}
	return false
}

// withoutIDs leaves out "id", with which Segment's old exports name places; to a
// reader of draft-04 it would be an address.
func withoutIDs(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if _, text := value.(string); key == "id" && text {
				continue
			}
			out[key] = withoutIDs(value)
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, one := range v {
			out = append(out, withoutIDs(one))
		}
		return out
	}
	return v
}

// fieldOf reads a schema as a field; what fields have no key for stays a schema.
func fieldOf(v any) *Field {
	f := &Field{}
	schema, ok := v.(map[string]any)
	if !ok {
		return f
	}
	rest := map[string]any{}
	var required []any
	for key, value := range schema {
		if !f.take(key, value, &required) {
			rest[key] = withoutIDs(value)
		}
	}
	for _, name := range required {
		if below := f.Fields[fmt.Sprint(name)]; below != nil {
			below.Required = true
		} else {
			had, _ := rest["required"].([]any)
			rest["required"] = append(had, name)
		}
	}
	if len(rest) > 0 {
		f.Schema = rest
	}
	return f
}

// take reads one keyword into the field and tells whether it could.
func (f *Field) take(key string, value any, required *[]any) (ok bool) {
	switch key {
	case "$schema", "$id", "id", "title", "$comment":
		_, ok = value.(string)
		return ok
	case "type":
		return f.takeType(value)
	case "description":
		f.Description, ok = value.(string)
	case "format":
		f.Format, ok = value.(string)
	case "pattern":
		f.Pattern, ok = value.(string)
	case "enum":
		f.Enum, ok = value.([]any)
	case "minimum", "maximum":
		var n json.Number
		if n, ok = value.(json.Number); ok && key == "minimum" {
			f.Minimum = n.String()
		} else if ok {
			f.Maximum = n.String()
		}
	case "required":
		*required, ok = value.([]any)
	case "items":
		f.Items, ok = fieldOf(value), true
	case "properties":
		var below map[string]any
		if below, ok = value.(map[string]any); ok {
			f.Fields = map[string]*Field{}
			for name, one := range below {
				f.Fields[name] = fieldOf(one)
			}
		}
	}
	return ok
}

func (f *Field) takeType(value any) bool {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, one := range list {
		t, ok := one.(string)
		if !ok || !slices.Contains(types, t) {
			return false
		}
		f.Types = append(f.Types, t)
	}
	return true
}
