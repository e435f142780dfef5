package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/liquid"
)

// Line is one line of a file and the event it became.
type Line struct {
	Number int64 // from 1
	Event  event.Event
	Err    error // the line is bad: nothing of it was taken
}

// maxLine bounds one line.
const maxLine = 1 << 20

// Read maps each line of a file, in order, and gives it to fn, which may stop
// with an error. Bad lines are given too and stop nothing.
func (f *Format) Read(ctx context.Context, name string, r io.Reader, fn func(Line) error) error {
	switch f.Kind {
	case CSV:
		return f.readCSV(ctx, name, r, fn)
	default:
		return f.readLines(ctx, name, r, fn)
	}
}

func (f *Format) readLines(ctx context.Context, name string, r io.Reader, fn func(Line) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), maxLine)
	for n := int64(1); s.Scan(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := s.Bytes()
		if n == 1 {
			row = bytes.TrimPrefix(row, []byte("\ufeff"))
		}
		if len(bytes.TrimSpace(row)) == 0 {
			continue
		}
		var vars liquid.Value
		var err error
		if f.Kind == NDJSON {
			vars, err = liquid.FromJSON(bytes.Clone(row))
		} else {
			vars, err = f.cut(string(row))
		}
		if err := fn(f.line(ctx, name, n, vars, err)); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// cut takes a row of fixed width apart.
func (f *Format) cut(row string) (liquid.Value, error) {
	m := &liquid.Map{}
	for _, c := range f.Columns {
		if len(row) < c.from {
			return liquid.Value{}, fmt.Errorf("the line ends before column %s", c.name)
		}
		m.Set(c.name, liquid.String(strings.TrimSpace(row[c.from-1:min(c.to, len(row))])))
	}
	return liquid.ObjectOf(m), nil
}

func (f *Format) readCSV(ctx context.Context, name string, r io.Reader, fn func(Line) error) error {
	buffered := bufio.NewReaderSize(r, 64<<10)
	if bom, _ := buffered.Peek(3); string(bom) == "\ufeff" {
		_, _ = buffered.Discard(3) // Peek has them.
	}
	c := csv.NewReader(buffered)
	c.Comma, c.FieldsPerRecord, c.ReuseRecord = f.Comma, -1, true
	var names []string
	for _, col := range f.Columns {
		names = append(names, col.name)
	}
	if f.Header {
		row, err := c.Read()
		if err != nil {
			return fmt.Errorf("read the header of %s: %w", name, err)
		}
		names = nil
		for _, n := range row {
			names = append(names, strings.TrimSpace(n))
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		number := 0
		if len(row) > 0 { // else it is no CSV, and has no place to ask for
			number, _ = c.FieldPos(0)
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			number, err = bad.Line, fmt.Errorf("the line is no CSV: %w", bad.Err)
		} else if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		m := &liquid.Map{}
		for i, n := range names {
			if i < len(row) {
				m.Set(n, liquid.String(row[i]))
			}
		}
		if err := fn(f.line(ctx, name, int64(number), liquid.ObjectOf(m), err)); err != nil {
			return err
		}
	}
}

// line maps one row to its event.
func (f *Format) line(ctx context.Context, name string, n int64, vars liquid.Value, err error) Line {
	out := Line{Number: n, Err: err}
	if err != nil {
		return out
	}
	m := mapping{f: f, ctx: ctx, vars: vars}
	e := &out.Event
	e.MessageID = m.text("message_id")
	if e.MessageID == "" {
		e.MessageID = strconv.FormatInt(n, 10)
		if f.content != "" {
			e.MessageID = f.content + "-" + e.MessageID
		}
	}
	kind := m.text("type")
	if kind == "" {
		kind = "track"
	}
	var ok bool
	if e.Type, ok = event.ParseType(kind); !ok {
		m.fail("there is no event of type %q", kind)
	}
	e.Name, e.UserID, e.Anonymous = m.text("event"), m.text("user_id"), m.text("anonymous_id")
	e.Email = strings.ToLower(strings.TrimSpace(m.text("email")))
	e.Properties, e.Traits = m.object(f.props), m.object(f.traits)
	if e.UserID == "" && e.Anonymous == "" && e.Email == "" {
		m.fail("the line names nobody: user_id, anonymous_id and email are empty")
	}
	e.Original = m.time("timestamp")
	e.Time = e.Original
	out.Err = m.err
	return out
}

// mapping evaluates one line's values and remembers the first failure.
type mapping struct {
	f    *Format
	ctx  context.Context
	vars liquid.Value
	err  error
}

func (m *mapping) fail(format string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

func (m *mapping) eval(v *value) liquid.Value {
	if v.number != nil {
		operand, err := v.number.Eval(m.ctx, m.vars, liquid.RenderOptions{Zone: m.f.Zone})
		switch {
		case err != nil:
			m.fail("%w", err)
		case !isNumber(operand):
			m.fail("%s is no number; write %s | default: 0 where it may be missing", v.operand, v.operand)
		}
	}
	if v.expr != nil {
		got, err := v.expr.Eval(m.ctx, m.vars, liquid.RenderOptions{Zone: m.f.Zone})
		if err != nil {
			m.fail("%w", err)
		}
		return got
	}
	b, _, err := v.text.Render(m.ctx, nil, m.vars, liquid.RenderOptions{Zone: m.f.Zone})
	if err != nil {
		m.fail("%w", err)
	}
	return liquid.String(string(b))
}

// isNumber tells whether Liquid calculates with all of a value: it reads "1,5"
// as 1 and "n/a" as 0, which nobody means who maps a column.
func isNumber(v liquid.Value) bool {
	s, ok := v.AsString()
	if !ok {
		_, ok = v.AsFloat()
		return ok
	}
	whole, fraction, parted := strings.Cut(strings.TrimPrefix(strings.TrimSpace(s), "-"), ".")
	return digits(whole) && (!parted || digits(fraction))
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func (m *mapping) text(field string) string {
	v := m.f.fields[field]
	if v == nil {
		return ""
	}
	return textOf(m.eval(v))
}

func textOf(v liquid.Value) string {
	if s, ok := v.AsString(); ok {
		return s
	}
	if v.IsNil() {
		return ""
	}
	return string(liquid.AppendJSON(nil, v))
}

// object writes mapped members as a JSON object, nil when there are none.
func (m *mapping) object(members []member) []byte {
	if len(members) == 0 {
		return nil
	}
	out := []byte{'{'}
	for i, x := range members {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(x.name)
		if err != nil {
			m.fail("name of a member: %w", err)
			return nil
		}
		out = append(append(out, key...), ':')
		out = liquid.AppendJSON(out, m.eval(x.value))
	}
	return append(out, '}')
}

// layouts are the forms in which files write instants, besides Unix seconds and
// milliseconds.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02", "20060102", "20060102150405"}

func (m *mapping) time(field string) time.Time {
	if m.f.fields[field] == nil {
		m.fail("the mapping has no timestamp")
		return time.Time{}
	}
	s := strings.TrimSpace(m.text(field))
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s, m.f.Zone); err == nil {
			return t.UTC()
		}
	}
	if t, ok := unixInstant(s); ok {
		return t
	}
	m.fail("%s is no instant: want RFC 3339, 2006-01-02, 20060102, Unix seconds or milliseconds", field)
	return time.Time{}
}

// unixInstant reads seconds of 9 to 11 digits, from March 1973 on, and
// milliseconds of 12 or 13. Fewer digits, or the 14 of a date with a time, are a
// date that is none, such as 19971341, or no time at all.
func unixInstant(s string) (time.Time, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil || !digits(s):
	case len(s) >= 9 && len(s) <= 11:
		return time.Unix(n, 0).UTC(), true
	case len(s) == 12 || len(s) == 13:
		return time.UnixMilli(n).UTC(), true
	}
	return time.Time{}, false
}
