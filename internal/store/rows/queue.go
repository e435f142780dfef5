package rows

import (
	"context"
	"sync"

	"rapport/internal/store"
)

// Queue lets one writer in at a time: of those who wait the most urgent goes
// first, and of the equally urgent the one that came first.
type Queue struct {
	mu      sync.Mutex
	busy    bool
	waiting [store.Idle + 1][]chan struct{}
}

// Enter waits for its turn. Without an error Leave must follow.
func (q *Queue) Enter(ctx context.Context, p store.Priority) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p = min(p, store.Idle)
	q.mu.Lock()
	if !q.busy {
		q.busy = true
		q.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	q.waiting[p] = append(q.waiting[p], turn)
	q.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	for i, w := range q.waiting[p] {
		if w == turn {
			q.waiting[p] = append(q.waiting[p][:i:i], q.waiting[p][i+1:]...)
			q.mu.Unlock()
			return ctx.Err()
		}
	}
	q.mu.Unlock()
	q.Leave() // The turn came at the same moment: pass it on.
	return ctx.Err()
}

// Leave hands the turn to the next.
func (q *Queue) Leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for p := range q.waiting {
		if w := q.waiting[p]; len(w) > 0 {
			q.waiting[p] = w[1:]
			close(w[0])
			return
		}
	}
	q.busy = false
}

// Waiting tells how many wait that are as urgent as p, or more so.
func (q *Queue) Waiting(p store.Priority) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, w := range q.waiting[:min(p, store.Idle)+1] {
		n += len(w)
	}
	return n
}
