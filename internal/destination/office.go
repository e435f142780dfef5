package destination

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what an Office needs. All of it is required but the Logger.
type Config struct {
	Keeper Keeper
	Gate   Gate
	Now    func() time.Time                     // business time, by which items are tried again
	After  func(time.Duration) <-chan time.Time // business time too
	Mono   func() time.Time                     // machine time
	Wall   func() time.Time                     // wall-clock time, which receivers hold signatures against
	Rand   func() float64                       // in [0, 1)
	Logger *slog.Logger
}

// Office tells every destination. Run it once; the rest is safe for concurrent
// use at any time.
type Office struct {
	Config
	defs    atomic.Pointer[[]Definition]
	feed    *feed
	ledger  *ledger
	changed chan struct{}
	counts  counts

	hiring sync.Mutex // held while clerks read where they begin, and by who changes that without one
	mu     sync.Mutex
	clerks map[string]*clerk
}

// New checks the configuration and makes an Office.
func New(c Config) (*Office, error) {
	if c.Keeper == nil || c.Gate == nil || c.Now == nil || c.After == nil || c.Mono == nil || c.Wall == nil || c.Rand == nil {
		return nil, errors.New("destination: Keeper, Gate, Now, After, Mono, Wall and Rand are required")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	o := &Office{Config: c, changed: make(chan struct{}, 1), clerks: map[string]*clerk{}}
	o.feed = newFeed(o)
	o.ledger = newLedger(o)
	o.counts.n = map[Count]int64{}
	return o, nil
}

// Use lets other definitions hold. Those who are new are told what comes from now
// on; what was kept for those who are gone is forgotten.
func (o *Office) Use(ctx context.Context, defs []Definition) error {
	defs = slices.Clone(defs)
	var gone, begun []string
	err := o.Keeper.Read(ctx, func(s Store) error { // Where nobody comes or goes nothing is written.
		known, err := s.Standings()
		gone, begun = compare(known, defs)
		return err
	})
	if err == nil && len(gone)+len(begun) > 0 {
		err = o.Keeper.Write(ctx, true, func(s Store) error {
			last, err := s.Last()
			if err != nil {
				return err
			}
			for _, name := range gone {
				if err := s.Forget(name); err != nil {
					return err
				}
			}
			for _, name := range begun {
				if err := s.Begin(name, last); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("begin destinations: %w", err)
	}
	o.defs.Store(&defs)
	poke(o.changed)
	return nil
}

// Used tells whether definitions hold.
func (o *Office) Used() bool { return o.defs.Load() != nil }

// compare tells which destinations are no more, and which are new.
func compare(known []Standing, defs []Definition) (gone, begun []string) {
	for _, k := range known {
		if !slices.ContainsFunc(defs, func(d Definition) bool { return d.Name == k.Name }) {
			gone = append(gone, k.Name)
		}
	}
	for i := range defs {
		if !slices.ContainsFunc(known, func(k Standing) bool { return k.Name == defs[i].Name }) {
			begun = append(begun, defs[i].Name)
		}
	}
	return gone, begun
}

// Wake tells that a commit has added items.
func (o *Office) Wake() { poke(o.feed.more) }

// Run tells destinations until the context ends. What is on the wire then has a
// few seconds to come back; what does not is told again.
func (o *Office) Run(ctx context.Context) error {
	inner, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	if err := o.feed.open(ctx); err != nil {
		return err
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		o.ledger.run(inner)
	}()
	group.Go(func() { o.feed.run(inner) })
	for {
		select {
		case <-o.changed: // What changed before is about to be read.
		default:
		}
		set := o.defs.Load()
		working, rest := context.WithCancel(ctx)
		var clerks sync.WaitGroup
		if set != nil {
			if err := o.begin(working, &clerks, *set); err != nil && ctx.Err() == nil {
				o.Logger.Error("destinations cannot be told, trying again", "error", err)
				poke(o.changed)
				o.pause(ctx, time.Second)
			}
		}
		select {
		case <-ctx.Done():
		case <-o.changed:
		}
		rest()
		clerks.Wait()
		if err := o.ledger.flush(context.WithoutCancel(ctx)); err != nil {
			o.Logger.Warn("how far destinations are could not be written; some items will be told again", "error", err)
		}
		if ctx.Err() != nil {
			stop()
			<-written
			return nil
		}
	}
}

// begin starts a clerk for each definition.
func (o *Office) begin(ctx context.Context, group *sync.WaitGroup, set []Definition) error {
	o.hiring.Lock()
	defer o.hiring.Unlock()
	clerks := map[string]*clerk{}
	err := o.Keeper.Read(ctx, func(s Store) error {
		clear(clerks)
		standings, err := s.Standings()
		if err != nil {
			return err
		}
		for i := range set {
			at := slices.IndexFunc(standings, func(k Standing) bool { return k.Name == set[i].Name })
			if at < 0 {
				continue // It was forgotten meanwhile: another definition holds by now.
			}
			c := newClerk(o, &set[i], standings[at])
			if err := c.load(s); err != nil {
				return err
			}
			clerks[set[i].Name] = c
		}
		return nil
	})
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.clerks = clerks
	o.mu.Unlock()
	for _, c := range clerks {
		group.Go(func() { c.run(ctx) })
	}
	return nil
}

// each calls fn for every clerk, in order of name.
func (o *Office) each(fn func(*clerk)) {
	o.mu.Lock()
	list := maps.Clone(o.clerks)
	o.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(list)) {
		fn(list[name])
	}
}

// pause waits in machine time.
func (o *Office) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// poke wakes whoever waits on a channel of one place.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Count names what is counted.
type Count struct{ Destination, Outcome, Reason string }

// The outcomes.
const (
	Delivered = "delivered"
	Failed    = "failed"  // an attempt, which may be made again
	Dropped   = "dropped" // a gate said no
	Died      = "dead"
)

// counts counts since the start.
type counts struct {
	mu sync.Mutex
	n  map[Count]int64
}

func (c *counts) add(destination, outcome, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[Count{destination, outcome, reason}]++
}

// Counts gives what was counted since the start.
func (o *Office) Counts() map[Count]int64 {
	o.counts.mu.Lock()
	defer o.counts.mu.Unlock()
	return maps.Clone(o.counts.n)
}
