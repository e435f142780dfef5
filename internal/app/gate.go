package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rapport/internal/consent"
	"rapport/internal/content"
	"rapport/internal/delivery"
	"rapport/internal/fault"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/journey"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/person"
	"rapport/internal/profile"
	"rapport/internal/purpose"
	"rapport/internal/purview"
	"rapport/internal/store"
)

// figures opens people's rows for those who send.
type figures struct {
	state    store.State
	resolver *identity.Resolver
	consent  *consent.Authority
	journeys func() *journey.Catalog
	purview  func() *purview.Table
	now      func() time.Time
}

var (
	_ content.People      = (*figures)(nil)
	_ delivery.Gate       = (*figures)(nil)
	_ delivery.Suppressor = (*figures)(nil)
)

// row reads one person inside a transaction, following merges.
func row(tx store.Tx, who id.Person) (id.Person, person.Row, *identity.Record, error) {
	for range 64 {
		var body []byte
		err := tx.Persons().Load([]id.Person{who}, func(_ id.Person, b []byte) error {
			body = append(body, b...)
			return nil
		})
		if err != nil {
			return 0, person.Row{}, nil, err
		}
		if body == nil {
			return 0, person.Row{}, nil, fault.New(fault.NotFound, "no_such_person", "%s has no row", who)
		}
		r, err := person.Decode(who, body)
		if err != nil {
			return 0, person.Row{}, nil, err
		}
		if r.Erased != 0 {
			return 0, person.Row{}, nil, fault.New(fault.NotFound, "person_erased", "%s was erased", who)
		}
		rec := &identity.Record{}
		if err := rec.Decode(r.Identity); err != nil {
			return 0, person.Row{}, nil, err
		}
		if rec.MergedInto == 0 {
			return who, r, rec, nil
		}
		who = rec.MergedInto
	}
	return 0, person.Row{}, nil, fmt.Errorf("%s: merges go in a circle", who)
}

// Open implements content.People.
func (f *figures) Open(ctx context.Context, who id.Person, why purpose.Purpose) (content.Person, error) {
	var out content.Person
	err := f.state.Read(ctx, func(tx store.Tx) error {
		_, r, rec, err := row(tx, who)
		if err != nil {
			return err
		}
		p := &profile.Profile{}
		if err := p.Decode(r.Profile); err != nil {
			return err
		}
		out = content.Person{Email: rec.Address(p.Text("email")), Subjects: rec.Subjects()}
		sees := f.purview().For(why)
		if sees.Sensitive() {
			d := f.consent.DecideIn(tx.Consent(), consent.Question{
				Subjects: out.Subjects, Operation: consent.Personalise, Purpose: why, Channel: purpose.Web, Class: consent.Sensitive, At: f.now(),
			})
			if d.Effect != consent.Allow {
				sees = sees.Modest()
			}
		}
		out.View = p.View(why, sees)
		return nil
	})
	return out, err
}

// Foresee implements delivery.Gate.
func (f *figures) Foresee(tx store.Tx, people []id.Person, addresses []string) error {
	if err := tx.Persons().Foresee(people); err != nil {
		return err
	}
	return tx.Consent().Foresee(func(yield func(id.Hash, bool) bool) {
		for i, who := range people {
			if !yield(f.resolver.Hash(identity.Email, addresses[i]), true) {
				return
			}
			_, _, rec, err := row(tx, who)
			if err != nil {
				continue // Pass says it.
			}
			for _, x := range rec.Identifiers {
				if !yield(x.Hash, false) {
					return
				}
			}
		}
	})
}

// Pass implements delivery.Gate: permission for the person, each identifier and
// the address, suppression, whether the place in the journey still lives, and whether
// it belongs to somebody who was parted from this person.
func (f *figures) Pass(tx store.Tx, m *outbox.Mail, now time.Time) (bool, string, []byte, error) {
	_, r, rec, err := row(tx, m.Person)
	if err != nil {
		return false, "", nil, err
	}
	if len(rec.Apart) > 0 {
		story, err := tx.Outbox().Story(m.ID)
		if err != nil {
			return false, "", nil, err
		}
		if outbox.WasParted(story) {
			return false, outbox.Parted, nil, nil
		}
	}
	if m.Place != "" {
		var places journey.State
		if err := places.Decode(r.Journey); err != nil {
			return false, "", nil, err
		}
		if !f.journeys().Live(&places, m.Place, m.Step) {
			return false, "journey_left", nil, nil
		}
	}
	q := consent.Question{
		Subjects: rec.Subjects(), Address: f.resolver.Hash(identity.Email, m.To), Operation: consent.HandOver,
		Purpose: m.Purpose, Channel: purpose.Email, Claim: m.Claims(), At: now,
	}
	d := f.consent.DecideIn(tx.Consent(), q)
	if d.Effect == consent.Allow {
		return true, "", evidence(d), nil
	}
	if d.Reason == consent.Unreadable {
		return false, "", nil, fault.New(fault.Unavailable, "permission_unreadable", "permission cannot be read: the mail waits")
	}
	return false, d.Reason, evidence(d), nil
}

// evidence is what a mail's story keeps of a decision.
func evidence(d consent.Decision) []byte {
	b, err := json.Marshal(map[string]any{"permission": d.Effect.String(), "reason": d.Reason, "basis": d.Basis, "record": d.Record, "consent_version": d.Version})
	if err != nil {
		return nil // Strings and numbers always marshal.
	}
	return b
}

// Bounced implements delivery.Suppressor.
func (f *figures) Bounced(tx store.Tx, address string, o message.Outcome, now time.Time) (func(), error) {
	dead, is := feedback.Dead(f.resolver.Hash(identity.Email, address), o, now)
	if !is {
		return func() {}, nil
	}
	applied, err := f.consent.SuppressIn(tx.Consent(), dead)
	if err != nil {
		return nil, err
	}
	return applied.Done, nil
}

// usesAtOnce bounds a transaction that forgets uses of frequency caps.
const usesAtOnce = 2000

// dropUses forgets which mails counted against caps that can count them no more.
func (h *House) dropUses(ctx context.Context, before time.Time) error {
	for n := usesAtOnce; n == usesAtOnce; {
		err := h.state.Write(ctx, store.WriteOptions{Priority: store.Idle}, func(tx store.Tx) (err error) {
			n, err = tx.Outbox().DropUses(before, usesAtOnce)
			return err
		})
		if err != nil {
			return fmt.Errorf("forget uses of caps: %w", err)
		}
	}
	return nil
}
