package liquid

import (
	"fmt"
	"unicode/utf8"
)

// lexKind is the kind of one token of an expression.
type lexKind uint8

const (
	lexEnd lexKind = iota
	lexID
	lexString
	lexNumber
	lexComparison
	lexDot
	lexDotDot
	lexPipe
	lexColon
	lexComma
	lexOpenSquare
	lexCloseSquare
	lexOpenRound
	lexCloseRound
	lexQuestion
	lexDash
)

var lexNames = [...]string{
	"end of the expression", "name", "text", "number", "comparison", "'.'", "'..'", "'|'", "':'", "','", "'['", "']'", "'('", "')'",
	"'?'", "'-'",
}

func (k lexKind) String() string { return lexNames[k] }

// lexeme is one token of an expression; text is a part of the source that begins at pos.
type lexeme struct {
	kind lexKind
	text string
	pos  int
}

// lex cuts the markup of an expression, which stands at pos of the source, into tokens.
func lex(markup string, pos int) ([]lexeme, error) {
	out := make([]lexeme, 0, 8)
	for i := 0; i < len(markup); {
		c := markup[i]
		if isSpace(c) {
			i++
			continue
		}
		kind, n := lexOne(markup[i:])
		if n == 0 {
			r, _ := utf8.DecodeRuneInString(markup[i:])
			return nil, &syntaxError{pos: pos + i, msg: fmt.Sprintf("unexpected character %q", r)}
		}
		text := markup[i : i+n]
		if kind == lexID && text == "contains" && (len(out) == 0 || out[len(out)-1].kind != lexDot) {
			kind = lexComparison
		}
		out = append(out, lexeme{kind: kind, text: text, pos: pos + i})
		i += n
	}
	return append(out, lexeme{kind: lexEnd, pos: pos + len(markup)}), nil
}

// lexOne returns the kind and length of the token at the start of s; a length of nought means there is none.
func lexOne(s string) (lexKind, int) {
	c := s[0]
	next := byte(0)
	if len(s) > 1 {
		next = s[1]
	}
	switch {
	case isNameStart(c):
		n := 1
		for n < len(s) && (isNameByte(s[n]) || s[n] == '-') {
			n++
		}
		if n < len(s) && s[n] == '?' {
			n++
		}
		return lexID, n
	case isDigit(c), c == '-' && isDigit(next):
		return lexNumber, numberLen(s)
	case c == '\'' || c == '"':
		for n := 1; n < len(s); n++ {
			if s[n] == c {
				return lexString, n + 1
			}
		}
		return lexEnd, 0
	}
	switch c {
	case '.':
		if next == '.' {
			return lexDotDot, 2
		}
		return lexDot, 1
	case '|':
		return lexPipe, 1
	case ':':
		return lexColon, 1
	case ',':
		return lexComma, 1
	case '[':
		return lexOpenSquare, 1
	case ']':
		return lexCloseSquare, 1
	case '(':
		return lexOpenRound, 1
	case ')':
		return lexCloseRound, 1
	case '?':
		return lexQuestion, 1
	case '-':
		return lexDash, 1
	case '=', '!':
		if next == '=' {
			return lexComparison, 2
		}
	case '<':
		if next == '=' || next == '>' {
			return lexComparison, 2
		}
		return lexComparison, 1
	case '>':
		if next == '=' {
			return lexComparison, 2
		}
		return lexComparison, 1
	}
	return lexEnd, 0
}

// numberLen is the length of -?\d+(\.\d+)? at the start of s.
func numberLen(s string) int {
	n := 1
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
		n += 2
		for n < len(s) && isDigit(s[n]) {
			n++
		}
	}
	return n
}

func isNameStart(c byte) bool { return c == '_' || (c|0x20 >= 'a' && c|0x20 <= 'z') }

func isNameByte(c byte) bool { return isNameStart(c) || isDigit(c) }
