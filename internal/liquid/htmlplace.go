package liquid

import "strings"

// htmlMode is where in the syntax of HTML a template stands.
type htmlMode uint8

const (
	htmlText       htmlMode = iota
	htmlTagOpen             // right after <
	htmlTagName             // in the name of a tag
	htmlInTag               // between attributes
	htmlAttrName            // in the name of an attribute
	htmlAfterName           // after a name, before = or the next
	htmlBeforeAttr          // after =
	htmlAttr                // in a value
	htmlComment             // in a comment
	htmlRaw                 // in a script or style element
	htmlLost                // branches have ended in different places
)

// attrKind says what an attribute holds.
type attrKind uint8

const (
	attrPlain attrKind = iota
	attrURL
	attrURLs // several URLs, as in srcset
	attrStyle
	attrScript
)

// urlPart is how far a URL has come.
type urlPart uint8

const (
	urlStart urlPart = iota
	urlPath
	urlQuery
)

// htmlState is the place that the text of a template has led to. It is compared and copied as a value.
type htmlState struct {
	mode  htmlMode
	attr  attrKind
	quote byte // of the attribute, or of a text inside a script; 0 for none
	esc   bool // the last character of a script text was a backslash
	// load is set inside the url( of a style, and word holds what was just read before it.
	load bool
	word [3]byte
	url  urlPart
	// name is the name that is being read; tag is that of the element.
	name, tag string
	closing   bool
}

// maxHTMLName bounds the names that are looked at.
const maxHTMLName = 32

// walk moves the state over a piece of text.
func (s *htmlState) walk(text string) {
	for i := 0; i < len(text); i++ {
		if s.mode == htmlText {
			n := strings.IndexByte(text[i:], '<')
			if n < 0 {
				return
			}
			i += n
		}
		s.next(text[i], text[i+1:])
	}
}

func (s *htmlState) next(c byte, rest string) {
	switch s.mode {
	case htmlText, htmlLost:
		if c == '<' {
			*s = htmlState{mode: htmlTagOpen}
			// What Outlook alone reads is HTML too, so that such comments are not passed over.
			if strings.HasPrefix(rest, "!--") && !strings.HasPrefix(rest, "!--[if") && !strings.HasPrefix(rest, "!--<!") {
				s.mode = htmlComment
			}
		}
	case htmlTagOpen, htmlTagName:
		s.inTagName(c)
	case htmlInTag, htmlAfterName:
		s.betweenAttributes(c)
	case htmlAttrName:
		switch {
		case c == '=':
			s.startValue()
		case isSpace(c):
			s.mode = htmlAfterName
		case c == '>':
			s.endTag()
		case len(s.name) < maxHTMLName:
			s.name += string(lowerByte(c))
		}
	case htmlBeforeAttr:
		s.beforeValue(c)
	case htmlAttr:
		s.inValue(c)
	case htmlComment:
		if c == '-' && strings.HasPrefix(rest, "->") {
			*s = htmlState{mode: htmlTagName} // What is left of --> ends like a tag.
		}
	case htmlRaw:
		s.inRaw(c, rest)
	}
}

func (s *htmlState) inTagName(c byte) {
	switch {
	case c == '>':
		s.endTag()
	case isSpace(c):
		s.mode, s.tag, s.name = htmlInTag, s.name, ""
	case c == '/' && s.name == "":
		s.closing = true
	case c == '/':
		s.mode, s.tag, s.name = htmlInTag, s.name, ""
	case s.mode == htmlTagOpen && !isNameStart(c) && c != '!' && c != '?':
		*s = htmlState{} // A lone < is text.
	default:
		s.mode = htmlTagName
		if len(s.name) < maxHTMLName {
			s.name += string(lowerByte(c))
		}
	}
}

func (s *htmlState) betweenAttributes(c byte) {
	switch {
	case c == '>':
		s.endTag()
	case isSpace(c) || c == '/':
	case c == '=' && s.mode == htmlAfterName:
		s.startValue()
	default:
		s.mode, s.name = htmlAttrName, string(lowerByte(c))
	}
}

func (s *htmlState) startValue() {
	s.mode, s.url, s.quote = htmlBeforeAttr, urlStart, 0
	s.attr = attrKindOf(s.name)
	s.name = ""
}

func attrKindOf(name string) attrKind {
	switch name {
	case "href", "src", "action", "formaction", "background", "cite", "poster", "data", "longdesc", "xlink:href", "ping", "manifest":
		return attrURL
	case "srcset", "imagesrcset":
		return attrURLs
	case "style":
		return attrStyle
	}
	if strings.HasPrefix(name, "on") {
		return attrScript
	}
	return attrPlain
}

