package processor

import (
	"context"
	"fmt"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/rule"
	"rapport/internal/segment"
	"rapport/internal/timer"
)

// committed publishes what a transaction changed.
func (w *Walker) committed(p *pass, b *batch, next *Version) {
	w.set.committed()
	newest := time.UnixMilli(b.items[len(b.items)-1].at)
	_ = p.eachRun(w.remember16) // It never fails.
	clear(w.batchSeen)
	for _, a := range p.consent {
		a.Done()
	}
	if next != nil {
		w.backfill = w.pending
		if w.Applied != nil {
			w.Applied(next)
		}
	}
	w.mu.Lock()
	w.walked[b.lane] = b.last()
	if b.lane == eventlog.Live {
		w.lastLive = w.Mono()
		w.instantFloor = max(w.instantFloor, newest.UnixMilli())
	} else {
		w.instantFloor = max(w.instantFloor, w.now) // nobody's time goes back
	}
	w.noteArmed(p.armed)
	w.stats.add(p, len(b.items))
	close(w.moved)
	w.moved = make(chan struct{})
	w.mu.Unlock()
	if p.armed != rule.Never {
		poke(w.armed)
	}
	if len(p.owed) > 0 && w.Owed != nil {
		w.Owed(p.owed)
	}
}

// noteArmed takes the scanner back to where somebody was armed behind it, or is
// being armed while it looks. The caller holds mu.
func (w *Walker) noteArmed(due int64) {
	w.behind = min(w.behind, due)
	if due <= w.rung.Due {
		w.rung = timer.Alarm{Due: due - 1}
	}
}

// remember16 adds hashes of 16 bytes each to the duplicate window in memory.
func (w *Walker) remember16(at time.Time, hashes []byte) error {
	var h id.Hash
	for ; len(hashes) >= len(h); hashes = hashes[len(h):] {
		copy(h[:], hashes)
		w.seen.add(h, at)
	}
	return nil
}

func (s *Stats) add(p *pass, n int) {
	s.Batches++
	s.Walked += int64(n)
	s.Duplicates += p.dups
	s.SetAside += p.asides
	s.Derived += p.derived
	s.Mails += int64(len(p.owed))
	s.Merges += p.merges
	s.Refused += p.refused
}

// poke wakes whoever waits on a channel of one place.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run walks until the context ends. Live goes first; bulk and backfill take
// what is left, and a small turn after every few live batches so that they
// never starve. It reads and decodes the next live batch while one is walked.
func (w *Walker) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	live := w.readAhead(ctx)
	defer live.wait()
	defer stop()
	var bulk batch
	for busy := 0; ; {
		moved := w.Log.Changed(eventlog.Bulk)
		select {
		case b, ok := <-live.ready:
			if !ok {
				return live.err
			}
			if err := w.walk(ctx, b); err != nil {
				return ended(ctx, err)
			}
			live.give(b)
			if busy++; busy%4 != 0 {
				continue
			}
		default:
			busy = 0
		}
		worked, err := w.aside(ctx, &bulk, busy == 0)
		if err != nil {
			return ended(ctx, err)
		}
		if worked || busy > 0 {
			continue
		}
		select {
		case b, ok := <-live.ready:
			if !ok {
				return live.err
			}
			if err := w.walk(ctx, b); err != nil {
				return ended(ctx, err)
			}
			live.give(b)
		case <-moved:
		case <-ctx.Done():
			return nil
		}
	}
}

// ended leaves an error out that only says that the context has ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// aside does one small piece of what must not delay live: a bulk batch or some
// people of a backfill.
func (w *Walker) aside(ctx context.Context, b *batch, idle bool) (bool, error) {
	w.safe = w.instantFloor
	if idle {
		now := w.Clock.Now().UnixMilli()
		if tail, _ := w.Log.Tail(eventlog.Live); tail == w.Walked(eventlog.Live) {
			w.safe = max(w.safe, now)
		}
	}
	recs, err := w.Log.Read(ctx, eventlog.Bulk, w.Walked(eventlog.Bulk)+1, batchBytes/4)
	if err != nil {
		return false, fmt.Errorf("read the bulk lane: %w", err)
	}
	if len(recs) > 0 {
		w.prepare(b, eventlog.Bulk, recs[:min(len(recs), w.bulkSize())])
		return true, w.walk(ctx, b)
	}
	if w.backfill.Version == 0 || w.backfill.Done {
		return false, nil
	}
	return true, w.fill(ctx)
}

// bulkSize is how much of a bulk lane is walked at once: little while live
// events come.
func (w *Walker) bulkSize() int {
	if w.Mono().Sub(w.lastLive) < liveQuiet {
		return bulkBetween
	}
	return bulkRecords
}

// liveQuiet is how long after a live batch the live lane counts as busy, in
// machine time.
const liveQuiet = 200 * time.Millisecond

