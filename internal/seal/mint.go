package seal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/wire"
)

// Mint makes the keys that are not there yet. It is called before the first body
// is sealed under a key, and never for somebody who was erased.
func (r *Ring) Mint(list ...ID) error {
	if r.haveAll(list) {
		return nil
	}
	found, err := r.find(list)
	if err != nil {
		return err
	}
	var missing []ID
	for i, k := range list {
		if found[i] == nil {
			missing = append(missing, k)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := r.make(missing); err != nil {
		return err
	}
	return r.Load(list...) // What somebody else has made meanwhile stands.
}

// haveAll tells whether all are in memory, without a byte of garbage.
func (r *Ring) haveAll(list []ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range list {
		if r.open[k] == nil {
			return false
		}
	}
	return true
}

// make writes new keys, and those of people who come next.
func (r *Ring) make(missing []ID) error {
	r.minting.RLock()
	defer r.minting.RUnlock()
	if last := missing[len(missing)-1]; last.kind == person {
		for n := uint64(1); n < mintAhead; n++ {
			missing = append(missing, ID{kind: person, n: last.n + n})
		}
	}
	rows := make([]Row, len(missing))
	raw := make([]byte, 32)
	for i, k := range missing {
		if _, err := io.ReadFull(r.c.Rand, raw); err != nil {
			return fmt.Errorf("make a key: %w", err)
		}
		body, err := r.wrap(k.Key(), raw)
		if err != nil {
			return err
		}
		rows[i] = Row{Key: k.Key(), Body: body}
	}
	if err := r.c.Store.Add(rows); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	return nil
}

// Destroy makes what was sealed under these keys unreadable for ever. Of people no
// key is made again, also not ahead.
func (r *Ring) Destroy(list ...ID) error {
	var drop, end [][]byte
	for _, k := range list {
		if k.kind == person {
			end = append(end, k.Key())
		} else {
			drop = append(drop, k.Key())
		}
	}
	if err := r.c.Store.End(end); err != nil {
		return fmt.Errorf("destroy keys: %w", err)
	}
	if err := r.c.Store.Drop(drop); err != nil {
		return fmt.Errorf("destroy keys: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.destroyed++
	for _, k := range list {
		delete(r.open, k)
		delete(r.raw, k)
	}
	return nil
}

// LastPerson gives the highest number for which there was a key of a person when the
// ring was opened, also where it was ended: all up to it may have been given, if not by
// this state then by a later one that was lost.
func (r *Ring) LastPerson() id.Person { return r.last }

func lastPerson(s Store) (id.Person, error) {
	key, err := s.Last(Person(0).Key(), []byte{byte(person + 1)})
	if err != nil {
		return 0, fmt.Errorf("read keys: %w", err)
	}
	if len(key) != len(Person(0).Key()) {
		return 0, nil
	}
	return id.Person(binary.BigEndian.Uint64(key[1:])), nil
}

// Records gives the keys of records that have one of their own.
func (r *Ring) Records() (out []ID, err error) {
	for after := []byte{byte(record)}; ; { // What is shorter is before what begins with it.
		rows, err := r.c.Store.After(after, rotateAtOnce)
		if err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		for _, row := range rows {
			k := ID{kind: record}
			if row.Key[0] != byte(record) || copy(k.hash[:], row.Key[1:]) != len(k.hash) {
				return out, nil
			}
			out = append(out, k)
		}
		if len(rows) == 0 {
			return out, nil
		}
		after = rows[len(rows)-1].Key
	}
}

// Newer tells whether there is a key of a later day of a lane: then the keys are newer
// than what was sealed on this day, and not older.
func (r *Ring) Newer(lane uint8, than int64) (bool, error) {
	rows, err := r.c.Store.After(Day(lane, than).Key(), 1)
	if err != nil {
		return false, fmt.Errorf("read keys: %w", err)
	}
	return len(rows) > 0 && bytes.Compare(rows[0].Key, Day(lane+1, 0).Key()) < 0, nil
}

// DestroyDays destroys the keys of the days of a lane before one, and tells how
// many there were.
func (r *Ring) DestroyDays(lane uint8, before int64) (gone int, err error) {
	end := Day(lane, before).Key()
	after := Day(lane, 0).Key()
	for after = after[:len(after)-1]; ; { // What is shorter is before what begins with it.
		rows, err := r.c.Store.After(after, rotateAtOnce)
		if err != nil {
			return gone, fmt.Errorf("read keys: %w", err)
		}
		var old []ID
		for _, row := range rows {
			if bytes.Compare(row.Key, end) < 0 {
				old = append(old, ID{kind: day, n: binary.BigEndian.Uint64(row.Key[1:])})
			}
		}
		if len(old) == 0 {
			return gone, nil
		}
		if err := r.Destroy(old...); err != nil {
			return gone, err
		}
		gone += len(old)
		after = old[len(old)-1].Key()
	}
}

// wrap writes a data key under the current wrapping key: its number, nonce,
// sealed key. The label is the data key's own name.
func (r *Ring) wrap(label, raw []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dst, err := r.nonce(binary.AppendUvarint(nil, uint64(r.current)))
	if err != nil {
		return nil, err
	}
	return r.wrapping[r.current].Seal(dst, dst[len(dst)-nonceSize:], raw, label), nil
}

// unwrap reads what wrap wrote, and tells the number of its wrapping key.
func (r *Ring) unwrap(label, body []byte) (raw []byte, number int, err error) {
	f := wire.Reader{Rest: body}
	number = int(f.Uvarint())
	if f.Bad || len(f.Rest) < nonceSize+tagSize {
		return nil, 0, damaged(errShape)
	}
	r.mu.Lock()
	a := r.wrapping[number]
	r.mu.Unlock()
	if a == nil {
		return nil, number, fault.New(fault.Conflict, "wrapping_key_missing", "wrapping key %d is not there: keys.db is damaged; restore it from its backup", number)
	}
	if raw, err = a.Open(nil, f.Rest[:nonceSize], f.Rest[nonceSize:], label); err != nil {
		return nil, number, damaged(err)
	}
	return raw, number, nil
}
