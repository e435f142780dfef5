package liquid

import (
	"math"
	"math/big"
	"time"
)

// Kind names what a Value holds.
type Kind uint8

// The kinds of value a template can meet.
const (
	KindNil Kind = iota
	KindBool
	KindInt
	KindFloat
	KindString
	KindTime
	KindArray
	KindObject
	KindRange
	// kindBig is a whole number too large for an int64; outside it shows as KindInt.
	kindBig
	// kindLiteral is one of the words `blank` and `empty` standing as an operand of a comparison.
	kindLiteral
)

// String returns the name of the kind as it appears in messages.
func (k Kind) String() string {
	switch k {
	case KindNil:
		return "nil"
	case KindBool:
		return "boolean"
	case KindInt, kindBig:
		return "integer"
	case KindFloat:
		return "float"
	case KindString:
		return "string"
	case KindTime:
		return "time"
	case KindArray:
		return "array"
	case KindObject:
		return "object"
	case KindRange:
		return "range"
	default:
		return "literal"
	}
}

// Value is one value of a template: a small struct passed by copy, made by the constructors below and never
// changed. The zero Value is nil.
type Value struct {
	kind Kind
	// safe says that a string is already fit for an HTML part, so that it is not escaped a second time.
	safe bool
	// n holds a boolean, an integer, the bits of a float, or the first number of a range, whose last is in ref.
	n   int64
	s   string
	ref any
}

// Object is something with named members: a profile, an event, a product. Get may compute or fetch lazily, and is
// called only for the members that a template reads. A render calls it from one goroutine only.
type Object interface {
	// Get returns the member called key and whether there is one.
	Get(key string) (Value, bool)
	// Keys lists the members in the order in which a loop walks them. The caller does not change the slice.
	Keys() []string
}

// Nil is the absent value.
var Nil = Value{}

// Bool returns a boolean value.
func Bool(b bool) Value {
	if b {
		return Value{kind: KindBool, n: 1}
	}
	return Value{kind: KindBool}
}

// Int returns a whole number.
func Int(n int64) Value { return Value{kind: KindInt, n: n} }

// Float returns a floating-point number.
func Float(f float64) Value { return Value{kind: KindFloat, n: int64(math.Float64bits(f))} }

// String returns a text. It is taken as plain text, so an HTML part escapes it.
func String(s string) Value { return Value{kind: KindString, s: s} }

// SafeString returns a text that is HTML already: an HTML part prints it as it is. It is for what the caller has
// rendered or sanitised itself, never for what a person has typed.
func SafeString(s string) Value { return Value{kind: KindString, s: s, safe: true} }

// Time returns an instant with its zone.
func Time(t time.Time) Value { return Value{kind: KindTime, ref: t} }

// Array returns a list. The caller hands the slice over and does not change it afterwards.
func Array(items []Value) Value { return Value{kind: KindArray, ref: items} }

// ObjectOf returns a value whose members are read from o.
func ObjectOf(o Object) Value {
	if o == nil {
		return Nil
	}
	return Value{kind: KindObject, ref: o}
}

func rangeOf(first, last int64) Value { return Value{kind: KindRange, n: first, ref: last} }

func bigOf(b *big.Int) Value {
	if b.IsInt64() {
		return Int(b.Int64())
	}
	return Value{kind: kindBig, ref: b}
}

// The words `blank` and `empty` as operands; n tells which.
var (
	literalBlank = Value{kind: kindLiteral, n: 1}
	literalEmpty = Value{kind: kindLiteral, n: 2}
)

// Kind returns what the value holds.
func (v Value) Kind() Kind {
	if v.kind == kindBig {
		return KindInt
	}
	return v.kind
}

// IsNil reports whether the value is absent.
func (v Value) IsNil() bool { return v.kind == KindNil }

// AsBool returns the boolean and whether the value is one.
func (v Value) AsBool() (bool, bool) { return v.n != 0, v.kind == KindBool }

// AsInt returns the whole number and whether the value is one that fits an int64.
func (v Value) AsInt() (int64, bool) { return v.n, v.kind == KindInt }

