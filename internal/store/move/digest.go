package move

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"rapport/internal/eventlog"
)

// Sum is what one table, or one lane of the log, holds.
type Sum struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"` // SHA-256 over the rows in order of their keys, in hex
}

// Sums are what a house holds.
type Sums struct {
	Log    string `json:"log"` // its name
	Tables []Sum  `json:"tables"`
	Digest string `json:"digest"` // SHA-256 over the log's name and all tables
}

// Digest reads everything that a house holds and sums it up. The values are
// written the same way whatever the store: a tag, and a number as eight bytes or
// a text or bytes behind their length.
func Digest(ctx context.Context, h House, told func(table string, rows int64)) (Sums, error) {
	out := Sums{Log: h.Log.ID()}
	for _, lane := range lanes {
		s, err := digestLane(ctx, h.Log, lane)
		if err != nil {
			return out, err
		}
		out.Tables = append(out.Tables, s)
		told(s.Name, s.Rows)
	}
	tables, err := h.State.Tables(ctx)
	if err != nil {
		return out, err
	}
	for i := range tables {
		s, err := digestTable(ctx, h.State, &tables[i])
		if err != nil {
			return out, err
		}
		out.Tables = append(out.Tables, s)
		told(s.Name, s.Rows)
	}
	whole := newSummer()
	whole.value(out.Log)
	for _, t := range out.Tables {
		whole.value(t.Name)
		whole.value(t.Rows)
		whole.value(t.Digest)
	}
	out.Digest = whole.hex()
	return out, nil
}

// digestLane sums up one lane: its frames, where it begins, and how far it is
// marked as walked.
func digestLane(ctx context.Context, l Log, lane eventlog.Lane) (Sum, error) {
	s, out := newSummer(), Sum{Name: "log, " + lane.String() + " lane"}
	next, err := l.First(ctx, lane)
	if err != nil {
		return out, err
	}
	for {
		frames, err := l.Read(ctx, lane, next, frameBytes)
		if err != nil {
			return out, err
		}
		if len(frames) == 0 {
			break
		}
		for _, f := range frames {
			s.value(f.First)
			s.value(int64(f.Count))
			s.value(f.At.UnixMilli())
			s.value(f.Body)
			next = f.First + int64(f.Count)
			out.Rows++
		}
	}
	walked, err := l.Marked(ctx, lane)
	s.value(walked)
	out.Digest = s.hex()
	return out, err
}

func digestTable(ctx context.Context, state State, t *Table) (Sum, error) {
	s, out := newSummer(), Sum{Name: t.Name}
	for after := Row(nil); ; {
		rows, err := state.Rows(ctx, t, after)
		if err != nil {
			return out, err
		}
		if len(rows) == 0 {
			out.Digest = s.hex()
			return out, nil
		}
		after = t.KeyOf(rows[len(rows)-1])
		for _, r := range kept(t, rows) {
			for _, v := range r {
				s.value(v)
			}
			out.Rows++
		}
	}
}

// Differences names the tables in which two houses differ.
func Differences(a, b Sums) (names []string) {
	if a.Log != b.Log {
		names = append(names, "the log's name")
	}
	other := map[string]Sum{}
	for _, s := range b.Tables {
		other[s.Name] = s
	}
	for _, s := range a.Tables {
		if other[s.Name] != s {
			names = append(names, s.Name)
		}
		delete(other, s.Name)
	}
	for _, s := range b.Tables {
		if _, left := other[s.Name]; left {
			names = append(names, s.Name)
		}
	}
	return names
}

type summer struct {
	h   hash.Hash
	buf []byte
}

func newSummer() *summer { return &summer{h: sha256.New()} }

// value writes one value so that no two rows are written alike.
func (s *summer) value(v any) {
	b := s.buf[:0]
	switch v := v.(type) {
	case nil:
		b = append(b, 0)
	case int64:
		b = binary.BigEndian.AppendUint64(append(b, byte(Int)), uint64(v))
	case string:
		b = append(binary.BigEndian.AppendUint64(append(b, byte(Text)), uint64(len(v))), v...)
	case []byte:
		b = append(binary.BigEndian.AppendUint64(append(b, byte(Blob)), uint64(len(v))), v...)
	}
	s.buf = b
	_, _ = s.h.Write(b) // A hash takes everything.
}

func (s *summer) hex() string { return hex.EncodeToString(s.h.Sum(nil)) }
