package journey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"rapport/internal/id"
)

// The versions of the encoding, its first byte. The later one has dates behind
// the places; whoever has none is written as before.
const (
	stateFormat  = 1
	datedFormat  = 2
	datedBegan   = 1 // marks of a date
	datedWaiting = 2
)

// errState says that the bytes are no state.
var errState = errors.New("decode journeys: damaged")

// Append writes the state behind dst: the format's version, the records, then
// the places. A person who never met a journey takes no byte at all.
func (s *State) Append(dst []byte) []byte {
	if s.Empty() {
		return dst
	}
	format := byte(stateFormat)
	if len(s.Dates) > 0 {
		format = datedFormat
	}
	dst = append(dst, format)
	dst = binary.AppendUvarint(dst, uint64(len(s.Records)))
	for i := range s.Records {
		dst = s.Records[i].append(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Places)))
	for i := range s.Places {
		dst = s.appendPlace(dst, &s.Places[i])
	}
	if format == datedFormat {
		dst = binary.AppendUvarint(dst, uint64(len(s.Dates)))
		for i := range s.Dates {
			dst = s.Dates[i].append(dst)
		}
	}
	return dst
}

func (d *Dated) append(dst []byte) []byte {
	dst = appendText(dst, d.Journey)
	flags := byte(0)
	if d.Began {
		flags |= datedBegan
	}
	if d.Fire != Never {
		flags |= datedWaiting
	}
	dst = append(dst, flags)
	if d.Began {
		dst = binary.AppendVarint(dst, d.Last)
	}
	if d.Fire != Never {
		dst = binary.AppendVarint(dst, d.At)
		dst = binary.AppendVarint(dst, d.Of)
		dst = binary.AppendVarint(dst, d.Fire-d.At)
	}
	return dst
}

func (r *Record) append(dst []byte) []byte {
	dst = appendText(dst, r.Journey)
	dst = binary.AppendUvarint(dst, uint64(r.Count))
	dst = binary.AppendVarint(dst, r.Entered)
	dst = binary.AppendUvarint(dst, uint64(len(r.Keys)))
	for _, k := range r.Keys {
		dst = appendText(dst, k.Key)
		dst = binary.AppendUvarint(dst, uint64(k.Count))
		dst = binary.AppendVarint(dst, k.Entered-r.Entered)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Stays)))
	for i := range r.Stays {
		dst = r.Stays[i].append(dst)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Notes)))
	last := r.Entered
	for _, n := range r.Notes {
		dst = binary.AppendVarint(dst, n.At-last)
		last = n.At
		dst = append(dst, byte(n.Kind))
		dst = binary.AppendUvarint(dst, uint64(n.Occurrence))
		dst = appendText(dst, n.Step)
		dst = appendText(dst, n.Text)
		dst = appendWhen(dst, n.When, n.At)
		dst = binary.AppendUvarint(dst, uint64(n.Times))
	}
	return dst
}

func (s *Stay) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.Origin))
	dst = binary.AppendUvarint(dst, uint64(s.Occurrence))
	dst = appendText(dst, s.Key)
	dst = binary.AppendVarint(dst, s.Entered)
	dst = append(dst, byte(s.End))
	if s.End != 0 {
		dst = binary.AppendVarint(dst, s.Ended-s.Entered)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Sent)))
	for _, m := range s.Sent {
		dst = m.append(dst, s)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Also)))
	for _, t := range s.Also {
		dst = binary.AppendUvarint(dst, uint64(t.Origin))
		dst = binary.AppendUvarint(dst, uint64(t.Occurrence))
	}
	return dst
}

// The marks of a mail; its fate stands above them.
const (
	mailBounded = 1 << iota // Until is not Never
	mailOther               // another stay decided it
	mailDropped
	mailFate = 3
)

