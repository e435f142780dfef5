package processor

import (
	"encoding/binary"
	"slices"
	"time"

	"rapport/internal/id"
)

// seen remembers which events were walked within the duplicate window. It
// trusts 64 bits of each hash beside the 15 to 20 that choose the slot, so that
// one in about 10^18 new events would be taken for an old one; the store keeps all 128.
//
// Time is cut into slices of a quarter of the window; a slice grows by adding
// ever larger blocks, so that nothing is ever copied, and is dropped whole. An
// event is therefore remembered for at least the window and at most a quarter
// longer. Whether it is depends on the instants of the two records alone, never
// on when they are walked, so that a replay decides alike.
type seen struct {
	step   time.Duration
	slices []*slice // oldest first
}

const slicesKept = 4 // beside the one that an instant is in

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

func newSeen(window time.Duration) *seen { return &seen{step: window / slicesKept} }

// since is the earliest instant that is remembered at another one.
func (s *seen) since(at time.Time) time.Time { return at.Truncate(s.step).Add(-slicesKept * s.step) }

// holds tells whether what was added at one instant is remembered at another.
func (s *seen) holds(added, at time.Time) bool { return !added.Truncate(s.step).Before(s.since(at)) }

// apart tells whether two instants lie in different slices.
func (s *seen) apart(a, b time.Time) bool { return !a.Truncate(s.step).Equal(b.Truncate(s.step)) }

func split(h id.Hash) (slot, tag uint64) {
	slot, tag = binary.LittleEndian.Uint64(h[:8]), binary.LittleEndian.Uint64(h[8:])
	if tag == 0 {
		tag = 1
	}
	return slot, tag
}

// has tells whether a hash was added within the window before an instant.
func (s *seen) has(h id.Hash, at time.Time) bool {
	slot, tag := split(h)
	since := s.since(at)
	for i := len(s.slices) - 1; i >= 0 && !s.slices[i].from.Before(since); i-- {
		for _, b := range s.slices[i].blocks {
			if b.has(slot, tag) {
				return true
			}
		}
	}
	return false
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
	from := at.Truncate(s.step)
	i := len(s.slices)
	for i > 0 && s.slices[i-1].from.After(from) {
		i-- // a lane that lags behind the other
	}
	if i > 0 && s.slices[i-1].from.Equal(from) {
		return s.slices[i-1]
	}
	sl := &slice{from: from}
	s.slices = slices.Insert(s.slices, i, sl)
	if i == len(s.slices)-1 {
		since := s.since(at)
		for s.slices[0].from.Before(since) {
			s.slices = s.slices[1:]
		}
	}
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
