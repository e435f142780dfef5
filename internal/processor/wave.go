package processor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/group"
	"rapport/internal/id"
	"rapport/internal/segment"
)

// wave is what the log holds of a group whose members are yet to hear of a change.
type wave struct {
	Group  string `json:"group"`           // its hash, in hex
	Cause  string `json:"cause,omitempty"` // what changed it: the keyed hash of the call's source and message id and when it came, in hex
	Behind int64  `json:"behind"`          // the last member who has heard of it
	Until  int64  `json:"until,omitempty"` // the last one it is for; 0: all
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
	return w.tell(g.ID, wave{Group: h.String(), Cause: g.Cause})
}

// tell has the log say that members of a group must hear of a change: a group may
// have more than one transaction should hold.
func (w *Walker) tell(name string, x wave) error {
	props, err := json.Marshal(x)
	if err != nil {
		return err
	}
	at := time.UnixMilli(w.now).UTC()
	e := event.Event{
		Type: event.GroupChanged, Source: reserved, Name: name, MessageID: fmt.Sprintf("group/%s/%s/%d-%d", x.Group, x.Cause, x.Behind, x.Until),
		Time: at, Received: at, Properties: props,
	}
	if err := w.p.books.Walk.AppendRelay(e.Append(nil)); err != nil {
		return fmt.Errorf("tell members of a group: %w", err)
	}
	w.p.told = true
	return nil
}

// reach is whom a wave reaches, and the group they hear of.
type reach struct {
	wave
	hash    id.Hash
	group   *known
	members []id.Person // in order, at most group.MaxMembers
	current bool        // what it tells of is the last change of the group
}

// reachOf reads a wave. It reaches nobody where the group was changed last by
// something else: that has a wave of its own. Nor does it where the change is yet
// to come, as in a replay where the lanes fall differently: it will be told again.
func (w *Walker) reachOf(it *item) (r reach, err error) {
	if err := json.Unmarshal(it.e.Properties, &r.wave); err != nil {
		return r, fault.Wrap(err, fault.Internal, "bad_group", "the record of a group cannot be read")
	}
	var ok bool
	if r.hash, ok = id.ParseHash(r.Group); !ok {
		return r, fault.New(fault.Internal, "bad_group", "the record of a group names none")
	}
	if r.group, err = w.groupOf(r.hash, strings.Clone(it.e.Name)); err != nil {
		return r, err
	}
	if r.current = r.group.Cause == r.Cause; !r.current {
		return r, nil
	}
	r.members, err = w.p.books.Group.Members(r.hash, id.Person(r.Behind), group.MaxMembers)
	if err != nil {
		return r, fmt.Errorf("list members of a group: %w", err)
	}
	if r.Until != 0 {
		n, found := slices.BinarySearch(r.members, id.Person(r.Until))
		if found {
			n++
		}
		r.members = r.members[:n]
	}
	return r, nil
}

// rest is the wave behind this one; there is none behind the last.
func (r *reach) rest() (wave, bool) {
	x := r.wave
	if len(r.members) < group.MaxMembers {
		return x, false
	}
	x.Behind = int64(r.members[len(r.members)-1])
	return x, x.Until == 0 || x.Behind < x.Until
}

// groupChanged brings some members of a group to its traits, and has the log say
// it for the next.
func (w *Walker) groupChanged(it *item) error {
	r, err := w.reachOf(it)
	if err != nil || !r.current {
		return err
	}
	w.seenNow(it)
	if err := w.set.load(r.members, nil); err != nil {
		return err
	}
	for _, who := range r.members {
		if err := w.hears(who, &r, it.e.MessageID); err != nil {
			return err
		}
	}
	if x, more := r.rest(); more {
		return w.tell(it.e.Name, x)
	}
	return nil
}

// failed keeps a record that cannot be walked; of a wave it keeps only what
// concerns the one member who is to blame.
func (w *Walker) failed(lane eventlog.Lane, it *item, cause error) error {
	if it.err == nil && it.e.Type == event.GroupChanged {
		if split, err := w.splitWave(it); split || err != nil {
			return err
		}
	}
	return w.setAside(lane, it, cause)
}

// splitWave has the log say in two halves what failed as a whole, so that who is
// to blame is found and nobody else waits for them. A wave for one is not split.
func (w *Walker) splitWave(it *item) (bool, error) {
	r, err := w.reachOf(it)
	if err != nil || len(r.members) < 2 {
		return false, nil //nolint:nilerr // What cannot be read is set aside for the reason it failed for.
	}
	w.now = it.at
	first, second := r.wave, r.wave
	middle := r.members[len(r.members)/2-1]
	first.Until, second.Behind, second.Until = int64(middle), int64(middle), int64(r.members[len(r.members)-1])
	parts := []wave{first, second}
	if x, more := r.rest(); more {
		parts = append(parts, x)
	}
	for _, x := range parts {
		if err := w.tell(it.e.Name, x); err != nil {
			return false, err
		}
	}
	return true, nil
}

// hears brings one member to the traits of their group.
func (w *Walker) hears(who id.Person, r *reach, cause string) error {
	f, err := w.set.figure(who)
	if err != nil {
		return err
	}
	if f.erased != 0 {
		return w.p.books.Group.Leave(r.hash, who)
	}
	if err := w.ready(f, w.now); err != nil {
		return err
	}
	list, err := memberships(f)
	if err != nil {
		return err
	}
	g := r.group
	i := slices.IndexFunc(list, func(m membership) bool { return m.ID == g.ID })
	if i < 0 || f.id != who { // They have left it for newer ones, or are part of somebody else.
		if err := w.p.books.Group.Leave(r.hash, who); err != nil {
			return fmt.Errorf("leave a group: %w", err)
		}
	}
	if i < 0 {
		return nil
	}
	if f.id != who {
		if err := w.p.books.Group.Join(r.hash, f.id); err != nil {
			return fmt.Errorf("join a group: %w", err)
		}
	}
	list[i].raw = g.AppendJSON(nil, list[i].Seen)
	changed := w.setGroups(f, list)
	if len(changed) == 0 {
		return nil
	}
	w.set.touch(f)
	w.subject.f, w.subject.props = f, nil
	w.transitions(f, w.version.Segments.Apply(&f.seg, &w.subject, segment.Changes{Traits: changed}, w.now, false, &w.work), cause)
	w.armDates(f, w.now, true)
	// What a journey waits for may have come true.
	if err := w.journeyTime(f, w.now); err != nil {
		return err
	}
	return w.settle(f, fmt.Sprintf("%s/%d", cause, f.id), false)
}
