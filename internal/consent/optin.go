package consent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// Asked is what an address is to confirm.
type Asked struct {
	Purposes []purpose.Purpose `json:"purposes"`
	Language string            `json:"language,omitempty"`
	Mail     string            `json:"mail"` // of the mail with the link
	Facts    Facts             `json:"facts"`
}

// Read gives what was asked.
func (o *OptIn) Read() (Asked, error) {
	var a Asked
	if err := json.Unmarshal(o.Body, &a); err != nil {
		return a, fmt.Errorf("read an opt-in: %w", err)
	}
	return a, nil
}

// OptInLimits keep a form from being turned against somebody's mailbox.
type OptInLimits struct {
	PerAddress int           // in a day
	PerNetwork int           // in an hour
	ValidFor   time.Duration // of the link
}

// Codes of what AskOptIn refuses.
const (
	TooManyForAddress = "too_many_for_address"
	TooManyForNetwork = "too_many_from_network"
	Unwanted          = "address_suppressed"
)

// AskOptIn keeps a yes that is to be confirmed, if so many were not asked for
// already. It gives no permission.
func (a *Authority) AskOptIn(ctx context.Context, o OptIn, limits OptInLimits) error {
	o.At = arrival(o.At)
	o.Expires = o.At.Add(limits.ValidFor)
	err := a.keeper.Write(ctx, func(st Store) error {
		day, _, err := st.CountOptIns(o.Address, "", o.At.Add(-24*time.Hour))
		if err != nil {
			return err
		}
		_, hour, err := st.CountOptIns(o.Address, o.Network, o.At.Add(-time.Hour))
		switch {
		case err != nil:
			return err
		case limits.PerAddress > 0 && day >= limits.PerAddress:
			return fault.New(fault.Limited, TooManyForAddress, "the address was asked %d times in a day", day)
		case limits.PerNetwork > 0 && o.Network != "" && hour >= limits.PerNetwork:
			return fault.New(fault.Limited, TooManyForNetwork, "the network asked for %d confirmations in an hour", hour)
		}
		against, err := st.Suppressions(o.Address)
		if err != nil {
			return err
		}
		for _, s := range against {
			if s.Reason == Complaint || s.Reason == HardBounce || s.covers(purpose.Service) {
				return fault.New(fault.Denied, Unwanted, "the address takes no mail that it did not ask for") // A form asks in anybody's name.
			}
		}
		return st.PutOptIn(o)
	})
	if err != nil {
		return fmt.Errorf("ask for a confirmation: %w", err)
	}
	return nil
}

// FindOptIn finds a yes that is to be confirmed.
func (a *Authority) FindOptIn(ctx context.Context, m id.Message) (o OptIn, found bool, err error) {
	err = a.keeper.Read(ctx, func(st Store) error {
		o, found, err = st.OptIn(m)
		return err
	})
	return o, found, err
}

// ConfirmOptIn says yes for what was asked, and uses the link up. The statements
// stand in the log before the link is used, under a record that counts once: a
// crash in between leaves a link that may be used again and changes nothing more.
func (a *Authority) ConfirmOptIn(ctx context.Context, o *OptIn, source string, entries []Entry) error {
	if err := a.Submit(ctx, "confirmed/"+o.ID.String(), source, entries); err != nil {
		return err
	}
	return a.keeper.Write(ctx, func(st Store) error {
		_, err := st.ConfirmOptIn(o.ID, arrival(a.now()))
		return err
	})
}

// record tells of a confirmation that is, or was, awaited; nil for one that came.
func (o *OptIn) record(p *Policy, now time.Time) *Record {
	if !o.Confirmed.IsZero() {
		return nil
	}
	asked, err := o.Read()
	if err != nil {
		return nil
	}
	e := Entry{Record: "opt-in/" + o.ID.String(), Subject: o.Address, Kind: "email", State: Refused, At: o.At, Method: ByOptIn}
	if len(asked.Purposes) > 0 {
		e.Purpose = asked.Purposes[0]
	}
	e.Facts = asked.Facts.JSON()
	if err := p.complete(&e); err != nil {
		return nil
	}
	r := Describe(&e)
	r.Purposes, r.Type, r.State, r.ValidUntil = asked.Purposes, "requested", "awaited", o.Expires
	if !now.Before(o.Expires) {
		r.Type, r.State = "expired", "never_confirmed"
	}
	return r
}
