package processor

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/group"
	"rapport/internal/id"
	"rapport/internal/profile"
	"rapport/internal/segment"
)

// groupKind is the kind under which a group's id is hashed.
const groupKind = "group_id"

// membership is one object of profile.GroupsTrait.
type membership struct {
	ID   string `json:"id"`
	Seen string `json:"seen_at"`
	raw  json.RawMessage
}

// seenFormat has a fixed width, so that its texts are in the order of time.
const seenFormat = "2006-01-02T15:04:05.000Z"

// memberships reads the groups of a person, newest first.
func memberships(f *figure) ([]membership, error) {
	raw, ok := f.prof.Trait(profile.GroupsTrait)
	if !ok {
		return nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("groups of %s: %w", f.id, err)
	}
	out := make([]membership, len(list))
	for i, one := range list {
		if err := json.Unmarshal(one, &out[i]); err != nil {
			return nil, fmt.Errorf("groups of %s: %w", f.id, err)
		}
		out[i].raw = one
	}
	return out, nil
}

// setGroups writes the groups of a person, newest first, and tells which traits
// changed.
func (w *Walker) setGroups(f *figure, list []membership) []string {
	slices.SortStableFunc(list, func(a, b membership) int { return strings.Compare(b.Seen, a.Seen) })
	list = list[:min(len(list), group.MaxOf)]
	all := []byte{'['}
	for i, m := range list {
		if i > 0 {
			all = append(all, ',')
		}
		all = append(all, m.raw...)
	}
	w.change.Traits = w.change.Traits[:0]
	var changed []string
	for _, t := range []struct {
		name  string
		value []byte
	}{{profile.GroupsTrait, append(all, ']')}, {profile.GroupTrait, list[0].raw}} {
		f.prof.Replace(t.name, t.value, w.now, &w.change)
	}
	changed = append(changed, w.change.Traits...)
	w.change.Traits = w.change.Traits[:0]
	return changed
}

// joins makes the person of a group call a member, and lets everybody in the
// group hear of traits that changed. It gives the person's own that did.
func (w *Walker) joins(f *figure, e *event.Event, again bool) ([]string, error) {
	if e.Type != event.Group || e.GroupID == "" || len(e.GroupID) > group.MaxID {
		return nil, nil
	}
	h := w.Resolver.Hash(groupKind, e.GroupID)
	g, err := w.groupOf(h, e.GroupID)
	if err != nil {
		return nil, err
	}
	if !again && g.mayTell(e) && g.Fold(e) {
		if err := w.p.books.Group.SaveGroup(h, g.Append(nil)); err != nil {
			return nil, fmt.Errorf("write a group: %w", err)
		}
		if err := w.tellOthers(h, &g.Group, f.id); err != nil {
			return nil, err
		}
	}
	if err := w.p.books.Group.Join(h, f.id); err != nil {
		return nil, fmt.Errorf("join a group: %w", err)
	}
	list, err := memberships(f)
	if err != nil {
		return nil, err
	}
	now := membership{ID: e.GroupID, Seen: e.Time.UTC().Format(seenFormat)}
	if i := slices.IndexFunc(list, func(m membership) bool { return m.ID == e.GroupID }); i >= 0 {
		now.Seen = max(now.Seen, list[i].Seen)
		list = slices.Delete(list, i, i+1)
	}
	now.raw = g.AppendJSON(nil, now.Seen)
	return w.setGroups(f, slices.Insert(list, 0, now)), nil // Of two at one instant the one walked later is the newer.
}

// known is a group as it was read.
type known struct{ group.Group }

// mayTell keeps a public key that proves nothing from changing what is known of
// a group that others belong to.
func (g *known) mayTell(e *event.Event) bool {
	return e.Flags&event.FromBrowser == 0 || e.Flags&event.Verified != 0 || !g.Known()
}

func (w *Walker) groupOf(h id.Hash, name string) (*known, error) {
	body, err := w.p.books.Group.Group(h)
	if err != nil {
		return nil, fmt.Errorf("read a group: %w", err)
	}
	g := &known{}
	if err := g.Decode(body); err != nil {
		return nil, err
	}
	g.ID = name
	return g, nil
}

// wave is what the log holds of a group whose members are yet to hear of a change.
type wave struct {
	Group   string `json:"group"` // its hash, in hex
	Version uint64 `json:"version"`
	Behind  int64  `json:"behind"` // the last member who has heard of it
}

