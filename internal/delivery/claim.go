package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

// claimMost bounds how many mails one round claims.
const claimMost = 256

// claimAgain is how long claiming rests after the store has failed.
const claimAgain = time.Second

// clockCheck bounds how long a due time is slept towards: business time may jump.
const clockCheck = time.Second

// claimLoop claims mails as they are woken or become due, as far as the lanes
// have room.
func (d *Dispatcher) claimLoop(ctx context.Context) {
	buf := make([]id.Message, 0, claimMost)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		free, roomy := d.room()
		now := d.cfg.Now()
		ids, scan := d.intake.begin(min(free, claimMost), now, buf)
		// Under a backlog a round is worth its query only if it claims many.
		if scan && !roomy && d.mails.count() > 0 {
			ids, scan = nil, false
		}
		if len(ids) > 0 || scan {
			more, err := d.claimRound(ctx, ids, scan, min(free, claimMost))
			d.intake.end(more || err != nil)
			if err != nil {
				d.cfg.Logger.Error("claiming failed; trying again", "error", err)
				timer.Reset(claimAgain)
				select {
				case <-d.stop:
				case <-timer.C:
				}
			}
			if d.stopped() {
				return
			}
			continue
		}
		sleep := time.Hour
		if next, ok := d.intake.nextDue(); ok {
			sleep = min(max(d.cfg.Until(next), time.Millisecond), clockCheck)
		}
		timer.Reset(sleep)
		select {
		case <-d.stop:
			return
		case <-ctx.Done():
			return
		case <-d.intake.signal:
		case <-d.mails.freed:
		case <-timer.C:
		}
	}
}

func (d *Dispatcher) stopped() bool {
	select {
	case <-d.stop:
		return true
	default:
		return false
	}
}

// room gives how many more mails may be claimed, and whether one provider at least
// has a good part of its window free: a full window of one that hangs must not
// hold up what others could send.
func (d *Dispatcher) room() (free int, roomy bool) {
	for _, l := range d.lanes {
		n := max(l.free(), 0)
		free += n
		roomy = roomy || n >= l.window/4
	}
	return free, roomy
}

// claims is what one round of claiming brings about.
type claims struct {
	d       *Dispatcher
	jobs    []*job
	waiting []time.Time // due times of mails that are not claimed
	moved   int         // mails that were claimed or moved
	more    bool
}

// claimRound claims these mails, or with scan those that the outbox lists first,
// and queues them at their providers. It tells whether more are owed.
func (d *Dispatcher) claimRound(ctx context.Context, ids []id.Message, scan bool, limit int) (bool, error) {
	if scan {
		d.intake.scanned()
		return d.claimWritten(func(c *claims, tx store.Tx) error { return c.scan(tx, limit) })
	}
	rest, err := d.claimInMemory(ctx, ids)
	if err != nil || len(rest) == 0 {
		return false, err
	}
	return d.claimWritten(func(c *claims, tx store.Tx) error { return c.named(tx, rest) })
}

