package processor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/identity"
	"rapport/internal/profile"
	"rapport/internal/purpose"
)

// UnmergeRequest is what the log holds of a request to part somebody who was
// joined by mistake.
type UnmergeRequest struct {
	Identifiers []identity.Name `json:"identifiers"` // those that leave
	Reason      string          `json:"reason,omitempty"`
}

// Parted is what an unmerge came to.
type Parted struct {
	Person      string `json:"person"`           // who stays
	Parted      string `json:"parted,omitempty"` // who left; missing before it is done
	Reason      string `json:"reason,omitempty"`
	Identifiers int    `json:"identifiers"` // identifiers that leave
	Moved       int    `json:"moved"`       // events of the one who leaves alone
	Stayed      int    `json:"stayed"`      // events of the one who stays alone
	Both        int    `json:"both"`        // what the house noted of both: it stays in both histories
	// Lost are events of which retention has left nothing: traits that only they
	// brought stay with who stays, and what was counted of them is gone.
	Lost int64 `json:"lost"`
}

// unmerge parts somebody: the identifiers that leave answer to somebody new, and
// what is known of both is made anew from their own history.
func (w *Walker) unmerge(it *item) error {
	var req UnmergeRequest
	if err := json.Unmarshal(it.e.Properties, &req); err != nil {
		return fault.Wrap(err, fault.Invalid, "bad_unmerge", "the request to part somebody cannot be read")
	}
	f, err := w.whom(it)
	if err != nil {
		return err
	}
	if f == nil {
		return fault.New(fault.Conflict, "person_erased", "the person was erased meanwhile")
	}
	leaving, err := w.Resolver.Leaving(&f.ident, req.Identifiers)
	if err != nil {
		return err
	}
	if err := w.packer.Flush(); err != nil { // entries of this very batch are history too
		return fmt.Errorf("write history: %w", err)
	}
	cause := "unmerge/" + it.e.MessageID
	if err := w.bindBoth(f, cause); err != nil {
		return err
	}
	p, err := Divide(w.p.books, f.id, &f.prof, w.Resolver, &f.ident, leaving)
	if err != nil {
		return err
	}
	if _, err := profile.Blank(w.p.books.History, f.prof.Heads); err != nil { // Both are written anew.
		return err
	}
	g, err := w.parted(f, leaving, it.e.MessageID)
	if err != nil {
		return err
	}
	if err := w.divideMails(f, g, p); err != nil {
		return err
	}
	before, err := pictureOf(f)
	if err != nil {
		return err
	}
	if err := w.refold(g, p.Leave, p.Lost > 0); err != nil {
		return err
	}
	if err := w.refold(f, p.Stay, p.Lost > 0); err != nil {
		return err
	}
	if p.Lost > 0 {
		if err := w.keepLost(f, g, before, p.Lost); err != nil {
			return err
		}
	}
	come := p.Comes(len(leaving))
	come.Person, come.Parted, come.Reason = f.id.String(), g.id.String(), req.Reason
	for _, x := range []*figure{f, g} {
		if err := w.noteParting(x, &it.e, come); err != nil {
			return err
		}
	}
	return w.settleBoth(f, g, p, cause)
}

// parted makes the one who leaves and hands over the identifiers.
func (w *Walker) parted(f *figure, leaving []identity.Identifier, cause string) (*figure, error) {
	who, err := w.set.New()
	if err != nil {
		return nil, err
	}
	g, err := w.set.figure(who)
	if err != nil {
		return nil, err
	}
	w.set.touch(f)
	moved := identity.Record{Identifiers: leaving}
	m := identity.Merge{Into: f.id, From: g.id, At: time.UnixMilli(w.now).UTC(), Cause: cause, Rule: identity.RuleUnmerge, Moved: moved.Append(nil)}
	g.ident.Created = 0
	if err := w.apartFromOthers(f, g); err != nil {
		return nil, err
	}
	identity.Part(&f.ident, &g.ident, f.id, g.id, leaving)
	for _, x := range g.ident.Identifiers {
		w.set.Bind(x.Hash, g.id)
	}
	merges, err := MergesOf(w.p.books.Identity, f.id)
	if err != nil {
		return nil, err
	}
	if err := w.namesToo(f, g, merges); err != nil {
		return nil, err
	}
	if err := w.p.books.Identity.AppendMerge(m); err != nil {
		return nil, fmt.Errorf("write the merge log: %w", err)
	}
	return g, nil
}

