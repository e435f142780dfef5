package app

import (
	"context"
	"log/slog"
	"slices"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/processor"
	"rapport/internal/purpose"
	"rapport/internal/rights"
)

// permit joins the authority on permission to ingest.
type permit struct {
	consent  *consent.Authority
	resolver *identity.Resolver
	barred   *rights.Barred
	logger   *slog.Logger
}

var _ ingest.Permit = (*permit)(nil)

// Narrow implements ingest.Permit.
func (p *permit) Narrow(ctx context.Context, said []ingest.Statement) error {
	var all []consent.Entry
	for _, s := range said {
		if s.GPC {
			s.Event.Flags |= event.GPC
		}
		narrow, _ := p.consent.FromEvent(s.Event, s.GPC)
		all = append(all, narrow...)
	}
	return p.consent.Narrow(ctx, all)
}

// Admit implements ingest.Permit: may this event be kept, for the purpose and
// on the basis that its source declares?
func (p *permit) Admit(src *ingest.Source, s ingest.Statement) ingest.Verdict {
	var names [8]identity.Identifier
	var hashes [8]id.Hash
	subjects := hashes[:0]
	all := p.resolver.Of(s.Event, names[:0])
	gone := func(x identity.Identifier) bool { return p.barred.Has(x.Hash) }
	if p.barred.Any() && slices.ContainsFunc(all, gone) {
		if gone(all[0]) { // Whom it is about was erased.
			return ingest.Verdict{}
		}
		identity.Without(s.Event, all, p.barred.Has)
		all = slices.DeleteFunc(all, gone)
	}
	for _, x := range all {
		subjects = append(subjects, x.Hash)
	}
	q := consent.Question{
		Subjects: subjects, Operation: consent.Collect, Purpose: src.Purpose, Channel: purpose.Web, Basis: src.Basis, At: s.At,
	}
	if src.Basis == purpose.Consent {
		q.Granted = p.grants(s, src.Purpose)
	}
	d, complete := p.consent.Quick(&q)
	if !complete {
		d = p.consent.Decide(context.Background(), q)
	}
	if d.Effect == consent.Allow {
		return ingest.Verdict{Allow: true}
	}
	return ingest.Verdict{Instead: p.instead(s)}
}

// erased tells whether a payload that cannot be taken names somebody of whom nothing
// is kept any more. Of an identifier of another kind the payload says which one too.
func (p *permit) erased(payload []byte) bool {
	if !p.barred.Any() {
		return false
	}
	kinds, before := []string{identity.UserID, identity.Anonymous}, ""
	for text := range processor.Texts(payload) {
		if before == "type" && len(kinds) < mostKinds && !slices.Contains(kinds, text) {
			kinds = append(kinds, text)
		}
		before = text
	}
	for text := range processor.Texts(payload) {
		if p.barred.Has(p.resolver.HashOf(identity.Name{Kind: identity.Email, Value: text})) ||
			slices.ContainsFunc(kinds, func(kind string) bool { return p.barred.Has(p.resolver.Hash(kind, text)) }) {
			return true
		}
	}
	return false
}

// mostKinds is how many kinds of identifiers are tried: a payload that names more is
// nobody's.
const mostKinds = 24

// grants tells whether the event itself brings the grant it needs.
func (p *permit) grants(s ingest.Statement, why purpose.Purpose) bool {
	_, widen := p.consent.FromEvent(s.Event, s.GPC)
	for _, e := range widen {
		if e.Purpose == why {
			return true
		}
	}
	return false
}

// instead makes the record of what an event says on permission, where the event
// itself must not be kept. What narrows stands already: Narrow came before.
func (p *permit) instead(s ingest.Statement) *event.Event {
	entries := p.consent.WalkedEvent(s.Event)
	if len(entries) == 0 {
		return nil
	}
	e, err := consent.ChangeEvent(s.Event.MessageID, s.Event.Source, s.Event.Received, entries)
	if err != nil {
		p.logger.Error("a change of permission could not be written down", "error", err)
		return nil
	}
	return e
}
