package destination

import (
	"context"
	"slices"
	"sync"
	"time"
)

// How much one clerk has in hand.
const (
	windowMost = 1024   // items read and not done
	heldMost   = 10_000 // items that wait to be tried again; beyond it no new ones are begun
	dueAtOnce  = 256    // held items that are read at once
)

// clerk tells one destination. Everything down to mu belongs to its one
// goroutine; those who send report to it.
type clerk struct {
	o    *Office
	def  *Definition
	more chan struct{}
	asks chan func(context.Context)
	ends chan result

	seq     int64 // read up to here
	window  []*slot
	lines   map[int64]*lineup
	ready   []*job
	alarms  alarms
	held    int // of those in lines
	flying  int
	breaker breaker
	hold    time.Time // asked by the destination: nothing before
	gone    string    // why it is disabled
	since   time.Time
	begun   map[int64]bool // held items that it knows
	lasts   outcome        // of the last attempt
	lastAt  time.Time
	aged    time.Time // when it was last looked for what is too old

	over chan struct{} // closed at the end
	mu   sync.Mutex
	line Line
}

// result is how an attempt ended.
type result struct {
	job *job
	outcome
}

func newClerk(o *Office, d *Definition, s Standing) *clerk {
	return &clerk{
		o: o, def: d, more: make(chan struct{}, 1), asks: make(chan func(context.Context)), ends: make(chan result, max(d.Connections, 1)),
		over: make(chan struct{}), seq: s.Seq, lines: map[int64]*lineup{}, begun: map[int64]bool{}, gone: s.Disabled, since: s.Since,
	}
}

// load takes on what is held.
func (c *clerk) load(s Store) error {
	for after := int64(0); ; {
		list, err := s.Held(c.def.Name, false, after, dueAtOnce)
		if err != nil {
			return err
		}
		var seqs []int64
		for i := range list {
			if !c.begun[list[i].Seq] {
				seqs = append(seqs, list[i].Seq)
			}
			after = list[i].Seq
		}
		items, err := s.Items(seqs)
		if err != nil {
			return err
		}
		for i := range items {
			h := list[slices.IndexFunc(list, func(h Held) bool { return h.Seq == items[i].Seq })]
			c.adopt(&job{seq: h.Seq, key: keyOf(&items[i]), at: items[i].At, held: &h})
		}
		if len(list) < dueAtOnce {
			break
		}
	}
	c.ring()
	return nil
}

// adopt puts an item that is held into its line.
func (c *clerk) adopt(j *job) {
	c.begun[j.seq] = true
	c.held++
	c.lineOf(j.key).add(j)
}

func (c *clerk) lineOf(key int64) *lineup {
	l := c.lines[key]
	if l == nil {
		l = &lineup{}
		c.lines[key] = l
	}
	return l
}

// ring sets the alarm of everybody's first item that is held.
func (c *clerk) ring() {
	for _, l := range c.lines {
		if j := l.jobs[0]; j.held != nil && !j.queued {
			c.alarms.set(j.held.Due, j)
		}
	}
}

// run tells until the context ends and what is on the wire has come back.
func (c *clerk) run(ctx context.Context) {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer close(c.over)
	for ctx.Err() == nil {
		wait := c.turn(ctx, sending)
		c.publish()
		select {
		case <-ctx.Done():
		case <-c.more:
		case ask := <-c.asks:
			ask(ctx)
		case r := <-c.ends:
			c.end(ctx, r)
		case <-wait:
		}
	}
	grace := time.NewTimer(stopGrace) // machine time
	defer grace.Stop()
	for c.flying > 0 {
		select {
		case r := <-c.ends:
			c.end(ctx, r)
		case <-grace.C:
			stop()
		}
	}
	c.publish()
}

// stopGrace is how long those on the wire may take when the house stops.
const stopGrace = 2 * time.Second

