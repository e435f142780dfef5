package rule

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// beyond is what a comparison holds that most do not need.
type beyond struct {
	fold     bool           // texts are compared without regard to case
	most     operand        // between
	pattern  *regexp.Regexp // matches
	list     []operand      // all_of
	items    *Where         // any_item, all_items, no_item
	domains  []string       // domain, domain_in: lower case, sorted
	duration int64          // older_than and its kin: milliseconds
}

// matchBeyond answers the comparisons that match does not know by itself.
func (c *comparison) matchBeyond(raw []byte, there bool) bool {
	switch c.op {
	case opBetween:
		low, ok1 := 0, false
		if there {
			low, ok1 = c.one.order(raw)
		}
		if !ok1 || low < 0 {
			return false
		}
		high, ok2 := c.more.most.order(raw)
		return ok2 && high <= 0
	case opNotContains:
		return !there || !c.one.within(raw)
	case opNotStarts, opNotEnds:
		return !there || !c.one.bounds(raw, c.op == opNotEnds)
	case opMatches:
		return there && c.matchPattern(raw)
	case opAnyOf:
		return there && c.many.meets(raw)
	case opNoneOf:
		return !there || !c.many.meets(raw)
	case opAllOf:
		return there && c.hasAll(raw)
	case opIsEmpty:
		return (!there || isEmpty(raw)) == c.one.yes
	case opIsEmail:
		return (there && isEmail(raw)) == c.one.yes
	case opDomain, opDomainIn:
		return there && c.inDomain(raw)
	case opAnyItem:
		return there && c.more.items.some(raw)
	case opNoItem:
		return !there || !c.more.items.some(raw)
	case opAllItems:
		return there && c.more.items.every(raw)
	}
	return false
}

// matchPattern looks for a regular expression, in texts that are not too long.
func (c *comparison) matchPattern(raw []byte) bool {
	text, s, ok := textOf(raw)
	if !ok {
		return false
	}
	defer s.free()
	return len(text) <= MaxMatched && c.more.pattern.Match(text)
}

// meets says whether an element of a JSON list is in the set. A value that is no
// list is taken as the only element of one.
func (s *set) meets(raw []byte) bool {
	it := iterate(raw)
	if it.kind != '[' {
		return s.has(raw)
	}
	for {
		m, ok := it.next()
		if !ok {
			return false
		}
		if s.has(raw[m.value:m.valueEnd]) {
			return true
		}
	}
}

func (c *comparison) hasAll(raw []byte) bool {
	list := iterate(raw).kind == '['
	for i := range c.more.list {
		o := &c.more.list[i]
		if list && !o.within(raw) || !list && !o.equals(raw) {
			return false
		}
	}
	return true
}

func isEmpty(raw []byte) bool {
	if string(raw) == `""` {
		return true
	}
	it := iterate(raw)
	if it.kind == 0 {
		return false
	}
	_, any := it.next()
	return !any
}

// isEmail says whether a JSON text has the form of an address as people have
// one: something before the last @, and a domain of at least two names behind it.
func isEmail(raw []byte) bool {
	text, s, ok := textOf(raw)
	if !ok {
		return false
	}
	defer s.free()
	at := bytes.LastIndexByte(text, '@')
	if at < 1 || at > 64 || len(text) > 254 || !isDomain(text[at+1:]) {
		return false
	}
	for i, b := range text[:at] {
		if b <= ' ' || b == 0x7f || bytes.IndexByte([]byte(`@"(),:;<>[\]`), b) >= 0 {
			return false
		}
		if b == '.' && (i == 0 || i == at-1 || text[i+1] == '.') {
			return false
		}
	}
	return true
}

// isDomain wants names of letters, digits and hyphens, joined by dots. Letters of
// other scripts are letters too.
func isDomain[T string | []byte](b T) bool {
	dots, name := 0, 0
	for i := range len(b) {
		switch c := b[i]; {
		case c == '.':
			if name == 0 || b[i-1] == '-' {
				return false
			}
			dots, name = dots+1, 0
			continue
		case c == '-' && name > 0, c >= '0' && c <= '9', c|0x20 >= 'a' && c|0x20 <= 'z', c >= utf8.RuneSelf:
			name++
		default:
			return false
		}
	}
	return dots > 0 && name > 0 && len(b) <= 253 && b[len(b)-1] != '-'
}

// inDomain compares what stands behind the last @, or the whole text where there
// is none, without regard to case.
func (c *comparison) inDomain(raw []byte) bool {
	text, s, ok := textOf(raw)
	if !ok {
		return false
	}
	defer s.free()
	text = text[bytes.LastIndexByte(text, '@')+1:]
	for _, d := range c.more.domains {
		if len(d) == len(text) && strings.EqualFold(d, string(text)) {
			return true
		}
	}
	return false
}

// objects are used again and again for the items of lists.
var objects = sync.Pool{New: func() any { return new(Object) }}

// some says whether an object of a JSON list matches.
func (w *Where) some(raw []byte) bool {
	it := iterate(raw)
	if it.kind != '[' {
		return false
	}
	o := objects.Get().(*Object)
	defer free(o)
	for {
		m, ok := it.next()
		if !ok {
			return false
		}
		item := raw[m.value:m.valueEnd]
		if o.Reset(item); item[0] == '{' && w.Match(o) {
			return true
		}
	}
}

// every says whether a JSON list has elements, and each is an object that matches.
func (w *Where) every(raw []byte) bool {
	it := iterate(raw)
	if it.kind != '[' {
		return false
	}
	o := objects.Get().(*Object)
	defer free(o)
	for n := 0; ; n++ {
		m, ok := it.next()
		if !ok {
			return n > 0
		}
		item := raw[m.value:m.valueEnd]
		if o.Reset(item); item[0] != '{' || !w.Match(o) {
			return false
		}
	}
}

func free(o *Object) {
	o.Reset(nil)
	if cap(o.members) <= maxScratch/64 {
		objects.Put(o)
	}
}

// foldRune gives one letter for all that differ only in case.
func foldRune(r rune) rune {
	if r >= utf8.RuneSelf {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		r = least
	}
	return lower(r)
}

func lower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

func foldText(s string) string { return strings.Map(foldRune, s) }

// foldJSON writes a JSON value with every text in it folded. A scratch that comes
// with it must be freed once it is no longer needed.
func foldJSON(raw []byte) ([]byte, *scratch) {
	s := scratches.Get().(*scratch)
	b := s.b[:0]
	for i := 0; i < len(raw); {
		if raw[i] != '"' {
			b = append(b, raw[i])
			i++
			continue
		}
		end, _, _ := skipString(raw, i)
		b = foldString(b, raw[i:end])
		i = end
	}
	s.b = b
	return b, s
}

func foldString(b, raw []byte) []byte {
	text, s, ok := textOf(raw)
	if !ok {
		return append(b, raw...)
	}
	defer s.free()
	b = append(b, '"')
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch text = text[n:]; r {
		case '"', '\\':
			b = append(b, '\\', byte(r))
		default:
			b = utf8.AppendRune(b, foldRune(r))
		}
	}
	return append(b, '"')
}
