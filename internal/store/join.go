package store

import (
	"context"

	"rapport/internal/consent"
	"rapport/internal/processor"
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
	return w.State.Write(ctx, o, func(tx Tx) error { return fn(books(tx)) })
}

// Read implements processor.Keeper.
func (w Walk) Read(ctx context.Context, fn func(processor.Books) error) error {
	return w.State.Read(ctx, func(tx Tx) error { return fn(books(tx)) })
}

func books(tx Tx) processor.Books {
	return processor.Books{
		Persons: tx.Persons(), Identity: tx.Identity(), History: tx.Profile(), Segment: tx.Segment(), Group: tx.Group(), Timer: tx.Timer(),
		Consent: tx.Consent(), Outbox: tx.Outbox(), Walk: tx.Processor(),
	}
}

// Permission joins a State to the authority on permission: it implements
// consent.Keeper. What it writes is urgent and durable.
type Permission struct{ State State }

var _ consent.Keeper = Permission{}

// Write implements consent.Keeper.
func (p Permission) Write(ctx context.Context, fn func(consent.Store) error) error {
	return p.State.Write(ctx, WriteOptions{Priority: Urgent, Durable: true}, func(tx Tx) error { return fn(tx.Consent()) })
}

// Read implements consent.Keeper.
func (p Permission) Read(ctx context.Context, fn func(consent.Store) error) error {
	return p.State.Read(ctx, func(tx Tx) error { return fn(tx.Consent()) })
}
