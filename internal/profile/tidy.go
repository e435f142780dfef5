package profile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"rapport/internal/event"
	"rapport/internal/wire"
)

// Fate is what becomes of an event that is looked at.
type Fate uint8

// The fates.
const (
	Stays   Fate = iota
	Shorter      // it was changed, and is kept as it is now
	Gone
)

// Tidied tells how far it was looked for what is kept no longer, and what was done.
type Tidied struct {
	Next    int64 // the pack to go on with
	Gone    int   // events
	Shorter int
}

// Tidy goes through at most so many packs from one on, and takes out of them the
// events that are gone, and of others what they lost: kept no longer. An event's
// place stays, so that what is before it is still found. It ends before the first
// pack with an event that came after `until`, since packs are in the order of the walk.
func Tidy(st Store, from int64, most int, until time.Time, judge func(*event.Event) Fate) (out Tidied, err error) {
	out.Next = max(from, 1)
	last, err := st.LastPack()
	if err != nil {
		return out, fmt.Errorf("read history: %w", err)
	}
	for ; out.Next <= last && most > 0; out.Next, most = out.Next+1, most-1 {
		pack, err := st.Pack(out.Next)
		if err != nil {
			return out, fmt.Errorf("read history: %w", err)
		}
		if pack == nil {
			continue
		}
		t := tidying{store: st, number: out.Next, until: until, judge: judge}
		if err := t.pack(pack); err != nil || t.young {
			return out, err
		}
		if t.gone+t.shorter == 0 {
			continue
		}
		if err := st.RewritePack(out.Next, t.out); err != nil {
			return out, fmt.Errorf("take events out of history: %w", err)
		}
		out.Gone, out.Shorter = out.Gone+t.gone, out.Shorter+t.shorter
	}
	return out, nil
}

// tidying writes one pack anew without what is gone.
type tidying struct {
	store  Store
	number int64
	until  time.Time
	judge  func(*event.Event) Fate

	out           []byte
	gone, shorter int
	young         bool // an event came too late to be looked at
}

func (t *tidying) pack(pack []byte) error {
	t.out = append(t.out, pack[:min(len(pack), 6)]...)
	for i := 0; ; i++ {
		raw, err := rawEntry(pack, t.number, i)
		if errors.Is(err, errNoEntry) {
			break
		}
		if err != nil {
			return err
		}
		at := pointer(t.number, i)
		e, err := entryOf(t.store, at, raw)
		if err != nil {
			return err
		}
		if e != nil && e.Received.After(t.until) {
			t.young = true
			return nil
		}
		if err := t.entry(at, raw, e); err != nil {
			return err
		}
	}
	binary.LittleEndian.PutUint32(t.out[2:6], crc32.Checksum(t.out[6:], crc32.MakeTable(crc32.Castagnoli)))
	return nil
}

// entry writes one entry as it is from now on.
func (t *tidying) entry(at Pointer, raw []byte, e *event.Event) error {
	r := wire.Reader{Rest: raw}
	r.Uvarint()
	before, body := raw[:len(raw)-len(r.Rest)], r.Rest
	if e != nil {
		switch t.judge(e) {
		case Gone:
			body = nil
			t.gone++
		case Shorter:
			plain := e.Append(nil)
			if seal, ok := t.store.(Sealer); ok {
				var err error
				if plain, err = seal.ResealEntry(at, body, plain); err != nil {
					return fmt.Errorf("history pack %d, entry %d: %w", at.pack(), at.index(), err)
				}
			}
			body = plain
			t.shorter++
		case Stays:
		}
	}
	size := len(before) + len(body)
	t.out = append(append(append(t.out, byte(size), byte(size>>8), byte(size>>16)), before...), body...)
	return nil
}

// entryOf reads the event of an entry, nil where there is none any more: it was
// taken out, or its person was erased.
func entryOf(st Store, at Pointer, raw []byte) (*event.Event, error) {
	r := wire.Reader{Rest: raw}
	r.Uvarint()
	body := r.Rest
	if seal, ok := st.(Sealer); ok {
		var err error
		if body, err = seal.OpenEntry(at, body); err != nil {
			return nil, fmt.Errorf("history pack %d, entry %d: %w", at.pack(), at.index(), err)
		}
	}
	if len(body) == 0 || body[0] == 0 { // An event begins with its format.
		return nil, nil //nolint:nilnil // None is an answer.
	}
	e := &event.Event{}
	if err := e.Decode(body); err != nil {
		return nil, fmt.Errorf("history pack %d, entry %d: %w", at.pack(), at.index(), err)
	}
	return e, nil
}
