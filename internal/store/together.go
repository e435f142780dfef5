package store

import (
	"context"
	"sync"

	"rapport/internal/fault"
)

// togetherMost bounds how many share one transaction.
const togetherMost = 64

// Together lets writers who wait at the same time share one transaction, and so one
// fsync: who comes while a transaction is under way has a place in the next one. It
// is for writes that do not look at each other. It is safe for concurrent use.
type Together struct {
	State   State
	Options WriteOptions

	mu      sync.Mutex
	waiting []*sharer
	running bool
}

// sharer is one of those who share a transaction.
type sharer struct {
	ctx  context.Context //nolint:containedctx // Whoever waits no more is passed over.
	fn   func(Tx) error
	done chan error // capacity 1
}

// Write runs fn as State.Write does, and like there fn may be run more than once:
// where somebody fails, everybody has a transaction of their own, and where the store
// does, all fail. A context that ends takes back what no transaction has begun with.
func (g *Together) Write(ctx context.Context, fn func(Tx) error) error {
	s := &sharer{ctx, fn, make(chan error, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, s)
	if !g.running {
		g.running = true
		go g.run() //nolint:gosec // It writes for others, too, who go on when this caller gives up.
	}
	g.mu.Unlock()
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
	}
	g.mu.Lock()
	for i, w := range g.waiting {
		if w == s {
			g.waiting = append(g.waiting[:i:i], g.waiting[i+1:]...)
			g.mu.Unlock()
			return ctx.Err()
		}
	}
	g.mu.Unlock()
	return <-s.done // Its transaction is under way, with what belongs to the caller.
}

// run writes until nobody waits.
func (g *Together) run() {
	for {
		var group []*sharer
		err := g.State.Write(context.Background(), g.Options, func(tx Tx) error {
			if group == nil { // Who came while this waited for its turn goes along.
				group = g.take()
			}
			return all(tx, group)
		})
		if group == nil { // It did not come to its turn.
			group = g.take()
		}
		for _, s := range group {
			if err != nil && len(group) > 1 && !fault.Temporary(err) { // One of them is wrong, and not the store.
				s.done <- g.alone(s)
			} else {
				s.done <- err
			}
		}
		if g.ended() {
			return
		}
	}
}

// alone writes for one who still waits.
func (g *Together) alone(s *sharer) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return g.State.Write(s.ctx, g.Options, func(tx Tx) error { return all(tx, []*sharer{s}) })
}

// all runs everybody's part in one transaction. A defect in one of them ends that
// one alone, not the process, whose caller is in another goroutine.
func all(tx Tx, group []*sharer) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.Internal, "write_panicked", "the writing of this panicked with a %T", r)
		}
	}()
	for _, s := range group {
		if err := s.fn(tx); err != nil {
			return err
		}
	}
	return nil
}

// Waiting tells how many wait for a transaction.
func (g *Together) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

func (g *Together) take() []*sharer {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), togetherMost)
	group := make([]*sharer, n)
	copy(group, g.waiting)
	g.waiting = append([]*sharer(nil), g.waiting[n:]...)
	return group
}

func (g *Together) ended() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running = len(g.waiting) > 0
	return !g.running
}
