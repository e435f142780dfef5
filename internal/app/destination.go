package app

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/fetch"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/person"
	"rapport/internal/project"
	"rapport/internal/purpose"
	"rapport/internal/store"
	"rapport/internal/store/told"
)

// listen has what happens written down for destinations from here on, in the
// transaction in which it happens.
func (h *House) listen() {
	h.state = &told.State{
		State: h.state,
		Wants: func(it *destination.Item, e *event.Event) bool { return h.office != nil && h.office.Wants(it, e) },
		Wrote: func() { h.office.Wake() },
	}
}

// openOffice makes the room that tells other systems.
func (h *House) openOffice() (err error) {
	h.office, err = destination.New(destination.Config{
		Keeper: store.Destinations{State: h.state}, Gate: parties{h}, Now: h.clock.Now, After: h.clock.After, Mono: time.Now, Wall: utcNow,
		Rand: rand.Float64, Logger: h.logger.With("room", "destination"),
	})
	return err
}

// useDestinations follows a configuration. A simulation tells nobody.
func (h *House) useDestinations(ctx context.Context, c *project.Config) error {
	if h.office == nil || h.Wire != nil {
		return nil
	}
	if h.office.Used() && reflect.DeepEqual(h.told, c.Destinations) && reflect.DeepEqual(h.toldFrom, c.Purview) {
		return nil
	}
	var defs []destination.Definition
	var clients []*fetch.Client
	for _, d := range c.Destinations {
		client, err := fetch.New(fetch.Config{Private: d.Private, Timeout: d.Timeout, Connections: d.Connections, Now: utcNow})
		if err != nil {
			return err
		}
		clients = append(clients, client)
		def := destination.Definition{
			Name: d.Name, URL: d.URL, Purpose: d.Purpose, Sees: c.Purview.For(d.Purpose), Where: d.Where, Existing: d.Existing, Identifiers: d.Identifiers,
			Integration: d.Integration, Connections: d.Connections, Client: client, Alerts: d.Alerts,
			Events: destination.Choice(d.Events), Segments: destination.Choice(d.Segments),
			Messages: destination.Choice(d.Messages), Consent: destination.Choice(d.Consent),
		}
		for _, ref := range d.Secrets {
			secret, err := h.signingSecret(ref)
			if err != nil {
				h.logger.Error("a destination cannot be told", "destination", d.Name, "error", err)
				def.Unusable = err.Error()
				break
			}
			def.Secrets = append(def.Secrets, secret)
		}
		defs = append(defs, def)
	}
	if err := h.office.Use(ctx, defs); err != nil {
		return err
	}
	for _, old := range h.clients {
		old.Close()
	}
	h.clients, h.told, h.toldFrom = clients, c.Destinations, c.Purview
	return nil
}

func (h *House) signingSecret(ref project.Ref) (destination.Secret, error) {
	text, err := h.Secrets.Resolve(ref)
	if err != nil {
		return destination.Secret{}, err
	}
	secret, err := destination.ParseSecret(text)
	if err != nil {
		return destination.Secret{}, fault.Wrap(err, fault.Invalid, "bad_secret", "the secret %s cannot sign", ref)
	}
	return secret, nil
}

// startTelling tells destinations once everything that had arrived when the
// process began is walked: a withdrawal may be among it.
func (h *House) startTelling(ctx context.Context) error {
	if h.Wire != nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-h.settled:
	}
	err := h.office.Run(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// parties knows people and permission for destinations.
type parties struct{ h *House }

var _ destination.Gate = parties{}

// Whom implements destination.Gate: everybody in one snapshot, following merges.
func (p parties) Whom(ctx context.Context, items []*destination.Item) ([]*destination.Party, error) {
	out := make([]*destination.Party, len(items))
	err := p.h.state.Read(ctx, func(tx store.Tx) error {
		clear(out)
		who, err := named(tx, items)
		if err != nil {
			return err
		}
		ids := slices.Clone(who)
		slices.Sort(ids)
		ids = slices.DeleteFunc(slices.Compact(ids), func(x id.Person) bool { return x == 0 })
		found := make(map[id.Person]*destination.Party, len(ids))
		moved := map[id.Person]bool{}
		err = tx.Persons().Load(ids, func(x id.Person, body []byte) error {
			r, err := person.Decode(x, slices.Clone(body))
			if err != nil || r.Erased != 0 {
				return err
			}
			var rec identity.Record
			if err := rec.Decode(r.Identity); err != nil {
				return err
			}
			moved[x] = rec.MergedInto != 0
			found[x] = party(x, &rec)
			return nil
		})
		if err != nil {
			return err
		}
		for i, x := range who {
			if out[i] = found[x]; !moved[x] {
				continue
			}
			into, _, rec, err := row(tx, x)
			if err != nil {
				return err
			}
			out[i] = party(into, rec)
		}
		return nil
	})
	return out, err
}

// named gives whom items name, by their number or by an identifier.
func named(tx store.Tx, items []*destination.Item) ([]id.Person, error) {
	who := make([]id.Person, len(items))
	for i, it := range items {
		who[i] = it.Person
		if it.Person == 0 && it.Subject != (id.Hash{}) {
			if err := tx.Identity().Lookup([]id.Hash{it.Subject}, who[i:i+1]); err != nil {
				return nil, err
			}
		}
	}
	return who, nil
}

func party(who id.Person, rec *identity.Record) *destination.Party {
	p := &destination.Party{Person: who, Subjects: rec.Subjects()}
	for _, x := range rec.Identifiers {
		p.Names = append(p.Names, destination.Name{Kind: x.Kind, Value: x.Value})
	}
	return p
}

// Permit implements destination.Gate.
func (p parties) Permit(ctx context.Context, who *destination.Party, why purpose.Purpose, class purpose.Class) (ok bool, reason string, err error) {
	q := consent.Question{Subjects: who.Subjects, Operation: consent.Sync, Purpose: why, At: p.h.clock.Now()}
	if class == purpose.Sensitive {
		q.Class = consent.Sensitive
	}
	d := p.h.consent.Decide(ctx, q)
	if d.Reason == consent.Unreadable {
		return false, "", fault.New(fault.Unavailable, consent.Unreadable, "permission cannot be read: the item waits")
	}
	return d.Effect == consent.Allow, d.Reason, nil
}
