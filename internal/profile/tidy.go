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

// Tidy goes through at most so many packs from one on, and takes out of them the
// events that are gone: kept no longer. An event's place stays, so that what is
// before it is still found. It ends before the first pack with an event that came
// after `until`, since packs are in the order of the walk, and gives with which pack
// to go on and how many events it took.
func Tidy(st Store, from int64, most int, until time.Time, gone func(*event.Event) bool) (next int64, taken int, err error) {
	last, err := st.LastPack()
	if err != nil {
		return from, 0, fmt.Errorf("read history: %w", err)
	}
	for next = max(from, 1); next <= last && most > 0; next, most = next+1, most-1 {
		pack, err := st.Pack(next)
		if err != nil {
			return next, taken, fmt.Errorf("read history: %w", err)
		}
		if pack == nil {
			continue
		}
		tidied, n, young, err := tidyPack(st, next, pack, until, gone)
		if err != nil || young {
			return next, taken, err
		}
		if n == 0 {
			continue
		}
		if err := st.RewritePack(next, tidied); err != nil {
			return next, taken, fmt.Errorf("take events out of history: %w", err)
		}
		taken += n
	}
	return next, taken, nil
}

// tidyPack writes a pack anew without the events that are gone.
func tidyPack(st Store, number int64, pack []byte, until time.Time, gone func(*event.Event) bool) (out []byte, n int, young bool, err error) {
	out = append(out, pack[:min(len(pack), 6)]...)
	for i := 0; ; i++ {
		raw, err := rawEntry(pack, number, i)
		if errors.Is(err, errNoEntry) {
			break
		}
		if err != nil {
			return nil, 0, false, err
		}
		e, err := entryOf(st, pointer(number, i), raw)
		if err != nil {
			return nil, 0, false, err
		}
		keep := len(raw)
		if e != nil && e.Received.After(until) {
			return nil, 0, true, nil
		}
		if e != nil && gone(e) {
			r := wire.Reader{Rest: raw}
			r.Uvarint()
			keep = len(raw) - len(r.Rest)
			n++
		}
		out = append(append(out, byte(keep), byte(keep>>8), byte(keep>>16)), raw[:keep]...)
	}
	binary.LittleEndian.PutUint32(out[2:6], crc32.Checksum(out[6:], crc32.MakeTable(crc32.Castagnoli)))
	return out, n, false, nil
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
