package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

// handOversMost bounds how often a transactional mail is handed over when every
// hand-over ends unknown: a reader may have as many copies.
const handOversMost = 3

// page is how many mails are read from the store at a time.
const page = 256

// unsure holds the mails of unknown end, with the business time at which each is
// looked at again.
type unsure struct {
	mu     sync.Mutex
	mails  map[id.Message]doubt
	signal chan struct{}
}

// doubt is one of them. What was sent is kept while the process lives, because
// repeating under the same key must repeat the same bytes.
type doubt struct {
	look     time.Time
	rendered message.Rendered
	parts    []byte
}

func (u *unsure) init() { u.mails, u.signal = map[id.Message]doubt{}, make(chan struct{}, 1) }

func (u *unsure) add(m *outbox.Mail, j *job, look time.Time) {
	w := doubt{look: look}
	if j != nil && j.lane.can.Idempotency > 0 {
		w.rendered, w.parts = j.rendered, j.parts
	}
	u.mu.Lock()
	if old, ok := u.mails[m.ID]; ok && w.rendered.MessageID == "" {
		w.rendered, w.parts = old.rendered, old.parts
	}
	u.mails[m.ID] = w
	u.mu.Unlock()
	u.poke()
}

func (u *unsure) poke() {
	select {
	case u.signal <- struct{}{}:
	default:
	}
}

func (u *unsure) drop(m id.Message) {
	u.mu.Lock()
	delete(u.mails, m)
	u.mu.Unlock()
}

// due gives the mails to look at now, and when the next one is due.
func (u *unsure) due(now time.Time) (ids []id.Message, next time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for m, w := range u.mails {
		switch {
		case !w.look.After(now) && len(ids) < page:
			ids = append(ids, m)
		case next.IsZero() || w.look.Before(next):
			next = w.look
		}
	}
	return ids, next
}

// open tells whether a mail could be decided now.
func (u *unsure) open(now time.Time) bool {
	ids, _ := u.due(now)
	return len(ids) > 0
}

func (u *unsure) get(m id.Message) doubt {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mails[m]
}

// unsureLoop looks at each mail of unknown end when its time has come.
func (d *Dispatcher) unsureLoop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		ids, next := d.unsure.due(d.cfg.Now())
		for _, m := range ids {
			if d.stopped() {
				return
			}
			d.look(m)
		}
		if len(ids) > 0 {
			d.intake.stir()
			continue
		}
		sleep := time.Hour
		if !next.IsZero() {
			sleep = min(max(d.cfg.Until(next), time.Millisecond), clockCheck)
		}
		timer.Reset(sleep)
		select {
		case <-ctx.Done():
			return
		case <-d.stop:
			return
		case <-d.unsure.signal:
		case <-timer.C:
		}
	}
}

// look decides one mail of unknown end by what its provider can do and by its
// class, and writes the decision.
func (d *Dispatcher) look(mid id.Message) {
	var m outbox.Mail
	var again time.Time
	var claimed *job
	err := d.ledger.write(&entry{write: func(tx store.Tx) error {
		again = time.Time{}
		if claimed != nil {
			claimed.lane.unclaim()
			claimed = nil
		}
		var ok bool
		var err error
		if m, ok, err = tx.Outbox().Get(mid); err != nil || !ok || m.State != message.Uncertain {
			return err
		}
		again, claimed, err = d.decide(tx, &m)
		return ignoreStale(err)
	}})
	switch {
	case err != nil:
		d.cfg.Logger.Error("a mail of unknown end cannot be decided yet", "message_id", mid.String(), "error", err)
		d.unsure.add(&outbox.Mail{Intent: message.Intent{ID: mid}}, nil, d.cfg.Now().Add(10*time.Second))
	case !again.IsZero():
		d.unsure.add(&m, nil, again)
	default:
		was := d.unsure.get(mid)
		d.unsure.drop(mid)
		if claimed != nil {
			claimed.rendered, claimed.parts = was.rendered, was.parts
			if !d.mails.add(claimed) || !claimed.lane.queue.push(claimed) {
				d.doubtAgain(claimed)
			}
		} else if m.State == message.Pending {
			d.intake.due(m.NotBefore)
		}
	}
}

// doubtAgain gives a claimed repetition back to the unknown.
func (d *Dispatcher) doubtAgain(j *job) {
	d.leave(j, func(tx store.Tx, m *outbox.Mail, now time.Time) error {
		m.State, m.LeaseEnds = message.Uncertain, time.Time{}
		return tx.Outbox().Move(m, outbox.Step{State: m.State, At: now, Reason: "stopping"})
	})
}

