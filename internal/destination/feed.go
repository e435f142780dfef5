package destination

import (
	"context"
	"sync"
	"time"

	"rapport/internal/event"
	"rapport/internal/purview"
)

// How much the feed holds and reads.
const (
	feedKept = 8192 // newest items in memory, for all destinations together
	feedRead = 512  // items of one read
)

// freshFor is how long it is believed who somebody is. Permission is asked at
// every attempt; which identifiers belong to a person is read anew after this.
const freshFor = 500 * time.Millisecond

// entry is an item in the hands of the destinations that share it.
type entry struct {
	Item
	event *event.Event // of an item of kind Event

	mu    sync.Mutex
	party *Party
	read  time.Time // machine time at which party was read; zero: never
	made  map[written][]byte
}

// written is what an envelope depends on beside its item.
type written struct {
	text string // options and kinds of identifiers
	sees purview.Scope
}

// feed gives items in order. Those that keep up read each item once together.
type feed struct {
	o    *Office
	more chan struct{}

	mu   sync.Mutex
	last int64 // the newest that was read
	ring []*entry
}

func newFeed(o *Office) *feed { return &feed{o: o, more: make(chan struct{}, 1)} }

// open begins at the newest item.
func (f *feed) open(ctx context.Context) error {
	return f.o.Keeper.Read(ctx, func(s Store) error {
		last, err := s.Last()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.last, f.ring = last, nil
		return err
	})
}

// run reads what is added, until the context ends.
func (f *feed) run(ctx context.Context) {
	for {
		n, err := f.read(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			f.o.Logger.Warn("what is to be told cannot be read, trying again", "error", err)
			f.o.pause(ctx, time.Second)
			continue
		case n > 0:
			f.o.each(func(c *clerk) { poke(c.more) })
			if n == feedRead {
				continue
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-f.more:
		}
	}
}

func (f *feed) read(ctx context.Context) (int, error) {
	f.mu.Lock()
	last := f.last
	f.mu.Unlock()
	list, err := f.load(ctx, last, feedRead)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = list[len(list)-1].Seq
	f.ring = append(f.ring, list...)
	if n := len(f.ring) - feedKept; n > feedKept/4 { // not each time
		f.ring = append([]*entry(nil), f.ring[n:]...)
	}
	return len(list), nil
}

// load reads items with whom they are about.
func (f *feed) load(ctx context.Context, after int64, limit int) ([]*entry, error) {
	var items []Item
	err := f.o.Keeper.Read(ctx, func(s Store) (err error) {
		items, err = s.Told(after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f.entries(ctx, items)
}

// entries opens items.
func (f *feed) entries(ctx context.Context, items []Item) ([]*entry, error) {
	out := make([]*entry, 0, len(items))
	var about []*Item
	var of []*entry
	for i := range items {
		e := &entry{Item: items[i]}
		if e.Kind == Event {
			e.event = &event.Event{}
			if err := e.event.Decode(e.Body); err != nil {
				f.o.Logger.Error("an item to be told cannot be read and is passed over", "seq", e.Seq)
				e.Kind = 0
			}
		}
		if e.about() {
			about, of = append(about, &e.Item), append(of, e)
		}
		out = append(out, e)
	}
	if len(about) == 0 {
		return out, nil
	}
	now := f.o.Mono()
	found, err := f.o.Gate.Whom(ctx, about)
	if err != nil {
		return nil, err
	}
	for i, e := range of {
		e.party, e.read = found[i], now
	}
	return out, nil
}

// after gives up to limit items after a number.
func (f *feed) after(ctx context.Context, seq int64, limit int) ([]*entry, error) {
	f.mu.Lock()
	if seq >= f.last {
		f.mu.Unlock()
		return nil, nil
	}
	if len(f.ring) > 0 && f.ring[0].Seq <= seq+1 {
		from := int(seq + 1 - f.ring[0].Seq) // Numbers have no gaps but where transactions failed.
		for from = min(from, len(f.ring)-1); from > 0 && f.ring[from-1].Seq > seq; from-- {
		}
		for from < len(f.ring) && f.ring[from].Seq <= seq {
			from++
		}
		out := f.ring[from:min(from+limit, len(f.ring))]
		f.mu.Unlock()
		return out, nil
	}
	f.mu.Unlock()
	return f.load(ctx, seq, limit)
}

// whom gives whom an item is about, read anew where that is no longer fresh.
func (f *feed) whom(ctx context.Context, e *entry) (*Party, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := f.o.Mono(); e.read.IsZero() || now.Sub(e.read) > freshFor {
		found, err := f.o.Gate.Whom(ctx, []*Item{&e.Item})
		if err != nil {
			return nil, err
		}
		e.party, e.read, e.made = found[0], now, nil
	}
	return e.party, nil
}

// body writes the envelope once for all that are told the same.
func (e *entry) body(p *Party, d *Definition, options []byte) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := written{text: string(options)}
	for _, k := range d.Identifiers {
		key.text += "\x00" + k
	}
	if d.Sees != nil {
		key.sees = *d.Sees
	}
	if b, ok := e.made[key]; ok && p == e.party {
		return b, nil
	}
	b, err := envelope(&e.Item, e.event, p, d, options)
	if err == nil && p == e.party {
		if e.made == nil {
			e.made = map[written][]byte{}
		}
		e.made[key] = b
	}
	return b, err
}
