package profile

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"rapport/internal/wire"
)

// Blank takes a whole history out of its packs: zeros stand where its entries
// were, and what others have in the same packs stays as it is. It tells how many
// entries there were. Nobody may point to them any more.
func Blank(st Store, heads []Pointer) (int, error) {
	var p blanking
	p.store = st
	left := append([]Pointer(nil), heads...)
	for len(left) > 0 {
		at := left[len(left)-1]
		left = left[:len(left)-1]
		for at != 0 {
			prev, err := p.entry(at)
			if err != nil {
				return p.n, err
			}
			at = prev
		}
	}
	return p.n, p.flush()
}

// blanking is a pack in hand.
type blanking struct {
	store  Store
	number int64
	pack   []byte
	dirty  bool
	n      int
}

// entry takes out the entry at a place and gives the one before it.
func (b *blanking) entry(at Pointer) (Pointer, error) {
	if b.pack == nil || b.number != at.pack() {
		if err := b.flush(); err != nil {
			return 0, err
		}
		pack, err := b.store.Pack(at.pack())
		if err != nil {
			return 0, fmt.Errorf("read history: %w", err)
		}
		if pack == nil { // Retention took it.
			return 0, nil
		}
		b.number, b.pack = at.pack(), pack
	}
	body, err := rawEntry(b.pack, b.number, at.index())
	if err != nil {
		return 0, err
	}
	r := wire.Reader{Rest: body}
	prev := Pointer(r.Uvarint())
	clear(body)
	b.dirty = true
	b.n++
	return prev, nil
}

// flush writes the pack in hand.
func (b *blanking) flush() error {
	if !b.dirty {
		return nil
	}
	binary.LittleEndian.PutUint32(b.pack[2:6], crc32.Checksum(b.pack[6:], crc32.MakeTable(crc32.Castagnoli)))
	if err := b.store.RewritePack(b.number, b.pack); err != nil {
		return fmt.Errorf("take entries out of history: %w", err)
	}
	b.dirty = false
	return nil
}