func (m *Sent) append(dst []byte, s *Stay) []byte {
	dst = appendText(dst, m.Step)
	flags := byte(m.Fate) << mailFate
	if m.Until != Never {
		flags |= mailBounded
	}
	if m.By != s.Twin() {
		flags |= mailOther
	}
	if m.Dropped {
		flags |= mailDropped
	}
	dst = append(dst, flags)
	if flags&mailBounded != 0 {
		dst = binary.AppendVarint(dst, m.Until-s.Entered)
	}
	if flags&mailOther != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.By.Origin))
		dst = binary.AppendUvarint(dst, uint64(m.By.Occurrence))
	}
	return dst
}

func (s *State) appendPlace(dst []byte, p *Place) []byte {
	at, _ := s.find(p.Journey)
	dst = binary.AppendUvarint(dst, uint64(at))
	dst = binary.AppendUvarint(dst, uint64(p.Version))
	dst = p.append(dst)
	dst = binary.AppendVarint(dst, p.Trigger-p.Entered)
	dst = appendText(dst, p.Cause)
	dst = appendText(dst, p.Data)
	dst = binary.AppendUvarint(dst, uint64(p.Node))
	flags := byte(0)
	if p.Waiting {
		flags |= 1
	}
	dst = append(dst, flags)
	dst = appendInstant(dst, p.Until, p.Entered)
	dst = appendInstant(dst, p.Check, p.Entered)
	return binary.AppendUvarint(dst, p.Seen)
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendInstant writes an instant as the distance from a base, Never as one byte.
func appendInstant(dst []byte, at, base int64) []byte {
	if at == Never {
		return append(dst, 0)
	}
	return binary.AppendVarint(append(dst, 1), at-base)
}

// appendWhen writes an instant that is often missing, zero, or equal to a base.
func appendWhen(dst []byte, when, base int64) []byte {
	if when == 0 {
		return append(dst, 0)
	}
	if when == base {
		return append(dst, 1)
	}
	return binary.AppendVarint(append(dst, 2), when-base)
}

// Decode reads what Append wrote. Nothing of b is kept; s is overwritten.
func (s *State) Decode(b []byte) error {
	*s = State{Places: s.Places[:0], Records: s.Records[:0], Dates: s.Dates[:0]}
	if len(b) == 0 {
		return nil
	}
	if b[0] != stateFormat && b[0] != datedFormat {
		return fmt.Errorf("decode journeys: format %d is unknown", b[0])
	}
	r := reader{b: string(b[1:])} // one copy, into which all texts point
	records := r.length()
	s.Records = slices.Grow(s.Records, min(records, 8))
	for range records {
		s.Records = append(s.Records, r.record())
		if n := len(s.Records); n > 1 && s.Records[n-2].Journey >= s.Records[n-1].Journey {
			r.bad = true
		}
		if r.bad {
			break
		}
	}
	for range r.length() {
		s.Places = append(s.Places, r.place(s.Records))
		if r.bad {
			break
		}
	}
	if b[0] == datedFormat && !r.bad {
		for range r.length() {
			s.Dates = append(s.Dates, r.dated())
			if n := len(s.Dates); n > 1 && s.Dates[n-2].Journey >= s.Dates[n-1].Journey {
				r.bad = true
			}
			if r.bad {
				break
			}
		}
		r.bad = r.bad || len(s.Dates) == 0
	}
	if r.bad || len(r.b) != 0 || s.Empty() {
		*s = State{}
		return errState
	}
	return nil
}

// Decode reads what Append wrote.
func Decode(b []byte) (State, error) {
	var s State
	err := s.Decode(b)
	return s, err
}

// reader takes an encoding apart; once bad, it gives zeroes.
type reader struct {
	b   string
	bad bool
}

func (r *reader) uint() uint64 {
	var v uint64
	for i := 0; i < len(r.b) && i < binary.MaxVarintLen64; i++ {
		c := r.b[i]
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				break
			}
			r.b = r.b[i+1:]
			return v | uint64(c)<<(7*i)
		}
		v |= uint64(c&0x7f) << (7 * i)
	}
	r.bad, r.b = true, ""
	return 0
}

