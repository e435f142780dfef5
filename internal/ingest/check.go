package ingest

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"rapport/internal/scan"
)

// field names a member of an event that is read: of the event itself, or of its
// context.
type field uint8

const (
	noField field = iota
	fType
	fMessageID
	fUserID
	fAnonymous
	fPrevious
	fGroup
	fEvent
	fName
	fCategory
	fTimestamp
	fOriginal
	fSentAt
	fContext
	fProperties
	fTraits
	fIntegrations
	cTraits
	cExternal
	cConsent
	cIP
	cAgent
	cDirect
	cUserHash
	cGroup
	cDevice
	fields
)

// ofEvent and ofContext tell which field a key names.
func ofEvent(key []byte) field {
	switch string(key) {
	case "type":
		return fType
	case "messageId":
		return fMessageID
	case "userId":
		return fUserID
	case "anonymousId":
		return fAnonymous
	case "previousId":
		return fPrevious
	case "groupId":
		return fGroup
	case "event":
		return fEvent
	case "name":
		return fName
	case "category":
		return fCategory
	case "timestamp":
		return fTimestamp
	case "originalTimestamp":
		return fOriginal
	case "sentAt":
		return fSentAt
	case "context":
		return fContext
	case "properties":
		return fProperties
	case "traits":
		return fTraits
	case "integrations":
		return fIntegrations
	}
	return noField
}

func ofContext(key []byte) field {
	switch string(key) {
	case "traits":
		return cTraits
	case "externalIds":
		return cExternal
	case "consent":
		return cConsent
	case "ip":
		return cIP
	case "userAgent":
		return cAgent
	case "direct":
		return cDirect
	case "userHash":
		return cUserHash
	case "groupId":
		return cGroup
	case "device":
		return cDevice
	}
	return noField
}

// span is a part of a body.
type span = scan.Span

// item is one event as it came, still raw: where its members stand in bytes.
type item struct {
	bytes   []byte // what the spans are parts of
	spans   [fields]span
	whole   span // the event itself
	facts   scan.Facts
	checked bool // it is sound, and all its spans are set
	props   span // which of the checker's props are its own
}

func (it *item) raw(f field) []byte { return it.bytes[it.spans[f].From:it.spans[f].To] }

func (it *item) all() []byte { return it.bytes[it.whole.From:it.whole.To] }

// locate sets the spans of an object that is known to be sound.
func (it *item) locate(object []byte) {
	*it = item{bytes: object, whole: span{From: 0, To: uint32(len(object))}, checked: true}
	it.locateIn(object, 0, ofEvent)
	if context := it.spans[fContext]; context.To > context.From {
		it.locateIn(it.raw(fContext), int(context.From), ofContext)
	}
}

func (it *item) locateIn(object []byte, offset int, of func([]byte) field) {
	for m := scan.MembersOf(object); ; {
		key, value, ok := m.Next()
		if !ok {
			return
		}
		if f := of(key); f != noField {
			end := offset + m.At()
			it.spans[f] = span{From: uint32(end - len(value)), To: uint32(end)}
		}
	}
}

// checker looks at an event once: grammar, UTF-8, numbers, limits and repeated
// keys, and where the members stand that are read later. It knows only the
// common case. What it accepts is sound; of what it does not accept it says
// nothing, and slower code finds out what is the matter.
type checker struct {
	b        []byte
	keys     []span // of all objects that are open, innermost last
	top      int    // where the keys of the object ended that was closed last
	props    []span // the keys of all properties, which are looked at once more
	count    int
	maxDepth int
	maxKeys  int
}

// manyKeys is how many keys of one object are compared one by one.
const manyKeys = 64

// event checks the object that begins at i and gives the place behind it.
func (c *checker) event(i int, it *item) (end int, ok bool) {
	c.keys, c.count = c.keys[:0], 0
	it.bytes = c.b
	return c.object(i, 1, it, ofEvent)
}

// object checks an object and notes the spans that of names, if there is one.
func (c *checker) object(i, depth int, it *item, of func([]byte) field) (int, bool) {
	b := c.b
	if depth > c.maxDepth {
		return i, false
	}
	base := len(c.keys)
	i = scan.Space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, true
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return i, false
		}
		end, escaped, ok := c.text(i)
		if !ok || escaped || !c.unique(base, i+1, end-1) {
			return i, false
		}
		key := b[i+1 : end-1]
		i = scan.Space(b, end)
		if i >= len(b) || b[i] != ':' {
			return i, false
		}
		i = scan.Space(b, i+1)
		f := noField
		if of != nil {
			f = of(key)
		}
		if f == noField {
			i, ok = c.value(i, depth)
		} else {
			i, ok = c.field(i, depth, it, f)
		}
		if !ok {
			return i, false
		}
		i = scan.Space(b, i)
		switch {
		case i >= len(b):
			return i, false
		case b[i] == ',':
			i = scan.Space(b, i+1)
		case b[i] == '}':
			c.top = len(c.keys)
			c.keys = c.keys[:base]
			return i + 1, true
		default:
			return i, false
		}
	}
}

