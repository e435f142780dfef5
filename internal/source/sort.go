package source

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"rapport/internal/event"
)

// sortAtOnce is how many bytes of events are sorted in memory; more go to
// temporary files, which are merged.
const sortAtOnce = 64 << 20

// Sorter puts events into the order of their time, those of one instant in the
// order in which they came, however many there are.
type Sorter struct {
	dir    string
	limit  int
	buf    []byte
	marks  []mark
	runs   []*os.File
	number int64
}

// mark is one event in memory: its time, its number, where it stands in buf.
type mark struct {
	at, number int64
	from, to   int
}

// NewSorter keeps what does not fit into memory in a folder of its own below dir.
func NewSorter(dir string) *Sorter { return &Sorter{dir: dir, limit: sortAtOnce} }

// Add takes one event.
func (s *Sorter) Add(e *event.Event) error {
	from := len(s.buf)
	s.buf = e.Append(s.buf)
	s.number++
	s.marks = append(s.marks, mark{e.Time.UnixMilli(), s.number, from, len(s.buf)})
	if len(s.buf) < s.limit {
		return nil
	}
	return s.spill()
}

func (s *Sorter) order() {
	slices.SortFunc(s.marks, func(a, b mark) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.number, b.number)) })
}

// spill writes what is in memory as one sorted run.
func (s *Sorter) spill() error {
	s.order()
	f, err := os.CreateTemp(s.dir, "sort-*")
	if err != nil {
		return fmt.Errorf("sort: %w", err)
	}
	s.runs = append(s.runs, f)
	w := bufio.NewWriterSize(f, 1<<20)
	var head []byte
	for _, m := range s.marks {
		head = binary.AppendVarint(head[:0], m.at)
		head = binary.AppendVarint(head, m.number)
		head = binary.AppendUvarint(head, uint64(m.to-m.from))
		_, _ = w.Write(head) // bufio keeps the first error for Flush.
		_, _ = w.Write(s.buf[m.from:m.to])
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sort: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("sort: %w", err)
	}
	s.buf, s.marks = s.buf[:0], s.marks[:0]
	return nil
}

// Each gives all events in order, in their canonical form; a body is valid
// during the call.
func (s *Sorter) Each(fn func(at int64, body []byte) error) error {
	if len(s.runs) == 0 {
		s.order()
		for _, m := range s.marks {
			if err := fn(m.at, s.buf[m.from:m.to]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(s.marks) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	h := &runs{}
	for _, f := range s.runs {
		r := &run{r: bufio.NewReaderSize(f, 1<<18)}
		if more, err := r.next(); err != nil {
			return err
		} else if more {
			*h = append(*h, r)
		}
	}
	heap.Init(h)
	for h.Len() > 0 {
		r := (*h)[0]
		if err := fn(r.at, r.body); err != nil {
			return err
		}
		more, err := r.next()
		switch {
		case err != nil:
			return err
		case more:
			heap.Fix(h, 0)
		default:
			heap.Pop(h)
		}
	}
	return nil
}

// Close removes the temporary files.
func (s *Sorter) Close() error {
	var errs []error
	for _, f := range s.runs {
		errs = append(errs, f.Close(), os.Remove(f.Name()))
	}
	s.runs = nil
	return errors.Join(errs...)
}

// run is one sorted file being read.
type run struct {
	r          *bufio.Reader
	at, number int64
	body       []byte
}

func (r *run) next() (bool, error) {
	at, err := binary.ReadVarint(r.r)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	number, err2 := binary.ReadVarint(r.r)
	size, err3 := binary.ReadUvarint(r.r)
	if err := errors.Join(err, err2, err3); err != nil {
		return false, fmt.Errorf("sort: read a run: %w", err)
	}
	r.at, r.number, r.body = at, number, slices.Grow(r.body[:0], int(size))[:size]
	if _, err := io.ReadFull(r.r, r.body); err != nil {
		return false, fmt.Errorf("sort: read a run: %w", err)
	}
	return true, nil
}

// runs is a heap by time, then number.
type runs []*run

func (h runs) Len() int { return len(h) }
func (h runs) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].number, h[j].number)) < 0
}
func (h runs) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *runs) Push(x any)   { *h = append(*h, x.(*run)) }
func (h *runs) Pop() any {
	old := *h
	r := old[len(old)-1]
	*h = old[:len(old)-1]
	return r
}
