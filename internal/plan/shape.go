package plan

import (
	"bytes"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"rapport/internal/scan"
)

// shape accepts raw JSON that plainly keeps to a schema, without decoding it. It
// knows the common keywords and the common case. What it accepts is valid; of
// what it does not accept it says nothing, and the library finds out what is the
// matter. FuzzShape holds the two together.
type shape struct {
	types    uint8
	required []string // all of them among the first props
	props    map[string]prop
	closed   bool // additionalProperties: false
	items    *shape
	enum     map[string]bool // texts
	pattern  jsonschema.Regexp
	format   func(any) error
	min, max float64
	bounded  bool
	minLen   int
	maxLen   int
	minItems int
	maxItems int
	free     bool // anything is valid
}

type prop struct {
	shape *shape
	bit   uint64 // of the required ones; zero: it is not
}

// Types, as bits.
const (
	isNull = 1 << iota
	isBoolean
	isNumber
	isInteger
	isString
	isArray
	isObjectType
	anyType = 1<<iota - 1
)

var typeBits = map[string]uint8{
	"null": isNull, "boolean": isBoolean, "number": isNumber | isInteger, "integer": isInteger, "string": isString, "array": isArray, "object": isObjectType,
}

// shapeOf gives the shape of a schema; nil where it has a keyword that only the
// library understands, or points to itself.
func shapeOf(s *jsonschema.Schema, depth int) *shape {
	if s == nil || depth > 16 || !understood(s) {
		return nil
	}
	out := &shape{types: anyType, min: math.Inf(-1), max: math.Inf(1), maxLen: math.MaxInt, maxItems: math.MaxInt, minItems: 0}
	if s.Bool != nil {
		out.free = *s.Bool
		if !out.free {
			return nil
		}
		return out
	}
	if s.Types != nil {
		out.types = 0
		for _, t := range s.Types.ToStrings() {
			out.types |= typeBits[t]
		}
	}
	if !out.scalars(s) || !out.object(s, depth) {
		return nil
	}
	if items, ok := itemsOf(s); !ok {
		return nil
	} else if items != nil {
		if out.items = shapeOf(items, depth+1); out.items == nil {
			return nil
		}
	}
	return out
}

// understood tells whether a schema has no keyword but those that a shape knows.
func understood(s *jsonschema.Schema) bool {
	rest := *s
	rest.Bool, rest.Types, rest.Enum, rest.Format, rest.Required, rest.Properties, rest.AdditionalProperties = nil, nil, nil, nil, nil, nil, nil
	rest.Items, rest.Items2020, rest.MinItems, rest.MaxItems, rest.MinLength, rest.MaxLength, rest.Pattern = nil, nil, nil, nil, nil, nil, nil
	rest.Minimum, rest.Maximum, rest.Default, rest.Examples = nil, nil, nil, nil
	v := reflect.ValueOf(rest)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch f.Name {
		case "DraftVersion", "Location", "ID", "Title", "Description", "Comment", "ReadOnly", "WriteOnly", "Deprecated", "Anchor":
			continue
		}
		if f.IsExported() && !v.Field(i).IsZero() {
			return false
		}
	}
	return true
}

func itemsOf(s *jsonschema.Schema) (*jsonschema.Schema, bool) {
	if s.Items == nil {
		return s.Items2020, true
	}
	one, ok := s.Items.(*jsonschema.Schema)
	return one, ok && s.Items2020 == nil
}

// scalars takes what is asked of texts, numbers and lists.
func (p *shape) scalars(s *jsonschema.Schema) bool {
	if s.Enum != nil {
		p.enum = map[string]bool{}
		for _, v := range s.Enum.Values {
			text, ok := v.(string)
			if !ok {
				return false
			}
			p.enum[text] = true
		}
	}
	p.pattern = s.Pattern
	if s.Format != nil {
		p.format = s.Format.Validate
	}
	if s.Minimum != nil {
		if p.min, p.bounded = s.Minimum.Float64(); !p.bounded {
			return false
		}
	}
	if s.Maximum != nil {
		if p.max, p.bounded = s.Maximum.Float64(); !p.bounded {
			return false
		}
	}
	for _, n := range []struct {
		from *int
		to   *int
	}{{s.MinLength, &p.minLen}, {s.MaxLength, &p.maxLen}, {s.MinItems, &p.minItems}, {s.MaxItems, &p.maxItems}} {
		if n.from != nil {
			*n.to = *n.from
		}
	}
	return true
}

