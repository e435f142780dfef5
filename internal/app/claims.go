package app

import (
	"context"
	"io"

	"rapport/internal/audit"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/privacy"
	"rapport/internal/rights"
	"rapport/internal/store"
)

// claims lets readers ask for their data on the pages.
func (h *House) claims() *feedback.Rights {
	return &feedback.Rights{
		Desk: h.requests(), How: h.proving, Address: h.addressOf, Export: h.exportTo,
		Erase: func(ctx context.Context, e *event.Event) error {
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
	return feedback.Proving{Template: t.Name, Purpose: t.Purpose, Law: c.Law, ValidFor: c.ValidFor}
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
	act := audit.Act{At: h.clock.Now(), Actor: "house/feedback", What: privacy.ExportedAct, Object: p.ID.String(), Subject: subjects[0]}
	if err := h.trail.Record(ctx, act); err != nil {
		return err
	}
	x := privacy.Export{
		Reader: h.reader, House: h.edition().config.Workspace.Title, Now: h.clock.Now(),
		Rows: func(ctx context.Context, act string, below int64, limit int) ([]audit.Entry, error) {
			return h.trail.Search(ctx, audit.Query{Subjects: subjects, What: act, Before: below, Limit: limit})
		},
	}
	if page {
		return x.HTML(ctx, who, w)
	}
	return x.JSON(ctx, who, w)
}
