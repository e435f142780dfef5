package processor

import (
	"fmt"
	"time"

	"rapport/internal/id"
)

// seenRun is a run of hashes of one batch in one slice of the duplicate window.
type seenRun struct {
	at   time.Time // newest
	from int       // where its hashes begin
}

// seenNow makes a record one that was seen.
func (w *Walker) seenNow(it *item) {
	at := time.UnixMilli(it.at)
	w.noteSeen(it.hash, at)
	w.batchSeen[it.hash] = at
}

// noteSeen adds a hash to those of the batch in hand.
func (w *Walker) noteSeen(h id.Hash, at time.Time) {
	p := w.p
	if n := len(p.runs); n == 0 || w.seen.apart(p.runs[n-1].at, at) {
		p.runs = append(p.runs, seenRun{at, len(p.hashes)})
	} else if at.After(p.runs[n-1].at) {
		p.runs[n-1].at = at
	}
	p.hashes = append(p.hashes, h[:]...)
}

// eachRun calls fn for the hashes of each run.
func (p *pass) eachRun(fn func(at time.Time, hashes []byte) error) error {
	for i, run := range p.runs {
		end := len(p.hashes)
		if i+1 < len(p.runs) {
			end = p.runs[i+1].from
		}
		if err := fn(run.at, p.hashes[run.from:end]); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) writeSeen() error {
	if err := p.eachRun(p.books.Walk.AppendSeen); err != nil {
		return fmt.Errorf("write the duplicate window: %w", err)
	}
	return nil
}

// inBatch tells whether the batch in hand has a hash, within the window: a batch
// may span days where the walk catches up.
func (w *Walker) inBatch(h id.Hash, at time.Time) bool {
	before, ok := w.batchSeen[h]
	return ok && w.seen.holds(before, at)
}
