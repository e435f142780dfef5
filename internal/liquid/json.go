package liquid

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonDepth bounds how deep a JSON document may nest.
const jsonDepth = 128

// FromJSON reads one JSON document. Whole numbers stay whole numbers however large, members keep their order, and a
// member named twice keeps the later value.
func FromJSON(raw []byte) (Value, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return Nil, fmt.Errorf("read json value: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Nil, fmt.Errorf("read json value: something follows the value at byte %d", d.InputOffset())
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (Value, error) {
	tok, err := d.Token()
	if err != nil {
		return Nil, err
	}
	if depth > jsonDepth {
		return Nil, fmt.Errorf("nests deeper than %d", jsonDepth)
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			return decodeArray(d, depth)
		}
		return decodeObject(d, depth)
	case json.Number:
		return numberFromText(t.String())
	case string:
		return String(t), nil
	case bool:
		return Bool(t), nil
	}
	return Nil, nil
}

func decodeArray(d *json.Decoder, depth int) (Value, error) {
	items := []Value{}
	for d.More() {
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return Nil, err
		}
		items = append(items, v)
	}
	_, err := d.Token()
	return Array(items), err
}

func decodeObject(d *json.Decoder, depth int) (Value, error) {
	m := &Map{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return Nil, err
		}
		key, ok := tok.(string)
		if !ok {
			return Nil, fmt.Errorf("a member has no name")
		}
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return Nil, err
		}
		m.Set(key, v)
	}
	_, err := d.Token()
	return m.Value(), err
}

// bigDigits bounds the length of a whole number; JSON allows any.
const bigDigits = 1000

func numberFromText(s string) (Value, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return Int(n), nil
	}
	whole := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '-' && (c < '0' || c > '9') {
			whole = false
			break
		}
	}
	if whole {
		if len(s) > bigDigits {
			return Nil, fmt.Errorf("a number has more than %d digits", bigDigits)
		}
		if b, ok := new(big.Int).SetString(s, 10); ok {
			return bigOf(b), nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return Nil, fmt.Errorf("read number: %w", err)
	}
	return Float(f), nil
}

// FromAny converts plain Go values (as encoding/json makes them, and the basic types) for tests and small callers;
// the members of a map are sorted by name. A type it does not know becomes nil.
func FromAny(x any) Value {
	switch t := x.(type) {
	case nil:
		return Nil
	case Value:
		return t
	case Object:
		return ObjectOf(t)
	case bool:
		return Bool(t)
	case int:
		return Int(int64(t))
	case int64:
		return Int(t)
	case float64:
		return Float(t)
	case json.Number:
		v, err := numberFromText(t.String())
		if err != nil {
			return Nil
		}
		return v
	case string:
		return String(t)
	case time.Time:
		return Time(t)
	case []any:
		items := make([]Value, len(t))
		for i, e := range t {
			items[i] = FromAny(e)
		}
		return Array(items)
	case []string:
		items := make([]Value, len(t))
		for i, e := range t {
			items[i] = String(e)
		}
		return Array(items)
	case map[string]any:
		keys := make([]string, 0, len(t))
		for k := range t {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		m := &Map{}
		for _, k := range keys {
			m.Set(k, FromAny(t[k]))
		}
		return m.Value()
	}
	return Nil
}

// AppendJSON appends the value as JSON. Characters that end a script or confuse an HTML parser are written as
// escapes, so the text may stand inside a script element. A time is RFC 3339, a range a list.
func AppendJSON(dst []byte, v Value) []byte { return appendJSON(dst, v, 0, nil) }

// appendJSON stops early when room says that the text has grown too long.
func appendJSON(dst []byte, v Value, depth int, room func(int) bool) []byte {
	if depth > jsonDepth || (room != nil && !room(len(dst))) {
		return append(dst, "null"...)
	}
	switch v.kind {
	case KindBool:
		return strconv.AppendBool(dst, v.n != 0)
	case KindInt, kindBig:
		return appendText(dst, v)
	case KindFloat:
		return appendJSONFloat(dst, v.float())
	case KindString:
		return appendJSONString(dst, v.s)
	case KindTime:
		t, _ := v.AsTime()
		return appendJSONString(dst, t.Format(time.RFC3339Nano))
	case KindArray:
		dst = append(dst, '[')
		for i, e := range v.items() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e, depth+1, room)
		}
		return append(dst, ']')
	case KindRange:
		dst = append(dst, '[')
		for i := int64(0); i < v.rangeLen() && (room == nil || room(len(dst))); i++ {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, v.n+i, 10)
		}
		return append(dst, ']')
	case KindObject:
		o := v.object()
		dst = append(dst, '{')
		for i, k := range o.Keys() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONString(dst, k)
			dst = append(dst, ':')
			e, _ := o.Get(k)
			dst = appendJSON(dst, e, depth+1, room)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

func appendJSONFloat(dst []byte, f float64) []byte {
	b, err := json.Marshal(f)
	if err != nil { // Infinity and NaN have no form in JSON.
		return append(dst, "null"...)
	}
	return append(dst, b...)
}

func appendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\':
				dst = append(dst, '\\', c)
			case c == '\n':
				dst = append(dst, '\\', 'n')
			case c == '\r':
				dst = append(dst, '\\', 'r')
			case c == '\t':
				dst = append(dst, '\\', 't')
			case c < 0x20 || c == '<' || c == '>' || c == '&' || c == 0x7f:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
			default:
				dst = append(dst, c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, `\ufffd`...)
		case r == '\u2028':
			dst = append(dst, `\u2028`...)
		case r == '\u2029':
			dst = append(dst, `\u2029`...)
		default:
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return append(dst, '"')
}
