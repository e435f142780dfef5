package content

import (
	"strings"
	"unicode/utf8"
)

// maxHeader bounds a header value that people write: RFC 5322 allows lines of
// 998 octets, and encoding may triple what is not ASCII.
const maxHeader = 300

// headerText makes a text fit for a header value: one line, no controls, no marks
// that turn the direction of what follows, not longer than a line can be.
func headerText(s string) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case r == utf8.RuneError, turns(r), r != '\t' && r != '\n' && r != '\r' && unseen(r):
			continue
		case r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' || r == '\u0085':
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		if b.Len()+utf8.RuneLen(r) > maxHeader {
			return strings.TrimRight(b.String(), " ") + "…"
		}
		b.WriteRune(r)
	}
	return b.String()
}

// turns tells whether a character changes the direction of the text after it.
func turns(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f'
}

// displayName cleans the name beside an address; one that pretends to be an
// address, or is absurdly long, is left out.
func displayName(s string) string {
	s = headerText(s)
	if strings.ContainsAny(s, "@<>") || len(s) > 100 {
		return ""
	}
	return s
}

// feedbackPart makes a part of a Feedback-ID: no colon, nothing exotic.
func feedbackPart(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-', r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s)
	return s[:min(len(s), 40)]
}
