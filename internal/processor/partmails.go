package processor

import (
	"fmt"
	"slices"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/message"
	"rapport/internal/outbox"
)

// divideMails puts each mail into the story of whom it belongs to. What the
// leaver alone led to does not leave any more.
func (w *Walker) divideMails(f, g *figure, p *Parting) error {
	books := w.p.books.Outbox
	for i := range p.Mails {
		m := &p.Mails[i]
		var err error
		switch {
		case m.Stays && m.Leaves:
			err = books.Share(m.ID, g.id)
		case m.Leaves:
			err = books.Give(m.ID, f.id, g.id)
		}
		if err == nil {
			err = w.entrust(f, g, m)
		}
		if err != nil {
			return fmt.Errorf("divide mails: %w", err)
		}
		if m.Theirs && m.Person == f.id { // What is another's is only shared.
			if m.Leaves && !m.Stays {
				m.Person = g.id
			}
			if err := w.withdraw(&m.Mail); err != nil {
				return fmt.Errorf("withdraw a mail: %w", err)
			}
		}
	}
	return nil
}

// entrust has a mail kept with whom it is in store of those who part: under the key
// of one alone, or else of whose address it went to, so that the other's erasure
// takes nothing from them. It may still be under the key of a record that was joined
// with one of the two long ago.
func (w *Walker) entrust(f, g *figure, m *PartedMail) error {
	to := f
	if m.Leaves && (!m.Stays || g.hasAddress(w.Resolver, m.To)) {
		to = g
	}
	if m.Person != f.id && !to.hasAddress(w.Resolver, m.To) { // It is another's, and only shared.
		return nil
	}
	return w.p.books.Outbox.Entrust(m.ID, nil, to.id)
}

// hasAddress tells whether an address is one of somebody's identifiers.
func (f *figure) hasAddress(names *identity.Resolver, address string) bool {
	if address == "" {
		return false
	}
	h := names.Hash(identity.Email, address)
	return slices.ContainsFunc(f.ident.Identifiers, func(x identity.Identifier) bool { return x.Hash == h })
}

// withdraw keeps a mail from leaving. One that is being handed over may be gone
// already; it is not tried again.
func (w *Walker) withdraw(m *outbox.Mail) error {
	books, at := w.p.books, time.UnixMilli(w.now).UTC()
	switch m.State {
	case message.HandingOver, message.Uncertain:
		return books.Outbox.Note(m.ID, outbox.Step{State: m.State, At: at, Reason: outbox.Parted})
	case message.Pending, message.Deferred, message.Claimed:
	default:
		return nil
	}
	m.State, m.LeaseEnds = message.Skipped, time.Time{}
	if err := books.Outbox.Move(m, outbox.Step{State: m.State, At: at, Reason: outbox.Parted}); err != nil {
		return err
	}
	if err := books.Outbox.Release(m.ID); err != nil {
		return err
	}
	e, err := outbox.Ended(m, outbox.EventSkipped, outbox.AboutMail(m, outbox.Parted), at)
	if err != nil {
		return err
	}
	w.p.told, w.p.withdrawn = true, w.p.withdrawn+1
	return books.Walk.AppendRelay(e.Append(nil))
}

// whoseMail gives whose the mail is that an event tells of: it may have been
// handed over between the event and its walk. f is whom the event names.
func (w *Walker) whoseMail(f *figure, e *event.Event) (*figure, error) {
	mail, err := id.ParseMessage(outbox.MailOf(e))
	if err != nil {
		return f, nil //nolint:nilerr // It tells of none.
	}
	m, found, err := w.p.books.Outbox.Get(mail)
	if err != nil || !found {
		return f, err
	}
	if m.Person == 0 { // It was somebody's who was erased.
		return nil, nil //nolint:nilnil // Nobody is an answer.
	}
	return w.set.figure(m.Person)
}
