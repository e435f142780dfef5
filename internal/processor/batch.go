package processor

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/identity"
)

// Sizes of a batch: what waits is taken, up to these. While live events come, a
// bulk batch is small, so that it never holds them up for long.
const (
	liveRecords = 1000
	bulkRecords = 500
	bulkBetween = 32
	batchBytes  = 1 << 20
	batchWaves  = 2 // each touches as many people as a batch of events
)

// batch is a run of records of one lane, decoded and hashed; making one needs
// no transaction, so that it can be done ahead of the walk.
type batch struct {
	lane  eventlog.Lane
	first int64 // position of the first record
	items []item
	named []id.Hash // hashes of it all, where they are known already
}

// item is one record, ready to be walked.
type item struct {
	pos   int64
	at    int64 // instant of its frame, Unix milliseconds
	body  []byte
	e     event.Event
	ids   []identity.Identifier
	hash  id.Hash // of source and message id
	prev  identity.Identifier
	alias bool // prev is set
	err   error
}

func (b *batch) last() int64 { return b.first + int64(len(b.items)) - 1 }

// sum is the digest of a batch's records, as a Witness is told it.
func (b *batch) sum() (out [sha256.Size]byte) {
	h := sha256.New()
	var n [8]byte
	for i := range b.items {
		binary.LittleEndian.PutUint64(n[:], uint64(len(b.items[i].body)))
		_, _ = h.Write(n[:]) // A hash takes everything.
		_, _ = h.Write(b.items[i].body)
	}
	h.Sum(out[:0])
	return out
}

// prepare decodes records into b, reusing what it holds. It ends before a
// configuration record, which becomes a batch of its own, and after a few waves.
func (w *Walker) prepare(b *batch, lane eventlog.Lane, recs []eventlog.Record) {
	b.lane = lane
	b.first = recs[0].Pos
	if cap(b.items) < len(recs) {
		b.items = slices.Grow(b.items[:0], len(recs))
	}
	b.items, b.named = b.items[:0], b.named[:0]
	waves := 0
	for _, rec := range recs {
		n := len(b.items)
		b.items = b.items[:n+1]
		it := &b.items[n]
		it.pos, it.at, it.body = rec.Pos, rec.At.UnixMilli(), rec.Body
		it.ids, it.alias = it.ids[:0], false
		if it.err = it.e.Decode(rec.Body); it.err != nil {
			it.hash = w.Hasher.Sum("damaged", fmt.Sprintf("%d/%d", lane, rec.Pos))
			continue
		}
		if it.e.Type == event.Config && n > 0 {
			b.items = b.items[:n]
			return
		}
		it.hash = w.hashOf(&it.e)
		it.ids = w.Resolver.Of(&it.e, it.ids)
		it.prev, it.alias = w.Resolver.PreviousUser(&it.e)
		if it.e.Type == event.GroupChanged {
			waves++
		}
		if it.e.Type == event.Config || waves == batchWaves {
			return
		}
	}
}

// hashOf is what makes an event the same as another: its source and message id.
func (w *Walker) hashOf(e *event.Event) id.Hash {
	var buf [192]byte
	key := append(append(append(buf[:0], e.Source...), 0), e.MessageID...)
	return w.Hasher.SumBytes("message", key)
}

// hashes gives the distinct identifier hashes of a batch, sorted.
func (b *batch) hashes(dst []id.Hash) []id.Hash {
	for i := range b.items {
		for _, x := range b.items[i].ids {
			dst = append(dst, x.Hash)
		}
		if b.items[i].alias {
			dst = append(dst, b.items[i].prev.Hash)
		}
	}
	slices.SortFunc(dst, func(x, y id.Hash) int { return slices.Compare(x[:], y[:]) })
	return slices.Compact(dst)
}

// persons gives the persons that the house's own records name.
func (b *batch) persons(dst []id.Person) []id.Person {
	for i := range b.items {
		if p := b.items[i].e.Person; p > 0 {
			dst = append(dst, id.Person(p))
		}
	}
	return dst
}

func sortPersons(p []id.Person) []id.Person {
	slices.SortFunc(p, func(a, b id.Person) int { return cmp.Compare(a, b) })
	return slices.Compact(p)
}