// AsFloat returns the number as a float and whether the value is a number.
func (v Value) AsFloat() (float64, bool) {
	switch v.kind {
	case KindInt:
		return float64(v.n), true
	case KindFloat:
		return v.float(), true
	case kindBig:
		f, _ := new(big.Float).SetInt(v.big()).Float64()
		return f, true
	}
	return 0, false
}

// AsString returns the text and whether the value is one.
func (v Value) AsString() (string, bool) { return v.s, v.kind == KindString }

// AsTime returns the instant and whether the value is one.
func (v Value) AsTime() (time.Time, bool) {
	t, ok := v.ref.(time.Time)
	return t, ok && v.kind == KindTime
}

// AsArray returns the items and whether the value is a list. The caller does not change them.
func (v Value) AsArray() ([]Value, bool) {
	if v.kind != KindArray {
		return nil, false
	}
	return v.items(), true
}

// AsObject returns the object and whether the value is one.
func (v Value) AsObject() (Object, bool) {
	if v.kind != KindObject {
		return nil, false
	}
	return v.object(), true
}

func (v Value) float() float64 { return math.Float64frombits(uint64(v.n)) }

func (v Value) big() *big.Int { return v.ref.(*big.Int) }

func (v Value) items() []Value { return v.ref.([]Value) }

func (v Value) object() Object { return v.ref.(Object) }

// truthy follows Ruby: everything is true except nil and false.
func (v Value) truthy() bool {
	return v.kind != KindNil && (v.kind != KindBool || v.n != 0)
}

// last is the last number of a range.
func (v Value) last() int64 { return v.ref.(int64) }

// rangeLen is the number of integers in a range, or 0 for one that runs backwards.
func (v Value) rangeLen() int64 {
	m := v.last()
	if m < v.n {
		return 0
	}
	n := m - v.n + 1
	if n <= 0 {
		return math.MaxInt64
	}
	return n
}

// isEmpty says whether the value has a length and the length is nought.
func (v Value) isEmpty() bool {
	switch v.kind {
	case KindString:
		return v.s == ""
	case KindArray:
		return len(v.items()) == 0
	case KindObject:
		if s, ok := v.object().(sized); ok {
			return s.Len() == 0
		}
		return len(v.object().Keys()) == 0
	}
	return false
}

// sized is an Object that knows its number of members without listing them.
type sized interface{ Len() int }

// isBlank says whether the value shows nothing: nil, false, or a text, list or object with nothing (visible) in it.
func (v Value) isBlank() bool {
	switch v.kind {
	case KindNil:
		return true
	case KindBool:
		return v.n == 0
	case KindString:
		for i := 0; i < len(v.s); i++ {
			if !isSpace(v.s[i]) {
				return false
			}
		}
		return true
	}
	return v.isEmpty()
}

// isSpace is Ruby's \s.
func isSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }

// Map is an Object made of an ordered list of members.
type Map struct {
	keys   []string
	values []Value
	index  map[string]int
}

var (
	_ Object = (*Map)(nil)
	_ sized  = (*Map)(nil)
)

// mapIndexFrom is the size from which a Map keeps an index; below it a walk over the keys is quicker.
const mapIndexFrom = 13

// Set adds the member or replaces it in its place.
func (m *Map) Set(key string, v Value) {
	if i := m.find(key); i >= 0 {
		m.values[i] = v
		return
	}
	m.keys = append(m.keys, key)
	m.values = append(m.values, v)
	switch {
	case m.index != nil:
		m.index[key] = len(m.keys) - 1
	case len(m.keys) == mapIndexFrom:
		m.index = make(map[string]int, 2*mapIndexFrom)
		for i, k := range m.keys {
			m.index[k] = i
		}
	}
}

func (m *Map) find(key string) int {
	if m.index != nil {
		if i, ok := m.index[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range m.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// Get returns the member called key.
func (m *Map) Get(key string) (Value, bool) {
	if i := m.find(key); i >= 0 {
		return m.values[i], true
	}
	return Nil, false
}

// Keys lists the members in the order in which they were set.
func (m *Map) Keys() []string { return m.keys }

// Len returns the number of members.
func (m *Map) Len() int { return len(m.keys) }

// Value returns the map as a value of a template; it is not changed afterwards.
func (m *Map) Value() Value { return ObjectOf(m) }
