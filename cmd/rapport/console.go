package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"rapport/internal/fault"
)

// console is where a command reads, prints and asks, and the flags that all
// commands share.
type console struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
	now      func() time.Time
	zone     *time.Location
	terminal bool // out is one: colour is welcome
	asks     bool // somebody is there to answer
	watched  bool // somebody sees err while we work
	patient  bool // an answer may take any time

	json bool
	url  string
	data string
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (c *console) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, format, args...) // Whoever closed our output does not want to hear of it.
}

// printJSON writes a value as indented JSON.
func (c *console) printJSON(v any) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// fail prints an error: what happened, what is wrong with which field, and what
// to do next.
func (c *console) fail(err error) {
	var f *fault.Error
	known := errors.As(err, &f)
	if c.json {
		body := map[string]any{"detail": err.Error()}
		if known {
			body = map[string]any{"code": f.Code, "detail": f.Detail}
			if len(f.Fields) > 0 {
				body["errors"] = f.Fields
			}
		}
		e := json.NewEncoder(c.err)
		e.SetEscapeHTML(false)
		_ = e.Encode(map[string]any{"error": body}) // There is nowhere left to complain to.
		return
	}
	text := err.Error()
	if known {
		text = strings.TrimSuffix(text, f.Error()) + f.Detail
		for _, field := range f.Fields {
			text += "\n  " + strings.TrimPrefix(field.Pointer+": ", ": ") + field.Detail
		}
	}
	_, _ = fmt.Fprintf(c.err, "rapport: %s\n", text) // As above.
}

// ask puts a question that only "y" or "yes" answers with yes. Nobody there to
// answer is a no.
func (c *console) ask(question string) bool {
	if !c.asks {
		return false
	}
	_, _ = fmt.Fprintf(c.err, "%s [y/N] ", question) // A question nobody sees gets no yes.
	line, _ := bufio.NewReader(c.in).ReadString('\n')
	line = strings.ToLower(strings.TrimSpace(line))
	return line == "y" || line == "yes"
}

// colour wraps text in an ANSI colour where that helps.
func (c *console) colour(code, text string) string {
	if _, off := c.env("NO_COLOR"); !c.terminal || off || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (c *console) red(s string) string    { return c.colour("31", s) }
func (c *console) green(s string) string  { return c.colour("32", s) }
func (c *console) yellow(s string) string { return c.colour("33", s) }
func (c *console) bold(s string) string   { return c.colour("1", s) }
func (c *console) dim(s string) string    { return c.colour("2", s) }

// time writes an instant in the local zone, with the zone's name.
func (c *console) time(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.In(c.zone).Format("2006-01-02 15:04:05 MST")
}

// exactly writes an instant to the millisecond, where order within a second
// matters.
func (c *console) exactly(t time.Time) string {
	return t.In(c.zone).Format("2006-01-02 15:04:05.000 MST")
}

// timeOr writes an instant that may not be known.
func (c *console) timeOr(t *time.Time) string {
	if t == nil {
		return "–"
	}
	return c.time(*t)
}

// table prints rows under a heading, in columns as wide as they need to be; a
// column whose heading begins with ">" is set to the right.
func (c *console) table(heading []string, rows [][]string) {
	right, width := make([]bool, len(heading)), make([]int, len(heading))
	titles := make([]string, len(heading))
	for i, h := range heading {
		titles[i], right[i] = strings.CutPrefix(h, ">")
		width[i] = seen(titles[i])
	}
	for _, r := range rows {
		for i := range r {
			width[i] = max(width[i], seen(r[i]))
		}
	}
	line := func(cells []string, paint func(string) string) {
		var b strings.Builder
		for i, cell := range cells {
			gap := strings.Repeat(" ", width[i]-seen(cell))
			if right[i] {
				b.WriteString(gap + paint(cell))
			} else {
				b.WriteString(paint(cell) + gap)
			}
			b.WriteString("  ")
		}
		c.printf("%s\n", strings.TrimRight(b.String(), " "))
	}
	line(titles, c.dim)
	for _, r := range rows {
		line(r, func(s string) string { return s })
	}
}

// older says how to go on with a list, "" being its end.
func (c *console) older(cursor string) {
	if cursor != "" {
		c.printf("\n%s --cursor %s\n", c.dim("older:"), cursor)
	}
}

// pairs prints names and values below each other; pairs without a value are left out.
func (c *console) pairs(list ...[2]string) {
	width := 0
	for _, p := range list {
		if p[1] != "" {
			width = max(width, seen(p[0]))
		}
	}
	for _, p := range list {
		if p[1] != "" {
			c.printf("%s%s  %s\n", c.dim(p[0]), strings.Repeat(" ", width-seen(p[0])), p[1])
		}
	}
}

// seen counts the characters of s that take room, without colours.
func seen(s string) int {
	n := utf8.RuneCountInString(s)
	for {
		at := strings.Index(s, "\x1b[")
		if at < 0 {
			return n
		}
		end := strings.IndexByte(s[at:], 'm')
		if end < 0 {
			return n
		}
		n -= end + 1
		s = s[at+end+1:]
	}
}

// count writes a number with its noun: "1 person", "2 people", "12,345 people".
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// thousands writes a number with separators.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// clean makes foreign text safe to print: control characters become spaces.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
