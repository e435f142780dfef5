package rights

import (
	"context"
	"encoding/json"
	"fmt"
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

// Await takes one down of which nobody has proven that it is theirs: it can be until
// an instant, and nobody is to answer it before.
func (d *Desk) Await(ctx context.Context, r Request, until time.Time) error {
	r.Outcome, r.Due = Unproven, until
	if err := r.Check(); err != nil {
		return err
	}
	return d.Keeper.Write(ctx, func(s Store) error { return s.Put(r) })
}

// Prove says that whoever asked has proven that a request is theirs: from now on it
// waits for its answer. To prove it twice is to prove it once.
func (d *Desk) Prove(ctx context.Context, name string) (r Request, err error) {
	return d.change(ctx, name, func(r *Request) error {
		if r.Awaited() {
			r.Outcome, r.Due = "", r.Law.Due(r.Received)
		}
		return nil
	})
}

// lapseAtOnce is how many requests lapse in one transaction.
const lapseAtOnce = 500

// Lapse ends those that nobody has proven in time.
func (d *Desk) Lapse(ctx context.Context) error {
	for {
		now, n := d.Now(), 0
		err := d.Keeper.Write(ctx, func(s Store) error {
			n = 0
			list, err := s.Requests(Query{Awaited: true, Limit: lapseAtOnce})
			for i := range list {
				if err != nil || list[i].Due.After(now) {
					break
				}
				list[i].End(list[i].Due, Lapsed)
				err = s.Put(list[i])
				n++
			}
			return err
		})
		if err != nil || n < lapseAtOnce {
			return err
		}
	}
}

// Close notes what became of a request beside what stands there already. Once closed
// it stays as it is. Of an erasure that was done nothing is noted.
func (d *Desk) Close(ctx context.Context, name, outcome, note string) (r Request, err error) {
	if outcome != Done && outcome != Refused {
		return r, fault.New(fault.Invalid, "bad_outcome", "a request ends as done or refused")
	}
	return d.Change(ctx, name, func(r *Request) error {
		r.End(d.Now(), outcome)
		if r.Kind == Erase && outcome == Done {
			r.Body = nil // What is noted of an erasure would outlive whom it is about.
			return nil
		}
		return r.Note(note)
	})
}

// Note writes a note beside what stands in the body: what somebody wrote stays.
func (r *Request) Note(note string) error {
	if note == "" {
		return nil
	}
	return r.say("note", note)
}

// say writes one part of the body and leaves the others.
func (r *Request) say(part string, value any) (err error) {
	body := map[string]json.RawMessage{}
	if len(r.Body) > 0 {
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return fmt.Errorf("read what is noted of a request: %w", err)
		}
	}
	if body[part], err = json.Marshal(value); err == nil {
		r.Body, err = json.Marshal(body)
	}
	return err
}

// Codes of why a request cannot be changed.
const (
	Closed      = "request_closed"
	NotProven   = "request_unproven"
	unprovenSay = "nobody has proven yet that this request is theirs: it waits until %s for the link that was mailed to be followed, and ends by itself then"
)

// MayBeAnswered tells, by an error, that a request is not proven.
func (r *Request) MayBeAnswered() error {
	if !r.Awaited() {
		return nil
	}
	return fault.New(fault.Conflict, NotProven, unprovenSay, r.Due.UTC().Format(time.RFC3339))
}

// Change lets fn change a request that is open, in one transaction: of two that ask
// at once the second sees what the first has done. An error of fn changes nothing.
func (d *Desk) Change(ctx context.Context, name string, fn func(r *Request) error) (r Request, err error) {
	return d.change(ctx, name, func(r *Request) error {
		if err := r.MayBeAnswered(); err != nil {
			return err
		}
		return fn(r)
	})
}

func (d *Desk) change(ctx context.Context, name string, fn func(r *Request) error) (r Request, err error) {
	err = d.Keeper.Write(ctx, func(s Store) error {
		var found bool
		if r, found, err = s.Request(name); err != nil {
			return err
		}
		if !found {
			return errNoRequest
		}
		if !r.Closed.IsZero() {
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

// Each calls fn for all that a query selects, until it says that it has seen enough.
func (d *Desk) Each(ctx context.Context, q Query, fn func(r *Request) (more bool, err error)) error {
	return Each(q, func(q Query) ([]Request, error) { return d.Requests(ctx, q) }, fn)
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