// turn does what can be done now and gives what wakes it when nothing else does.
func (c *clerk) turn(ctx, sending context.Context) <-chan time.Time {
	now := c.o.Now()
	if err := c.fill(ctx); err != nil && ctx.Err() == nil {
		c.o.Logger.Warn("what a destination is to be told cannot be read, trying again", "destination", c.def.Name, "error", err)
		return c.o.After(time.Second)
	}
	if c.down() {
		c.giveUp(now)
	}
	if c.gone != "" || c.def.Unusable != "" {
		return c.until(now.Add(time.Minute)) // for what grows too old
	}
	until := c.hold
	if rests, open := c.breaker.rests(now); open && rests.After(until) {
		until = rests
	}
	if until.After(now) {
		return c.until(until)
	}
	if err := c.wakeHeld(ctx, now); err != nil && ctx.Err() == nil {
		c.o.Logger.Warn("what a destination is to be told again cannot be read, trying again", "destination", c.def.Name, "error", err)
		return c.o.After(time.Second)
	}
	most := max(c.def.Connections, 1)
	if c.breaker.open() {
		most = 1 // one tries whether it works again
	}
	for len(c.ready) > 0 && c.flying < most {
		j := c.ready[0]
		c.ready = c.ready[1:]
		if j.ended {
			continue
		}
		c.flying++
		j.flying = true
		go func() { c.ends <- result{j, c.send(sending, j.item)} }()
	}
	if len(c.alarms) > 0 && len(c.ready) < windowMost { // Else there is enough to do, and what ends wakes it.
		return c.until(c.alarms[0].due)
	}
	return nil
}

// until waits for an instant. A clock that is moved by hand may have been moved
// since it was last read, and would not be heard of again.
func (c *clerk) until(at time.Time) <-chan time.Time {
	wait := c.o.After(max(at.Sub(c.o.Now()), 0))
	if c.o.Now().Before(at) {
		return wait
	}
	now := make(chan time.Time)
	close(now)
	return now
}

// down tells whether nothing gets through.
func (c *clerk) down() bool { return c.gone != "" || c.def.Unusable != "" || c.breaker.open() }

// fill reads new items as far as there is room.
func (c *clerk) fill(ctx context.Context) error {
	for c.held < heldMost && len(c.window) < windowMost {
		list, err := c.o.feed.after(ctx, c.seq, windowMost-len(c.window))
		if err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			c.admit(e)
		}
		c.advance()
	}
	return nil
}

// admit begins one new item, unless the destination does not want it.
func (c *clerk) admit(e *entry) {
	c.seq = e.Seq
	s := &slot{seq: e.Seq}
	c.window = append(c.window, s)
	if ok, _ := c.def.wants(&e.Item, e.event); !ok {
		s.done = true
		return
	}
	j := &job{seq: e.Seq, key: keyOf(&e.Item), at: e.At, item: e, slot: s}
	if e.Kind == Erasure {
		c.forget(j.key)
	}
	l := c.lineOf(j.key)
	l.add(j)
	switch first := l.jobs[0]; {
	case first == j:
		c.queue(j)
	case first.held != nil: // what stands behind something held is held too
		c.keep(j, Held{Seq: j.seq, Due: e.At})
	}
}

func (c *clerk) queue(j *job) {
	j.queued = true
	c.ready = append(c.ready, j)
}

// keep writes down that an item is held, so that the window need not wait for it.
func (c *clerk) keep(j *job, h Held) {
	if j.held == nil {
		c.begun[j.seq] = true
		c.held++
	}
	j.held, j.item = &h, nil
	c.o.ledger.change(c.def.Name, func(b *book) { b.held[h.Seq] = &h })
	if j.slot != nil {
		j.slot.done = true
	}
}

// advance moves to behind the last item before which all is done.
func (c *clerk) advance() {
	n := 0
	for n < len(c.window) && c.window[n].done {
		n++
	}
	if n == 0 {
		return
	}
	seq := c.window[n-1].seq
	c.window = c.window[n:]
	c.o.ledger.change(c.def.Name, func(b *book) { b.moved, b.seq = true, seq })
}

// wakeHeld reads what is due to be tried again.
func (c *clerk) wakeHeld(ctx context.Context, now time.Time) error {
	if len(c.ready) >= windowMost {
		return nil
	}
	var due []*job
	var seqs []int64
	for len(due) < dueAtOnce {
		j, ok := c.alarms.ring(now)
		if !ok {
			break
		}
		if l := c.lines[j.key]; l != nil && l.jobs[0] == j {
			due, seqs = append(due, j), append(seqs, j.seq)
		}
	}
	if len(due) == 0 {
		return nil
	}
	var items []Item
	err := c.o.Keeper.Read(ctx, func(s Store) (err error) {
		items, err = s.Items(seqs)
		return err
	})
	var list []*entry
	if err == nil {
		list, err = c.o.feed.entries(ctx, items)
	}
	for _, j := range due {
		at := slices.IndexFunc(list, func(e *entry) bool { return e.Seq == j.seq })
		switch {
		case err != nil:
			c.alarms.set(j.held.Due, j)
		case at < 0: // It is no more.
			c.done(j)
		default:
			j.item = list[at]
			c.queue(j)
		}
	}
	return err
}
