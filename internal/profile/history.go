package profile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/wire"
)

// Pointer says where an entry of a person's history stands: the pack's number
// and the place in it. Zero is nowhere.
type Pointer int64

func pointer(pack int64, index int) Pointer { return Pointer(pack<<8 | int64(index)) }

func (p Pointer) pack() int64 { return int64(p) >> 8 }
func (p Pointer) index() int  { return int(p & 0xff) }

// Limits of a pack. A small pack is quick to read for one person; a bigger one
// would not be written faster.
const (
	packBytes   = 3300
	packEntries = 256
	packFormat  = 1
)

// Packer collects entries of many people into packs, in the order of the walk.
// It belongs to one transaction.
type Packer struct {
	store Store
	seal  Sealer // nil: entries are not sealed
	next  int64  // number of the pack being filled
	buf   []byte
	plain []byte // an entry before it is sealed
	n     int
	crc   *crc32.Table
}

// NewPacker begins behind the last pack.
func NewPacker(s Store) (*Packer, error) {
	p := &Packer{crc: crc32.MakeTable(crc32.Castagnoli)}
	return p, p.Begin(s)
}

// Begin points the packer at a new transaction's store and forgets what was
// not flushed.
func (p *Packer) Begin(s Store) error {
	last, err := s.LastPack()
	if err != nil {
		return err
	}
	p.store, p.next, p.n, p.buf = s, last+1, 0, p.buf[:0]
	p.seal, _ = s.(Sealer)
	return nil
}

// Add writes one entry of a person's history with the pointer to the entry
// before it, and gives where it stands.
func (p *Packer) Add(who id.Person, e *event.Event, prev Pointer) (Pointer, error) {
	if p.n == packEntries || len(p.buf) >= packBytes {
		if err := p.Flush(); err != nil {
			return 0, err
		}
	}
	if p.n == 0 {
		p.buf = append(p.buf[:0], packFormat, 0, 0, 0, 0, 0) // format, key id, room for the checksum
	}
	at := pointer(p.next, p.n)
	start := len(p.buf)
	p.buf = append(p.buf, 0, 0, 0) // length, filled in below
	p.buf = binary.AppendUvarint(p.buf, uint64(prev))
	kept := *e
	kept.Context, kept.Integrations = nil, nil // the log has them for days; history keeps what rules and stories need
	if p.seal == nil {
		p.buf = kept.Append(p.buf)
	} else {
		p.plain = kept.Append(p.plain[:0])
		sealed, err := p.seal.SealEntry(p.buf, who, at, p.plain)
		if err != nil {
			p.buf = p.buf[:start]
			return 0, err
		}
		p.buf = sealed
	}
	size := len(p.buf) - start - 3
	p.buf[start], p.buf[start+1], p.buf[start+2] = byte(size), byte(size>>8), byte(size>>16)
	p.n++
	return at, nil
}

// Flush writes what is collected as a pack.
func (p *Packer) Flush() error {
	if p.n == 0 {
		return nil
	}
	binary.LittleEndian.PutUint32(p.buf[2:6], crc32.Checksum(p.buf[6:], p.crc))
	if err := p.store.AppendPack(p.next, p.buf); err != nil {
		return err
	}
	p.next, p.n, p.buf = p.next+1, 0, p.buf[:0]
	return nil
}

var errNoEntry = errors.New("no entry")

