package rule

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// operandKind is the type of what a value is compared with. A value of another
// type is never equal to it, neither less nor more.
type operandKind uint8

const (
	isText operandKind = iota
	isNumber
	isBool
)

// operand is one value of a rule.
type operand struct {
	kind   operandKind
	text   string
	number number
	yes    bool
	date   instant
	isDate bool   // text that reads as a moment
	yaml   string // canonical text
}

// comparison is one operator with its operand.
type comparison struct {
	path string
	op   operator
	one  operand // all but in and not_in; exists keeps its answer in yes
	many set     // in and not_in, any_of and none_of
	more *beyond // nil for most
	yaml string  // canonical text of the operand
}

// set is a list of operands in which a value is found by bisection.
type set struct {
	texts   []string
	numbers []number
	yes, no bool
}

func newSet(list []operand) set {
	var s set
	for _, o := range list {
		switch o.kind {
		case isText:
			s.texts = append(s.texts, o.text)
		case isNumber:
			s.numbers = append(s.numbers, o.number)
		case isBool:
			s.yes, s.no = s.yes || o.yes, s.no || !o.yes
		}
	}
	slices.Sort(s.texts)
	slices.SortFunc(s.numbers, func(a, b number) int { return compareDecimals(&a, a.mant, &b, b.mant) })
	return s
}

// has says whether a JSON value is in the set.
func (s *set) has(raw []byte) bool {
	switch raw[0] {
	case '"':
		return s.hasText(raw)
	case 't':
		return s.yes && string(raw) == "true"
	case 'f':
		return s.no && string(raw) == "false"
	}
	lo, hi := 0, len(s.numbers)
	for lo < hi {
		mid := (lo + hi) / 2
		order, ok := compareNumber(raw, &s.numbers[mid])
		switch {
		case !ok:
			return false
		case order == 0:
			return true
		case order < 0:
			hi = mid
		default:
			lo = mid + 1
		}
	}
	return false
}

func (s *set) hasText(raw []byte) bool {
	if len(s.texts) == 0 {
		return false
	}
	text, mem, ok := textOf(raw)
	if !ok {
		return false
	}
	defer mem.free()
	lo, hi := 0, len(s.texts)
	for lo < hi {
		mid := (lo + hi) / 2
		switch have := s.texts[mid]; {
		case string(text) == have:
			return true
		case string(text) < have:
			hi = mid
		default:
			lo = mid + 1
		}
	}
	return false
}

// match answers the comparison for a JSON value, or for a missing one.
func (c *comparison) match(raw []byte, ok bool) bool {
	raw = trim(raw)
	if c.more != nil && c.more.fold && ok {
		folded, s := foldJSON(raw)
		defer s.free()
		raw = folded
	}
	there := ok && len(raw) > 0 && string(raw) != "null"
	switch c.op {
	case opExists:
		return there == c.one.yes
	case opIs:
		return there && c.one.equals(raw)
	case opIsNot:
		return !there || !c.one.equals(raw)
	case opIn:
		return there && c.many.has(raw)
	case opNotIn:
		return !there || !c.many.has(raw)
	case opContains:
		return there && c.one.within(raw)
	case opStarts, opEnds:
		return there && c.one.bounds(raw, c.op == opEnds)
	}
	if c.op > opEnds {
		return c.matchBeyond(raw, there)
	}
	if !there {
		return false
	}
	order, ok := c.one.order(raw)
	if !ok {
		return false
	}
	switch c.op {
	case opGt:
		return order > 0
	case opGte:
		return order >= 0
	case opLt:
		return order < 0
	}
	return order <= 0
}

// trim takes away the space around a JSON value.
func trim(raw []byte) []byte {
	if len(raw) > 0 && (raw[0] <= ' ' || raw[len(raw)-1] <= ' ') {
		return bytes.TrimSpace(raw)
	}
	return raw
}

// folds says whether the comparison disregards case.
func (c *comparison) folds() bool { return c.more != nil && c.more.fold }

// equals says whether a JSON value is the operand.
func (o *operand) equals(raw []byte) bool {
	switch o.kind {
	case isNumber:
		order, ok := compareNumber(raw, &o.number)
		return ok && order == 0
	case isBool:
		return o.yes && string(raw) == "true" || !o.yes && string(raw) == "false"
	}
	text, s, ok := textOf(raw)
	if !ok {
		return false
	}
	defer s.free()
	return string(text) == o.text
}

// order says whether a JSON value is less than, equal to or more than the
// operand; false when the two cannot be ordered.
func (o *operand) order(raw []byte) (int, bool) {
	switch {
	case o.kind == isNumber:
		return compareNumber(raw, &o.number)
	case o.isDate:
		at, ok := instantOf(raw)
		return at.compare(o.date), ok
	}
	text, s, ok := textOf(raw)
	if !ok {
		return 0, false
	}
	defer s.free()
	switch {
	case string(text) < o.text:
		return -1, true
	case string(text) > o.text:
		return 1, true
	}
	return 0, true
}

// within says whether a JSON text has the operand in it, or a JSON array has it
// as an element.
func (o *operand) within(raw []byte) bool {
	it := iterate(raw)
	if it.kind == '[' {
		for {
			m, ok := it.next()
			if !ok {
				return false
			}
			if o.equals(raw[m.value:m.valueEnd]) {
				return true
			}
		}
	}
	if o.kind != isText {
		return false
	}
	text, s, ok := textOf(raw)
	if !ok {
		return false
	}
	defer s.free()
	return containsText(text, o.text)
}

// containsText is bytes.Contains for a string.
func containsText(text []byte, part string) bool {
	first, n := part[0], len(part)
	for len(text) >= n {
		i := bytes.IndexByte(text[:len(text)-n+1], first)
		if i < 0 {
			return false
		}
		if string(text[i:i+n]) == part {
			return true
		}
		text = text[i+1:]
	}
	return false
}

// bounds says whether a JSON text begins, or ends, with the operand.
func (o *operand) bounds(raw []byte, end bool) bool {
	text, s, ok := textOf(raw)
	if !ok {
		return false
	}
	defer s.free()
	if len(text) < len(o.text) {
		return false
	}
	if end {
		return string(text[len(text)-len(o.text):]) == o.text
	}
	return string(text[:len(o.text)]) == o.text
}

// String gives the comparison as it is written behind a path.
func (c *comparison) String() string {
	return operatorNames[c.op] + ": " + c.yaml
}

// sortComparisons brings comparisons into canonical order, each once.
func sortComparisons(list []comparison) []comparison {
	slices.SortFunc(list, func(a, b comparison) int {
		if n := strings.Compare(a.path, b.path); n != 0 {
			return n
		}
		if a.folds() != b.folds() {
			if b.folds() {
				return -1
			}
			return 1
		}
		if a.op != b.op {
			return cmp.Compare(int(a.op), int(b.op))
		}
		return strings.Compare(a.yaml, b.yaml)
	})
	return slices.CompactFunc(list, func(a, b comparison) bool {
		return a.path == b.path && a.op == b.op && a.folds() == b.folds() && a.yaml == b.yaml
	})
}
