package liquid

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// number is a number on its way through an arithmetic filter. Ruby computes floats as decimals there, so 10.1 plus
// 2.2 is 12.3; so do we: exactly, in whole numbers with a decimal scale, and as fractions where those do not fit.
type number struct {
	form  numberForm
	i     int64    // formInt: the number; formDec: the digits
	scale int      // formDec: how many of the digits are decimals
	b     *big.Int // formBig
	r     *big.Rat // formRat
	f     float64  // formOdd: infinity or not a number
}

type numberForm uint8

const (
	formInt numberForm = iota
	formBig
	formDec
	formRat
	formOdd
)

// bigBits bounds the size of a whole number made by arithmetic.
const bigBits = 4096

// toNumber reads a value as a number; what is none counts as nought.
func toNumber(v Value) number {
	switch v.kind {
	case KindInt:
		return number{i: v.n}
	case kindBig:
		return number{form: formBig, b: v.big()}
	case KindFloat:
		return floatNumber(v.float())
	case KindString:
		s := strings.Trim(v.s, " \t\n\v\f\r\x00")
		if isDecimal(s) {
			return decimalText(s)
		}
		return toNumber(leadingInt(v.s))
	}
	return number{}
}

// isDecimal matches -?\d+\.\d+ over the whole text.
func isDecimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	dot := strings.IndexByte(s, '.')
	if dot < 1 || dot == len(s)-1 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if i != dot && !isDigit(s[i]) {
			return false
		}
	}
	return true
}

func floatNumber(f float64) number {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return number{form: formOdd, f: f}
	}
	// A float with few digits is told by trying; the shortest decimal that reads back as it is the one Ruby shows.
	for k, unit := range pow10s[:5] {
		if m := math.Round(f * float64(unit)); math.Abs(m) < 1e15 && m/float64(unit) == f {
			return number{form: formDec, i: int64(m), scale: k}
		}
	}
	var buf [32]byte
	b := strconv.AppendFloat(buf[:0], f, 'e', -1, 64)
	var digits int64
	scale, i, neg := 0, 0, false
	if b[0] == '-' {
		neg, i = true, 1
	}
	for seenDot := false; b[i] != 'e'; i++ {
		if b[i] == '.' {
			seenDot = true
			continue
		}
		digits = digits*10 + int64(b[i]-'0')
		if seenDot {
			scale++
		}
	}
	exp, down := 0, b[i+1] == '-'
	for _, c := range b[i+2:] {
		exp = exp*10 + int(c-'0')
	}
	if down {
		exp = -exp
	}
	if neg {
		digits = -digits
	}
	return decimal(digits, scale-exp)
}

// decimal returns digits·10^-scale in the smallest form that holds it.
func decimal(digits int64, scale int) number {
	for scale < 0 {
		hi, lo := bits.Mul64(abs64(digits), 10)
		if hi != 0 || lo > math.MaxInt64 {
			return number{form: formRat, r: new(big.Rat).Mul(new(big.Rat).SetInt64(digits), pow10Rat(-scale))}
		}
		digits *= 10
		scale++
	}
	if scale > 18 {
		return number{form: formRat, r: new(big.Rat).Quo(new(big.Rat).SetInt64(digits), pow10Rat(scale))}
	}
	return number{form: formDec, i: digits, scale: scale}
}

// decimalText reads a text that isDecimal. Digits beyond any use are dropped.
func decimalText(s string) number {
	if len(s) > bigDigits {
		s = s[:bigDigits]
	}
	dot := strings.IndexByte(s, '.')
	if len(s) <= 18 {
		n, err := strconv.ParseInt(s[:dot]+s[dot+1:], 10, 64)
		if err == nil {
			return number{form: formDec, i: n, scale: len(s) - dot - 1}
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return number{}
	}
	return number{form: formRat, r: r}
}

func abs64(n int64) uint64 {
	if n < 0 {
		return uint64(-n)
	}
	return uint64(n)
}

func pow10Rat(n int) *big.Rat {
	return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil))
}

var pow10s = [...]int64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
}

func (n number) whole() bool { return n.form == formInt || n.form == formBig }

func (n number) bigInt() *big.Int {
	if n.form == formBig {
		return n.b
	}
	return big.NewInt(n.i)
}

