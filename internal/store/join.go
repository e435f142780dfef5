package store

import (
	"context"
	"time"

	"rapport/internal/alert"
	"rapport/internal/breach"
	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/id"
	"rapport/internal/processor"
	"rapport/internal/rights"
)

// Walk joins a State to the walk: it implements processor.Keeper.
type Walk struct{ State State }

var _ processor.Keeper = Walk{}

// Write implements processor.Keeper.
func (w Walk) Write(ctx context.Context, idle bool, fn func(processor.Books) error) error {
	o := WriteOptions{Priority: Normal, Once: true} // The walk keeps people in memory, and tries again itself.
	if idle {
		o.Priority = Idle
	}
	return w.State.Write(ctx, o, func(tx Tx) error {
		b := books(tx)
		b.Pressed = func() bool { return w.State.Waiting(Narrowing) > 0 }
		return fn(b)
	})
}

// Read implements processor.Keeper.
func (w Walk) Read(ctx context.Context, fn func(processor.Books) error) error {
	return w.State.Read(ctx, func(tx Tx) error { return fn(books(tx)) })
}

// Ahead implements processor.Keeper.
func (w Walk) Ahead(ctx context.Context, hashes []id.Hash, people []id.Person) error {
	_, err := w.State.Ahead(ctx, hashes, people)
	return err
}

// Listener is what a Tx may be too: it is told what is walked.
type Listener interface {
	Happened(h processor.Happening) error
}

func books(tx Tx) processor.Books {
	var tell func(processor.Happening) error
	if x, ok := tx.(Listener); ok {
		tell = x.Happened
	}
	return processor.Books{
		Tell:    tell,
		Persons: tx.Persons(), Identity: tx.Identity(), History: tx.Profile(), Segment: tx.Segment(), Group: tx.Group(), Timer: tx.Timer(),
		Consent: tx.Consent(), Outbox: tx.Outbox(), Walk: tx.Processor(), Rights: tx.Rights(),
		Forget: func(x processor.Forgotten, out *processor.Erased) (int64, error) { return forget(tx, x, out) },
	}
}

// Permission joins a State to the authority on permission: it implements
// consent.Keeper. What it writes is durable. Who says no goes first, and many who do
// so at once wait for one fsync.
type Permission struct{ together Together }

var _ consent.Keeper = (*Permission)(nil)

// NewPermission joins them.
func NewPermission(s State) *Permission {
	return &Permission{Together{State: s, Options: WriteOptions{Priority: Narrowing, Durable: true}}}
}

// Write implements consent.Keeper.
func (p *Permission) Write(ctx context.Context, fn func(consent.Store) error) error {
	return p.together.State.Write(ctx, WriteOptions{Priority: Urgent, Durable: true}, func(tx Tx) error { return fn(tx.Consent()) })
}

// Narrow implements consent.Keeper.
func (p *Permission) Narrow(ctx context.Context, fn func(consent.Store) error) error {
	return p.together.Write(ctx, func(tx Tx) error { return fn(tx.Consent()) })
}

// Read implements consent.Keeper.
func (p *Permission) Read(ctx context.Context, fn func(consent.Store) error) error {
	return p.together.State.Read(ctx, func(tx Tx) error { return fn(tx.Consent()) })
}

// Destinations joins a State to the room that tells other systems: it implements
// destination.Keeper.
type Destinations struct{ State State }

var _ destination.Keeper = Destinations{}

// Write implements destination.Keeper.
func (d Destinations) Write(ctx context.Context, durable bool, fn func(destination.Store) error) error {
	return d.State.Write(ctx, WriteOptions{Priority: Normal, Durable: durable}, func(tx Tx) error { return fn(tx.Destination()) })
}

// Read implements destination.Keeper.
func (d Destinations) Read(ctx context.Context, fn func(destination.Store) error) error {
	return d.State.Read(ctx, func(tx Tx) error { return fn(tx.Destination()) })
}

// Alerts joins a State to the room of alerts: it implements alert.Keeper. What is
// told to destinations is written where Wants says that one wants it.
type Alerts struct {
	State State
	Wants func(*destination.Item) bool
}

var _ alert.Keeper = Alerts{}

// Write implements alert.Keeper.
func (a Alerts) Write(ctx context.Context, fn func(alert.Store, alert.Tell) error) error {
	return a.State.Write(ctx, WriteOptions{Priority: Normal, Durable: true}, func(tx Tx) error {
		return fn(tx.Alert(), func(what string, at time.Time, body []byte) error {
			it := destination.Item{Kind: destination.Alert, Name: what, At: at, Body: body}
			if !a.Wants(&it) {
				return nil
			}
			_, err := tx.Destination().Tell(it)
			return err
		})
	})
}

// Read implements alert.Keeper.
func (a Alerts) Read(ctx context.Context, fn func(alert.Store) error) error {
	return a.State.Read(ctx, func(tx Tx) error { return fn(tx.Alert()) })
}

// Rights joins a State to what people ask of their data: it implements
// rights.Keeper. What it writes is durable.
type Rights struct{ State State }

var _ rights.Keeper = Rights{}

// Write implements rights.Keeper.
func (r Rights) Write(ctx context.Context, fn func(rights.Store) error) error {
	return r.State.Write(ctx, WriteOptions{Priority: Urgent, Durable: true}, func(tx Tx) error { return fn(tx.Rights()) })
}

// Read implements rights.Keeper.
func (r Rights) Read(ctx context.Context, fn func(rights.Store) error) error {
	return r.State.Read(ctx, func(tx Tx) error { return fn(tx.Rights()) })
}

// Breaches joins the state to the register of breaches.
type Breaches struct{ State State }

var _ breach.Keeper = Breaches{}

// Write implements breach.Keeper.
func (b Breaches) Write(ctx context.Context, fn func(breach.Store) error) error {
	return b.State.Write(ctx, WriteOptions{Priority: Urgent, Durable: true}, func(tx Tx) error { return fn(tx.Breach()) })
}

// Read implements breach.Keeper.
func (b Breaches) Read(ctx context.Context, fn func(breach.Store) error) error {
	return b.State.Read(ctx, func(tx Tx) error { return fn(tx.Breach()) })
}
