package ingest

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// absent tells whether a member is missing or null, which is the same to us.
func absent(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

// text reads a JSON string; what is absent is "". ok is false for any other
// type of value.
func text(raw []byte) (s string, ok bool) {
	if absent(raw) {
		return "", true
	}
	if raw[0] != '"' || len(raw) < 2 {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	plain, err := jsontext.AppendUnquote(nil, raw)
	return string(plain), err == nil
}

// quoted writes a text that is UTF-8 as JSON.
func quoted(s string) []byte {
	b, _ := jsontext.AppendQuote(nil, s)
	return b
}

// mend writes a JSON text anew in which bytes of strings that are no UTF-8,
// surrogates without their other half and the escape of NUL have become U+FFFD.
// It repairs nothing else.
func mend(raw []byte) []byte {
	out := make([]byte, 0, len(raw)+16)
	inside := false
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '"':
			inside = !inside
			out, i = append(out, c), i+1
		case inside && c == '\\' && i+1 < len(raw):
			var n int
			out, n = mendEscape(out, raw[i:])
			i += n
		case c >= utf8.RuneSelf && inside:
			r, n := utf8.DecodeRune(raw[i:])
			out, i = utf8.AppendRune(out, r), i+n
		default:
			out, i = append(out, c), i+1
		}
	}
	return out
}

// mendEscape copies one escape, or the pair of escapes of a surrogate pair.
func mendEscape(out, b []byte) (_ []byte, n int) {
	const replacement = `\ufffd`
	u, ok := unit(b)
	switch {
	case !ok:
		return append(out, b[:2]...), 2
	case u == 0 || u >= 0xDC00 && u <= 0xDFFF:
		return append(out, replacement...), 6
	case u >= 0xD800 && u <= 0xDBFF:
		if low, ok := unit(b[6:]); ok && low >= 0xDC00 && low <= 0xDFFF {
			return append(out, b[:12]...), 12
		}
		return append(out, replacement...), 6
	}
	return append(out, b[:6]...), 6
}

// unit reads the UTF-16 unit of an escape like \u00e9.
func unit(b []byte) (uint64, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	u, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return u, err == nil
}