// entryAt finds one entry in a pack and what stood before it in its person's history.
func entryAt(pack []byte, number int64, index int) (body []byte, prev Pointer, err error) {
	if len(pack) >= 6 && crc32.Checksum(pack[6:], crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(pack[2:6]) {
		return nil, 0, fmt.Errorf("history pack %d: damaged: its checksum does not hold; restore the data folder from a backup", number)
	}
	raw, err := rawEntry(pack, number, index)
	if err != nil {
		return nil, 0, err
	}
	r := wire.Reader{Rest: raw}
	prev = Pointer(r.Uvarint())
	return r.Rest, prev, nil
}

// rawEntry finds the bytes of one entry: the pointer to the one before it, and the event.
func rawEntry(pack []byte, number int64, index int) ([]byte, error) {
	if len(pack) < 6 || pack[0] != packFormat || pack[1] != 0 {
		return nil, fmt.Errorf("history pack %d: unknown format", number)
	}
	rest := pack[6:]
	for i := 0; ; i++ {
		if len(rest) < 3 {
			return nil, fmt.Errorf("history pack %d: %w %d", number, errNoEntry, index)
		}
		size := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16
		if size > len(rest)-3 {
			return nil, fmt.Errorf("history pack %d: cut short", number)
		}
		if i == index {
			return rest[3 : 3+size], nil
		}
		rest = rest[3+size:]
	}
}

// History walks a person's entries from the newest to the oldest in the order
// in which they were walked. Where two histories were merged, both strands are
// followed and the later received comes first.
func History(s Store, heads []Pointer, fn func(at Pointer, e *event.Event) (more bool, err error)) error {
	_, err := HistoryFrom(s, heads, fn)
	return err
}

// HistoryFrom does the same and gives where it ended: heads from which it goes on
// with the entry for which fn wanted no more. None are left at the end.
func HistoryFrom(s Store, heads []Pointer, fn func(at Pointer, e *event.Event) (more bool, err error)) (rest []Pointer, err error) {
	c := cursor{store: s}
	for _, h := range heads {
		if err := c.open(h); err != nil {
			return nil, err
		}
	}
	for len(c.strands) > 0 {
		newest := 0
		for i := range c.strands {
			if c.strands[i].e.Received.After(c.strands[newest].e.Received) ||
				c.strands[i].e.Received.Equal(c.strands[newest].e.Received) && c.strands[i].at > c.strands[newest].at {
				newest = i
			}
		}
		st := c.strands[newest]
		more, err := fn(st.at, &st.e)
		if err != nil {
			return nil, err
		}
		if !more {
			for i := range c.strands {
				rest = append(rest, c.strands[i].at)
			}
			return rest, nil
		}
		c.strands = append(c.strands[:newest], c.strands[newest+1:]...)
		if err := c.open(st.prev); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

type strand struct {
	at, prev Pointer
	e        event.Event
}

type cursor struct {
	store   Store
	strands []strand
	number  int64 // the pack read last
	pack    []byte
}

// open puts the entry at p at the front of a strand. A pack that retention took
// ends the strand; an entry of somebody who was erased is passed over.
func (c *cursor) open(p Pointer) error {
	for p != 0 {
		body, prev, err := c.entry(p)
		if err != nil || prev < 0 {
			return err
		}
		if len(body) == 0 {
			p = prev
			continue
		}
		st := strand{at: p, prev: prev}
		if err := st.e.Decode(body); err != nil {
			return fmt.Errorf("history pack %d, entry %d: %w", p.pack(), p.index(), err)
		}
		c.strands = append(c.strands, st)
		return nil
	}
	return nil
}

// entry reads one entry; prev is below zero where its pack is gone.
func (c *cursor) entry(p Pointer) (body []byte, prev Pointer, err error) {
	if c.number != p.pack() || c.pack == nil {
		pack, err := c.store.Pack(p.pack())
		if err != nil || pack == nil {
			return nil, -1, err
		}
		c.number, c.pack = p.pack(), pack
	}
	if body, prev, err = entryAt(c.pack, c.number, p.index()); err != nil {
		return nil, 0, err
	}
	if seal, ok := c.store.(Sealer); ok {
		if body, err = seal.OpenEntry(p, body); err != nil {
			return nil, 0, fmt.Errorf("history pack %d, entry %d: %w", p.pack(), p.index(), err)
		}
	}
	return body, prev, nil
}

// OpenPack gives a pack with its entries opened, without its checksum, as bytes
// that are the same for the same entries.
func OpenPack(seal Sealer, number int64, pack []byte) ([]byte, error) {
	out := append([]byte(nil), pack[:min(len(pack), 2)]...)
	for i := 0; ; i++ {
		body, prev, err := entryAt(pack, number, i)
		if errors.Is(err, errNoEntry) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if body, err = seal.OpenEntry(pointer(number, i), body); err != nil {
			return nil, fmt.Errorf("history pack %d, entry %d: %w", number, i, err)
		}
		out = binary.AppendUvarint(wire.AppendBytes(out, body), uint64(prev))
	}
}
