package manage

import (
	"context"
	"encoding/binary"
	"sync"

	"rapport/internal/id"
)

// How much of the outbox one request looks through for all that follow, and how
// the filter is cut: 16 bits a key and four probes take one new key in 400 for
// one that may be known.
const (
	keysAtOnce  = 4096
	bitsPerKey  = 16
	probes      = 4
	fewestKnown = 1 << 16
)

// known tells which idempotency keys cannot stand in the outbox, so that a new
// key costs no look into it. It learns the keys that are there a page with each
// request, and hears of those that come; until it has them all, every key may be
// known. A key for which it says no has never been asked under.
type known struct {
	keys  func(ctx context.Context, after id.Hash, limit int) ([]id.Hash, error)
	count func(ctx context.Context) (int64, error)
	// What the log holds by now, and how far it is walked.
	tail, walked func() int64

	mu       sync.Mutex
	bits     []uint64
	room     int // keys for which the filter was cut
	held     int
	after    id.Hash // how far the outbox was looked through
	from     int64   // records up to here must be walked first: nobody told of them
	ready    bool
	learning bool
}

// may tells whether a key may stand in the outbox.
func (k *known) may(ctx context.Context, h digest) bool {
	k.mu.Lock()
	if k.ready && k.held <= k.room {
		defer k.mu.Unlock()
		return k.has(h)
	}
	if k.learning {
		k.mu.Unlock()
		return true
	}
	k.learning = true
	k.mu.Unlock()
	k.learn(ctx)
	return true
}

// add notes a key after its record is written, and before anybody forgets that
// it is under way.
func (k *known) add(h digest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bits != nil {
		k.set(h)
	}
}

// learn looks through one page of the outbox, from the front where the filter is
// missing or has become too full. An error leaves it for another request.
func (k *known) learn(ctx context.Context) {
	k.mu.Lock()
	fresh, after := k.bits == nil || k.held > k.room, k.after
	k.mu.Unlock()
	if fresh {
		n, err := k.count(ctx)
		k.mu.Lock()
		if err != nil {
			k.learning = false
			k.mu.Unlock()
			return
		}
		// Those that come from now on are heard of; those that came before are
		// found, once they are walked.
		k.room, k.held, k.after, k.ready = max(2*int(n), fewestKnown), 0, id.Hash{}, false
		k.bits = make([]uint64, 1+k.room*bitsPerKey/64)
		after, k.from = k.after, k.tail()
		k.mu.Unlock()
	}
	if k.walked() < k.from { // only who learns changes it
		k.mu.Lock()
		defer k.mu.Unlock()
		k.learning = false
		return
	}
	page, err := k.keys(ctx, after, keysAtOnce)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.learning = false
	if err != nil {
		return
	}
	for _, h := range page {
		k.set(digest(h))
		k.after = h
	}
	k.ready = len(page) < keysAtOnce
}

// set and has use the digest's own bytes: it is a hash already.
func (k *known) set(h digest) {
	k.held++
	for i := range probes {
		b := k.bit(h, i)
		k.bits[b/64] |= 1 << (b % 64)
	}
}

func (k *known) has(h digest) bool {
	for i := range probes {
		if b := k.bit(h, i); k.bits[b/64]&(1<<(b%64)) == 0 {
			return false
		}
	}
	return true
}

func (k *known) bit(h digest, i int) uint64 {
	return uint64(binary.LittleEndian.Uint32(h[4*i:])) * uint64(64*len(k.bits)) >> 32
}