func (s *htmlState) beforeValue(c byte) {
	switch {
	case isSpace(c):
	case c == '>':
		s.endTag()
	case c == '"' || c == '\'':
		s.mode, s.quote = htmlAttr, c
	default:
		s.mode = htmlAttr
		s.inValue(c)
	}
}

func (s *htmlState) inValue(c byte) {
	switch {
	case s.quote == 0 && c == '>':
		s.endTag()
		return
	case s.quote == 0 && isSpace(c), s.quote != 0 && c == s.quote:
		*s = htmlState{mode: htmlInTag, tag: s.tag, closing: s.closing}
		return
	}
	switch {
	case s.attr == attrStyle:
		s.inStyle(c)
	case s.attr == attrURLs && (isSpace(c) || c == ','):
		s.url = urlStart
	case c == '?' || c == '#' || c == '&' || c == '=':
		// The last two tell of a query that began inside a printed URL.
		s.url = urlQuery
	case s.url == urlStart && !isSpace(c):
		s.url = urlPath
	}
}

// inStyle tells the url( of a style from all else.
func (s *htmlState) inStyle(c byte) {
	switch {
	case c == '(' && s.word == [3]byte{'u', 'r', 'l'}:
		s.load, s.url = true, urlStart
	case c == ')':
		s.load = false
	case s.load && !isSpace(c) && c != '"' && c != '\'':
		s.url = urlPath
	}
	s.word = [3]byte{s.word[1], s.word[2], lowerByte(c)}
}

func (s *htmlState) endTag() {
	tag := s.tag
	if tag == "" {
		tag = s.name
	}
	closing := s.closing
	*s = htmlState{}
	if !closing && (tag == "script" || tag == "style") {
		s.mode, s.tag = htmlRaw, tag
	}
}

// inRaw follows the quotes of a script, so that a value inside them is told from one outside.
func (s *htmlState) inRaw(c byte, rest string) {
	if c == '<' && len(rest) > len(s.tag) && rest[0] == '/' && strings.EqualFold(rest[1:1+len(s.tag)], s.tag) {
		*s = htmlState{mode: htmlTagOpen}
		return
	}
	if s.tag == "style" {
		s.inStyle(c)
		return
	}
	switch {
	case s.esc:
		s.esc = false
	case s.quote != 0 && c == '\\':
		s.esc = true
	case s.quote != 0 && (c == s.quote || (c == '\n' && s.quote != '`')):
		s.quote = 0
	case s.quote == 0 && (c == '"' || c == '\'' || c == '`'):
		s.quote = c
	}
}

// value moves the state over a printed value and returns the place where it stands. The value may turn out empty, so
// that a URL is still at its start after it.
func (s *htmlState) value() place {
	switch s.mode {
	case htmlText, htmlComment:
		return placeHTML
	case htmlRaw:
		if s.tag == "style" {
			return s.stylePlace()
		}
		if s.quote != 0 {
			return placeScriptText
		}
		return placeScript
	case htmlBeforeAttr:
		s.mode = htmlAttr
		return s.attrPlace()
	case htmlAttr:
		return s.attrPlace()
	}
	return placeBare
}

func (s *htmlState) attrPlace() place {
	switch s.attr {
	case attrURL, attrURLs:
		switch s.url {
		case urlStart:
			return placeURL
		case urlPath:
			return placeURLPath
		}
		return placeQuery
	case attrStyle:
		return s.stylePlace()
	case attrScript:
		return placeHandler
	}
	if s.quote == 0 {
		return placeBare
	}
	return placeHTML
}

func (s *htmlState) stylePlace() place {
	sheet := s.mode == htmlRaw
	switch {
	case !s.load && !sheet && s.quote == 0:
		return placeStyleBare
	case !s.load:
		return placeStyle
	case s.url == urlStart && sheet:
		return placeSheetURL
	case s.url == urlStart:
		return placeStyleURL
	case sheet:
		return placeSheetPath
	}
	return placeStylePath
}

// inName says whether a value here would be a part of a tag's or an attribute's name.
func (s *htmlState) inName() bool {
	switch s.mode {
	case htmlTagOpen, htmlTagName, htmlInTag, htmlAttrName, htmlAfterName:
		return true
	}
	return false
}

// join is where a template stands after branches that may have ended in different places.
func (s htmlState) join(o htmlState) htmlState {
	if s == o {
		return s
	}
	// How far a URL has come is all that differs: then it is taken to be at the earlier place, which escapes for both.
	a, b := s, o
	first := min(a.url, b.url)
	a.url, b.url = first, first
	if a == b {
		return a
	}
	return htmlState{mode: htmlLost}
}