// last is what a story says about the hand-overs of a mail.
type last struct {
	provider  string
	handed    time.Time // the last hand-over
	handOvers int
	unknown   time.Time // when it first became unknown after that
	crashed   bool      // it became unknown because a process ended
	repeating bool      // the mail is a repetition of an unknown hand-over under its key
}

func readStory(steps []outbox.Step) last {
	var l last
	for _, s := range steps {
		if s.Reason == outbox.Parted { // said beside the state that the mail was in
			continue
		}
		switch s.State {
		case message.HandingOver:
			var r report
			_ = json.Unmarshal(s.Detail, &r) // A detail that cannot be read names no provider.
			l.provider, l.handed, l.unknown, l.repeating = r.Provider, s.At, time.Time{}, false
			l.handOvers++
		case message.Uncertain:
			if s.Reason == "late_result" {
				continue
			}
			if l.unknown.IsZero() {
				l.unknown, l.crashed = s.At, s.Reason == "no_outcome"
			}
		case message.Claimed:
			l.repeating = s.Reason == repeatReason
		default:
		}
	}
	return l
}

// repeatReason marks a claim that repeats an unknown hand-over under its key.
const repeatReason = "repeat_same_key"

// decide applies the policy for unknown ends: repeat under the same key where
// the provider knows keys; else give the provider's own word its time; then by
// class, transactional again and flagged, marketing never.
func (d *Dispatcher) decide(tx store.Tx, m *outbox.Mail) (again time.Time, claimed *job, err error) {
	steps, err := tx.Outbox().Story(m.ID)
	if err != nil {
		return again, nil, fmt.Errorf("read the story of %s: %w", m.ID, err)
	}
	now, h := d.cfg.Now(), readStory(steps)
	l := d.lanes[h.provider]
	if l != nil && l.can.Idempotency > 0 && now.Before(h.handed.Add(l.can.Idempotency)) && h.handOvers < 10 {
		if _, ok := l.claim(d.cfg.Mono()); !ok {
			return now.Add(5 * time.Second), nil, nil
		}
		m.State, m.LeaseEnds = message.Claimed, d.cfg.Mono().Add(d.cfg.Lease)
		if err := tx.Outbox().Move(m, outbox.Step{State: m.State, At: now, Reason: repeatReason}); err != nil {
			l.unclaim()
			return again, nil, err
		}
		return again, &job{mail: *m, lane: l, pinned: true}, nil
	}
	if l != nil {
		if until := h.handed.Add(l.can.Reports); now.Before(until) {
			return until, nil, nil
		}
	}
	if m.Class == message.Transactional && h.handOvers < handOversMost {
		m.State, m.Duplicate, m.NotBefore = message.Pending, true, now
		if !h.crashed {
			m.NotBefore = h.unknown.Add(d.cfg.Rules.Schedule(m.Class).After(h.handOvers, d.cfg.Rand()))
		}
		s := outbox.Step{State: m.State, At: now, Reason: "send_again", Detail: (&report{Duplicate: true}).json()}
		return again, nil, tx.Outbox().Move(m, s)
	}
	if until := h.unknown.Add(d.cfg.UnknownGrace); now.Before(until) {
		return until, nil, nil
	}
	return again, nil, d.close(tx, m, now, "not_repeated", outbox.EventSent, &report{Provider: h.provider, Uncertain: true})
}

// close ends a mail of unknown end.
func (d *Dispatcher) close(tx store.Tx, m *outbox.Mail, now time.Time, reason, name string, r *report) error {
	m.State, m.LeaseEnds = message.Resolved, time.Time{}
	if err := tx.Outbox().Move(m, outbox.Step{State: m.State, At: now, Reason: reason, Detail: r.json()}); err != nil {
		return err
	}
	return relay(tx, m, name, reason, nil, r, now)
}

// Resolve tells what became of a mail of unknown end, as the provider has said
// since: it was accepted, or it was not and has bounced. A mail whose end is
// known is not changed; it tells whether it was unknown.
func (d *Dispatcher) Resolve(ctx context.Context, mid id.Message, o message.Outcome) (bool, error) {
	if o.Verdict != message.SentOK && o.Verdict != message.Refused {
		return false, fault.New(fault.Invalid, "verdict_unclear", "only an acceptance or a refusal resolves a mail of unknown end")
	}
	resolved := false
	e := d.ledger.submit(&entry{write: func(tx store.Tx) error {
		resolved = false
		m, ok, err := tx.Outbox().Get(mid)
		if err != nil || !ok || m.State != message.Uncertain {
			return err
		}
		r, name := &report{Code: o.Code, Enhanced: o.Enhanced, Reply: o.Reply, ProviderID: o.ProviderID}, outbox.EventSent
		if o.Verdict == message.Refused {
			r.Bounce, name = bounceOf(&o), outbox.EventBounced
			if err := d.cfg.Rules.Return(tx.Outbox(), &m); err != nil {
				return err
			}
		}
		now := d.cfg.Now()
		err = d.close(tx, &m, now, orReason(&o, "reported"), name, r)
		resolved = err == nil
		return ignoreStale(err)
	}})
	select {
	case err := <-e.done:
		if err == nil {
			d.unsure.drop(mid)
		}
		return resolved && err == nil, err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// Recover ends every lease of earlier processes: what was claimed is owed again,
// what was being handed over has an unknown end. It belongs before Run and is
// called by it; whoever opens a data folder may call it earlier to count.
func (d *Dispatcher) Recover(ctx context.Context) error {
	ends := func(outbox.Mail) bool { return true }
	n, err := d.endLeases(ctx, ends)
	if err != nil {
		return err
	}
	err = d.eachIn(ctx, message.Uncertain, func(m *outbox.Mail) { d.unsure.add(m, nil, d.cfg.Now()) })
	if n > 0 {
		d.cfg.Logger.Info("ended leases of an earlier process", "mails", n)
	}
	return err
}

// leaseLoop ends leases that have run out while the process lives.
func (d *Dispatcher) leaseLoop(ctx context.Context) {
	tick := time.NewTicker(max(d.cfg.Lease/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := d.cfg.Mono()
		n, err := d.endLeases(ctx, func(m outbox.Mail) bool { return !now.Before(m.LeaseEnds) })
		if err != nil && !errors.Is(err, context.Canceled) {
			d.cfg.Logger.Error("leases cannot be ended", "error", err)
		}
		if n > 0 {
			d.cfg.Logger.Warn("leases ran out", "mails", n)
		}
	}
}

// endLeases takes mails away from their holders.
func (d *Dispatcher) endLeases(ctx context.Context, over func(outbox.Mail) bool) (int, error) {
	var ended []outbox.Mail
	for _, s := range [...]message.State{message.HandingOver, message.Claimed} {
		err := d.eachIn(ctx, s, func(m *outbox.Mail) {
			if over(*m) {
				ended = append(ended, *m)
			}
		})
		if err != nil {
			return 0, err
		}
	}
	for from := 0; from < len(ended); from += page {
		part := ended[from:min(from+page, len(ended))]
		var moved []outbox.Mail
		err := d.cfg.State.Write(ctx, store.WriteOptions{Priority: store.Urgent}, func(tx store.Tx) error {
			moved = moved[:0]
			for _, m := range part {
				err := d.endLease(tx, &m)
				if err == nil {
					moved = append(moved, m)
				} else if ignoreStale(err) != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("end leases: %w", err)
		}
		for i := range moved {
			if moved[i].State == message.Uncertain {
				d.unsure.add(&moved[i], nil, d.cfg.Now())
			} else {
				d.intake.due(moved[i].NotBefore)
			}
		}
	}
	return len(ended), nil
}

// endLease moves one mail whose holder is gone.
func (d *Dispatcher) endLease(tx store.Tx, m *outbox.Mail) error {
	now, reason := d.cfg.Now(), "lease_ended"
	was := m.State
	m.State, m.LeaseEnds = message.Pending, time.Time{}
	if was == message.HandingOver {
		m.State, reason = message.Uncertain, "no_outcome"
	} else if m.MessageID != "" {
		steps, err := tx.Outbox().Story(m.ID)
		if err != nil {
			return fmt.Errorf("read the story of %s: %w", m.ID, err)
		}
		if readStory(steps).repeating {
			m.State = message.Uncertain
		}
	}
	return tx.Outbox().Move(m, outbox.Step{State: m.State, At: now, Reason: reason})
}

// eachIn reads all mails of a state.
func (d *Dispatcher) eachIn(ctx context.Context, s message.State, fn func(*outbox.Mail)) error {
	var after id.Message
	for {
		var list []outbox.Mail
		err := d.cfg.State.Read(ctx, func(tx store.Tx) error {
			var err error
			list, err = tx.Outbox().InState(s, after, page)
			return err
		})
		if err != nil {
			return fmt.Errorf("list mails that are %s: %w", s, err)
		}
		for i := range list {
			fn(&list[i])
		}
		if len(list) < page {
			return nil
		}
		after = list[len(list)-1].ID
	}
}
