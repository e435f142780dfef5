package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"rapport/internal/liquid"
)

// maxLine bounds one line.
const maxLine = 1 << 20

// record is one line as it stands in the file, not yet mapped.
type record struct {
	number int64 // from 1
	head   *header
	cells  []string // csv
	text   string   // fixed and ndjson
	err    error    // it cannot be read
}

// Read maps each line of a file, in order, and gives it to fn, which may stop
// with an error. Bad lines are given too and stop nothing.
func (f *Format) Read(ctx context.Context, name string, r io.Reader, fn func(Line) error) error {
	return f.records(ctx, name, r, func(rec record) error { return fn(f.line(ctx, &rec)) })
}

// records takes a file apart.
func (f *Format) records(ctx context.Context, name string, r io.Reader, fn func(record) error) error {
	switch f.Encoding {
	case Latin1:
		r = charmap.ISO8859_1.NewDecoder().Reader(r)
	case Windows1252:
		r = charmap.Windows1252.NewDecoder().Reader(r)
	}
	buffered := bufio.NewReaderSize(r, 256<<10)
	if mark, _ := buffered.Peek(3); string(mark) == "\ufeff" {
		_, _ = buffered.Discard(3) // Peek has them.
	}
	if f.Kind == CSV {
		return f.csvRecords(ctx, name, buffered, fn)
	}
	return f.lineRecords(ctx, name, buffered, fn)
}

func (f *Format) lineRecords(ctx context.Context, name string, r io.Reader, fn func(record) error) error {
	var head *header
	if f.Kind == Fixed {
		head = f.head(f.names())
	}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), maxLine)
	for n := int64(1); s.Scan(); n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		if err := fn(record{number: n, head: head, text: s.Text()}); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (f *Format) names() []string {
	names := make([]string, len(f.Columns))
	for i, c := range f.Columns {
		names[i] = c.name
	}
	return names
}

func (f *Format) csvRecords(ctx context.Context, name string, r io.Reader, fn func(record) error) error {
	if f.Quote != '"' {
		r = &swapped{r, f.Quote}
	}
	c := csv.NewReader(r)
	c.Comma, c.FieldsPerRecord = f.Comma, -1
	names := f.names()
	if f.Header {
		first, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil // An empty file has no header and no lines.
		}
		if err != nil {
			return fmt.Errorf("read the header of %s: %w", name, err)
		}
		names = nil
		for _, n := range first {
			names = append(names, strings.TrimSpace(n))
		}
	}
	if len(names) > MaxColumns {
		return fmt.Errorf("%s has more than %d columns (MaxColumns)", name, MaxColumns)
	}
	head := f.head(names)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		cells, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		rec := record{head: head, cells: cells}
		if len(cells) > 0 { // else it is no CSV, and has no place to ask for
			n, _ := c.FieldPos(0)
			rec.number = int64(n)
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			rec.number, rec.err = int64(bad.Line), fmt.Errorf("the line is no CSV: %w", bad.Err)
		} else if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := fn(rec); err != nil {
			return err
		}
	}
}

// swapped changes one quote for the other, and the other for the one, so that
// the standard reader serves files with quotes of their own; unswap undoes it.
type swapped struct {
	io.Reader
	quote byte
}

// Read implements io.Reader.
func (s *swapped) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	for i, c := range p[:n] {
		switch c {
		case '"':
			p[i] = s.quote
		case s.quote:
			p[i] = '"'
		}
	}
	return n, err
}

func unswap(s string, quote byte) string {
	if strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, quote) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '"':
			return rune(quote)
		case rune(quote):
			return '"'
		}
		return r
	}, s)
}

var errNoText = errors.New("the line is no UTF-8: name the file's encoding, for example encoding: latin1")

// variables gives what Liquid reads of a record.
func (f *Format) variables(rec *record) (liquid.Object, error) {
	switch {
	case rec.err != nil:
		return nil, rec.err
	case f.Kind == NDJSON:
		v, err := liquid.FromJSON([]byte(rec.text))
		if err != nil {
			return nil, err
		}
		o, ok := v.AsObject()
		if !ok {
			return nil, errors.New("the line is no JSON object")
		}
		return whole{o}, nil
	case f.Kind == Fixed:
		if !utf8.ValidString(rec.text) {
			return nil, errNoText
		}
		return f.cut(rec)
	}
	r := &row{head: rec.head, cells: make([]liquid.Value, min(len(rec.cells), len(rec.head.names)))}
	for i := range r.cells {
		text := rec.cells[i]
		if !utf8.ValidString(text) {
			return nil, errNoText
		}
		if f.Quote != '"' {
			text = unswap(text, f.Quote)
		}
		if err := f.cell(r, i, text); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (f *Format) cell(r *row, i int, text string) (err error) {
	if r.cells[i], err = r.head.types[i].of(text, f.Zone); err != nil {
		return fmt.Errorf("%s %w", r.head.names[i], err)
	}
	return nil
}

// cut takes a line of fixed width apart.
func (f *Format) cut(rec *record) (liquid.Object, error) {
	text, size := rec.text, len(rec.text)
	var runes []rune
	if size != utf8.RuneCountInString(text) { // Columns count characters, whatever bytes they have.
		runes = []rune(text)
		size = len(runes)
	}
	r := &row{head: rec.head, cells: make([]liquid.Value, len(f.Columns))}
	for i, c := range f.Columns {
		if size < c.from {
			return nil, fmt.Errorf("the line ends before column %s", c.name)
		}
		to := min(c.to, size)
		part := ""
		if runes != nil {
			part = string(runes[c.from-1 : to])
		} else {
			part = text[c.from-1 : to]
		}
		if err := f.cell(r, i, strings.TrimSpace(part)); err != nil {
			return nil, err
		}
	}
	return r, nil
}
