package liquid

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// inspectDepth bounds how deep a list or object is printed; deeper parts show as dots.
const inspectDepth = 32

// appendText appends the value as Ruby's to_s shows it; a list or object appears in its literal form.
func appendText(dst []byte, v Value) []byte {
	switch v.kind {
	case KindBool:
		return strconv.AppendBool(dst, v.n != 0)
	case KindInt:
		return strconv.AppendInt(dst, v.n, 10)
	case kindBig:
		return v.big().Append(dst, 10)
	case KindFloat:
		return appendFloat(dst, v.float())
	case KindString:
		return append(dst, v.s...)
	case KindTime:
		t, _ := v.AsTime()
		if t.Location().String() == "UTC" {
			return t.AppendFormat(dst, "2006-01-02 15:04:05 UTC")
		}
		return t.AppendFormat(dst, "2006-01-02 15:04:05 -0700")
	case KindRange:
		dst = strconv.AppendInt(dst, v.n, 10)
		dst = append(dst, ".."...)
		return strconv.AppendInt(dst, v.last(), 10)
	case KindArray, KindObject:
		return appendInspect(dst, v, 0, nil)
	}
	return dst
}

// appendFloat writes a float as Ruby does: always with a fraction, and with an exponent when very large or small.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
		if e := strings.IndexByte(string(dst[start:]), 'e'); !strings.Contains(string(dst[start:start+e]), ".") {
			exp := string(dst[start+e:])
			dst = append(append(dst[:start+e], ".0"...), exp...)
		}
		return dst
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	for _, c := range dst[start:] {
		if c == '.' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// appendInspect appends the literal form: texts quoted, members as "name"=>value. It stops when room says so.
func appendInspect(dst []byte, v Value, depth int, room func(int) bool) []byte {
	if room != nil && !room(len(dst)) {
		return dst
	}
	if depth > inspectDepth {
		return append(dst, "..."...)
	}
	switch v.kind {
	case KindNil:
		return append(dst, "nil"...)
	case KindString:
		return appendQuoted(dst, v.s)
	case KindArray:
		dst = append(dst, '[')
		for i, e := range v.items() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendInspect(dst, e, depth+1, room)
		}
		return append(dst, ']')
	case KindObject:
		o := v.object()
		if l, ok := o.(*loop); ok {
			return append(dst, l.typeName()...)
		}
		dst = append(dst, '{')
		for i, k := range o.Keys() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendQuoted(dst, k)
			dst = append(dst, "=>"...)
			e, _ := o.Get(k)
			dst = appendInspect(dst, e, depth+1, room)
		}
		return append(dst, '}')
	}
	return appendText(dst, v)
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case 0x1b:
			dst = append(dst, '\\', 'e')
		case '#':
			// Ruby escapes what would interpolate.
			if i+1 < len(s) && (s[i+1] == '{' || s[i+1] == '$' || s[i+1] == '@') {
				dst = append(dst, '\\')
			}
			dst = append(dst, '#')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// text returns the value as a string, as appendText would.
func (st *state) text(v Value) string {
	switch v.kind {
	case KindString:
		return v.s
	case KindNil, kindLiteral:
		return ""
	case KindInt:
		return strconv.FormatInt(v.n, 10)
	case KindBool:
		return strconv.FormatBool(v.n != 0)
	case KindArray, KindObject:
		b := appendInspect(nil, v, 0, st.room)
		st.charge(len(b))
		return string(b)
	}
	return string(appendText(nil, v))
}

// equal is Ruby's ==: numbers by value, lists and objects member by member, nothing across other kinds.
func (st *state) equal(a, b Value) bool { return st.equalAt(a, b, 0) }

func (st *state) equalAt(a, b Value, depth int) bool {
	if !st.step() || depth > inspectDepth {
		return false
	}
	if a.isNumber() && b.isNumber() {
		return compareNumbers(a, b) == 0
	}
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case KindNil:
		return true
	case KindBool:
		return a.n == b.n
	case KindString:
		return a.s == b.s
	case KindRange:
		return a.n == b.n && a.last() == b.last()
	case KindTime:
		x, _ := a.AsTime()
		y, _ := b.AsTime()
		return x.Equal(y)
	case KindArray:
		x, y := a.items(), b.items()
		if len(x) != len(y) {
			return false
		}
		for i := range x {
			if !st.equalAt(x[i], y[i], depth+1) {
				return false
			}
		}
		return true
	case KindObject:
		return st.equalObjects(a.object(), b.object(), depth)
	}
	return false
}

