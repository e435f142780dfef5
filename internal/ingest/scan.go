package ingest

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// facts is what one pass over a JSON value finds out about its shape, before
// anything is allocated for it.
type facts struct {
	depth  int  // deepest nesting of objects and arrays
	keys   int  // members of all objects
	nul    bool // a string holds the escape of NUL
	beyond bool // a number is larger than a float64 holds
}

// measure walks over the value that begins at i and gives the place behind it.
// It tells strings from structure and counts, and leaves the grammar to
// jsontext; ok is false when the value does not end. Scanning stops as soon as
// the value is nested deeper than maxDepth, for nothing may be taken then.
func measure(b []byte, i, maxDepth int) (end int, f facts, ok bool) {
	depth := 0
	for i < len(b) {
		switch c := b[i]; c {
		case '"':
			next, nul, closed := passString(b, i)
			if !closed {
				return i, f, false
			}
			f.nul = f.nul || nul
			i = next
		case '{', '[':
			depth++
			f.depth = max(f.depth, depth)
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
			f.keys++
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
			f.beyond = f.beyond || beyond
		}
		if depth == 0 {
			return i, f, true
		}
	}
	return i, f, false
}

// Eight bytes at once: every byte a one, a high bit, a quote, a backslash.
const (
	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	quotes = 0x2222222222222222
	slants = 0x5c5c5c5c5c5c5c5c
)

// passString gives the place behind the string that begins at i. It looks at
// eight bytes at once: in x ^ quotes a quote is a zero byte, and the lowest bit
// of (x - ones) &^ x & highs stands in the first zero byte of x.
func passString(b []byte, i int) (end int, nul, ok bool) {
	for i++; i+8 <= len(b); {
		v := binary.LittleEndian.Uint64(b[i:])
		q, s := v^quotes, v^slants
		hit := ((q-ones)&^q | (s-ones)&^s) & highs
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

// members walks over the members of a JSON object. Of bytes that are not valid
// JSON it is only promised that nothing panics and that it ends.
type members struct {
	b []byte
	i int
}

// membersOf begins to walk over an object; over anything else there is nothing
// to walk.
func membersOf(object []byte) members {
	i := space(object, 0)
	if i >= len(object) || object[i] != '{' {
		return members{}
	}
	return members{b: object, i: i + 1}
}

// next gives the key, without quotes and escapes, and the raw value.
func (m *members) next() (key, value []byte, ok bool) {
	i := space(m.b, m.i)
	if i < len(m.b) && m.b[i] == ',' {
		i = space(m.b, i+1)
	}
	if i >= len(m.b) || m.b[i] != '"' {
		return nil, nil, false
	}
	end, _, closed := passString(m.b, i)
	if !closed {
		return nil, nil, false
	}
	key = m.b[i+1 : end-1]
	if bytes.IndexByte(key, '\\') >= 0 {
		key, _ = jsontext.AppendUnquote(nil, m.b[i:end])
	}
	i = space(m.b, end)
	if i >= len(m.b) || m.b[i] != ':' {
		return nil, nil, false
	}
	i = space(m.b, i+1)
	end, _, closed = measure(m.b, i, math.MaxInt)
	if !closed {
		return nil, nil, false
	}
	m.i = end
	return key, m.b[i:end], true
}

// find gives one member of an object.
func find(object []byte, name string) (value []byte, ok bool) {
	for m := membersOf(object); ; {
		key, value, more := m.next()
		if !more {
			return nil, false
		}
		if string(key) == name {
			return value, true
		}
	}
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// absent tells whether a member is missing or null, which is the same to us.
func absent(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

// text reads a JSON string; what is absent is "". ok is false for any other
// type of value.
func text(raw []byte) (s string, ok bool) {
	if absent(raw) {
		return "", true
	}
	if raw[0] != '"' || len(raw) < 2 {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	plain, err := jsontext.AppendUnquote(nil, raw)
	return string(plain), err == nil
}

// mend writes a JSON text anew in which bytes of strings that are no UTF-8,
// surrogates without their other half and the escape of NUL have become U+FFFD.
// It repairs nothing else.
func mend(raw []byte) []byte {
	out := make([]byte, 0, len(raw)+16)
	inside := false
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '"':
			inside = !inside
			out, i = append(out, c), i+1
		case inside && c == '\\' && i+1 < len(raw):
			var n int
			out, n = mendEscape(out, raw[i:])
			i += n
		case c >= utf8.RuneSelf && inside:
			r, n := utf8.DecodeRune(raw[i:])
			out, i = utf8.AppendRune(out, r), i+n
		default:
			out, i = append(out, c), i+1
		}
	}
	return out
}

// mendEscape copies one escape, or the pair of escapes of a surrogate pair.
func mendEscape(out, b []byte) (_ []byte, n int) {
	const replacement = `\ufffd`
	u, ok := unit(b)
	switch {
	case !ok:
		return append(out, b[:2]...), 2
	case u == 0 || u >= 0xDC00 && u <= 0xDFFF:
		return append(out, replacement...), 6
	case u >= 0xD800 && u <= 0xDBFF:
		if low, ok := unit(b[6:]); ok && low >= 0xDC00 && low <= 0xDFFF {
			return append(out, b[:12]...), 12
		}
		return append(out, replacement...), 6
	}
	return append(out, b[:6]...), 6
}

// unit reads the UTF-16 unit of an escape like \u00e9.
func unit(b []byte) (uint64, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	u, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return u, err == nil
}