// fillPeople is how many people one step of a backfill brings forward.
const fillPeople = 200

// fill brings some people to the configuration in effect and notes how far it
// came. Somebody who cannot be brought is found by going one by one and passed
// over: their next event says what is wrong, and nobody else waits for them.
func (w *Walker) fill(ctx context.Context) error {
	many := min(fillPeople, w.bulkSize())
	if w.oneByOne > 0 {
		many = 1
		w.oneByOne--
	}
	err := w.fillSome(ctx, many, false)
	switch {
	case err == nil:
		return nil
	case temporary(err) || ctx.Err() != nil:
		w.Logger.Warn("a step of the backfill failed, trying again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond): // machine time, as in span
		}
		return ctx.Err()
	case many > 1:
		w.oneByOne = many
		return nil
	}
	w.Logger.Error("somebody was passed over by the backfill", "after", id.Person(w.backfill.Next).String(), "code", fault.CodeOf(err))
	if err := w.fillSome(ctx, 1, true); err != nil && !temporary(err) && ctx.Err() == nil {
		return fmt.Errorf("backfill: %w", err)
	}
	return ctx.Err()
}

// fillSome is one transaction of a backfill. With over it only notes that these
// people were looked at.
func (w *Walker) fillSome(ctx context.Context, many int, over bool) error {
	p := pass{armed: rule.Never}
	next := w.backfill
	err := w.Keeper.Write(ctx, true, func(books Books) error {
		p = pass{books: &books, armed: rule.Never}
		next = w.backfill
		w.p, w.failure, w.now = &p, nil, max(w.safe, 1)
		if err := w.packer.begin(books.History); err != nil {
			return err
		}
		none := batch{}
		if err := w.set.begin(&books, &none); err != nil {
			return err
		}
		ids, err := books.Persons.After(id.Person(w.backfill.Next), many)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			next.Next = int64(ids[len(ids)-1])
		}
		if !over {
			if err := w.fillThese(ids); err != nil {
				return err
			}
		}
		if len(ids) < many || next.Next >= next.Last {
			next.Done = true
		}
		return w.finishFill(&books, next)
	})
	if err != nil {
		w.forget()
		return err
	}
	w.set.committed()
	w.mu.Lock()
	w.backfill = next
	w.instantFloor = max(w.instantFloor, w.now)
	w.noteArmed(p.armed)
	w.stats.Derived += p.derived
	w.stats.Mails += int64(len(p.owed))
	w.mu.Unlock()
	if p.armed != rule.Never {
		poke(w.armed)
	}
	if len(p.owed) > 0 && w.Owed != nil {
		w.Owed(p.owed)
	}
	return nil
}

func (w *Walker) fillThese(ids []id.Person) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = w.panicked(r, "people", len(ids))
		}
	}()
	if err := w.set.load(ids); err != nil {
		return err
	}
	for _, who := range ids {
		f, ok := w.set.figures[who]
		if !ok || f.ident.MergedInto != 0 {
			continue
		}
		if err := w.ready(f, w.now); err != nil {
			return err
		}
	}
	return nil
}

func (w *Walker) finishFill(books *Books, next segment.Backfill) error {
	if w.failure != nil {
		return w.failure
	}
	if err := w.packer.Flush(); err != nil {
		return err
	}
	if err := w.set.save(); err != nil {
		return err
	}
	if len(w.counts) > 0 {
		if err := books.Segment.AddCounts(w.counts); err != nil {
			return err
		}
		clear(w.counts)
	}
	return books.Segment.SaveBackfill(next)
}

// Backfill gives how far bringing everybody to the configuration has come.
func (w *Walker) Backfill() segment.Backfill {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.backfill
}

// ahead is the goroutine that reads and decodes the live lane before the walk
// needs it.
type ahead struct {
	ready chan *batch
	back  chan *batch
	err   error
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
			select {
			case a.ready <- b:
			case <-ctx.Done():
				return nil
			}
		}
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

// RunAlarms appends a record for everybody whose instant has come, until the
// context ends.
func (w *Walker) RunAlarms(ctx context.Context) error {
	for {
		wait, err := w.Ring(ctx)
		if err != nil && ctx.Err() == nil {
			w.Logger.Warn("ringing alarms failed, trying again", "error", err)
		}
		if err != nil {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.armed:
		case <-w.Clock.After(wait):
		}
	}
}

// longestWait bounds how long the scanner sleeps, so that a step of the clock
// is noticed.
const longestWait = time.Second

