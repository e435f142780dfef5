package liquid

import (
	"html"
	"strings"
)

// place is where in an HTML part a value appears, as far as the text of the template shows.
type place uint8

const (
	// placeText is a plain part: nothing is escaped.
	placeText place = iota
	// placeHTML is text or a quoted attribute.
	placeHTML
	// placeBare is an attribute without quotes, or a place that cannot be made out.
	placeBare
	// placeURL is the start of a URL attribute: the value may be a whole URL.
	placeURL
	// placeURLPath is a URL attribute after its start and before its query.
	placeURLPath
	// placeQuery is a part of a URL after its ? or #: the value is one component.
	placeQuery
	// placeStyle is a style attribute or element.
	placeStyle
	// placeStyleBare is a style attribute without quotes.
	placeStyleBare
	// placeStyleURL is the start of a url( in a style attribute, and placeStylePath what comes later in it.
	placeStyleURL
	placeStylePath
	// placeSheetURL and placeSheetPath are the same in a style element, which knows no entities.
	placeSheetURL
	placeSheetPath
	// placeScript is the inside of a script element; the value is printed as JSON.
	placeScript
	// placeScriptText is inside the quotes of a script element.
	placeScriptText
	// placeHandler is an attribute that holds a script.
	placeHandler
)

// append writes a text for the place.
func (p place) append(dst []byte, v Value) []byte {
	if p == placeHTML {
		if v.safe {
			return append(dst, v.s...)
		}
		return appendEscaped(dst, v.s)
	}
	s := v.s
	if v.safe {
		// What is HTML already is read back first: each of these places has rules of its own.
		s = html.UnescapeString(s)
	}
	switch p {
	case placeURL:
		if !safeScheme(s) {
			return append(dst, "#blocked"...)
		}
		return appendURL(dst, s)
	case placeURLPath:
		return appendURL(dst, s)
	case placeQuery:
		return appendURLComponent(dst, s, false)
	case placeBare:
		return appendBare(dst, s)
	case placeStyle:
		return appendStyle(dst, s)
	case placeStyleBare:
		return appendBare(dst, string(appendStyle(nil, s)))
	case placeStyleURL, placeSheetURL:
		if !safeScheme(s) {
			return append(dst, "#blocked"...)
		}
		return appendStyleURL(dst, s, p == placeSheetURL)
	case placeStylePath, placeSheetPath:
		return appendStyleURL(dst, s, p == placeSheetPath)
	case placeScript:
		return appendJSONString(dst, s)
	case placeScriptText:
		return appendScriptText(dst, s)
	case placeHandler:
		// Escaped as for an attribute without quotes, which this may be.
		return appendBare(dst, string(appendJSONString(nil, s)))
	}
	return append(dst, s...)
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

func needsEscape(s string) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '&', '<', '>', '"', '\'':
			return true
		}
	}
	return false
}

func escapeHTML(s string) string {
	if !needsEscape(s) {
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

// appendURL writes a URL or a part of one into an attribute: what may not stand in a URL is encoded, what would end
// the attribute is escaped, and what is encoded already stays so.
func appendURL(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '&' || c == '\'':
			dst = appendEscapedByte(dst, c)
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			dst = appendPercent(dst, c)
		case c == '%' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])):
			dst = append(dst, "%25"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// safeScheme says whether a URL has no scheme or one that mail may hold.
func safeScheme(s string) bool {
	end := strings.IndexAny(s, ":/?#")
	if end < 0 || s[end] != ':' {
		return true
	}
	for _, ok := range [...]string{"https", "http", "mailto", "tel", "sms", "cid"} {
		if strings.EqualFold(s[:end], ok) {
			return true
		}
	}
	return false
}

// appendStyle writes a value of a style sheet: words, numbers, and colours. One that could end its declaration or load
// something is left out.
func appendStyle(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isNameByte(c) && strings.IndexByte("#%.,+-/ ()", c) < 0 {
			return dst
		}
	}
	if strings.ContainsAny(s, "()") && !isColour(s) {
		return dst
	}
	return append(dst, s...)
}

// isColour matches rgb( … ) and its kin.
func isColour(s string) bool {
	name, rest, _ := strings.Cut(s, "(")
	switch strings.ToLower(name) {
	case "rgb", "rgba", "hsl", "hsla":
		return strings.HasSuffix(rest, ")") && !strings.ContainsAny(rest[:len(rest)-1], "()")
	}
	return false
}

// appendStyleURL writes a URL, or a part of one, between the brackets of url( ): all that could end it is encoded.
func appendStyleURL(dst []byte, s string, sheet bool) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '&' && !sheet:
			dst = append(dst, "&amp;"...)
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"'<>\\^`{|}();*", c) >= 0:
			dst = appendPercent(dst, c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

var scriptQuotes = strings.NewReplacer("'", `\u0027`, "`", `\u0060`, "$", `\u0024`)

// appendScriptText writes the inside of a text in a script.
func appendScriptText(dst []byte, s string) []byte {
	n := len(dst)
	dst = appendJSONString(dst, s)
	// The quotes stand in the template; the other kinds are escaped as well, and what a template literal would run.
	inner := scriptQuotes.Replace(string(dst[n+1 : len(dst)-1]))
	return append(dst[:n], inner...)
}