func (n number) rat() *big.Rat {
	switch n.form {
	case formRat:
		return n.r
	case formDec:
		return new(big.Rat).SetFrac(big.NewInt(n.i), big.NewInt(pow10s[n.scale]))
	}
	return new(big.Rat).SetInt(n.bigInt())
}

func (n number) float() float64 {
	switch n.form {
	case formOdd:
		return n.f
	case formDec:
		if abs64(n.i) < 1<<53 {
			return float64(n.i) / float64(pow10s[n.scale])
		}
	case formInt:
		return float64(n.i)
	}
	f, _ := n.rat().Float64()
	return f
}

// value returns the number as a template sees it: whole numbers whole, all others as floats.
func (n number) value() Value {
	switch n.form {
	case formInt:
		return Int(n.i)
	case formBig:
		return bigOf(n.b)
	}
	return Float(n.float())
}

func (n number) isZero() bool {
	switch n.form {
	case formInt, formDec:
		return n.i == 0
	case formBig:
		return n.b.Sign() == 0
	case formRat:
		return n.r.Sign() == 0
	}
	return false
}

// aligned brings two numbers to one scale in int64s, where they fit.
func aligned(a, b number) (x, y int64, scale int, ok bool) {
	if (a.form != formInt && a.form != formDec) || (b.form != formInt && b.form != formDec) {
		return 0, 0, 0, false
	}
	scale = max(a.scale, b.scale)
	x, ok1 := mul64(a.i, pow10s[scale-a.scale])
	y, ok2 := mul64(b.i, pow10s[scale-b.scale])
	return x, y, scale, ok1 && ok2
}