// field checks a value that is read later and notes where it stands; of
// properties also the keys.
func (c *checker) field(i, depth int, it *item, f field) (end int, ok bool) {
	object := i < len(c.b) && c.b[i] == '{'
	switch {
	case f == fContext && object:
		end, ok = c.object(i, depth+1, it, ofContext)
	case f == fProperties && object:
		base := len(c.keys)
		c.top = base
		if end, ok = c.object(i, depth+1, nil, nil); ok {
			it.props.From = uint32(len(c.props))
			c.props = append(c.props, c.keys[base:c.top]...)
			it.props.To = uint32(len(c.props))
		}
	default:
		end, ok = c.value(i, depth)
	}
	it.spans[f] = span{From: uint32(i), To: uint32(end)}
	return end, ok
}

// unique tells whether a key is new among those of its object, and adds it.
func (c *checker) unique(base, from, to int) bool {
	c.count++
	mine := c.keys[base:]
	if c.count > c.maxKeys || len(mine) >= manyKeys {
		return false
	}
	key := c.b[from:to]
	for _, k := range mine {
		if int(k.To-k.From) == len(key) && string(c.b[k.From:k.To]) == string(key) {
			return false
		}
	}
	c.keys = append(c.keys, span{From: uint32(from), To: uint32(to)})
	return true
}

func (c *checker) value(i, depth int) (int, bool) {
	b := c.b
	if i >= len(b) {
		return i, false
	}
	switch b[i] {
	case '"':
		end, _, ok := c.text(i)
		return end, ok
	case '{':
		return c.object(i, depth+1, nil, nil)
	case '[':
		return c.array(i, depth+1)
	case 't':
		return literal(b, i, "true")
	case 'f':
		return literal(b, i, "false")
	case 'n':
		return literal(b, i, "null")
	}
	return c.number(i)
}

func literal(b []byte, i int, word string) (int, bool) {
	end := i + len(word)
	return end, end <= len(b) && string(b[i:end]) == word
}

func (c *checker) array(i, depth int) (int, bool) {
	b := c.b
	if depth > c.maxDepth {
		return i, false
	}
	i = scan.Space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1, true
	}
	for {
		var ok bool
		if i, ok = c.value(i, depth); !ok {
			return i, false
		}
		i = scan.Space(b, i)
		switch {
		case i >= len(b):
			return i, false
		case b[i] == ',':
			i = scan.Space(b, i+1)
		case b[i] == ']':
			return i + 1, true
		default:
			return i, false
		}
	}
}

// number checks a number without an exponent; one with an exponent, or a very
// long one, may be beyond what can be kept.
func (c *checker) number(i int) (int, bool) {
	b, start := c.b, i
	if i < len(b) && b[i] == '-' {
		i++
	}
	first := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == first || b[first] == '0' && i > first+1 {
		return i, false
	}
	if i < len(b) && b[i] == '.' {
		fraction := i + 1
		for i++; i < len(b) && b[i]-'0' <= 9; {
			i++
		}
		if i == fraction {
			return i, false
		}
	}
	if i-start > 200 || i < len(b) && b[i]|0x20 == 'e' {
		return i, false
	}
	return i, true
}

const controls = 0x2020202020202020 // every byte the first that is no control character

// text checks a string and gives the place behind it. Like passString it looks
// at eight bytes at once, here also for control characters and for bytes that
// are not ASCII.
func (c *checker) text(i int) (end int, escaped, ok bool) {
	b, start, plain := c.b, i+1, true
	for i++; ; {
		if i+8 <= len(b) {
			v := binary.LittleEndian.Uint64(b[i:])
			q, s := v^scan.Quotes, v^scan.Slants
			hit := ((q-scan.Ones)&^q | (s-scan.Ones)&^s | (v-controls)&^v | v) & scan.Highs
			if hit == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(hit) / 8
		}
		if i >= len(b) {
			return i, escaped, false
		}
		switch ch := b[i]; {
		case ch == '"':
			return i + 1, escaped, plain || utf8.Valid(b[start:i])
		case ch == '\\':
			n := escape(b[i:])
			if n == 0 {
				return i, true, false
			}
			escaped = true
			i += n
		case ch < ' ':
			return i, escaped, false
		case ch >= utf8.RuneSelf:
			plain = false
			for i < len(b) && b[i] >= utf8.RuneSelf {
				i++
			}
		default:
			i++
		}
	}
}

// escape gives the length of a simple escape; zero for what is none, and for
// NUL and surrogates.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	}
	if u, ok := unit(b); ok && u != 0 && (u < 0xD800 || u > 0xDFFF) {
		return 6
	}
	return 0
}
