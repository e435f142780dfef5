package processor

import (
	"encoding/binary"
	"time"

	"rapport/internal/id"
)

// seen remembers which events were walked within the duplicate window. It
// trusts 64 bits of each hash beside the 15 to 20 that choose the slot, so that
// one in about 10^18 new events would be taken for an old one; the store keeps all 128.
//
// Time is cut into four slices of the window; a slice grows by adding ever
// larger blocks, so that nothing is ever copied, and is dropped whole. An event
// is therefore remembered for at least the window and at most a quarter longer.
type seen struct {
	window time.Duration
	slices []*slice // oldest first
}

type slice struct {
	from   time.Time
	blocks []*block
}

// block is an open-addressing set of fixed size; zero is an empty slot.
type block struct {
	tags []uint64
	mask uint64
	used int
}

// Sizes of blocks, in slots of eight bytes.
const (
	firstBlock = 1 << 14
	lastBlock  = 1 << 21
)

func newSeen(window time.Duration) *seen { return &seen{window: window} }

func split(h id.Hash) (slot, tag uint64) {
	slot, tag = binary.LittleEndian.Uint64(h[:8]), binary.LittleEndian.Uint64(h[8:])
	if tag == 0 {
		tag = 1
	}
	return slot, tag
}

// has tells whether a hash was added within the window before an instant.
func (s *seen) has(h id.Hash, at int64) bool {
	slot, tag := split(h)
	for i := len(s.slices) - 1; i >= 0; i-- {
		if s.left(s.slices[i], at) {
			return false // and so are those before it
		}
		for _, b := range s.slices[i].blocks {
			if b.has(slot, tag) {
				return true
			}
		}
	}
	return false
}

// left tells whether the window has left a slice at an instant, in milliseconds.
func (s *seen) left(sl *slice, at int64) bool {
	return sl.from.Add(s.window/4+s.window).UnixMilli() < at
}

// add remembers a hash from an instant on.
func (s *seen) add(h id.Hash, at time.Time) {
	sl := s.sliceAt(at)
	last := len(sl.blocks) - 1
	if last < 0 || sl.blocks[last].full() {
		size := firstBlock
		if last >= 0 {
			size = min(4*len(sl.blocks[last].tags), lastBlock)
		}
		sl.blocks = append(sl.blocks, &block{tags: make([]uint64, size), mask: uint64(size - 1)})
		last++
	}
	slot, tag := split(h)
	sl.blocks[last].add(slot, tag)
}

// sliceAt gives the slice that an instant belongs to and drops those that the
// window has left.
func (s *seen) sliceAt(at time.Time) *slice {
	step := s.window / 4
	if n := len(s.slices); n > 0 && at.Before(s.slices[n-1].from.Add(step)) {
		return s.slices[n-1]
	}
	for len(s.slices) > 0 && s.left(s.slices[0], at.UnixMilli()) {
		s.slices = s.slices[1:]
	}
	sl := &slice{from: at.Truncate(step)}
	s.slices = append(s.slices, sl)
	return sl
}

func (b *block) full() bool { return b.used >= len(b.tags)*7/8 }

func (b *block) has(slot, tag uint64) bool {
	for i := slot & b.mask; ; i = (i + 1) & b.mask {
		switch b.tags[i] {
		case tag:
			return true
		case 0:
			return false
		}
	}
}

func (b *block) add(slot, tag uint64) {
	i := slot & b.mask
	for b.tags[i] != 0 {
		if b.tags[i] == tag {
			return
		}
		i = (i + 1) & b.mask
	}
	b.tags[i] = tag
	b.used++
}
