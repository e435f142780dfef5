package seal

import (
	"crypto/cipher"
	"fmt"
	"io"
)

// Draft is keys that one transaction makes: they seal and open at once, and are
// written together before the transaction commits, with one fsync for however
// many there are. It is used by one goroutine; of two drafts at a time none may
// make the same key.
type Draft struct {
	ring *Ring
	raw  map[ID][]byte
}

// Draft begins a draft.
func (r *Ring) Draft() *Draft { return &Draft{ring: r} }

// Mint makes a key that is not there yet.
func (d *Draft) Mint(k ID) error {
	if d.raw[k] != nil {
		return nil
	}
	if found, err := d.ring.find([]ID{k}); err != nil || found[0] != nil {
		return err
	}
	raw := make([]byte, 32)
	if _, err := io.ReadFull(d.ring.c.Rand, raw); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	a, err := newAEAD(raw)
	if err != nil {
		return err
	}
	if d.raw == nil {
		d.raw = map[ID][]byte{}
	}
	d.raw[k] = raw
	d.ring.mu.Lock()
	defer d.ring.mu.Unlock()
	if d.ring.drafted == nil {
		d.ring.drafted = map[ID]cipher.AEAD{}
	}
	d.ring.drafted[k] = a
	return nil
}

// Record makes a key for one record, under a name drawn by chance.
func (d *Draft) Record() (ID, error) {
	k := ID{kind: record}
	if _, err := io.ReadFull(d.ring.c.Rand, k.hash[:]); err != nil {
		return k, fmt.Errorf("make a key: %w", err)
	}
	return k, d.Mint(k)
}

// Keep writes the keys. What they sealed may be kept from then on.
func (d *Draft) Keep() error {
	defer d.Drop()
	if len(d.raw) == 0 {
		return nil
	}
	d.ring.minting.RLock() // Wrapped and written under one wrapping key.
	defer d.ring.minting.RUnlock()
	rows := make([]Row, 0, len(d.raw))
	for k, raw := range d.raw {
		body, err := d.ring.wrap(k.Key(), raw)
		if err != nil {
			return err
		}
		rows = append(rows, Row{Key: k.Key(), Body: body})
	}
	if err := d.ring.c.Store.Add(rows); err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	return nil
}

// Drop forgets keys that were not kept; those that were are read when they are
// needed again.
func (d *Draft) Drop() {
	if len(d.raw) == 0 {
		return
	}
	d.ring.mu.Lock()
	defer d.ring.mu.Unlock()
	for k := range d.raw {
		delete(d.ring.drafted, k)
	}
	d.raw = nil
}
