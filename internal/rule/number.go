package rule

import "cmp"

// number is a decimal number as JSON writes it, taken apart without rounding:
// 0.d1d2d3… × 10^mag, where the d are the digits of mant and d1 is not 0. Zero
// has no digits.
type number struct {
	neg   bool
	mant  string // digits from the first that is not 0, perhaps with a dot among them
	mag   int64
	small int64 // the value itself, where whole
	whole bool  // it is an integer of at most 18 digits without dot and exponent
}

// maxMag bounds exponents, so that no sum of them overflows.
const maxMag = 1 << 50

// parseNumber reads a JSON number; false when b is anything else. The number
// shares b's memory when b is a string.
func parseNumber[T string | []byte](b T) (n number, start, end int, ok bool) {
	i := 0
	if i < len(b) && b[i] == '-' {
		n.neg = true
		i++
	}
	first := i
	if n.small, i = digits(b, i); i == first {
		return n, 0, 0, false
	}
	point := i
	if i == len(b) && i-first <= 18 {
		if n.whole = true; n.neg {
			n.small = -n.small
		}
	}
	if i < len(b) && b[i] == '.' {
		from := i + 1
		if _, i = digits(b, from); i == from {
			return n, 0, 0, false
		}
	}
	end = i
	exp := int64(0)
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if exp, i, ok = exponent(b, i+1); !ok {
			return n, 0, 0, false
		}
	}
	if i != len(b) {
		return n, 0, 0, false
	}
	for start = first; start < end && (b[start] == '0' || b[start] == '.'); start++ {
	}
	switch {
	case start == end: // zero
		n.neg, n.mag = false, 0
	case start < point:
		n.mag = int64(point-start) + exp
	default:
		n.mag = int64(point+1-start) + exp
	}
	return n, start, end, true
}

// digits gives the place behind the digits at i and, up to 18 of them, their value.
func digits[T string | []byte](b T, i int) (value int64, end int) {
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		if i-from < 18 {
			value = value*10 + int64(b[i]-'0')
		}
		i++
	}
	return value, i
}

// exponent reads what follows the e.
func exponent[T string | []byte](b T, i int) (exp int64, end int, ok bool) {
	neg := false
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		neg = b[i] == '-'
		i++
	}
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		exp = min(exp*10+int64(b[i]-'0'), maxMag)
		i++
	}
	if neg {
		exp = -exp
	}
	return exp, i, i > from
}

// numberOf makes an operand of a text that is a JSON number.
func numberOf(s string) (number, bool) {
	n, start, end, ok := parseNumber(s)
	if ok {
		n.mant = s[start:end]
	}
	return n, ok
}

// compareNumber orders the JSON number in raw against n; false when raw is no
// number. It is exact: nothing is rounded to a float.
func compareNumber(raw []byte, n *number) (order int, ok bool) {
	v, start, end, ok := parseNumber(raw)
	if !ok {
		return 0, false
	}
	if v.whole && n.whole {
		return cmp.Compare(v.small, n.small), true
	}
	return compareDecimals(&v, raw[start:end], n, n.mant), true
}

// compareDecimals orders two numbers whose digits stand beside them.
func compareDecimals[A, B string | []byte](a *number, am A, b *number, bm B) int {
	as, bs := sign(a.neg, len(am)), sign(b.neg, len(bm))
	if as != bs || as == 0 {
		return cmp.Compare(as, bs)
	}
	if a.mag != b.mag {
		return as * cmp.Compare(a.mag, b.mag)
	}
	i, j := 0, 0
	for i < len(am) || j < len(bm) {
		x, y := byte('0'), byte('0')
		if i < len(am) {
			if am[i] == '.' {
				i++
				continue
			}
		}
		if j < len(bm) {
			if bm[j] == '.' {
				j++
				continue
			}
		}
		if i < len(am) {
			x = am[i]
			i++
		}
		if j < len(bm) {
			y = bm[j]
			j++
		}
		if x != y {
			return as * cmp.Compare(x, y)
		}
	}
	return 0
}

func sign(neg bool, digits int) int {
	switch {
	case digits == 0:
		return 0
	case neg:
		return -1
	}
	return 1
}
