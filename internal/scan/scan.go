// Package scan walks over raw JSON without decoding it: where a value ends, how
// deep it is, which members an object has. What comes in are bytes of any
// quality; what goes out are places in them. It allocates nothing but keys that
// bear escapes, judges no grammar, and never panics.
package scan

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Facts is what one pass over a JSON value finds out about its shape, before
// anything is allocated for it.
type Facts struct {
	Depth  int  // deepest nesting of objects and arrays
	Keys   int  // members of all objects
	NUL    bool // a string holds the escape of NUL
	Beyond bool // a number is larger than a float64 holds
}

// Measure walks over the value that begins at i and gives the place behind it.
// It tells strings from structure and counts, and leaves the grammar to
// jsontext; ok is false when the value does not end. Scanning stops as soon as
// the value is nested deeper than maxDepth, for nothing may be taken then.
func Measure(b []byte, i, maxDepth int) (end int, f Facts, ok bool) {
	depth := 0
	for i < len(b) {
		switch c := b[i]; c {
		case '"':
			next, nul, closed := String(b, i)
			if !closed {
				return i, f, false
			}
			f.NUL = f.NUL || nul
			i = next
		case '{', '[':
			depth++
			f.Depth = max(f.Depth, depth)
			if depth > maxDepth {
				return i, f, false
			}
			i++
			continue
		case '}', ']':
			if depth == 0 {
				return i, f, false
			}
			depth--
			i++
		case ':':
			f.Keys++
			i++
			continue
		case ' ', '\t', '\n', '\r', ',':
			if depth == 0 {
				return i, f, false // Nothing stands here.
			}
			i++
			continue
		default:
			var beyond bool
			i, beyond = passPlain(b, i)
			f.Beyond = f.Beyond || beyond
		}
		if depth == 0 {
			return i, f, true
		}
	}
	return i, f, false
}

// Eight bytes at once: every byte a one, a high bit, a quote, a backslash.
const (
	Ones   = 0x0101010101010101
	Highs  = 0x8080808080808080
	Quotes = 0x2222222222222222
	Slants = 0x5c5c5c5c5c5c5c5c
)

// String gives the place behind the string that begins at i. It looks at
// eight bytes at once: in x ^ quotes a quote is a zero byte, and the lowest bit
// of (x - ones) &^ x & highs stands in the first zero byte of x.
func String(b []byte, i int) (end int, nul, ok bool) {
	for i++; i+8 <= len(b); {
		v := binary.LittleEndian.Uint64(b[i:])
		q, s := v^Quotes, v^Slants
		hit := ((q-Ones)&^q | (s-Ones)&^s) & Highs
		if hit == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(hit) / 8
		if b[i] == '"' {
			return i + 1, nul, true
		}
		nul = nul || isNUL(b, i)
		i += 2
	}
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1, nul, true
		case '\\':
			nul = nul || isNUL(b, i)
			i++
		}
	}
	return i, nul, false
}

// isNUL tells whether the escape at i is that of NUL.
func isNUL(b []byte, i int) bool {
	return i+5 < len(b) && b[i+1] == 'u' && string(b[i+2:i+6]) == "0000"
}

// passPlain gives the place behind a number or a literal, and tells whether it
// is a number that no float64 can hold.
func passPlain(b []byte, i int) (end int, beyond bool) {
	start, exponent := i, false
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r', ':', '"', '{', '[':
			return i, isBeyond(b[start:i], exponent)
		case 'e', 'E':
			exponent = true
		}
		i++
	}
	return i, isBeyond(b[start:i], exponent)
}

func isBeyond(b []byte, exponent bool) bool {
	if len(b) == 0 || b[0] != '-' && (b[0] < '0' || b[0] > '9') || !exponent && len(b) < 300 {
		return false
	}
	v, _ := strconv.ParseFloat(string(b), 64)
	return math.IsInf(v, 0)
}

// Members walks over the members of a JSON object. Of bytes that are not valid
// JSON it is only promised that nothing panics and that it ends.
type Members struct {
	b []byte
	i int
}

// MembersOf begins to walk over an object; over anything else there is nothing
// to walk.
func MembersOf(object []byte) Members {
	i := Space(object, 0)
	if i >= len(object) || object[i] != '{' {
		return Members{}
	}
	return Members{b: object, i: i + 1}
}

// Next gives the key, without quotes and escapes, and the raw value.
func (m *Members) Next() (key, value []byte, ok bool) {
	i := Space(m.b, m.i)
	if i < len(m.b) && m.b[i] == ',' {
		i = Space(m.b, i+1)
	}
	if i >= len(m.b) || m.b[i] != '"' {
		return nil, nil, false
	}
	end, _, closed := String(m.b, i)
	if !closed {
		return nil, nil, false
	}
	key = m.b[i+1 : end-1]
	if bytes.IndexByte(key, '\\') >= 0 {
		key, _ = jsontext.AppendUnquote(nil, m.b[i:end])
	}
	i = Space(m.b, end)
	if i >= len(m.b) || m.b[i] != ':' {
		return nil, nil, false
	}
	i = Space(m.b, i+1)
	end, _, closed = Measure(m.b, i, math.MaxInt)
	if !closed {
		return nil, nil, false
	}
	m.i = end
	return key, m.b[i:end], true
}

// At gives the place behind the member that Next gave last.
func (m *Members) At() int { return m.i }

// Span is a part of what is scanned, which is far below 4 GB.
type Span struct{ From, To uint32 }

// ValueAt gives the place of the value of a member of a sound object, behind
// whose key with its quotes i stands.
func ValueAt(b []byte, i int) int { return Space(b, 1+Space(b, i)) }

// Elements walks over the elements of a JSON array, with the same promise.
type Elements struct {
	b []byte
	i int
}

// ElementsOf begins to walk over an array; over anything else there is nothing
// to walk.
func ElementsOf(array []byte) Elements {
	i := Space(array, 0)
	if i >= len(array) || array[i] != '[' {
		return Elements{}
	}
	return Elements{b: array, i: i + 1}
}

// Next gives the next raw value.
func (e *Elements) Next() (value []byte, ok bool) {
	i := Space(e.b, e.i)
	if i < len(e.b) && e.b[i] == ',' {
		i = Space(e.b, i+1)
	}
	end, _, closed := Measure(e.b, i, math.MaxInt)
	if !closed {
		return nil, false
	}
	e.i = end
	return e.b[i:end], true
}

// At gives the place behind the element that Next gave last.
func (e *Elements) At() int { return e.i }

// Find gives one member of an object.
func Find(object []byte, name string) (value []byte, ok bool) {
	for m := MembersOf(object); ; {
		key, value, more := m.Next()
		if !more {
			return nil, false
		}
		if string(key) == name {
			return value, true
		}
	}
}

// Space gives the first place from i on that is no white space.
func Space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}
