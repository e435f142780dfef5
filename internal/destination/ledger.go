package destination

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How long changes gather before they are written, in machine time: what is lost
// in a crash meanwhile is told again under the same id.
const (
	gather    = 50 * time.Millisecond
	trimEvery = 5 * time.Second
	trimOnce  = 5000
)

// book is what a clerk has not yet written.
type book struct {
	moved    bool
	seq      int64
	held     map[int64]*Held // nil: release it
	disabled *Standing
	told     int64 // delivered since the trail was told so
	noted    time.Time
}

// ledger writes for every clerk in one transaction.
type ledger struct {
	o     *Office
	dirty chan struct{}

	trimmed int64       // up to here nothing but what is held is left
	freed   atomic.Bool // some that was held is so no more
	writing sync.Mutex
	mu      sync.Mutex
	books   map[string]*book
}

func newLedger(o *Office) *ledger {
	return &ledger{o: o, dirty: make(chan struct{}, 1), books: map[string]*book{}}
}

// change lets fn change the book of a destination.
func (l *ledger) change(name string, fn func(*book)) {
	l.mu.Lock()
	b := l.books[name]
	if b == nil {
		b = &book{held: map[int64]*Held{}}
		l.books[name] = b
	}
	fn(b)
	l.mu.Unlock()
	poke(l.dirty)
}

// run writes and trims until the context ends.
func (l *ledger) run(ctx context.Context) {
	trim := time.NewTicker(trimEvery)
	defer trim.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-trim.C:
			if err := l.trim(ctx); err != nil && ctx.Err() == nil {
				l.o.Logger.Warn("what was told cannot be cleared away, trying again", "error", err)
			}
			continue
		case <-l.dirty:
		}
		l.o.pause(ctx, gather)
		if err := l.flush(ctx); err != nil && ctx.Err() == nil {
			l.o.Logger.Warn("how far destinations are cannot be written, trying again", "error", err)
			l.o.pause(ctx, time.Second)
			poke(l.dirty)
		}
	}
}

// flush writes what the clerks have changed.
func (l *ledger) flush(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	taken := l.books
	l.books = make(map[string]*book, len(taken))
	for name, b := range taken {
		if now := l.o.Mono(); b.told > 0 && now.Sub(b.noted) < time.Second { // one row of the trail a second
			l.books[name] = &book{held: map[int64]*Held{}, told: b.told, noted: b.noted}
			b.told = 0
		} else if b.told > 0 {
			b.noted = now
			l.books[name] = &book{held: map[int64]*Held{}, noted: now}
		}
	}
	l.mu.Unlock()
	err := l.o.Keeper.Write(ctx, false, func(s Store) error {
		known, err := s.Standings()
		if err != nil {
			return err
		}
		for _, k := range known { // What was forgotten meanwhile stays forgotten.
			if taken[k.Name] == nil {
				continue
			}
			if err := taken[k.Name].write(s, k.Name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.putBack(taken)
		return err
	}
	for _, b := range taken {
		for _, h := range b.held {
			if h == nil {
				l.freed.Store(true)
			}
		}
	}
	return nil
}

func (b *book) write(s Store, name string) error {
	for _, seq := range slices.Sorted(maps.Keys(b.held)) {
		var err error
		if h := b.held[seq]; h != nil {
			err = s.Hold(name, *h)
		} else {
			err = s.Release(name, seq)
		}
		if err != nil {
			return err
		}
	}
	if d := b.disabled; d != nil {
		if err := s.Disable(name, d.Disabled, d.Since); err != nil {
			return err
		}
	}
	if b.moved || b.told > 0 {
		return s.Move(name, b.seq, b.told)
	}
	return nil
}

// putBack keeps what could not be written beside what has changed since.
func (l *ledger) putBack(taken map[string]*book) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, old := range taken {
		b := l.books[name]
		if b == nil {
			l.books[name] = old
			continue
		}
		if !b.moved && old.moved {
			b.moved, b.seq = true, old.seq
		}
		for seq, h := range old.held {
			if _, ok := b.held[seq]; !ok {
				b.held[seq] = h
			}
		}
		if b.disabled == nil {
			b.disabled = old.disabled
		}
		b.told += old.told
	}
}

// trim deletes what no destination needs any more.
func (l *ledger) trim(ctx context.Context) error {
	var upTo int64
	again, needless := l.freed.Swap(false), false
	err := l.o.Keeper.Read(ctx, func(s Store) error { // Where nothing is told nothing is written.
		var err error
		if upTo, err = s.Last(); err != nil {
			return err
		}
		list, err := s.Standings()
		for _, k := range list {
			upTo = min(upTo, k.Seq)
		}
		if needless = upTo == l.trimmed && !again; err != nil || needless {
			return err
		}
		first, err := s.Told(0, 1)
		needless = len(first) == 0 || first[0].Seq > upTo
		return err
	})
	if err != nil && again {
		l.freed.Store(true)
	}
	if err != nil || needless {
		return err
	}
	for n := trimOnce; n == trimOnce && ctx.Err() == nil; {
		err := l.o.Keeper.Write(ctx, false, func(s Store) (err error) {
			n, _, err = s.Trim(upTo, trimOnce)
			return err
		})
		if err != nil {
			l.freed.Store(true)
			return err
		}
	}
	l.trimmed = upTo
	return nil
}

// Clean forgets dead letters that were kept long enough.
func (o *Office) Clean(ctx context.Context) error {
	for n := trimOnce; n == trimOnce; {
		err := o.Keeper.Write(ctx, false, func(s Store) (err error) {
			n, err = s.DropDead(o.Now().Add(-KeepDead), trimOnce)
			return err
		})
		if n > 0 {
			o.ledger.freed.Store(true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
