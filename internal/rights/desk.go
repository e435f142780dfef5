package rights

import (
	"context"
	"encoding/json"
	"time"

	"rapport/internal/fault"
)

// Keeper runs functions over this room's rows in one transaction; a write is
// durable before it returns. The roof joins it to the store.
type Keeper interface {
	Write(ctx context.Context, fn func(Store) error) error
	Read(ctx context.Context, fn func(Store) error) error
}

// Desk takes requests down, and says when each is due.
type Desk struct {
	Keeper Keeper
	Now    func() time.Time
}

// MaxListed is how many requests one list has at most.
const MaxListed = 1000

// Open takes a request down; its clock begins when it was received.
func (d *Desk) Open(ctx context.Context, r Request) (Request, error) {
	now := d.Now().UTC().Truncate(time.Millisecond)
	if r.Law == "" {
		r.Law = GDPR
	}
	if r.Received.IsZero() {
		r.Received = now
	}
	if r.Received.After(now) {
		return r, fault.New(fault.Invalid, "bad_received", "a request cannot have come in the future")
	}
	if r.Law.Valid() {
		r.Due = r.Law.Due(r.Received)
	}
	if err := r.Check(); err != nil {
		return r, err
	}
	return r, d.Keeper.Write(ctx, func(s Store) error { return s.Put(r) })
}

// Close notes what became of a request. Once closed it stays as it is. Of an erasure
// that was done nothing is noted.
func (d *Desk) Close(ctx context.Context, name, outcome string, body json.RawMessage) (r Request, err error) {
	if outcome != "done" && outcome != "refused" {
		return r, fault.New(fault.Invalid, "bad_outcome", "a request ends as done or refused")
	}
	return d.Change(ctx, name, func(r *Request) error {
		r.Closed, r.Outcome = d.Now().UTC().Truncate(time.Millisecond), outcome
		switch {
		case r.Kind == Erase && outcome == "done":
			r.Body = nil // What is noted of an erasure would outlive whom it is about.
		case body != nil:
			r.Body = body
		}
		return nil
	})
}

// Closed is the code of what cannot be changed because the request is closed.
const Closed = "request_closed"

// Change lets fn change a request that is open, in one transaction: of two that ask
// at once the second sees what the first has done. An error of fn changes nothing.
func (d *Desk) Change(ctx context.Context, name string, fn func(r *Request) error) (r Request, err error) {
	err = d.Keeper.Write(ctx, func(s Store) error {
		var found bool
		if r, found, err = s.Request(name); err != nil {
			return err
		}
		if !found {
			return errNoRequest
		}
		if !r.Open() {
			return fault.New(fault.Conflict, Closed, "the request is closed already: it ended as %s", r.Outcome)
		}
		if err := fn(&r); err != nil {
			return err
		}
		return s.Put(r)
	})
	return r, err
}

var errNoRequest = fault.New(fault.NotFound, "no_such_request", "there is no request of this id; rapport privacy requests lists them")

// Request finds one.
func (d *Desk) Request(ctx context.Context, name string) (r Request, err error) {
	found := false
	err = d.Keeper.Read(ctx, func(s Store) error {
		r, found, err = s.Request(name)
		return err
	})
	if err == nil && !found {
		err = errNoRequest
	}
	return r, err
}

// Requests lists some.
func (d *Desk) Requests(ctx context.Context, q Query) (list []Request, err error) {
	if q.Limit <= 0 || q.Limit > MaxListed {
		q.Limit = MaxListed
	}
	err = d.Keeper.Read(ctx, func(s Store) error {
		list, err = s.Requests(q)
		return err
	})
	return list, err
}