// tellOthers lets the members of a group hear of a change, if there are others
// than the one whose call brought it: they have it already.
func (w *Walker) tellOthers(h id.Hash, g *group.Group, but id.Person) error {
	members, err := w.p.books.Group.Members(h, 0, 2)
	if err != nil {
		return fmt.Errorf("list members of a group: %w", err)
	}
	if !slices.ContainsFunc(members, func(who id.Person) bool { return who != but }) {
		return nil
	}
	return w.tellMembers(h, g, 0)
}

// tellMembers has the log say that members behind one of them must hear of a
// change: a group may have more than one transaction should hold.
func (w *Walker) tellMembers(h id.Hash, g *group.Group, behind id.Person) error {
	x := wave{Group: hex.EncodeToString(h[:]), Version: g.Version, Behind: int64(behind)}
	props, err := json.Marshal(x)
	if err != nil {
		return err
	}
	at := time.UnixMilli(w.now).UTC()
	e := event.Event{
		Type: event.GroupChanged, Source: reserved, Name: g.ID, MessageID: fmt.Sprintf("group/%s/%d/%d", x.Group, x.Version, x.Behind),
		Time: at, Received: at, Properties: props,
	}
	if err := w.p.books.Walk.AppendRelay(e.Append(nil)); err != nil {
		return fmt.Errorf("tell members of a group: %w", err)
	}
	w.p.told = true
	return nil
}

// groupChanged brings some members of a group to its traits, and has the log say
// it for the next. A newer change of the group makes an older wave end.
func (w *Walker) groupChanged(it *item) error {
	var x wave
	if err := json.Unmarshal(it.e.Properties, &x); err != nil {
		return fault.Wrap(err, fault.Internal, "bad_group", "the record of a group cannot be read")
	}
	var h id.Hash
	if n, err := hex.Decode(h[:], []byte(x.Group)); err != nil || n != len(h) {
		return fault.New(fault.Internal, "bad_group", "the record of a group names none")
	}
	g, err := w.groupOf(h, strings.Clone(it.e.Name))
	if err != nil || g.Version != x.Version {
		return err
	}
	members, err := w.p.books.Group.Members(h, id.Person(x.Behind), group.MaxMembers)
	if err != nil {
		return fmt.Errorf("list members of a group: %w", err)
	}
	if err := w.set.load(members); err != nil {
		return err
	}
	for _, who := range members {
		if err := w.hears(who, g, it.e.MessageID); err != nil {
			return err
		}
	}
	if len(members) < group.MaxMembers {
		return nil
	}
	return w.tellMembers(h, &g.Group, members[len(members)-1])
}

// hears brings one member to the traits of their group.
func (w *Walker) hears(who id.Person, g *known, cause string) error {
	f, err := w.set.figure(who)
	if err != nil {
		return err
	}
	if err := w.ready(f, w.now); err != nil {
		return err
	}
	list, err := memberships(f)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(m membership) bool { return m.ID == g.ID })
	if i < 0 {
		return nil // They have left it for newer ones.
	}
	list[i].raw = g.AppendJSON(nil, list[i].Seen)
	changed := w.setGroups(f, list)
	if len(changed) == 0 {
		return nil
	}
	w.set.touch(f)
	w.subject.f, w.subject.props = f, nil
	w.transitions(f, w.version.Segments.Apply(&f.seg, &w.subject, segment.Changes{Traits: changed}, w.now, false, &w.work), cause)
	if w.version.Journeys.Dated() {
		w.turn.Begin(&w.subject, &f.jour, w.now)
		w.version.Journeys.Arm(&w.turn, true)
	}
	// What a journey waits for may have come true.
	if err := w.journeyTime(f, w.now); err != nil {
		return err
	}
	return w.settle(f, fmt.Sprintf("%s/%d", cause, f.id), false)
}

// unitedGroups gives the groups of two people who turned out to be one.
func unitedGroups(into, from *figure) ([]membership, error) {
	list, err := memberships(into)
	if err != nil {
		return nil, err
	}
	more, err := memberships(from)
	if err != nil {
		return nil, err
	}
	for _, m := range more {
		m.raw = bytes.Clone(m.raw)
		switch i := slices.IndexFunc(list, func(x membership) bool { return x.ID == m.ID }); {
		case i < 0:
			list = append(list, m)
		case m.Seen > list[i].Seen:
			list[i] = m
		}
	}
	return list, nil
}
