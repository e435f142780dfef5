package source

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rapport/internal/liquid"
)

// header is the names of a file's columns, and the type of each.
type header struct {
	names []string
	types []columnType
	index map[string]int
}

func (f *Format) head(names []string) *header {
	h := &header{names: names, types: make([]columnType, len(names)), index: make(map[string]int, len(names))}
	for i, n := range names {
		h.index[n] = i
		h.types[i] = f.types[n]
	}
	return h
}

// row is one line as Liquid reads it: each column by its name, and all of them
// as `row`, for names with spaces in them.
type row struct {
	head  *header
	cells []liquid.Value
}

var _ liquid.Object = (*row)(nil)

// Get implements liquid.Object.
func (r *row) Get(key string) (liquid.Value, bool) {
	if i, ok := r.head.index[key]; ok {
		if i >= len(r.cells) {
			return liquid.Nil, false
		}
		return r.cells[i], true
	}
	if key == "row" {
		return liquid.ObjectOf(r), true
	}
	return liquid.Nil, false
}

// Keys implements liquid.Object.
func (r *row) Keys() []string { return r.head.names }

// whole shows a line of JSON with all of itself as `row`.
type whole struct{ liquid.Object }

// Get implements liquid.Object.
func (w whole) Get(key string) (liquid.Value, bool) {
	if v, ok := w.Object.Get(key); ok || key != "row" {
		return v, ok
	}
	return liquid.ObjectOf(w.Object), true
}

// columnType is what the text of a column is turned into; the zero value leaves
// it as it is.
type columnType struct {
	kind   string // "", "number", "boolean" or "date"
	layout string // date: as package time writes it; "": the usual forms
	clock  bool   // date: the layout has hours
}

// strftime maps the signs of a date's form to those of package time.
var strftime = strings.NewReplacer("%Y", "2006", "%y", "06", "%m", "01", "%-m", "1", "%d", "02", "%-d", "2", "%e", "_2", "%b", "Jan", "%B", "January",
	"%a", "Mon", "%A", "Monday", "%H", "15", "%I", "03", "%-I", "3", "%M", "04", "%S", "05", "%L", "000", "%p", "PM", "%z", "-0700", "%:z", "-07:00", "%Z", "MST", "%j", "002")

func parseType(s string) (columnType, error) {
	switch s {
	case "text":
		return columnType{}, nil
	case "number", "boolean", "date":
		return columnType{kind: s}, nil
	}
	form, ok := strings.CutPrefix(s, "date ")
	if !ok {
		return columnType{}, fmt.Errorf("there is no type %q", s)
	}
	layout := strftime.Replace(form)
	if strings.Contains(layout, "%") || layout == form {
		return columnType{}, fmt.Errorf("%q is no form of a date", form)
	}
	return columnType{kind: "date", layout: layout, clock: strings.ContainsAny(form, "HIM")}, nil
}

// of turns the text of a column into what its type says; nothing stays nothing.
func (t columnType) of(text string, zone *time.Location) (liquid.Value, error) {
	if t.kind == "" {
		return liquid.String(text), nil
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return liquid.Nil, nil
	}
	switch t.kind {
	case "number":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return liquid.Int(n), nil
		}
		if x, err := strconv.ParseFloat(text, 64); err == nil && isNumber(liquid.String(text)) {
			return liquid.Float(x), nil
		}
		return liquid.Nil, errors.New("is no number")
	case "boolean":
		switch strings.ToLower(text) {
		case "true", "yes", "y", "t", "1", "on":
			return liquid.Bool(true), nil
		case "false", "no", "n", "f", "0", "off":
			return liquid.Bool(false), nil
		}
		return liquid.Nil, errors.New("is neither yes nor no")
	}
	return t.date(text, zone)
}

// date writes a day or an instant as ISO 8601, which rules and templates read.
func (t columnType) date(text string, zone *time.Location) (liquid.Value, error) {
	at, ok := time.Time{}, false
	clock := t.clock
	if t.layout != "" {
		parsed, err := time.ParseInLocation(t.layout, text, zone)
		at, ok = parsed, err == nil
	} else if at, ok = instant(text, zone); ok {
		at, clock = at.In(zone), len(text) > len(time.DateOnly)
	}
	switch {
	case !ok:
		return liquid.Nil, errors.New("is no date of this form")
	case clock:
		return liquid.String(at.Format(time.RFC3339Nano)), nil
	}
	return liquid.String(at.Format(time.DateOnly)), nil
}

// instant reads the forms in which files write instants: RFC 3339, a day with
// or without a time, Unix seconds or milliseconds. The form is told by its
// shape, since trying them all would cost more than the rest of a line.
func instant(s string, zone *time.Location) (time.Time, bool) {
	layout := ""
	switch {
	case len(s) > 10 && s[10] == 'T' && len(s) > 19:
		layout = time.RFC3339Nano
	case len(s) == 19 && s[10] == 'T':
		layout = "2006-01-02T15:04:05"
	case len(s) >= 19 && s[10] == ' ':
		layout = time.DateTime
	case len(s) == 10 && s[4] == '-':
		layout = time.DateOnly
	case len(s) == 8:
		layout = "20060102"
	case len(s) == 14:
		layout = "20060102150405"
	default:
		return unixInstant(s)
	}
	t, err := time.ParseInLocation(layout, s, zone)
	if err != nil && layout == time.RFC3339Nano { // It has fractions of a second, and no zone.
		t, err = time.ParseInLocation("2006-01-02T15:04:05", s, zone)
	}
	return t.UTC(), err == nil
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
