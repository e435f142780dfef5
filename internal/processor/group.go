package processor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rapport/internal/event"
	"rapport/internal/group"
	"rapport/internal/id"
	"rapport/internal/profile"
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
	var c profile.Change
	for _, t := range []struct {
		name  string
		value []byte
	}{{profile.GroupsTrait, append(all, ']')}, {profile.GroupTrait, list[0].raw}} {
		f.prof.Replace(t.name, t.value, w.now, &c)
	}
	return c.Traits
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
	if !again && g.mayTell(e) && g.Fold(e, w.callOf(e)) {
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

// callOf names the call that changed a group: a source may give the same message
// id again once the duplicate window has forgotten it.
func (w *Walker) callOf(e *event.Event) string {
	return w.hashOf(e).String() + strconv.FormatInt(e.Received.UnixMilli(), 16)
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
