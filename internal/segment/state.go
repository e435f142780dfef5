package segment

import (
	"encoding/binary"
	"errors"
	"slices"

	"rapport/internal/rule"
	"rapport/internal/wire"
)

// entry is what a person's row keeps of one segment: whether they are in, since
// when, and the instant at which the answer expires. A segment somebody is not
// in and whose answer never expires is not kept.
type entry struct {
	key   uint32
	in    bool
	since int64 // the instant of entry
	until int64 // rule.Never when nothing changes by time alone
}

// State is the segment section of a person's row.
type State struct {
	entries []entry // in order of key
}

func (s *State) find(key uint32) (int, bool) {
	return slices.BinarySearchFunc(s.entries, key, func(e entry, k uint32) int {
		switch {
		case e.key < k:
			return -1
		case e.key > k:
			return 1
		}
		return 0
	})
}

// NextDue is the earliest instant at which a membership may change merely
// because time passes.
func (s *State) NextDue() int64 {
	due := rule.Never
	for i := range s.entries {
		due = min(due, s.entries[i].until)
	}
	return due
}

// Membership is one segment that somebody is in.
type Membership struct {
	Segment string
	Since   int64
	Until   int64 // when it may end merely because time passes; rule.Never if not
}

// In lists the segments a person is in, in order of evaluation.
func (c *Catalog) In(s *State) []Membership {
	var out []Membership
	for i := range c.segs {
		if at, ok := s.find(c.segs[i].key); ok && s.entries[at].in {
			out = append(out, Membership{c.segs[i].Name, s.entries[at].since, s.entries[at].until})
		}
	}
	return out
}

// Member tells whether somebody is in a segment.
func (c *Catalog) Member(s *State, name string) bool {
	i, ok := c.byName[name]
	if !ok {
		return false
	}
	at, ok := s.find(c.segs[i].key)
	return ok && s.entries[at].in
}

const stateFormat = 1

var errState = errors.New("segment section: malformed")

// Append writes the section; a person in no segment takes one byte.
func (s *State) Append(dst []byte) []byte {
	dst = append(dst, stateFormat)
	for _, e := range s.entries {
		dst = binary.LittleEndian.AppendUint32(dst, e.key)
		var flags byte
		if e.in {
			flags |= 1
		}
		if e.until != rule.Never {
			flags |= 2
		}
		dst = append(dst, flags)
		if e.in {
			dst = binary.AppendVarint(dst, e.since)
		}
		if e.until != rule.Never {
			dst = binary.AppendVarint(dst, e.until)
		}
	}
	return dst
}

// Decode reads what Append wrote, reusing the capacity of s.
func (s *State) Decode(b []byte) error {
	s.entries = s.entries[:0]
	if len(b) == 0 {
		return nil
	}
	if b[0] != stateFormat {
		return errState
	}
	r := wire.Reader{Rest: b[1:]}
	for len(r.Rest) > 0 {
		key := r.Take(4)
		flags := r.Byte()
		if key == nil {
			return errState
		}
		e := entry{key: binary.LittleEndian.Uint32(key), in: flags&1 != 0, until: rule.Never}
		if e.in {
			e.since = r.Varint()
		}
		if flags&2 != 0 {
			e.until = r.Varint()
		}
		s.entries = append(s.entries, e)
	}
	if r.Bad {
		return errState
	}
	return nil
}
