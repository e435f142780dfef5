package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// object makes a JSON Schema of the properties that a rule, a nested property or a
// custom type points to, and of its variants. above are the custom types that it
// stands in.
func (c *catalog) object(of map[string]any, above []string) (map[string]any, error) {
	fields, required, err := c.fields(of["properties"], above)
	if err != nil {
		return nil, err
	}
	schema := map[string]any{"type": "object", "properties": fields}
	if len(required) > 0 {
		schema["required"] = required
	}
	for _, v := range mapsIn(of["variants"]) {
		if err := c.variant(schema, v, above); err != nil {
			return nil, err
		}
	}
	return schema, nil
}

// fields reads a list of references to properties.
func (c *catalog) fields(list any, above []string) (fields map[string]any, required []any, err error) {
	fields = map[string]any{}
	for _, item := range mapsIn(list) {
		ref := first(item, "property", "$ref")
		p := c.byRef[ref]
		if p == nil {
			return nil, nil, c.missing("a property", ref)
		}
		name := first(p.of, "name")
		if name == "" {
			return nil, nil, fmt.Errorf("the property %q has no name", ref)
		}
		schema, err := c.property(p.of, item, above)
		if err != nil {
			return nil, nil, fmt.Errorf("the property %q: %w", ref, err)
		}
		fields[name] = schema
		if item["required"] == true {
			required = append(required, name)
		}
	}
	return fields, required, nil
}

// property makes the schema of one property, with what stands below it in a plan.
func (c *catalog) property(of, item map[string]any, above []string) (map[string]any, error) {
	schema, err := c.typed(of, above)
	if err != nil {
		return nil, err
	}
	if s := first(of, "description"); s != "" {
		schema["description"] = s
	}
	if len(mapsIn(item["properties"])) == 0 {
		return schema, nil
	}
	if len(above) > mostNested {
		return nil, errNested
	}
	below, err := c.object(item, append(slices.Clone(above), ""))
	if err != nil {
		return nil, err
	}
	// RudderStack lets more stand in what is nested unless the item says no; a plan
	// here would strip it.
	if item["additional_properties"] != false && item["additionalProperties"] != false {
		below["additionalProperties"] = true
	}
	if schema["type"] == "array" { // What is nested is that of each item.
		schema["items"] = below
		return schema, nil
	}
	for key, value := range below {
		if key != "type" || schema["type"] == nil {
			schema[key] = value
		}
	}
	return schema, nil
}

// mostNested is how deep things may stand in each other.
const mostNested = 16

var errNested = fmt.Errorf("it stands in more than %d others", mostNested)

// typed makes the schema of types, or of the custom type that stands for them, and of
// the configuration beside.
func (c *catalog) typed(of map[string]any, above []string) (map[string]any, error) {
	schema := map[string]any{}
	if err := c.types(schema, words(of["type"], of["types"]), above); err != nil {
		return nil, err
	}
	items := words(of["item_type"], of["item_types"])
	for _, key := range [...]string{"config", "propConfig"} {
		config, _ := of[key].(map[string]any)
		for name, value := range config {
			switch keyword := configKeywords[name]; {
			case keyword != "":
				schema[keyword] = value
			case name == "itemTypes" || name == "item_types":
				items = append(items, words(value)...)
			default:
				c.note("%q of %q is not known here and was left out", name, first(of, "name", "id"))
			}
		}
	}
	if len(items) > 0 {
		each := map[string]any{}
		if err := c.types(each, items, above); err != nil {
			return nil, err
		}
		schema["items"] = each
	}
	return schema, nil
}

// configKeywords are what JSON Schema calls the keys of a configuration, in the
// spelling of rudder/v1 and in the one of before.
var configKeywords = map[string]string{
	"enum": "enum", "pattern": "pattern", "format": "format", "minimum": "minimum", "maximum": "maximum",
	"min_length": "minLength", "minLength": "minLength", "max_length": "maxLength", "maxLength": "maxLength",
	"exclusive_minimum": "exclusiveMinimum", "exclusiveMinimum": "exclusiveMinimum", "exclusive_maximum": "exclusiveMaximum", "exclusiveMaximum": "exclusiveMaximum",
	"multiple_of": "multipleOf", "multipleOf": "multipleOf", "min_items": "minItems", "minItems": "minItems",
	"max_items": "maxItems", "maxItems": "maxItems", "unique_items": "uniqueItems", "uniqueItems": "uniqueItems",
}