// Ring appends records for the alarms whose instant lies before now and says
// how long until the next one. An alarm of this very millisecond waits: an event
// at an equal instant goes first.
func (w *Walker) Ring(ctx context.Context) (time.Duration, error) {
	for {
		now := w.Clock.Now()
		w.mu.Lock()
		after := w.rung
		w.behind = rule.Never
		w.mu.Unlock()
		var due []timer.Alarm
		var next timer.Alarm
		var any bool
		err := w.Keeper.Read(ctx, func(b Books) error {
			var err error
			if due, err = b.Timer.DueBy(now.UnixMilli()-1, after, alarmsAtOnce); err != nil || len(due) > 0 {
				return err
			}
			next, any, err = b.Timer.Next()
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("read alarms: %w", err)
		}
		if len(due) == 0 {
			if !any || next.Due < now.UnixMilli() {
				return longestWait, nil
			}
			return min(longestWait, time.UnixMilli(next.Due+1).Sub(now)), nil
		}
		if err := w.appendAlarms(ctx, due, now); err != nil {
			return 0, err
		}
		w.mu.Lock()
		if w.rung == after {
			w.rung = due[len(due)-1]
			w.noteArmed(w.behind) // what was armed since the look may lie behind
		}
		w.mu.Unlock()
	}
}

const alarmsAtOnce = 500

func (w *Walker) appendAlarms(ctx context.Context, due []timer.Alarm, now time.Time) error {
	bodies := make([][]byte, 0, len(due))
	for _, a := range due {
		e := event.Event{
			Type: event.Alarm, Source: reserved, MessageID: fmt.Sprintf("alarm/%d/%d", a.Who, a.Due),
			Person: int64(a.Who), Due: time.UnixMilli(a.Due), Time: time.UnixMilli(a.Due), Received: now,
		}
		bodies = append(bodies, e.Append(nil))
	}
	if _, _, err := w.Log.Append(ctx, eventlog.Live, bodies); err != nil {
		return fmt.Errorf("append alarms: %w", err)
	}
	return nil
}

// RelayWaits tells the relay that a commit has left something to say.
func (w *Walker) RelayWaits() { poke(w.relayed) }

// HurryRelay has what waits said at once, for those who drive the house by hand.
func (w *Walker) HurryRelay() {
	poke(w.relayed)
	poke(w.hurried)
}

// RunRelay appends what state wants to say to the log, until the context ends.
// A row is deleted after it is appended; a crash in between appends it again,
// and the duplicate window makes it once. Nobody outside waits for what it says,
// so it gathers for a moment: one append, one fsync and one batch of the walk
// then carry what many commits have left.
func (w *Walker) RunRelay(ctx context.Context) error {
	for {
		n, err := w.Relay(ctx)
		if err != nil && ctx.Err() == nil {
			w.Logger.Warn("relaying to the log failed, trying again", "error", err)
		}
		if n == relayAtOnce && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.relayed:
		case <-time.After(longestWait): // machine time: a guard against a lost wake-up
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.hurried:
		case <-time.After(relayGather): // machine time
		}
	}
}

// relayGather is how long the relay gathers before it speaks.
const relayGather = 10 * time.Millisecond

const relayAtOnce = 500

// Relay appends one round of waiting rows and says how many there were.
func (w *Walker) Relay(ctx context.Context) (int, error) {
	var rows []RelayRow
	err := w.Keeper.Read(ctx, func(b Books) error {
		var err error
		rows, err = b.Walk.Relay(w.relayedTo, relayAtOnce)
		return err
	})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	bodies := make([][]byte, 0, len(rows))
	for _, r := range rows {
		bodies = append(bodies, r.Body)
	}
	if _, _, err := w.Log.Append(ctx, eventlog.Live, bodies); err != nil {
		return 0, fmt.Errorf("append what state says: %w", err)
	}
	last := rows[len(rows)-1].Seq
	w.relayedTo = last
	err = w.Keeper.Write(ctx, false, func(b Books) error { return b.Walk.DropRelay(last) })
	if err != nil {
		return len(rows), fmt.Errorf("drop relayed rows: %w", err)
	}
	return len(rows), nil
}

// Step walks one batch that is waiting in a lane and says how many records it
// had. It is for callers that drive the walk by hand: a simulation, an import
// on simulated time. It must not be used beside Run.
func (w *Walker) Step(ctx context.Context, lane eventlog.Lane) (int, error) {
	recs, err := w.Log.Read(ctx, lane, w.Walked(lane)+1, batchBytes)
	if err != nil || len(recs) == 0 {
		return 0, err
	}
	w.safe = w.instantFloor
	var b batch
	w.prepare(&b, lane, recs[:min(len(recs), liveRecords)])
	return len(b.items), w.walk(ctx, &b)
}

// Fill does one step of a waiting backfill, for callers of Step.
func (w *Walker) Fill(ctx context.Context) (more bool, err error) {
	if w.backfill.Version == 0 || w.backfill.Done {
		return false, nil
	}
	w.safe = w.instantFloor
	return true, w.fill(ctx)
}
