package liquid

import "strings"

// place is where in an HTML part a value appears, as far as the text of the template shows.
type place uint8

const (
	// placeText is a plain part: nothing is escaped.
	placeText place = iota
	// placeHTML is text or a quoted attribute.
	placeHTML
	// placeURL is the start of a URL attribute: the value may be a whole URL, or the path of one.
	placeURL
	// placeQuery is a part of a URL after its ? or #: the value is one component.
	placeQuery
	// placeBare is an attribute without quotes.
	placeBare
	// placeScript is the inside of a script element.
	placeScript
)

// append writes a text for the place.
func (p place) append(dst []byte, v Value) []byte {
	switch p {
	case placeHTML:
		if v.safe {
			return append(dst, v.s...)
		}
		return appendEscaped(dst, v.s)
	case placeURL:
		return appendURL(dst, v.s)
	case placeQuery:
		return appendURLComponent(dst, v.s, false)
	case placeBare:
		return appendBare(dst, v.s)
	case placeScript:
		return appendJSONString(dst, v.s)
	}
	return append(dst, v.s...)
}

func appendEscapedByte(dst []byte, c byte) []byte {
	switch c {
	case '&':
		return append(dst, "&amp;"...)
	case '<':
		return append(dst, "&lt;"...)
	case '>':
		return append(dst, "&gt;"...)
	case '"':
		return append(dst, "&quot;"...)
	case '\'':
		return append(dst, "&#39;"...)
	}
	return append(dst, c)
}

func appendEscaped(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '&', '<', '>', '"', '\'':
			dst = append(dst, s[from:i]...)
			dst = appendEscapedByte(dst, s[i])
			from = i + 1
		}
	}
	return append(dst, s[from:]...)
}

func escapeHTML(s string) string {
	if !strings.ContainsAny(s, "&<>\"'") {
		return s
	}
	return string(appendEscaped(nil, s))
}

// appendBare escapes for an attribute without quotes, where white space would end the value.
func appendBare(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ' || c == '=' || c == '`':
			dst = append(dst, "&#"...)
			dst = appendText(dst, Int(int64(c)))
			dst = append(dst, ';')
		default:
			dst = appendEscapedByte(dst, c)
		}
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

func appendPercent(dst []byte, c byte) []byte {
	return append(dst, '%', upperHex[c>>4], upperHex[c&15])
}

// appendURLComponent encodes all but letters, digits and - _ . ~; a space becomes + where form is set.
func appendURLComponent(dst []byte, s string, form bool) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isNameByte(c) || c == '-' || c == '.' || c == '~':
			dst = append(dst, c)
		case c == ' ' && form:
			dst = append(dst, '+')
		default:
			dst = appendPercent(dst, c)
		}
	}
	return dst
}

// appendURL writes a whole URL or its beginning into an attribute: what may not stand in a URL is encoded, what ends
// an attribute is escaped, and a URL of a scheme that could run code is replaced.
func appendURL(dst []byte, s string) []byte {
	if !safeScheme(s) {
		return append(dst, "#blocked"...)
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '&' || c == '\'':
			dst = appendEscapedByte(dst, c)
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			dst = appendPercent(dst, c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// safeScheme says whether a URL has no scheme or one that mail may hold.
func safeScheme(s string) bool {
	s = strings.TrimLeft(s, " \t\n\v\f\r\x00")
	end := strings.IndexAny(s, ":/?#")
	if end < 0 || s[end] != ':' {
		return true
	}
	scheme := strings.ToLower(s[:end])
	for _, ok := range [...]string{"http", "https", "mailto", "tel", "sms", "cid"} {
		if scheme == ok {
			return true
		}
	}
	return false
}
