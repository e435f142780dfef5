package content

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
)

// scanner finds the tags of a page, as a browser's tokeniser does, without
// allocating. What it makes of broken pages is held to golang.org/x/net/html by
// a test.
type scanner struct {
	rest       []byte // the whole page
	pos        int
	inside     string // the element whose content is no markup
	kind       tokenKind
	start, end int
	*element        // of a tag
	closed     bool // the tag closes itself
	attributes
}

type tokenKind uint8

const (
	words tokenKind = iota + 1
	startTag
	endTag
	comment
)

// attributes are what the walk wants to know of a tag.
type attributes struct {
	href     string
	from, to int // where the value of href stands in the tag, quotes included
	alt      string
	hidden   bool
}

// next moves to the next token; false at the end. A tag that the page breaks off
// in is no token.
func (s *scanner) next() bool {
	page := s.rest
	if s.pos >= len(page) {
		return false
	}
	s.start = s.pos
	if s.inside != "" {
		s.pos += rawEnd(page[s.pos:], s.inside)
		s.inside = ""
		if s.pos > s.start {
			s.kind, s.end = words, s.pos
			return true
		}
	}
	i := s.pos
	for {
		n := bytes.IndexByte(page[i:], '<')
		if n < 0 || i+n+1 >= len(page) {
			i = len(page)
			break
		}
		i += n
		if c := page[i+1]; isLetter(c) || c == '!' || c == '?' || c == '/' && i+2 < len(page) {
			break
		}
		i++
	}
	if i > s.start {
		s.kind, s.end, s.pos = words, i, i
		return true
	}
	return s.markup(page)
}

// markup reads what begins with <.
func (s *scanner) markup(page []byte) bool {
	b := page[s.pos:]
	switch {
	case isLetter(b[1]):
		return s.tag(b, 1, startTag)
	case b[1] == '/' && isLetter(b[2]):
		return s.tag(b, 2, endTag)
	case bytes.HasPrefix(b, []byte("<!--")):
		s.pos += commentEnd(b)
	default:
		if n := bytes.IndexByte(b, '>'); n >= 0 {
			s.pos += n + 1
		} else {
			s.pos = len(page)
		}
	}
	s.kind, s.end = comment, s.pos
	return true
}

func commentEnd(b []byte) int {
	if bytes.HasPrefix(b, []byte("<!-->")) {
		return len("<!-->")
	}
	if bytes.HasPrefix(b, []byte("<!--->")) {
		return len("<!--->")
	}
	from := len("<!--")
	end := len(b)
	for _, mark := range []string{"-->", "--!>"} {
		if n := bytes.Index(b[from:], []byte(mark)); n >= 0 {
			end = min(end, from+n+len(mark))
		}
	}
	return end
}

// rawEnd finds the end tag that ends an element without markup.
func rawEnd(b []byte, name string) int {
	for i := 0; ; {
		n := bytes.Index(b[i:], []byte("</"))
		if n < 0 {
			return len(b)
		}
		i += n
		after := i + 2 + len(name)
		if after < len(b) && strings.EqualFold(string(b[i+2:after]), name) && (isSpace(b[after]) || b[after] == '/' || b[after] == '>') {
			return i
		}
		i += 2
	}
}

// tag reads a tag and its attributes; b begins with it, its name at from.
func (s *scanner) tag(b []byte, from int, kind tokenKind) bool {
	i := from
	for i < len(b) && !isSpace(b[i]) && b[i] != '/' && b[i] != '>' {
		i++
	}
	s.element, s.attributes = elementOf(b[from:i]), attributes{}
	for i < len(b) && b[i] != '>' {
		if isSpace(b[i]) || b[i] == '/' {
			i++
			continue
		}
		i = s.attribute(b, i, kind)
	}
	if i >= len(b) {
		s.pos = len(s.rest)
		return false
	}
	s.closed = kind == startTag && b[i-1] == '/'
	s.pos += i + 1
	s.kind, s.end = kind, s.pos
	if kind == startTag && s.raw {
		s.inside = s.name
	}
	return true
}

// attribute reads one attribute and gives where it ends.
func (s *scanner) attribute(b []byte, i int, kind tokenKind) int {
	begin := i
	for i < len(b) && !isSpace(b[i]) && (b[i] != '=' || i == begin) && b[i] != '>' && b[i] != '/' {
		i++
	}
	name := b[begin:i]
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i >= len(b) || b[i] != '=' {
		if kind == startTag {
			s.take(s.name, name, nil, i, i)
		}
		return i
	}
	for i++; i < len(b) && isSpace(b[i]); i++ {
	}
	at, from := i, i
	var to int
	switch {
	case i < len(b) && (b[i] == '"' || b[i] == '\''):
		n := bytes.IndexByte(b[i+1:], b[i])
		if n < 0 {
			return len(b)
		}
		from, to, i = i+1, i+1+n, i+n+2
	default:
		for i < len(b) && !isSpace(b[i]) && b[i] != '>' {
			i++
		}
		to = i
	}
	if kind == startTag {
		s.take(s.name, name, b[from:to], at, i)
	}
	return i
}

// take keeps an attribute that matters.
func (a *attributes) take(tag string, name, value []byte, from, to int) {
	switch {
	case len(name) == 4 && tag == "a" && bytes.EqualFold(name, []byte("href")):
		if a.to == 0 { // The first counts.
			a.href, a.from, a.to = strings.TrimSpace(valueText(value)), from, to
		}
	case len(name) == 3 && tag == "img" && bytes.EqualFold(name, []byte("alt")):
		a.alt = valueText(value)
	case len(name) == 5 && bytes.EqualFold(name, []byte("style")):
		a.hidden = a.hidden || hides(value)
	case len(name) == 6 && bytes.EqualFold(name, []byte("hidden")):
		a.hidden = true
	case len(name) == 11 && bytes.EqualFold(name, []byte("aria-hidden")): // Decoration: readers of text are not told of it.
		a.hidden = a.hidden || bytes.EqualFold(value, []byte("true"))
	}
}

// valueText reads the references in a value. In a value "&copy=1" is no
// copyright sign, so all but the plain case is left to a real tokeniser.
func valueText(value []byte) string {
	n := bytes.Count(value, []byte("&"))
	if n == 0 {
		return string(value)
	}
	if n == bytes.Count(value, []byte("&amp;")) {
		return strings.ReplaceAll(string(value), "&amp;", "&")
	}
	z := html.NewTokenizer(strings.NewReader(`<a x="` + strings.ReplaceAll(string(value), `"`, "&quot;") + `">`))
	z.Next()
	z.TagName()
	_, text, _ := z.TagAttr()
	return string(text)
}

// elementOf finds what is known of an element, by its name in any letters.
func elementOf(b []byte) *element {
	var low [12]byte
	if len(b) > len(low) {
		return other
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	if e, ok := known[string(low[:len(b)])]; ok {
		return e
	}
	return other
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }
