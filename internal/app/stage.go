package app

import (
	"context"
	"time"

	"rapport/internal/access"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store"
	"rapport/internal/timer"
)

// Advance moves business time, on a clock that is moved by hand, to an instant
// or to the next one before it at which something is due, and returns where it
// stands once all that was due is walked and sent. What is due at the instant
// itself comes after its events.
func (h *House) Advance(ctx context.Context, at time.Time) (time.Time, error) {
	next, any, err := h.nextDue(ctx)
	if err != nil {
		return h.clock.Now(), err
	}
	if !any || next >= at.UnixMilli() {
		h.clock.Set(at)
		return h.clock.Now(), nil
	}
	h.clock.Set(time.UnixMilli(next + 1))
	if _, err := h.walker.Ring(ctx); err != nil {
		return h.clock.Now(), err
	}
	return h.clock.Now(), h.Settle(ctx)
}

// Settle waits until everything that has arrived is walked and every mail that
// is due has come to its end.
func (h *House) Settle(ctx context.Context) error {
	tail, _ := h.log.Tail(eventlog.Live)
	if err := h.walker.Wait(ctx, eventlog.Live, tail); err != nil {
		return err
	}
	return h.sent(ctx)
}

// Told waits, after Settle, until what state has to say is in the log and walked,
// and what comes of that, until nothing more is to be said.
func (h *House) Told(ctx context.Context) error {
	for {
		tail, _ := h.log.Tail(eventlog.Live)
		if err := h.Settle(ctx); err != nil {
			return err
		}
		waits, err := h.waitsToTell(ctx)
		if err != nil {
			return err
		}
		if !waits {
			// What was said while Settle looked stands in the log by now, unwalked.
			if now, _ := h.log.Tail(eventlog.Live); now == tail {
				return nil
			}
			continue
		}
		h.walker.HurryRelay()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

func (h *House) waitsToTell(ctx context.Context) (waits bool, err error) {
	err = h.state.Read(ctx, func(tx store.Tx) error {
		rows, err := tx.Processor().Relay(0, 1)
		waits = len(rows) > 0
		return err
	})
	return waits, err
}

func (h *House) nextDue(ctx context.Context) (due int64, any bool, err error) {
	err = h.state.Read(ctx, func(tx store.Tx) error {
		var a timer.Alarm
		a, any, err = tx.Timer().Next()
		due = a.Due
		return err
	})
	return due, any, err
}

// sent waits until every mail that is due has come to its end.
func (h *House) sent(ctx context.Context) error {
	for {
		if d := h.sender.dispatcher(); d != nil {
			return d.Settle(ctx)
		}
		select { // sending begins once what was there at the start is walked
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// SourceKey makes a key for one of the configuration's sources, of the kind that
// fits it.
func (h *House) SourceKey(ctx context.Context, source, name string) (string, error) {
	s, ok := h.source(source)
	if !ok {
		return "", fault.New(fault.NotFound, "no_such_source", "the configuration has no source %q", source)
	}
	kind := access.Ingest
	if s.Browser {
		kind = access.Browser
	}
	secret, _, err := h.access.Create(ctx, access.Request{Kind: kind, Source: source, Name: name})
	return secret, err
}

// Proceed brings business time towards an instant of a clock that is moved by
// hand: to the next thing that is due by then, a timer or a mail that was put
// off, and does that to its end. It gives the instant that was reached. Unlike
// Advance it never passes a mail that waits, so each leaves at its very instant.
func (h *House) Proceed(ctx context.Context, at time.Time) (time.Time, error) {
	due, any, err := h.nextDue(ctx)
	if err != nil {
		return h.clock.Now(), err
	}
	next, rings := at, false
	if ring := time.UnixMilli(due + 1); any && !ring.After(next) {
		next, rings = ring, true
	}
	err = h.state.Read(ctx, func(tx store.Tx) error {
		owed, ok, err := tx.Outbox().NextOwed(h.clock.Now())
		if ok && owed.Before(next) {
			next, rings = owed, false
		}
		return err
	})
	if err != nil {
		return h.clock.Now(), err
	}
	h.clock.Set(next)
	if rings {
		if _, err := h.walker.Ring(ctx); err != nil {
			return h.clock.Now(), err
		}
	}
	return h.clock.Now(), h.Told(ctx)
}

// Mail tells the story of one mail.
func (h *House) Mail(ctx context.Context, m id.Message) (*explain.MailStory, error) {
	return h.reader.Message(ctx, m, "")
}
