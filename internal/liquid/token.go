package liquid

import "strings"

// token is one piece of a template: text, {{ … }}, {% … %}, or a line of a liquid tag.
type token struct {
	text string
	pos  int
}

// tokens hands out the pieces of a template one by one.
type tokens struct {
	list []token
	next int
	// lines says that the pieces are the lines of a liquid tag.
	lines bool
}

func (t *tokens) shift() (token, bool) {
	if t.next >= len(t.list) {
		return token{}, false
	}
	t.next++
	return t.list[t.next-1], true
}

// tokenize cuts a template as Shopify's tokenizer does; an opening without its end becomes a piece of its own, which
// the parser then refuses.
func tokenize(text string) *tokens {
	out := &tokens{}
	for i := 0; i < len(text); {
		n := 0
		switch {
		case strings.HasPrefix(text[i:], "{{"):
			n = variableLen(text[i:])
		case strings.HasPrefix(text[i:], "{%"):
			n = tagLen(text[i:])
		default:
			n = textLen(text[i:])
		}
		out.list = append(out.list, token{text[i : i+n], i})
		i += n
		if n == 2 && text[i-2] == '{' && (text[i-1] == '{' || text[i-1] == '%') {
			break // An opening that never ends: the parser refuses it, so what follows is not looked at.
		}
	}
	return out
}

func textLen(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] == '{' && i+1 < len(s) && (s[i+1] == '{' || s[i+1] == '%') {
			return i
		}
	}
	return len(s)
}

func tagLen(s string) int {
	if end := strings.Index(s[2:], "%}"); end >= 0 {
		return end + 4
	}
	return 2
}

// variableLen ends at }} or at a single }, and takes in a tag that opens inside.
func variableLen(s string) int {
	for i := 2; i < len(s); i++ {
		switch {
		case s[i] == '}':
			if i+1 < len(s) && s[i+1] == '}' {
				return i + 2
			}
			return i + 1
		case s[i] == '{' && i+1 < len(s) && s[i+1] == '%':
			if end := strings.Index(s[i+2:], "%}"); end >= 0 {
				return i + end + 4
			}
			return 2
		}
	}
	return 2
}

// liquidLines cuts the markup of a liquid tag into lines.
func liquidLines(markup string, pos int) *tokens {
	out := &tokens{lines: true}
	for from := 0; from <= len(markup); {
		end := strings.IndexByte(markup[from:], '\n')
		if end < 0 {
			end = len(markup) - from
		}
		out.list = append(out.list, token{markup[from : from+end], pos + from})
		from += end + 1
	}
	return out
}

// tag is a tag taken apart.
type tag struct {
	name   string
	markup string
	// pos is where the tag begins, at where its markup does.
	pos, at int
}

// tagOf takes a {% … %} apart; ok is false if it has no name.
func (t token) tagOf() (tag, bool) {
	s := t.text
	if len(s) < 4 || !strings.HasSuffix(s, "%}") {
		return tag{}, false
	}
	return splitTag(s, t.pos, 2, tagEnd(s))
}

// tagEnd is where the markup of a tag ends.
func tagEnd(s string) int {
	end := len(s) - 2
	if end > 2 && s[end-1] == '-' {
		end--
	}
	return end
}

// lineTag takes a line of a liquid tag apart.
func (t token) lineTag() (tag, bool) {
	return splitTag(t.text, t.pos, 0, len(t.text))
}

func splitTag(s string, pos, i, end int) (tag, bool) {
	if i == 2 && i < end && s[i] == '-' {
		i++
	}
	for i < end && isSpace(s[i]) {
		i++
	}
	start := i
	if i < end && s[i] == '#' {
		i++
	} else {
		for i < end && isNameByte(s[i]) {
			i++
		}
	}
	if i == start {
		return tag{}, false
	}
	name := s[start:i]
	for i < end && isSpace(s[i]) {
		i++
	}
	return tag{name: name, markup: s[i:end], pos: pos + start, at: pos + i}, true
}

// closing returns the name of the tag that a piece ends with, and what stands before that tag, for the tags whose
// inside is not parsed: there anything may precede the end.
func (t token) closing() (name string, before string) {
	s := t.text
	if !strings.HasSuffix(s, "%}") {
		return "", ""
	}
	// The last {% that is followed by a name.
	for from := len(s); ; {
		open := strings.LastIndex(s[:from], "{%")
		if open < 0 {
			return "", ""
		}
		if tg, ok := splitTag(s[open:], 0, 2, len(s)-open-2); ok && tg.name != "#" {
			return tg.name, s[:open]
		}
		from = open
	}
}

func (t token) trimsBefore() bool { return len(t.text) > 2 && t.text[2] == '-' }

func (t token) trimsAfter() bool { return len(t.text) > 2 && t.text[len(t.text)-3] == '-' }
