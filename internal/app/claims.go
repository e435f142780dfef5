package app

import (
	"context"
	"io"
	"maps"
	"slices"

	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/privacy"
	"rapport/internal/profile"
	"rapport/internal/rights"
	"rapport/internal/store"
)

// claims lets readers ask for their data on the pages.
func (h *House) claims() *feedback.Rights {
	return &feedback.Rights{
		Desk: h.requests(), How: h.proving, Address: h.addressOf, Export: h.exportTo,
		Restrict: h.restrict, Traits: h.traitsOf, Note: h.noteClaim,
		Walk: func(ctx context.Context, e *event.Event) error {
			pos, _, err := h.log.Append(ctx, eventlog.Live, [][]byte{e.Append(nil)})
			if err != nil {
				return err
			}
			return h.walker.Wait(ctx, eventlog.Live, pos)
		},
	}
}

func (h *House) requests() *rights.Desk {
	return &rights.Desk{Keeper: store.Rights{State: h.state}, Now: h.clock.Now}
}

// proving tells by which mail a reader proves that an address is theirs.
func (h *House) proving() feedback.Proving {
	e := h.edition()
	c := e.config.Workspace.Rights
	t, ok := e.content.Templates[c.ConfirmWith]
	if !ok {
		return feedback.Proving{}
	}
	return feedback.Proving{Template: t.Name, Purpose: t.Purpose, Law: c.Law, ValidFor: c.ValidFor, AtOnce: c.AtOnce}
}

// noteClaim writes down what a reader is about to do.
func (h *House) noteClaim(ctx context.Context, who id.Person, what string) error {
	act := audit.Act{At: h.clock.Now(), Actor: feedback.Actor, What: what, Object: who.String(), Subject: h.hasher.Sum(audit.PersonKind, who.String())}
	return h.trail.Record(ctx, act)
}

// restrict says under each of somebody's identifiers that their data are to be kept
// and not used, or that this ends, which holds once it is walked.
func (h *House) restrict(ctx context.Context, record string, who id.Person, kind rights.Kind) error {
	p, err := h.reader.Person(ctx, who, "")
	if err != nil {
		return err
	}
	state := consent.Objected
	if kind == rights.Lift {
		state = consent.Granted
	}
	var entries []consent.Entry
	for _, x := range p.Identifiers {
		entries = append(entries, consent.Entry{
			Subject: h.hasher.Sum(x.Kind, x.Value), Kind: x.Kind, Purpose: consent.Restriction, State: state, Method: consent.ByPreferences,
		})
	}
	if err := h.consent.Submit(ctx, record, feedback.Source, entries); err != nil || kind != rights.Lift {
		return err
	}
	tail, _ := h.log.Tail(eventlog.Live)
	return h.walker.Wait(ctx, eventlog.Live, tail)
}

// traitsOf gives all traits that are held of somebody, whatever purposes may see.
func (h *House) traitsOf(ctx context.Context, who id.Person) ([]feedback.Held, error) {
	p, err := h.reader.Person(ctx, who, "")
	if err != nil {
		return nil, err
	}
	computed := h.edition().config.ComputedTraits()
	var out []feedback.Held
	for _, name := range slices.Sorted(maps.Keys(p.Traits)) {
		if name != profile.GroupTrait && name != profile.GroupsTrait { // What groups they are in is said by the groups.
			out = append(out, feedback.Held{Name: name, Value: p.Traits[name], Own: slices.Contains(computed, name)})
		}
	}
	return out, nil
}

// addressOf gives the address of somebody with this hash.
func (h *House) addressOf(ctx context.Context, who id.Person, address id.Hash) (to string, err error) {
	err = h.state.Read(ctx, func(tx store.Tx) error {
		_, _, rec, err := row(tx, who)
		if fault.KindOf(err) == fault.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		for _, x := range rec.Identifiers {
			if x.Kind == identity.Email && x.Hash == address {
				to = x.Value
			}
		}
		return nil
	})
	return to, err
}

// exportTo writes all that is held about somebody who asked for it on the page. That
// it was is noted before, as for whoever asks by the API.
func (h *House) exportTo(ctx context.Context, who id.Person, page bool, w io.Writer) error {
	p, err := h.reader.Person(ctx, who, "")
	if err != nil {
		return err
	}
	subjects := []id.Hash{h.hasher.Sum(audit.PersonKind, p.ID.String())}
	for _, m := range p.Merged {
		subjects = append(subjects, h.hasher.Sum(audit.PersonKind, m))
	}
	for _, x := range p.Identifiers {
		subjects = append(subjects, h.hasher.Sum(x.Kind, x.Value))
	}
	act := audit.Act{At: h.clock.Now(), Actor: feedback.Actor, What: privacy.ExportedAct, Object: p.ID.String(), Subject: subjects[0]}
	if err := h.trail.Record(ctx, act); err != nil {
		return err
	}
	x := privacy.Export{
		Reader: h.reader, House: h.edition().config.Workspace.Title, Now: h.clock.Now(), Told: h.mayBeTold,
		Rows: func(ctx context.Context, act string, below int64, limit int) ([]audit.Entry, error) {
			return h.trail.Search(ctx, audit.Query{Subjects: subjects, What: act, Before: below, Limit: limit})
		},
	}
	if page {
		return x.HTML(ctx, who, w)
	}
	return x.JSON(ctx, who, w)
}
