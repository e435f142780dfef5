package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Leaver takes checkpoints away from the machine. Leave gets them in order; what
// it has taken it is not given again, but for a crash in between.
type Leaver interface {
	Name() string // under which the store remembers how far it has come
	Leave(ctx context.Context, p *Parcel) error
}

// Place is where checkpoints go.
type Place struct {
	To Leaver
	// Every is how often the newest checkpoint goes there at most; zero: each of
	// them goes, in order.
	Every time.Duration
}

// Standing is how a place stands.
type Standing struct {
	Place string
	Stays bool  // a checkpoint should have left for it and has not
	Err   error // of the last attempt; nil where there was none yet
}

// ErrStays is in the error of CatchUp where all is signed, but could not leave.
var ErrStays = errors.New("a checkpoint could not leave")

// mostPauses is how many rounds a place that takes nothing is left alone at most:
// five minutes.
const mostPauses = 600

// way is what is remembered of a place while the process lives.
type way struct {
	busy sync.Mutex // one at a time takes checkpoints there, so that none leaves twice

	pauses, next int // rounds until it is tried again, and how many after the next failure
	tried        bool
	err          error
}

// Use says how long rows wait for a checkpoint, and where checkpoints go.
func (t *Trail) Use(every time.Duration, places ...Place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.every, t.places = every, places
	ways := map[string]*way{}
	for _, p := range places {
		name := p.To.Name()
		if ways[name] = t.ways[name]; ways[name] == nil {
			ways[name] = &way{}
		}
	}
	t.ways = ways
}

// used gives where checkpoints go.
func (t *Trail) used() ([]Place, map[string]*way) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.places, t.ways
}

// leave gives each place what it has not taken, all at once: one that hangs holds
// up no other. A place that took nothing is left alone for a while, unless somebody asks.
func (t *Trail) leave(ctx context.Context, ask bool) error {
	places, ways := t.used()
	failed := make([]error, len(places))
	var all sync.WaitGroup
	for i, p := range places {
		all.Go(func() {
			if err := t.leaveFor(ctx, &p, ways[p.To.Name()], ask); err != nil {
				failed[i] = fmt.Errorf("%w to %s: %w", ErrStays, p.To.Name(), err)
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

func (t *Trail) leaveFor(ctx context.Context, p *Place, w *way, ask bool) error {
	if p.Every == 0 {
		w.busy.Lock()
	} else if !w.busy.TryLock() { // It goes now and then only, and may take long: nobody waits for it.
		return nil
	}
	defer w.busy.Unlock()
	if !t.mayTry(w, ask && p.Every == 0) {
		return nil
	}
	for {
		more, err := t.leaveOne(ctx, p)
		t.tried(w, err)
		if err != nil || !more {
			return err
		}
	}
}

// mayTry counts a round down in which a place is left alone.
func (t *Trail) mayTry(w *way, ask bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.pauses > 0 && !ask {
		w.pauses--
		return false
	}
	return true
}

// tried notes how an attempt went; after each failure a place is left alone twice as long.
func (t *Trail) tried(w *way, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.tried, w.err = true, err
	if err == nil {
		w.pauses, w.next = 0, 0
		return
	}
	w.next = min(2*w.next+1, mostPauses)
	w.pauses = w.next
}

// due gives the checkpoint that goes to a place next, and how far the place is.
func (t *Trail) due(st Store, p *Place) (c Checkpoint, from int64, found bool, err error) {
	if from, err = st.Left(p.To.Name()); err != nil {
		return c, 0, false, err
	}
	if p.Every == 0 {
		marks, err := st.Checkpoints(from, 1)
		if err != nil || len(marks) == 0 {
			return c, from, false, err
		}
		return marks[0], from, true, nil
	}
	if c, found, err = st.LastCheckpoint(); err != nil || !found || c.Size <= from {
		return c, from, false, err
	}
	last, err := st.Checkpoints(from-1, 1)
	if err != nil {
		return c, from, false, err
	}
	early := len(last) > 0 && last[0].Size == from && t.now().Sub(last[0].At) < p.Every
	return c, from, !early, nil
}

func (t *Trail) leaveOne(ctx context.Context, at *Place) (more bool, err error) {
	var p *Parcel
	var next int64
	err = t.keeper.Read(ctx, func(st Store) error {
		p = nil
		c, from, found, err := t.due(st, at)
		if err != nil || !found {
			return err
		}
		next = c.Size
		p, err = parcel(st, c, from)
		return err
	})
	if err != nil || p == nil {
		return false, err
	}
	if err := at.To.Leave(ctx, p); err != nil {
		return false, err
	}
	return true, t.keeper.Write(ctx, false, func(st Store) error { return st.SetLeft(at.To.Name(), next) })
}

// parcel packs a checkpoint with the hashes of the rows since the one before.
func parcel(st Store, c Checkpoint, from int64) (*Parcel, error) {
	p := &Parcel{Checkpoint: c.Note, From: max(from, c.Size-parcelRows)}
	indexes := make([]int64, 0, c.Size-p.From)
	for n := p.From; n < c.Size; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, n))
	}
	var err error
	p.Leaves, err = st.Hashes(indexes)
	return p, err
}

// Standing tells how each place stands. What has not been tried since the start
// counts as it did before, by what the store says has left.
func (t *Trail) Standing(ctx context.Context) (out []Standing, err error) {
	places, ways := t.used()
	err = t.keeper.Read(ctx, func(st Store) error {
		out = out[:0]
		for i := range places {
			_, _, found, err := t.due(st, &places[i])
			if err != nil {
				return err
			}
			out = append(out, Standing{Place: places[i].To.Name(), Stays: found})
		}
		return nil
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range out {
		w := ways[out[i].Place]
		out[i].Err = w.err
		out[i].Stays = out[i].Stays && (w.err != nil || !w.tried)
	}
	return out, err
}