// noteParting writes into a history what was done, for whoever reads it and for
// whoever asks again under the same key.
func (w *Walker) noteParting(x *figure, request *event.Event, come Parted) error {
	props, err := json.Marshal(come)
	if err != nil {
		return err
	}
	note := event.Event{
		Type: event.Unmerge, Name: "Person Parted", Source: reserved, MessageID: request.MessageID, Person: int64(x.id),
		Time: request.Time, Received: request.Received, Properties: props,
	}
	x.prof.Fold(&note, &w.props, w.version.Schema, nil, &w.change)
	return w.remember(x, &note)
}

// refold makes a profile anew from its own entries, and writes them as a history
// of their own. Where some are lost, the person may have been known before.
func (w *Walker) refold(f *figure, entries []*event.Event, lost bool) error {
	w.set.touch(f)
	f.prof = profile.Profile{Version: w.version.Number}
	known := lost && f.ident.Known()
	for _, e := range entries {
		known = known || w.makesKnown(f, e)
		w.props.Reset(e.Properties)
		f.prof.Fold(e, &w.props, w.version.Schema, guard(f, e, known), &w.change)
		if _, err := w.joins(f, e, true); err != nil {
			return err
		}
		if err := w.remember(f, e); err != nil {
			return err
		}
	}
	return nil
}

// makesKnown tells whether an event binds more than a device to a person.
func (w *Walker) makesKnown(f *figure, e *event.Event) bool {
	if e.Source == reserved {
		return false
	}
	for _, x := range w.Resolver.Of(e, nil) {
		if x.Kind != identity.Anonymous && slices.ContainsFunc(f.ident.Identifiers, func(y identity.Identifier) bool { return x.Hash == y.Hash }) {
			return true
		}
	}
	return false
}

// picture is what was known of somebody before they were parted.
type picture struct {
	prof   profile.Profile
	groups []membership
}

// pictureOf copies it: a row's bytes go on with the row.
func pictureOf(f *figure) (out picture, err error) {
	if out.groups, err = memberships(f); err != nil {
		return out, err
	}
	for i := range out.groups {
		out.groups[i].raw = slices.Clone(out.groups[i].raw)
	}
	out.prof = f.prof
	out.prof.Traits = slices.Clone(f.prof.Traits)
	for i := range out.prof.Traits {
		t := &out.prof.Traits[i]
		t.Name, t.Value = strings.Clone(t.Name), slices.Clone(t.Value)
	}
	return out, nil
}

// keepLost leaves with who stays the traits and groups that nothing in the history
// left speaks of: the events that brought them are gone. They go on counting as
// events, so that another parting knows of them too.
func (w *Walker) keepLost(f, g *figure, before picture, lost int64) error {
	for _, t := range before.prof.Traits {
		if _, ok := g.prof.Trait(t.Name); !ok && t.Name != profile.GroupsTrait && t.Name != profile.GroupTrait {
			f.prof.Keep(t)
		}
	}
	if f.prof.Events == 0 || before.prof.First < f.prof.First {
		f.prof.First = before.prof.First
	}
	f.prof.Events += lost
	theirs, err := memberships(g)
	if err != nil {
		return err
	}
	own, err := memberships(f)
	if err != nil {
		return err
	}
	in := func(list []membership, m membership) bool {
		return slices.ContainsFunc(list, func(x membership) bool { return x.ID == m.ID })
	}
	all := slices.Clone(own)
	for _, m := range before.groups {
		if in(theirs, m) || in(own, m) {
			continue
		}
		all = append(all, m)
		// The row may be under a number that names who leaves now.
		if err := w.p.books.Group.Join(w.Resolver.Hash(groupKind, m.ID), f.id); err != nil {
			return fmt.Errorf("join a group: %w", err)
		}
	}
	if len(all) > len(own) {
		w.setGroups(f, all)
	}
	return nil
}