func mul64(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(abs64(a), abs64(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	return a * b, true
}

func (n number) cmp(b number) int {
	if x, y, _, ok := aligned(n, b); ok {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	if n.form == formOdd || b.form == formOdd {
		return compareNumbers(Float(n.float()), Float(b.float()))
	}
	return n.rat().Cmp(b.rat())
}

// arith is one of the operations + - * / %.
type arith byte

// compute applies op; a false ok means a division by nought.
func compute(a, b number, op arith) (out number, ok bool) {
	if b.isZero() && (op == '%' || (op == '/' && a.whole() && b.whole())) {
		return number{}, false
	}
	if op == '/' && b.isZero() {
		// A decimal divided by nought is Infinity in Ruby, or no number at all.
		return number{form: formOdd, f: floatOp(a.float(), 0, op)}, true
	}
	if a.form == formOdd || b.form == formOdd {
		return number{form: formOdd, f: floatOp(a.float(), b.float(), op)}, true
	}
	if n, ok := computeSmall(a, b, op); ok {
		if n.i == 0 && n.form == formDec && op == '*' && (a.i < 0) != (b.i < 0) {
			return number{form: formOdd, f: math.Copysign(0, -1)}, true
		}
		return n, true
	}
	if op == '/' {
		if f, ok := divideExactly(a, b); ok {
			return floatNumber(f), true
		}
	}
	if a.whole() && b.whole() {
		return number{form: formBig, b: bigOp(a.bigInt(), b.bigInt(), op)}, true
	}
	return number{form: formRat, r: ratOp(a.rat(), b.rat(), op)}, true
}

// computeSmall works in int64s and says whether that was possible.
func computeSmall(a, b number, op arith) (number, bool) {
	x, y, scale, ok := aligned(a, b)
	if !ok {
		return number{}, false
	}
	out := number{form: formDec, scale: scale}
	if a.form == formInt && b.form == formInt {
		out.form = formInt
	}
	switch op {
	case '+':
		out.i = x + y
		ok = (out.i > x) == (y > 0)
	case '-':
		out.i = x - y
		ok = (out.i < x) == (y > 0)
	case '*':
		out.i, ok = mul64(a.i, b.i)
		out.scale = a.scale + b.scale
		ok = ok && out.scale < len(pow10s)
	case '%':
		out.i = x % y
		if out.i != 0 && (out.i < 0) != (y < 0) {
			out.i += y
		}
	case '/':
		if out.form != formInt || (x == math.MinInt64 && y == -1) {
			return number{}, false
		}
		out.i = x / y
		if x%y != 0 && (x < 0) != (y < 0) {
			out.i--
		}
	}
	return out, ok
}

// divideExactly divides numbers whose digits a float holds exactly, so that the quotient is the float nearest to the
// true one, which is what becomes of Ruby's decimal quotient too.
func divideExactly(a, b number) (float64, bool) {
	x, y, _, ok := aligned(a, b)
	if !ok || (a.form == formInt && b.form == formInt) || abs64(x) >= 1<<53 || abs64(y) >= 1<<53 {
		return 0, false
	}
	return float64(x) / float64(y), true
}

func floatOp(x, y float64, op arith) float64 {
	switch op {
	case '+':
		return x + y
	case '-':
		return x - y
	case '*':
		return x * y
	case '/':
		return x / y
	}
	return math.Mod(x, y)
}

func bigOp(x, y *big.Int, op arith) *big.Int {
	z := new(big.Int)
	switch op {
	case '+':
		return z.Add(x, y)
	case '-':
		return z.Sub(x, y)
	case '*':
		return z.Mul(x, y)
	}
	// Ruby rounds the quotient down, and the remainder takes the sign of the divisor.
	q, m := new(big.Int).QuoRem(x, y, new(big.Int))
	if m.Sign() != 0 && (m.Sign() < 0) != (y.Sign() < 0) {
		q.Sub(q, big.NewInt(1))
		m.Add(m, y)
	}
	if op == '%' {
		return m
	}
	return q
}

func ratOp(x, y *big.Rat, op arith) *big.Rat {
	z := new(big.Rat)
	switch op {
	case '+':
		return z.Add(x, y)
	case '-':
		return z.Sub(x, y)
	case '*':
		return z.Mul(x, y)
	case '/':
		return z.Quo(x, y)
	}
	q := floorRat(new(big.Rat).Quo(x, y))
	return z.Sub(x, z.Mul(y, new(big.Rat).SetInt(q)))
}

func floorRat(r *big.Rat) *big.Int {
	q, m := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if m.Sign() < 0 {
		q.Sub(q, big.NewInt(1))
	}
	return q
}

func (n number) tooBig() bool { return n.form == formBig && n.b.BitLen() > bigBits }

func (n number) abs() number {
	if n.form == formOdd {
		return number{form: formOdd, f: math.Abs(n.f)}
	}
	if n.cmp(number{}) >= 0 {
		return n
	}
	out, _ := compute(number{}, n, '-')
	return out
}

// round rounds half away from nought to so many decimals; up and down force the direction instead.
func (n number) round(places int, mode byte) number {
	places = min(max(places, -400), 400)
	if n.whole() && places >= 0 {
		return n
	}
	if n.form == formDec && places >= n.scale {
		if places == 0 {
			n.form = formInt // Without decimals asked for, the result is a whole number.
		}
		return n
	}
	if n.form == formDec && places >= 0 && n.scale-places < len(pow10s) {
		return n.roundSmall(places, mode)
	}
	shift := pow10Rat(max(places, -places))
	r := n.rat()
	if places >= 0 {
		r = new(big.Rat).Mul(r, shift)
	} else {
		r = new(big.Rat).Quo(r, shift)
	}
	var q *big.Int
	switch {
	case mode == 'f':
		q = floorRat(r)
	case mode == 'c':
		q = floorRat(new(big.Rat).Neg(r))
		q.Neg(q)
	case r.Sign() < 0:
		q = floorRat(new(big.Rat).Add(new(big.Rat).Neg(r), big.NewRat(1, 2)))
		q.Neg(q)
	default:
		q = floorRat(new(big.Rat).Add(r, big.NewRat(1, 2)))
	}
	if places <= 0 {
		out := new(big.Rat).Mul(new(big.Rat).SetInt(q), shift)
		return number{form: formBig, b: out.Num()}
	}
	return number{form: formRat, r: new(big.Rat).Quo(new(big.Rat).SetInt(q), shift)}
}

// roundSmall is round for digits in an int64 that are more than wanted.
func (n number) roundSmall(places int, mode byte) number {
	unit := pow10s[n.scale-places]
	q, rest := n.i/unit, n.i%unit
	switch {
	case mode == 'f' && rest < 0:
		q--
	case mode == 'c' && rest > 0:
		q++
	case mode == 'r' && abs64(rest) >= uint64(unit+1)/2:
		if n.i < 0 {
			q--
		} else {
			q++
		}
	}
	if places == 0 {
		return number{i: q}
	}
	return number{form: formDec, i: q, scale: places}
}
