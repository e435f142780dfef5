package processor

import (
	"context"
	"fmt"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/id"
)

// ahead is the goroutine that reads and decodes the live lane before the walk
// needs it.
type ahead struct {
	ready chan *batch
	back  chan *batch
	err   error

	people []id.Person
}

func (a *ahead) give(b *batch) {
	select {
	case a.back <- b:
	default:
	}
}

// wait returns once the goroutine has ended.
func (a *ahead) wait() {
	for range a.ready { //nolint:revive // What was read ahead is read again by the next walk.
	}
}

func (w *Walker) readAhead(ctx context.Context) *ahead {
	a := &ahead{ready: make(chan *batch, 1), back: make(chan *batch, 3)}
	go func() {
		defer close(a.ready)
		a.err = w.feed(ctx, a)
	}()
	return a
}

func (w *Walker) feed(ctx context.Context, a *ahead) error {
	next := w.Walked(eventlog.Live) + 1
	var last time.Time // when the last batch was taken
	taken := 0         // how many events it held
	for {
		if !w.gather(ctx, last, taken) {
			return nil
		}
		moved := w.Log.Changed(eventlog.Live)
		recs, err := w.Log.Read(ctx, eventlog.Live, next, batchBytes)
		switch {
		case err != nil:
			return ended(ctx, fmt.Errorf("read the live lane: %w", err))
		case len(recs) == 0:
			select {
			case <-moved:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		last, taken = w.Mono(), len(recs)
		for len(recs) > 0 {
			b := &batch{}
			select {
			case b = <-a.back:
			default:
			}
			w.prepare(b, eventlog.Live, recs[:min(len(recs), liveRecords)])
			recs = recs[len(b.items):]
			next = b.last() + 1
			w.foresee(ctx, a, b)
			select {
			case a.ready <- b:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// foresee lets the store read whom a batch names before it is walked. Where that
// fails the batch meets the same trouble, and tells of it.
func (w *Walker) foresee(ctx context.Context, a *ahead, b *batch) {
	b.named, a.people = b.hashes(b.named[:0]), b.persons(a.people[:0])
	if err := w.Keeper.Ahead(ctx, b.named, a.people); err != nil && ctx.Err() == nil {
		w.Logger.Debug("reading ahead failed, the batch asks itself", "error", err)
	}
}

// How far apart two live batches begin at the least. A transaction costs as much
// as walking a few dozen events: without the pause ten thousand single events a
// second would be as many transactions as the disk allows. What comes after a
// silence is walked at once, and so is what has piled up into a full batch; in
// between, the pause is long where each millisecond brings several events,
// because then nobody's event is alone in waiting for the next transaction.
const (
	gatherFew  = 1500 * time.Microsecond
	gatherMany = 8 * time.Millisecond
	manyEvents = 16  // in one batch: a stream rather than single events
	piledUp    = 400 // in one batch: its transaction costs little beside its events
)

// pauseAfter is how long the next live batch waits after one of n events began.
func pauseAfter(n int) time.Duration {
	switch {
	case n >= piledUp:
		return 0
	case n >= manyEvents:
		return gatherMany
	default:
		return gatherFew
	}
}

// gather waits until the next batch may begin, and tells whether there will be
// one. The last began at the instant last and held n events.
func (w *Walker) gather(ctx context.Context, last time.Time, n int) bool {
	wait := pauseAfter(n) - w.Mono().Sub(last)
	if last.IsZero() || wait <= 0 {
		return true
	}
	t := time.NewTimer(wait) // machine time
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