// claimInMemory claims mails that were woken by id without writing anything: the
// data folder has one owner, so a claim need not outlive the process, and its
// row goes with the hand-over, which checks the mail's token. It saves each mail
// a transaction between its decision and its sending. It gives those back that
// cannot simply be claimed; something must be written about them.
func (d *Dispatcher) claimInMemory(ctx context.Context, ids []id.Message) (rest []id.Message, err error) {
	owed := make([]outbox.Mail, 0, len(ids))
	err = d.cfg.State.Read(ctx, func(tx store.Tx) error {
		owed = owed[:0]
		list, err := tx.Outbox().Named(ids)
		for i := range list {
			if m := &list[i]; (m.State == message.Pending || m.State == message.Deferred) && !d.mails.has(m.ID) {
				owed = append(owed, *m)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read woken mails: %w", err)
	}
	now := d.cfg.Now()
	for i := range owed {
		m := &owed[i]
		if m.NotBefore.After(now) {
			d.intake.due(m.NotBefore)
			continue
		}
		l, ok := d.laneOf(m)
		if ok && !d.over(m, now) {
			_, ok = l.claim(d.cfg.Mono())
		} else {
			ok = false
		}
		if !ok {
			rest = append(rest, m.ID)
			continue
		}
		d.enqueue(&job{mail: *m, lane: l, claimed: now, lease: d.cfg.Mono().Add(d.cfg.Lease)})
	}
	return rest, nil
}

// over tells whether a mail's time has passed.
func (d *Dispatcher) over(m *outbox.Mail, now time.Time) bool {
	end, ok := d.cfg.Rules.End(m)
	return ok && now.After(end) || m.Attempts > 0 && d.cfg.Rules.GaveUp(m, now)
}

// claimWritten claims in one transaction.
func (d *Dispatcher) claimWritten(claim func(*claims, store.Tx) error) (more bool, err error) {
	c := claims{d: d}
	err = d.ledger.write(&entry{write: func(tx store.Tx) error {
		c.undo()
		return claim(&c, tx)
	}})
	if err != nil {
		c.undo()
		return false, fmt.Errorf("claim mails: %w", err)
	}
	for _, at := range c.waiting {
		d.intake.due(at)
	}
	for _, j := range c.jobs {
		d.enqueue(j)
	}
	return c.more, nil
}

// enqueue gives a claimed mail to the workers of its lane.
func (d *Dispatcher) enqueue(j *job) {
	if !d.mails.add(j) || !j.lane.queue.push(j) {
		d.giveBack(j, "stopping")
	}
}

// undo forgets what a transaction that did not commit had claimed.
func (c *claims) undo() {
	for _, j := range c.jobs {
		j.lane.unclaim()
	}
	c.jobs, c.waiting, c.moved, c.more = c.jobs[:0], c.waiting[:0], 0, false
}

// named claims mails that were woken by id, or moves them to where they belong.
func (c *claims) named(tx store.Tx, ids []id.Message) error {
	now := c.d.cfg.Now()
	list, err := tx.Outbox().Named(ids)
	if err != nil {
		return fmt.Errorf("read woken mails: %w", err)
	}
	for i := range list {
		m := &list[i]
		if m.State != message.Pending && m.State != message.Deferred {
			continue
		}
		if m.NotBefore.After(now) {
			c.waiting = append(c.waiting, m.NotBefore)
			continue
		}
		if err := c.take(tx, m, now); err != nil {
			return err
		}
	}
	return nil
}

// scan claims what the outbox lists first, and learns when the next one is due.
func (c *claims) scan(tx store.Tx, limit int) error {
	now := c.d.cfg.Now()
	// Claims in memory are listed among the first. Some may have been handed over
	// this moment, so it is the claims that are counted, not the rows.
	listed := limit + c.d.mails.unwritten()
	owed, err := tx.Outbox().Owed(now, listed)
	if err != nil {
		return fmt.Errorf("list owed mails: %w", err)
	}
	for i := range owed {
		if len(c.jobs) == limit {
			c.more = true
			return nil
		}
		if err := c.take(tx, &owed[i], now); err != nil {
			return err
		}
	}
	// Mails that this process still holds are no reason to look again at once:
	// whoever brings them back wakes us.
	if c.more = len(owed) == listed && c.moved > 0; c.more {
		return nil
	}
	next, ok, err := tx.Outbox().NextOwed(now)
	if err != nil {
		return fmt.Errorf("find the next owed mail: %w", err)
	}
	if ok && next.After(now) {
		c.waiting = append(c.waiting, next)
	}
	return nil
}

// take claims one mail, or moves it to where it belongs if there is no use in
// claiming it: it has expired, or its provider cannot take it now.
func (c *claims) take(tx store.Tx, m *outbox.Mail, now time.Time) error {
	d := c.d
	if d.mails.has(m.ID) {
		return nil // on its way back; whoever brings it wakes us
	}
	c.moved++
	if end, ok := d.cfg.Rules.End(m); ok && now.After(end) {
		return ignoreStale(d.skip(tx, m, now, "expired", ruleDetail("valid until "+end.UTC().Format(time.RFC3339))))
	}
	if d.cfg.Rules.GaveUp(m, now) && m.Attempts > 0 {
		return ignoreStale(d.fail(tx, m, now, "gave_up", &report{Bounce: "soft", Refusals: m.Attempts}))
	}
	l, ok := d.laneOf(m)
	h := hold{wait: 5 * time.Minute, reason: "provider_missing"}
	if ok {
		h, ok = l.claim(d.cfg.Mono())
	}
	if !ok {
		m.State, m.NotBefore = message.Deferred, now.Add(h.wait)
		c.waiting = append(c.waiting, m.NotBefore)
		return ignoreStale(tx.Outbox().Move(m, outbox.Step{State: message.Deferred, At: now, Reason: h.reason}))
	}
	m.State, m.LeaseEnds = message.Claimed, d.cfg.Mono().Add(d.cfg.Lease)
	if err := tx.Outbox().Move(m, outbox.Step{State: message.Claimed, At: now}); err != nil {
		l.unclaim()
		return ignoreStale(err)
	}
	c.jobs = append(c.jobs, &job{mail: *m, lane: l})
	return nil
}

// laneOf finds the provider of a mail, or the one that takes over for it while
// it is held back. A held provider without an able substitute is given as it is.
// Whether a provider that failed works again is tried with mails that have not
// been held up before.
func (d *Dispatcher) laneOf(m *outbox.Mail) (*lane, bool) {
	name := m.Provider
	if name == "" {
		name = d.cfg.Default
	}
	l, ok := d.lanes[name]
	if !ok {
		return nil, false
	}
	now := d.cfg.Mono()
	for next, hops := l, 0; hops < len(d.lanes); hops++ {
		if !next.held(now) && (m.Attempts == 0 || !next.shaky()) {
			return next, true
		}
		if next, ok = d.lanes[next.limits.Fallback]; !ok {
			break
		}
	}
	return l, true
}

// ignoreStale takes it as settled that somebody else has moved a mail, or that
// it has been erased.
func ignoreStale(err error) error {
	if errors.Is(err, outbox.ErrStale) || fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// giveBack returns a claimed mail to the outbox as it was.
func (d *Dispatcher) giveBack(j *job, reason string) {
	if j.inMemory() && d.stopped() {
		d.forget(j, &j.mail) // the outbox has never heard of the claim
		return
	}
	d.leave(j, func(tx store.Tx, m *outbox.Mail, now time.Time) error {
		m.State, m.LeaseEnds = message.Pending, time.Time{}
		return tx.Outbox().Move(m, outbox.Step{State: message.Pending, At: now, Reason: reason})
	})
}

// leave writes the end of a job that was not handed over, and forgets it. A mail
// that somebody else has moved meanwhile is theirs.
func (d *Dispatcher) leave(j *job, move func(store.Tx, *outbox.Mail, time.Time) error) *entry {
	var m outbox.Mail
	e := &entry{insist: true}
	e.write = func(tx store.Tx) error {
		m = j.mail
		err := d.writeClaim(tx, j, &m)
		if err == nil {
			err = move(tx, &m, d.cfg.Now())
		}
		if err != nil && ignoreStale(err) == nil {
			m = outbox.Mail{}
			return nil
		}
		return err
	}
	e.committed = func() { d.forget(j, &m) }
	return d.ledger.submit(e)
}

// forget lets go of a job and has the mail looked at again when it is due.
func (d *Dispatcher) forget(j *job, m *outbox.Mail) {
	j.lane.unclaim()
	d.mails.drop(j)
	switch m.State {
	case message.Deferred, message.Pending:
		d.intake.due(m.NotBefore)
	case 0: // somebody else has moved it, perhaps to where it is owed again
		d.intake.wake(nil)
	default:
	}
}
