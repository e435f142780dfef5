package processor

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/profile"
)

// ReleaseRequest is what the log holds of identifiers that somebody loses: a state has
// come back in which they had not been parted yet from somebody who was erased since.
type ReleaseRequest struct {
	Subjects []string `json:"subjects"` // keyed hashes of identifiers, in hex
}

// ReleaseEvent makes the record that takes identifiers from somebody.
func ReleaseEvent(request string, who id.Person, at time.Time, req ReleaseRequest) (*event.Event, error) {
	props, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	return &event.Event{
		Type: event.Rights, Name: ReleaseRecord, Source: reserved, MessageID: request, Person: int64(who), Time: at, Received: at, Properties: props,
	}, nil
}

// release parts somebody from identifiers as an unmerge does, and keeps nothing of
// whom it parts from them.
func (w *Walker) release(it *item) error {
	f, leaving, err := w.released(it)
	if err != nil || len(leaving) == 0 {
		return err
	}
	if err := w.packer.Flush(); err != nil { // entries of this very batch are history too
		return fmt.Errorf("write history: %w", err)
	}
	cause := "release/" + it.e.MessageID
	if err := w.bindBoth(f, cause); err != nil {
		return err
	}
	p, err := Divide(w.p.books, f.id, &f.prof, w.Resolver, &f.ident, leaving)
	if err != nil {
		return err
	}
	if _, err := profile.Blank(w.p.books.History, f.prof.Heads); err != nil { // It is written anew.
		return err
	}
	if err := w.takeNames(f, leaving); err != nil {
		return err
	}
	before, err := pictureOf(f)
	if err != nil {
		return err
	}
	gone := func(h id.Hash) bool {
		return slices.ContainsFunc(leaving, func(x identity.Identifier) bool { return x.Hash == h })
	}
	for _, e := range p.Stay {
		identity.Without(e, w.Resolver.Of(e, nil), gone)
	}
	if err := w.refold(f, p.Stay, p.Lost > 0); err != nil {
		return err
	}
	if p.Lost > 0 {
		if err := w.keepLost(f, w.foldOnly(p.Leave), before, p.Lost); err != nil {
			return err
		}
	}
	return w.settleParted(f, p, cause)
}

// released gives who loses which identifiers.
func (w *Walker) released(it *item) (f *figure, leaving []identity.Identifier, err error) {
	var req ReleaseRequest
	if err := json.Unmarshal(it.e.Properties, &req); err != nil {
		return nil, nil, fault.Wrap(err, fault.Internal, "bad_release", "the record of identifiers that somebody loses cannot be read")
	}
	if f, err = w.whom(it); err != nil || f == nil {
		return nil, nil, err
	}
	for _, x := range f.ident.Identifiers {
		if slices.Contains(req.Subjects, x.Hash.String()) {
			leaving = append(leaving, x)
		}
	}
	return f, leaving, nil
}

// takeNames has identifiers lead to nobody.
func (w *Walker) takeNames(f *figure, leaving []identity.Identifier) error {
	w.set.touch(f)
	var gone []id.Hash
	for _, x := range leaving {
		gone = append(gone, x.Hash)
		if err := w.p.books.Identity.Unbind(x.Hash); err != nil {
			return fmt.Errorf("unbind an identifier: %w", err)
		}
		w.set.idents[x.Hash] = 0
	}
	f.ident.Identifiers = slices.DeleteFunc(f.ident.Identifiers, func(x identity.Identifier) bool { return slices.Contains(gone, x.Hash) })
	if w.version.Segments.Asking() {
		w.named = append(w.named, f.id)
	}
	merges, err := MergesOf(w.p.books.Identity, f.id)
	if err != nil {
		return err
	}
	for _, m := range merges {
		if err := w.cleanMerge(m, gone, false); err != nil {
			return err
		}
	}
	return nil
}

// foldOnly gives what events make of somebody of whom nothing is kept.
func (w *Walker) foldOnly(events []*event.Event) *figure {
	g := &figure{}
	for _, e := range events {
		w.props.Reset(e.Properties)
		g.prof.Fold(e, &w.props, w.version.Schema, nil, &w.change)
	}
	return g
}

// settleParted brings segments and journeys of who stays to what they are now.
func (w *Walker) settleParted(f *figure, p *Parting, cause string) error {
	w.subject.f, w.subject.props = f, nil
	w.turn.Begin(&w.subject, &f.jour, w.now)
	w.version.Journeys.Part(&w.turn, p.theirs)
	return w.settleOne(f, cause)
}
