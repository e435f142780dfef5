package processor

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/rule"
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
	if w.Erased != nil && len(p.gone)+len(p.barred)+len(p.admitted) > 0 {
		w.Erased(p.gone, p.barred, p.admitted)
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
	if p.told {
		w.RelayWaits()
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
	s.Withdrawn += p.withdrawn
	s.Late += p.late
	s.Erased += p.erasedMails
	s.Expired += p.expired
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
	var resting <-chan time.Time // what is aside has no turn before
	for busy := 0; ; {
		moved := w.Log.Changed(eventlog.Bulk)
		walked, err := w.tryLive(ctx, live)
		if err != nil {
			return ended(ctx, err)
		}
		if !walked {
			busy = 0
		} else if busy++; busy%4 != 0 {
			continue
		}
		select {
		case <-resting:
			resting = nil
		default:
		}
		worked := false
		if resting == nil {
			if worked, resting, err = w.turnAside(ctx, &bulk, busy == 0); err != nil {
				return ended(ctx, err)
			}
		}
		if worked || busy > 0 {
			continue
		}
		if resting != nil {
			moved = nil // it is not yet its turn
		}
		select {
		case b, ok := <-live.ready:
			if err := w.takeLive(ctx, live, b, ok); err != nil {
				return ended(ctx, err)
			}
		case <-resting:
			resting = nil
		case <-moved:
		case <-ctx.Done():
			return nil
		}
	}
}

// tryLive walks a live batch if one is ready.
func (w *Walker) tryLive(ctx context.Context, live *ahead) (bool, error) {
	select {
	case b, ok := <-live.ready:
		return true, w.takeLive(ctx, live, b, ok)
	default:
		return false, nil
	}
}

// takeLive walks what was read ahead; without ok there will be nothing more.
func (w *Walker) takeLive(ctx context.Context, live *ahead, b *batch, ok bool) error {
	if !ok {
		return cmp.Or(live.err, ctx.Err())
	}
	if err := w.walk(ctx, b); err != nil {
		return err
	}
	live.give(b)
	return nil
}

// turnAside gives bulk or backfill a turn. While live is busy a rest as long as
// the turn follows, so that a live event finds the way free as often as not.
func (w *Walker) turnAside(ctx context.Context, b *batch, idle bool) (worked bool, rest <-chan time.Time, err error) {
	began := w.Mono()
	if worked, err = w.aside(ctx, b, idle); worked && w.liveBusy() {
		rest = time.After(w.Mono().Sub(began)) // machine time
	}
	return worked, rest, err
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
	if w.liveBusy() {
		return bulkBetween
	}
	return bulkRecords
}

// liveBusy tells whether the live lane has moved of late.
func (w *Walker) liveBusy() bool { return w.Mono().Sub(w.lastLive) < liveQuiet }

// liveQuiet is how long after a live batch the live lane counts as busy, in
// machine time.
const liveQuiet = 200 * time.Millisecond

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

// Replay walks all that the log holds, one batch after the other, and ends when
// nothing is left to walk. What became of mails the log says itself; but where the
// lanes fall differently, a change of a group finds the record of it behind itself,
// and its members hear of it by a new one, at an instant of its own.
func (w *Walker) Replay(ctx context.Context) error {
	for {
		done := 0
		for _, lane := range []eventlog.Lane{eventlog.Live, eventlog.Bulk} {
			n, err := w.Step(ctx, lane)
			if err != nil {
				return err
			}
			done += n
		}
		more, err := w.Fill(ctx)
		if err != nil {
			return err
		}
		if done > 0 || more {
			continue
		}
		if done, err = w.relay(ctx, ofGroup); err != nil || done == 0 {
			return err
		}
	}
}