// words reads types: a text with commas, or a list.
func words(values ...any) (out []string) {
	for _, v := range values {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, one := range list {
			text, _ := one.(string)
			for word := range strings.SplitSeq(text, ",") {
				if word = strings.TrimSpace(word); word != "" && word != "any" {
					out = append(out, word)
				}
			}
		}
	}
	return out
}

// types writes types into a schema. A custom type stands alone, or is one of several
// forms.
func (c *catalog) types(schema map[string]any, names []string, above []string) error {
	var plain []any
	var forms []any
	for _, name := range names {
		if !strings.HasPrefix(name, "#") {
			plain = append(plain, name)
			continue
		}
		form, err := c.custom(name, above)
		if err != nil {
			return err
		}
		forms = append(forms, form)
	}
	switch {
	case len(forms) == 1 && len(plain) == 0:
		for key, value := range forms[0].(map[string]any) {
			schema[key] = value
		}
	case len(forms) > 0:
		if len(plain) > 0 {
			forms = append(forms, map[string]any{"type": plain})
		}
		schema["anyOf"] = forms
	case len(plain) == 1:
		schema["type"] = plain[0]
	case len(plain) > 1:
		schema["type"] = plain
	}
	return nil
}

// custom makes the schema of a custom type.
func (c *catalog) custom(ref string, above []string) (map[string]any, error) {
	t := c.byRef[ref]
	if t == nil {
		return nil, c.missing("a custom type", ref)
	}
	if slices.Contains(above, ref) {
		return nil, fmt.Errorf("the custom type %q stands in itself, which a plan here cannot say: take one of the references out", ref)
	}
	if len(above) > mostNested {
		return nil, errNested
	}
	above = append(slices.Clone(above), ref)
	schema, err := c.typed(t.of, above)
	if err != nil {
		return nil, err
	}
	if s := first(t.of, "description"); s != "" {
		schema["description"] = s
	}
	if len(mapsIn(t.of["properties"])) == 0 {
		return schema, nil
	}
	fields, err := c.object(t.of, above)
	if err != nil {
		return nil, err
	}
	for key, value := range fields {
		schema[key] = value
	}
	return schema, nil
}

// variant adds what holds beyond the rest where a property has some values, and what
// holds where it has none of them.
func (c *catalog) variant(schema, v map[string]any, above []string) error {
	if kind := first(v, "type"); kind != "discriminator" {
		c.note("variants of the type %q are not known here and were left out", kind)
		return nil
	}
	ref := first(v, "discriminator")
	p := c.byRef[ref]
	if p == nil {
		return c.missing("a property", ref)
	}
	name := first(p.of, "name")
	is := func(values []any) map[string]any {
		return map[string]any{"properties": map[string]any{name: map[string]any{"enum": values}}, "required": []any{name}}
	}
	var all, conditions []any
	for _, one := range mapsIn(v["cases"]) {
		match, _ := one["match"].([]any)
		then, err := c.oneCase(schema, one["properties"], above)
		if err != nil {
			return err
		}
		all = append(all, match...)
		conditions = append(conditions, map[string]any{"if": is(match), "then": then})
	}
	otherwise := v["default"]
	if m, ok := otherwise.(map[string]any); ok { // as it is since rudder/v1
		otherwise = m["properties"]
	}
	if len(mapsIn(otherwise)) > 0 {
		then, err := c.oneCase(schema, otherwise, above)
		if err != nil {
			return err
		}
		conditions = append(conditions, map[string]any{"if": is(all), "else": then})
	}
	if len(conditions) > 0 {
		schema["allOf"] = conditions
		c.note("variants by %q: what one case asks for is asked for there alone, and planned in every case", name)
	}
	return nil
}

// oneCase makes what a case asks for, and plans its fields for the whole.
func (c *catalog) oneCase(schema map[string]any, list any, above []string) (map[string]any, error) {
	fields, required, err := c.fields(list, above)
	if err != nil {
		return nil, err
	}
	whole := schema["properties"].(map[string]any)
	for name, field := range fields {
		if before, ok := whole[name]; !ok {
			whole[name] = field
		} else if !sameJSON(before, field) {
			whole[name] = map[string]any{} // Another case has another form of it.
		}
	}
	out := map[string]any{"properties": fields}
	if len(required) > 0 {
		out["required"] = required
	}
	return out, nil
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
