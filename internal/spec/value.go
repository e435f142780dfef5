package spec

import (
	"bytes"
	"math"
	"strconv"
)

// fits tells whether a sound JSON value is of a kind already.
func (k Kind) fits(raw []byte) bool {
	switch k {
	case Text:
		return raw[0] == '"'
	case Number:
		return isNumber(raw[0])
	case Whole:
		return isNumber(raw[0]) && isWhole(raw)
	case Bool:
		return raw[0] == 't' || raw[0] == 'f'
	case Products, Choices:
		return raw[0] == '['
	default:
		return true
	}
}

// begins tells of the first byte of a sound value which kinds it is surely of,
// one bit for each.
var begins = func() (of [256]uint8) {
	for _, k := range []Kind{Any, Text, Number, Bool} {
		for _, first := range []byte(`"-0123456789tf{[`) {
			if k.fits([]byte{first}) {
				of[first] |= 1 << k
			}
		}
	}
	return of
}()

func isNumber(first byte) bool { return first == '-' || first >= '0' && first <= '9' }

// isWhole tells whether a JSON number has no fraction; 3.0 and 25e1 have none.
func isWhole(raw []byte) bool {
	if bytes.IndexByte(raw, '.') < 0 && bytes.IndexByte(raw, 'e') < 0 && bytes.IndexByte(raw, 'E') < 0 {
		return true
	}
	digits, exponent := raw, 0
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(string(raw[i+1:])); err != nil {
			return false
		}
		digits = raw[:i]
	}
	whole, fraction, _ := bytes.Cut(bytes.TrimLeft(digits, "-"), []byte{'.'})
	if fraction = bytes.TrimRight(fraction, "0"); len(fraction) > 0 {
		return len(fraction) <= exponent
	}
	tens := len(whole) - len(bytes.TrimRight(whole, "0"))
	return tens == len(whole) || exponent >= -tens // Zero is whole whatever is moved.
}

// convert writes a sound JSON value as one of a kind where nothing is lost by
// it: a text that is a JSON number, digit for digit; a number without exponent
// as the text of its digits; "true" and "false". Anything else is left as it is.
func (k Kind) convert(dst, raw []byte) (_ []byte, ok bool) {
	switch k {
	case Text:
		if isNumber(raw[0]) && !bytes.ContainsAny(raw, "eE") {
			return append(append(append(dst, '"'), raw...), '"'), true
		}
	case Number, Whole:
		if number, ok := inText(raw); ok && soundNumber(number) && (k == Number || isWhole(number)) {
			return append(dst, number...), true
		}
	case Bool:
		if word, ok := inText(raw); ok {
			switch {
			case bytes.EqualFold(word, []byte("true")):
				return append(dst, "true"...), true
			case bytes.EqualFold(word, []byte("false")):
				return append(dst, "false"...), true
			}
		}
	}
	return dst, false
}

// inText gives what stands in a JSON string without the spaces around it. An
// escape is never part of a number or a truth.
func inText(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 {
		return nil, false
	}
	return bytes.Trim(raw[1:len(raw)-1], " "), true
}

// soundNumber tells whether text is a number as JSON writes it that a float64
// can hold: what the door asks of numbers that come as numbers.
func soundNumber(b []byte) bool {
	i := 0
	if i < len(b) && b[i] == '-' {
		i++
	}
	first := i
	if i = digits(b, i); i == first || b[first] == '0' && i > first+1 {
		return false
	}
	if i < len(b) && b[i] == '.' {
		from := i + 1
		if i = digits(b, from); i == from {
			return false
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from := i
		if i = digits(b, from); i == from {
			return false
		}
	}
	if i != len(b) {
		return false
	}
	v, _ := strconv.ParseFloat(string(b), 64) // Only its range matters; the digits stay as they came.
	return !math.IsInf(v, 0)
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}
