package backup

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/store/move"
)

// Writer writes one copy: the head, then tables, lanes and files one after the
// other, then Close. What was not closed is no copy.
type Writer struct {
	tar  *tar.Writer
	made time.Time
	sign func(lines []string) (string, error)
	m    Manifest
	now  *adder // what is being written
	n    int    // its chunks
	buf  []byte
}

// NewWriter writes the head.
func NewWriter(w io.Writer, h Head, sign func(lines []string) (string, error)) (*Writer, error) {
	h.Format = format
	h.Made = h.Made.UTC().Truncate(time.Millisecond)
	x := &Writer{tar: tar.NewWriter(w), made: h.Made, sign: sign, m: Manifest{Head: h}}
	raw, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("write the head: %w", err)
	}
	return x, x.entry(headName, raw)
}

func (w *Writer) entry(name string, body []byte) error {
	err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(body)), Mode: 0o600, ModTime: w.made, Format: tar.FormatPAX})
	if err == nil {
		_, err = w.tar.Write(body)
	}
	if err != nil {
		return fmt.Errorf("write a backup: %w", err)
	}
	return nil
}

// begin ends what was written before and begins the next.
func (w *Writer) begin(name string) {
	w.end()
	w.now, w.n = newAdder(name), 0
}

func (w *Writer) end() {
	if w.now != nil {
		w.m.Sums = append(w.m.Sums, w.now.sum())
		w.now = nil
	}
}

func (w *Writer) chunk(body []byte, rows int) error {
	w.now.add(body, int64(rows))
	w.n++
	return w.entry(fmt.Sprintf("%s/%08d", w.now.name, w.n), body)
}

// Table begins a table of the head; Rows writes some of its rows, in order.
func (w *Writer) Table(name string) { w.begin(tablePrefix + name) }

// Rows writes rows of the table that was begun.
func (w *Writer) Rows(rows []move.Row) error {
	if len(rows) == 0 {
		return nil
	}
	w.buf = w.buf[:0]
	for _, r := range rows {
		w.buf = appendRow(w.buf, r)
	}
	return w.chunk(w.buf, len(rows))
}

// Lane begins a lane; Frames writes some of its frames, in order.
func (w *Writer) Lane(lane eventlog.Lane) {
	w.begin(fmt.Sprint(lanePrefix, uint8(lane)))
	w.m.Last = append(w.m.Last, Lane{Lane: uint8(lane)})
}

// Frames writes frames of the lane that was begun.
func (w *Writer) Frames(frames []eventlog.Frame) error {
	if len(frames) == 0 {
		return nil
	}
	w.buf = w.buf[:0]
	for i := range frames {
		w.buf = appendFrame(w.buf, &frames[i])
	}
	last := &frames[len(frames)-1]
	w.m.Last[len(w.m.Last)-1].Walked = last.First + int64(last.Count) - 1
	return w.chunk(w.buf, len(frames))
}

// File writes a small file.
func (w *Writer) File(name string, body []byte) error {
	w.begin(filePrefix + name)
	w.now.add(body, int64(len(body)))
	return w.entry(filePrefix+name, body)
}

// Close writes the manifest and its signature.
func (w *Writer) Close() (*Manifest, error) {
	w.end()
	raw, sum, err := w.m.digest()
	if err != nil {
		return nil, err
	}
	signed, err := w.sign(signedLines(sum))
	if err != nil {
		return nil, err
	}
	if err := w.entry(manifestName, raw); err != nil {
		return nil, err
	}
	if err := w.entry(signName, []byte(signed)); err != nil {
		return nil, err
	}
	if err := w.tar.Close(); err != nil {
		return nil, fmt.Errorf("write a backup: %w", err)
	}
	return &w.m, nil
}