func (st *state) equalObjects(a, b Object, depth int) bool {
	keys := a.Keys()
	if len(keys) != len(b.Keys()) {
		return false
	}
	for _, k := range keys {
		y, ok := b.Get(k)
		if !ok {
			return false
		}
		if x, _ := a.Get(k); !st.equalAt(x, y, depth+1) {
			return false
		}
	}
	return true
}

func (v Value) isNumber() bool {
	return v.kind == KindInt || v.kind == KindFloat || v.kind == kindBig
}

// compareNumbers orders two numbers. NaN is equal to nothing and comes last.
func compareNumbers(a, b Value) int {
	if a.kind == KindInt && b.kind == KindInt {
		switch {
		case a.n < b.n:
			return -1
		case a.n > b.n:
			return 1
		}
		return 0
	}
	if a.kind != KindFloat && b.kind != KindFloat {
		return a.asBig().Cmp(b.asBig())
	}
	x, _ := a.AsFloat()
	y, _ := b.AsFloat()
	switch {
	case x < y:
		return -1
	case x == y:
		return 0
	}
	return 1
}

func (v Value) asBig() *big.Int {
	if v.kind == kindBig {
		return v.big()
	}
	return big.NewInt(v.n)
}

// order is Ruby's <=>; ok is false where the two cannot be compared.
func (st *state) order(a, b Value) (cmp int, ok bool) {
	if !st.step() {
		return 0, true
	}
	if a.isNumber() && b.isNumber() {
		return compareNumbers(a, b), true
	}
	if a.kind != b.kind {
		return 0, false
	}
	switch a.kind {
	case KindNil:
		return 0, true
	case KindString:
		return strings.Compare(a.s, b.s), true
	case KindTime:
		x, _ := a.AsTime()
		y, _ := b.AsTime()
		return x.Compare(y), true
	case KindArray:
		x, y := a.items(), b.items()
		for i := 0; i < len(x) && i < len(y); i++ {
			if c, ok := st.order(x[i], y[i]); !ok || c != 0 {
				return c, ok
			}
		}
		return len(x) - len(y), true
	}
	if st.equal(a, b) {
		return 0, true
	}
	return 0, false
}

// leadingInt reads a text as Ruby's to_i does: the whole number it begins with, else nought.
func leadingInt(s string) Value {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	start := i
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	digits := i
	for i < len(s) && (isDigit(s[i]) || (s[i] == '_' && i > digits && i+1 < len(s) && isDigit(s[i+1]))) {
		i++
	}
	return parseDigits(s[start:i])
}

// parseDigits reads a sign and digits with underscores; a number beyond all reason is cut to bigDigits.
func parseDigits(s string) Value {
	s = strings.TrimPrefix(strings.ReplaceAll(s, "_", ""), "+")
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return Int(n)
	}
	if len(s) > bigDigits {
		s = s[:bigDigits]
	}
	if b, ok := new(big.Int).SetString(s, 10); ok {
		return bigOf(b)
	}
	return Int(0)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// strictInt reads a value as Ruby's Integer() does with its text: the whole of it must be a whole number.
func (st *state) strictInt(v Value) (int64, bool) {
	switch v.kind {
	case KindInt:
		return v.n, true
	case kindBig:
		// A number beyond all sizes works as the largest one.
		return math.MaxInt64 * int64(v.big().Sign()), true
	case KindString:
	default:
		return 0, false
	}
	s := strings.Trim(v.s, " \t\n\v\f\r")
	if s == "" || s[0] == '_' || s[len(s)-1] == '_' || strings.Contains(s, "__") {
		return 0, false
	}
	// With base 0 the prefixes and underscores mean to ParseInt what they mean to Ruby.
	n, err := strconv.ParseInt(s, 0, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}