func (r *reader) count() int64 {
	v := r.uint()
	if v > 1<<62 {
		r.bad = true
		return 0
	}
	return int64(v)
}

func (r *reader) int() int64 {
	v := r.uint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// length reads the length of something whose parts take at least a byte each.
func (r *reader) length() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) text() string {
	n := r.length()
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) instant(base int64) int64 {
	switch r.byte() {
	case 0:
		return Never
	case 1:
		return base + r.int()
	}
	r.bad = true
	return 0
}

func (r *reader) when(base int64) int64 {
	switch r.byte() {
	case 0:
		return 0
	case 1:
		return base
	case 2:
		return base + r.int()
	}
	r.bad = true
	return 0
}

func (r *reader) record() Record {
	rec := Record{Journey: r.text(), Count: r.count(), Entered: r.int()}
	for range r.length() {
		rec.Keys = append(rec.Keys, KeyCount{Key: r.text(), Count: r.count(), Entered: rec.Entered + r.int()})
		if r.bad {
			return rec
		}
	}
	for range r.length() {
		rec.Stays = append(rec.Stays, r.stay())
		if r.bad {
			return rec
		}
	}
	last, notes := rec.Entered, r.length()
	if notes > 0 {
		rec.Notes = make([]Note, 0, min(notes, MaxNotes))
	}
	for range notes {
		n := Note{At: last + r.int(), Kind: NoteKind(r.byte()), Occurrence: r.count(), Step: r.text(), Text: r.text()}
		n.When = r.when(n.At)
		n.Times = r.count()
		last = n.At
		rec.Notes = append(rec.Notes, n)
		if r.bad {
			return rec
		}
	}
	return rec
}

func (r *reader) dated() Dated {
	d := Dated{Journey: r.text(), Fire: Never}
	flags := r.byte()
	if d.Began = flags&datedBegan != 0; d.Began {
		d.Last = r.int()
	}
	if flags&datedWaiting != 0 {
		d.At, d.Of = r.int(), r.int()
		d.Fire = d.At + r.int()
	}
	return d
}

func (r *reader) stay() Stay {
	s := Stay{Origin: id.Person(r.count()), Occurrence: r.count(), Key: r.text(), Entered: r.int(), End: Ending(r.byte())}
	if s.End != 0 {
		s.Ended = s.Entered + r.int()
	}
	for range r.length() {
		s.Sent = append(s.Sent, r.sent(&s))
		if r.bad {
			return s
		}
	}
	for range r.length() {
		s.Also = append(s.Also, Twin{Origin: id.Person(r.count()), Occurrence: r.count()})
		if r.bad {
			return s
		}
	}
	return s
}

func (r *reader) sent(s *Stay) Sent {
	m := Sent{Step: r.text(), By: s.Twin(), Until: Never}
	flags := r.byte()
	m.Fate, m.Dropped = Fate(flags>>mailFate), flags&mailDropped != 0
	if flags&mailBounded != 0 {
		m.Until = s.Entered + r.int()
	}
	if flags&mailOther != 0 {
		m.By = Twin{Origin: id.Person(r.count()), Occurrence: r.count()}
	}
	return m
}

func (r *reader) place(records []Record) Place {
	at := r.uint()
	if at >= uint64(len(records)) {
		r.bad = true
		return Place{}
	}
	p := Place{Journey: records[at].Journey, Version: int(r.count()), Stay: r.stay()}
	p.Trigger = p.Entered + r.int()
	p.Cause = r.text()
	if data := r.text(); data != "" {
		p.Data = []byte(data)
	}
	p.Node = int(r.count())
	p.Waiting = r.byte()&1 != 0
	p.Until = r.instant(p.Entered)
	p.Check = r.instant(p.Entered)
	p.Seen = r.uint()
	return p
}