// object takes what is asked of objects.
func (p *shape) object(s *jsonschema.Schema, depth int) bool {
	switch more := s.AdditionalProperties.(type) {
	case nil:
	case bool:
		p.closed = !more
	default:
		return false
	}
	if len(s.Required) > 64 {
		return false
	}
	p.required = s.Required
	p.props = make(map[string]prop, len(s.Properties))
	for name, below := range s.Properties {
		in := shapeOf(below, depth+1)
		if in == nil {
			return false
		}
		p.props[name] = prop{shape: in}
	}
	for i, name := range s.Required {
		in, ok := p.props[name]
		if !ok {
			if p.closed {
				return false
			}
			in.shape = &shape{free: true}
		}
		in.bit |= 1 << i
		p.props[name] = in
	}
	return true
}

// accepts tells whether raw JSON that is known to be sound is plainly valid.
func (p *shape) accepts(raw []byte) bool {
	if p.free {
		return true
	}
	if len(raw) == 0 {
		return false
	}
	switch raw[0] {
	case 'n':
		return p.types&isNull != 0 && p.enum == nil
	case 't', 'f':
		return p.types&isBoolean != 0 && p.enum == nil
	case '"':
		return p.types&isString != 0 && p.acceptsText(raw)
	case '[':
		return p.types&isArray != 0 && p.enum == nil && p.acceptsList(raw)
	case '{':
		return p.types&isObjectType != 0 && p.enum == nil && p.acceptsObject(raw)
	}
	return p.enum == nil && p.acceptsNumber(raw)
}

func (p *shape) acceptsText(raw []byte) bool {
	if p.enum == nil && p.pattern == nil && p.format == nil && p.minLen == 0 && p.maxLen == math.MaxInt {
		return true
	}
	text := raw[1 : len(raw)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		return false
	}
	if p.enum != nil && !p.enum[string(text)] {
		return false
	}
	if p.minLen > 0 || p.maxLen < math.MaxInt {
		if n := utf8.RuneCount(text); n < p.minLen || n > p.maxLen {
			return false
		}
	}
	if p.pattern != nil && !p.pattern.MatchString(string(text)) {
		return false
	}
	return p.format == nil || p.format(string(text)) == nil
}

func (p *shape) acceptsNumber(raw []byte) bool {
	whole := !bytes.ContainsAny(raw, ".eE")
	if p.types&isNumber == 0 && (p.types&isInteger == 0 || !whole) {
		return false
	}
	if !p.bounded {
		return true
	}
	if len(raw) > 15 { // More digits than a float64 holds.
		return false
	}
	v, err := strconv.ParseFloat(string(raw), 64)
	return err == nil && v > p.min && v < p.max // At a bound itself rounding might decide.
}

func (p *shape) acceptsList(raw []byte) bool {
	n := 0
	for list := scan.ElementsOf(raw); ; n++ {
		one, ok := list.Next()
		if !ok {
			return n >= p.minItems && n <= p.maxItems
		}
		if p.items != nil && !p.items.accepts(one) {
			return false
		}
	}
}

func (p *shape) acceptsObject(raw []byte) bool {
	var seen uint64
	for m := scan.MembersOf(raw); ; {
		key, value, ok := m.Next()
		if !ok {
			return seen == 1<<len(p.required)-1
		}
		in, known := p.props[string(key)]
		if !known {
			if p.closed {
				return false
			}
			continue
		}
		seen |= in.bit
		if !in.shape.accepts(value) {
			return false
		}
	}
}
