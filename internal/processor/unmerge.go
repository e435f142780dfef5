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
	"rapport/internal/id"
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

// MaxParted is how many events a person may have to be parted: all of them are
// read and written in one transaction.
const MaxParted = 100_000

// Parting is a history divided between the person who stays and the one who
// leaves. Events are oldest first.
type Parting struct {
	Stay, Leave []*event.Event
	Both        int   // entries that went to both
	Lost        int64 // entries of which nothing is left: retention took them
	sides       map[string]side
}

// side is whom an entry belongs to.
type side uint8

const (
	stays  side = 1
	leaves side = 2
	both        = stays | leaves
)

// Divide reads a history and tells whose each entry is:
//   - one that names identifiers goes to whom they belong; one that names
//     identifiers of both, as the one that joined them does, goes where its first
//     by priority belongs: user id, email, the others;
//   - what the house noted because of an entry goes where that goes;
//   - what time, a merge or a mail brought about stays with both.
func Divide(st profile.Store, p *profile.Profile, r *identity.Resolver, leaving []identity.Identifier, staying []identity.Identifier) (*Parting, error) {
	whose := map[id.Hash]side{}
	for _, x := range staying {
		whose[x.Hash] = stays
	}
	for _, x := range leaving {
		whose[x.Hash] = leaves
	}
	out := &Parting{sides: map[string]side{}}
	var all []*event.Event
	err := profile.History(st, p.Heads, func(_ profile.Pointer, e *event.Event) (bool, error) {
		own := &event.Event{} // The entry's bytes are the pack's.
		if err := own.Decode(e.Append(nil)); err != nil {
			return false, fmt.Errorf("read history: %w", err)
		}
		if all = append(all, own); len(all) > MaxParted {
			return false, fault.New(fault.Limited, "history_too_long", "a history of more than %d events cannot be divided (MaxParted)", MaxParted)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	for _, e := range all {
		s := out.whose(e, r, whose)
		out.sides[e.MessageID] = s
		if s&stays != 0 {
			out.Stay = append(out.Stay, e)
		}
		if s&leaves != 0 {
			out.Leave = append(out.Leave, e)
		}
		if s == both {
			out.Both++
		}
	}
	out.Lost = max(p.Events-int64(len(all)), 0)
	return out, nil
}

func (p *Parting) whose(e *event.Event, r *identity.Resolver, whose map[id.Hash]side) side {
	if e.Source == reserved {
		if i := strings.LastIndexByte(e.MessageID, '/'); i > 0 {
			if s, known := p.sides[e.MessageID[:i]]; known {
				return s
			}
		}
		return both
	}
	for _, x := range r.Of(e, nil) {
		if s, known := whose[x.Hash]; known {
			return s
		}
	}
	if x, ok := r.PreviousUser(e); ok && whose[x.Hash] != 0 {
		return whose[x.Hash]
	}
	return stays // It names only what could not be joined.
}

// theirs tells whether an event is the leaver's alone.
func (p *Parting) theirs(messageID string) bool { return p.sides[messageID] == leaves }

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
	g, err := w.parted(f, leaving, it.e.MessageID)
	if err != nil {
		return err
	}
	p, err := Divide(w.p.books.History, &f.prof, w.Resolver, g.ident.Identifiers, f.ident.Identifiers)
	if err != nil {
		return err
	}
	before := f.prof
	before.Traits = slices.Clone(before.Traits)
	for i := range before.Traits {
		t := &before.Traits[i]
		t.Name, t.Value = strings.Clone(t.Name), slices.Clone(t.Value)
	}
	if err := w.refold(g, p.Leave); err != nil {
		return err
	}
	if err := w.refold(f, p.Stay); err != nil {
		return err
	}
	if p.Lost > 0 {
		keepLost(f, g, &before)
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
	identity.Part(&f.ident, &g.ident, f.id, g.id, leaving)
	for _, x := range g.ident.Identifiers {
		w.set.Bind(x.Hash, g.id)
	}
	if err := w.p.books.Identity.AppendMerge(m); err != nil {
		return nil, fmt.Errorf("write the merge log: %w", err)
	}
	return g, nil
}

// refold makes a profile anew from its own entries, and writes them as a history
// of their own.
func (w *Walker) refold(f *figure, entries []*event.Event) error {
	w.set.touch(f)
	f.prof = profile.Profile{Version: w.version.Number}
	for _, e := range entries {
		w.props.Reset(e.Properties)
		f.prof.Fold(e, &w.props, w.version.Schema, w.guard(f, e), &w.change)
		if _, err := w.joins(f, e, true); err != nil {
			return err
		}
		if err := w.remember(f, e); err != nil {
			return err
		}
	}
	return nil
}

// keepLost leaves traits with who stays that nothing in the history left speaks
// of: the events that brought them are gone.
func keepLost(f, g *figure, before *profile.Profile) {
	for _, t := range before.Traits {
		if _, ok := g.prof.Trait(t.Name); !ok {
			f.prof.Keep(t)
		}
	}
	if f.prof.Events == 0 || before.First < f.prof.First {
		f.prof.First = before.First
	}
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
		w.version.Journeys.Arm(&w.turn, false)
		if err := w.effects(x, w.now); err != nil {
			return err
		}
		w.subject.f, w.subject.props = x, nil
		if err := w.everySegment(x, w.now, true, cause); err != nil {
			return err
		}
		if err := w.settle(x, fmt.Sprintf("%s/%d", cause, x.id), true); err != nil {
			return err
		}
	}
	return nil
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

// keepApart lets a merged person inherit from whom the other is kept apart, and
// those from whom.
func (w *Walker) keepApart(into, from *figure) error {
	for _, who := range from.ident.Apart {
		g, err := w.set.figure(who)
		if err != nil {
			return err
		}
		if g != into && !slices.Contains(g.ident.Apart, into.id) {
			g.ident.Apart = append(g.ident.Apart, into.id)
			into.ident.Apart = append(into.ident.Apart, g.id)
			w.set.touch(g)
		}
	}
	from.ident.Apart = nil
	return nil
}
