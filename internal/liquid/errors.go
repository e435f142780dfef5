package liquid

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"rapport/internal/spelling"
)

// Position is a place in a template. Lines and columns count from 1, columns in characters.
type Position struct {
	Template string
	Line     int
	Column   int
}

// String returns the place as name:line:column.
func (p Position) String() string {
	if p.Template == "" {
		return fmt.Sprintf("%d:%d", p.Line, p.Column)
	}
	return fmt.Sprintf("%s:%d:%d", p.Template, p.Line, p.Column)
}

// Error is what is wrong with a template, at its place. It never carries values of the person it was rendered for.
type Error struct {
	Name       string // of the template or partial
	Line       int
	Column     int
	Source     string // the line of the template
	Message    string
	Suggestion string // the name that was probably meant, or empty
	// Limit names the budget that was exceeded, or is empty.
	Limit Limit
	// cause is ErrLimit or the context's error.
	cause error
}

// Error returns the place and the message.
func (e *Error) Error() string {
	msg := e.Position().String() + ": " + e.Message
	if e.Suggestion != "" {
		msg += fmt.Sprintf(" (did you mean %q?)", e.Suggestion)
	}
	return msg
}

// Unwrap returns ErrLimit for an exceeded budget and the context's error for one that ended.
func (e *Error) Unwrap() error { return e.cause }

// Position returns where the error is.
func (e *Error) Position() Position {
	return Position{Template: e.Name, Line: e.Line, Column: e.Column}
}

// ErrLimit is what every error about an exceeded budget wraps.
var ErrLimit = errors.New("template limit exceeded")

// Errors is everything that is wrong with a template, in order of place; Compile returns it when there is more than
// one thing.
type Errors []*Error

// Error returns one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, x := range e {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the single errors.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, x := range e {
		out[i] = x
	}
	return out
}

// syntaxError is an error on its way out of the parser, which knows the source that pos points into.
type syntaxError struct {
	pos     int
	msg     string
	suggest string
}

func (e *syntaxError) Error() string { return e.msg }

func syntaxErrorf(pos int, format string, args ...any) error {
	return &syntaxError{pos: pos, msg: fmt.Sprintf(format, args...)}
}

// source is the text of a template or partial.
type source struct {
	name string
	text string
	// lines holds the offset at which each line begins.
	lines []int
	// runes counts the characters before every columnStep bytes, so that a column in a long line is found quickly.
	runes []int
}

const columnStep = 256

func newSource(name, text string) *source {
	s := &source{name: name, text: text, lines: []int{0}}
	count := 0
	for i := 0; i < len(text); i++ {
		if i%columnStep == 0 {
			s.runes = append(s.runes, count)
		}
		if utf8.RuneStart(text[i]) {
			count++
		}
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	s.runes = append(s.runes, count)
	return s
}

// before counts the characters that begin before an offset.
func (s *source) before(pos int) int {
	k := pos / columnStep
	n := s.runes[k]
	for i := k * columnStep; i < pos; i++ {
		if utf8.RuneStart(s.text[i]) {
			n++
		}
	}
	return n
}

func (s *source) line(pos int) int { return sort.SearchInts(s.lines, pos+1) }

func (s *source) position(pos int) Position {
	pos = min(max(pos, 0), len(s.text))
	line := s.line(pos)
	col := s.before(pos) - s.before(s.lines[line-1]) + 1
	return Position{Template: s.name, Line: line, Column: col}
}

// sourceLineMax bounds the line shown in an error; a template may be one single line.
const sourceLineMax = 200

func (s *source) errorAt(pos int, msg string) *Error {
	p := s.position(pos)
	start := s.lines[p.Line-1]
	text := s.text[start:]
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	if len(text) > sourceLineMax {
		at := min(max(pos-start, 0), len(text))
		from := max(0, at-sourceLineMax/2)
		to := min(len(text), from+sourceLineMax)
		text = strings.ToValidUTF8(text[from:to], "")
	}
	return &Error{Name: s.name, Line: p.Line, Column: p.Column, Source: strings.TrimRight(text, "\r"), Message: msg}
}

func (s *source) wrap(err error) *Error {
	var syn *syntaxError
	if errors.As(err, &syn) {
		e := s.errorAt(syn.pos, syn.msg)
		e.Suggestion = syn.suggest
		return e
	}
	return s.errorAt(0, err.Error())
}

// suggest returns the candidate nearest to name, or nothing if none is near.
func suggest(name string, candidates []string) string {
	best, bestDist := "", 1+(len(name)+1)/3
	for _, c := range candidates {
		if d := spelling.Distance(name, c, bestDist); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}
