package rights

import (
	"sync"

	"rapport/internal/id"
)

// Barred remembers under which identifiers nothing is kept any more, for doors
// that must not ask a database for every event. It is safe for concurrent use.
type Barred struct {
	mu  sync.RWMutex
	all map[id.Hash]struct{}
}

// Load reads them.
func (b *Barred) Load(st Store) error {
	all := map[id.Hash]struct{}{}
	err := st.EachBarred(func(h id.Hash, _ string) error {
		all[h] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.all = all
	b.mu.Unlock()
	return nil
}

// Has tells whether nothing is kept under an identifier.
func (b *Barred) Has(h id.Hash) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, ok := b.all[h]
	return ok
}

// Any tells whether there are any at all.
func (b *Barred) Any() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.all) > 0
}

// Change adds some and takes others away, once their transaction has committed.
func (b *Barred) Change(add, drop []id.Hash) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[id.Hash]struct{}{}
	}
	for _, h := range add {
		b.all[h] = struct{}{}
	}
	for _, h := range drop {
		delete(b.all, h)
	}
}