// settleBoth brings segments and journeys of both to what they are now.
func (w *Walker) settleBoth(f, g *figure, p *Parting, cause string) error {
	if err := g.seg.Decode(f.seg.Append(nil)); err != nil {
		return fmt.Errorf("copy memberships: %w", err)
	}
	for _, in := range w.version.Segments.In(&g.seg) {
		w.counts[in.Segment]++
	}
	g.jour = f.jour.Remembered()
	for _, x := range []*figure{f, g} {
		w.subject.f, w.subject.props = x, nil
		w.turn.Begin(&w.subject, &x.jour, w.now)
		if x == f {
			w.version.Journeys.Part(&w.turn, p.theirs)
		}
		if err := w.settleOne(x, cause); err != nil {
			return err
		}
	}
	return nil
}

// settleOne goes on from a turn that has begun.
func (w *Walker) settleOne(f *figure, cause string) error {
	w.version.Journeys.Arm(&w.turn, false)
	if err := w.effects(f, w.now); err != nil {
		return err
	}
	w.subject.f, w.subject.props = f, nil
	if err := w.everySegment(f, w.now, true, cause); err != nil {
		return err
	}
	return w.settle(f, fmt.Sprintf("%s/%d", cause, f.id), true)
}

func (w *Walker) ofDevice(p purpose.Purpose) bool {
	d, ok := w.Consent.Policy().Purpose(p)
	return ok && d.Scope == consent.DeviceScope
}

// bindBoth writes what narrows a person's permission under each of their
// identifiers, so that it binds both once they are parted. What concerns a
// device alone stays with the device.
func (w *Walker) bindBoth(f *figure, record string) error {
	narrow := map[purpose.Purpose]consent.Held{}
	held := make([][]consent.Held, len(f.ident.Identifiers))
	for i, x := range f.ident.Identifiers {
		var err error
		if held[i], err = w.p.books.Consent.Standing(x.Hash); err != nil {
			return fmt.Errorf("read permission: %w", err)
		}
		for _, h := range held[i] {
			if h.State > consent.Granted && h.State > narrow[h.Purpose].State && !w.ofDevice(h.Purpose) {
				narrow[h.Purpose] = h
			}
		}
	}
	var entries []consent.Entry
	for i, x := range f.ident.Identifiers {
		for p, h := range narrow {
			if slices.ContainsFunc(held[i], func(own consent.Held) bool { return own.Purpose == p && own.State >= h.State }) {
				continue
			}
			entries = append(entries, consent.Entry{
				Record: record, Subject: x.Hash, Kind: x.Kind, Purpose: p, State: h.State, Said: h.At, At: time.UnixMilli(w.now).UTC(),
				Method: "unmerge", Source: reserved,
			})
		}
	}
	if len(entries) == 0 {
		return nil
	}
	slices.SortFunc(entries, func(a, b consent.Entry) int { // Maps have no order, and a replay must write the same.
		if c := strings.Compare(string(a.Purpose), string(b.Purpose)); c != 0 {
			return c
		}
		return slices.Compare(a.Subject[:], b.Subject[:])
	})
	applied, err := w.Consent.ApplyIn(w.p.books.Consent, entries)
	if err != nil {
		return fmt.Errorf("apply permission: %w", err)
	}
	w.p.consent = append(w.p.consent, applied)
	return nil
}
