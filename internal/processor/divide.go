package processor

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/outbox"
	"rapport/internal/profile"
)

// MaxParted is how many events, and how many mails, a person may have to be
// parted: all of them are read and written in one transaction.
const MaxParted = 100_000

// Parting is a history divided between the person who stays and the one who
// leaves. Events are oldest first.
type Parting struct {
	Stay, Leave []*event.Event
	Both        int   // entries that went to both
	Lost        int64 // entries of which nothing is left: retention took them
	Mails       []PartedMail

	who   id.Person
	joint *identity.Joint
	joins map[int64]int   // where in the history the entry stands that joined them, by its instant
	roots map[string]root // by message id
	mails map[string]*outbox.Mail
	to    map[string]side // whose the address is that a mail went to, where that is known
}

// PartedMail is a mail and into whose story it goes.
type PartedMail struct {
	outbox.Mail
	Stays, Leaves bool
	// Theirs tells that what led to it was the leaver's alone.
	Theirs bool
}

// root is whom something goes back to.
type root struct {
	side   side  // into whose history it goes
	since  int64 // from when on who it names was in one record with the other side
	theirs bool  // what led to it was the leaver's alone
	place  int   // where in the history it stands; unplaced: nowhere
}

// unplaced stands behind every entry: nothing tells that it was before one.
const unplaced = math.MaxInt

func rootOf(s side, since int64) root { return root{s, since, s == leaves, unplaced} }

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
//   - what became of a mail goes where the mail goes;
//   - what the house noted because of an entry or of a mail goes where that goes,
//     and what time, a group or a configuration brought about goes to whom the
//     record held at that instant;
//   - what goes back to an entry that is not there, though nothing is lost, goes
//     back to somebody who was parted before, and so to whose record theirs was;
//   - what is left stays with both.
//
// A mail goes with what led to it if it was decided before the two were joined,
// and is in both stories from then on. rec has all identifiers, also those that leave.
func Divide(b *Books, who id.Person, p *profile.Profile, r *identity.Resolver, rec *identity.Record, leaving []identity.Identifier) (*Parting, error) {
	merges, err := MergesOf(b.Identity, who)
	if err != nil {
		return nil, err
	}
	whose := map[id.Hash]side{}
	for _, x := range leaving {
		whose[x.Hash] = leaves
	}
	var staying []identity.Identifier
	for _, x := range rec.Identifiers {
		if whose[x.Hash] == 0 {
			whose[x.Hash] = stays
			staying = append(staying, x)
		}
	}
	out := &Parting{who: who, roots: map[string]root{}, mails: map[string]*outbox.Mail{}}
	if out.joint, err = identity.Joined(who, merges, staying, leaving); err != nil {
		return nil, err
	}
	all, err := entries(b.History, p)
	if err != nil {
		return nil, err
	}
	out.Lost = max(p.Events-int64(len(all)), 0)
	if out.joins, err = joinsOf(out.joint, all); err != nil {
		return nil, err
	}
	mails, err := b.Outbox.OfPerson(who, MaxParted+1)
	if err != nil {
		return nil, fmt.Errorf("list mails: %w", err)
	}
	if len(mails) > MaxParted {
		return nil, tooLong("mails")
	}
	out.to = map[string]side{}
	for i := range mails {
		m := &mails[i]
		out.mails[m.ID.String()] = m
		if m.To != "" {
			out.to[m.ID.String()] = whose[r.Hash(identity.Email, m.To)]
		}
	}
	for i, e := range all {
		x := out.whose(e, r, whose)
		x.place = min(x.place, i)
		out.put(e, x)
	}
	for i := range mails {
		m := out.ofMail(&mails[i])
		out.Mails = append(out.Mails, PartedMail{mails[i], m.side&stays != 0, m.side&leaves != 0, m.theirs})
	}
	return out, nil
}

// Comes tells what the parting comes to, for so many identifiers that leave.
func (p *Parting) Comes(leaving int) Parted {
	return Parted{Identifiers: leaving, Moved: len(p.Leave) - p.Both, Stayed: len(p.Stay) - p.Both, Both: p.Both, Lost: p.Lost}
}

func tooLong(what string) error {
	return fault.New(fault.Conflict, "history_too_long", "a history of more than %d %s cannot be divided (MaxParted)", MaxParted, what)
}

// entries reads a whole history, oldest first.
func entries(st profile.Store, p *profile.Profile) (all []*event.Event, err error) {
	err = profile.History(st, p.Heads, func(_ profile.Pointer, e *event.Event) (bool, error) {
		own := &event.Event{} // The entry's bytes are the pack's.
		if err := own.Decode(e.Append(nil)); err != nil {
			return false, fmt.Errorf("read history: %w", err)
		}
		if all = append(all, own); len(all) > MaxParted {
			return false, tooLong("events")
		}
		return true, nil
	})
	slices.Reverse(all)
	return all, err
}

// joinsOf tells where in a history the entries stand that joined the two, by their
// instants: of what happened at one instant, the walk's order tells which was first.
func joinsOf(j *identity.Joint, all []*event.Event) (map[int64]int, error) {
	joins, err := j.Joins()
	if err != nil {
		return nil, err
	}
	out := map[int64]int{}
	for at, cause := range joins {
		if i := slices.IndexFunc(all, func(e *event.Event) bool { return e.MessageID == cause }); i >= 0 {
			out[at] = i
		}
	}
	return out, nil
}

// MergesOf lists the merges of somebody and of all whom they were made of.
func MergesOf(st identity.Store, who id.Person) (out []identity.Merge, err error) {
	type key struct {
		into, from id.Person
		cause      string
	}
	seen, known := map[key]bool{}, map[id.Person]bool{who: true}
	for next := []id.Person{who}; len(next) > 0; next = next[1:] {
		merges, err := st.Merges(next[0])
		if err != nil {
			return nil, fmt.Errorf("read the merge log: %w", err)
		}
		var own []identity.Merge
		for _, m := range merges {
			k := key{m.Into, m.From, m.Cause}
			if seen[k] {
				continue
			}
			seen[k] = true
			own = append(own, m)
			before := m.From
			if m.Rule == identity.RuleUnmerge {
				before = m.Into
			}
			if !known[before] {
				known[before] = true
				next = append(next, before)
			}
		}
		out = append(own, out...) // Of two at one instant, what led to the other comes first.
	}
	return out, nil
}

func (p *Parting) put(e *event.Event, r root) {
	s := r.side
	if old, known := p.roots[e.MessageID]; known { // Two sources may give the same id.
		r = root{old.side | r.side, min(old.since, r.since), old.theirs && r.theirs, max(old.place, r.place)}
	}
	p.roots[e.MessageID] = r
	if s&stays != 0 {
		p.Stay = append(p.Stay, p.asKnown(e, stays))
	}
	if s&leaves != 0 {
		p.Leave = append(p.Leave, p.asKnown(e, leaves))
	}
	if s == both {
		p.Both++
	}
}

// asKnown gives an entry as one side keeps it: of what became of a mail to the other
// side's address not what it was about.
func (p *Parting) asKnown(e *event.Event, s side) *event.Event {
	if e.Type != event.Outcome {
		return e
	}
	if to := p.to[outbox.MailOf(e)]; to == 0 || to == s {
		return e
	}
	known := *e
	outbox.Unnamed(&known)
	return &known
}

func (p *Parting) whose(e *event.Event, r *identity.Resolver, whose map[id.Hash]side) root {
	request := e.Type == event.Send || e.Type == event.Trigger
	switch {
	case e.Type == event.Outcome:
		return p.ofOutcome(e)
	case request && e.Person != 0:
		return p.held(id.Person(e.Person), e.Received.UnixMilli())
	case e.Type == event.Unmerge: // who was parted then, which was later than it was asked for
		return p.held(id.Person(e.Person), p.joint.Parted(e.MessageID, e.Received.UnixMilli()))
	case e.Source == reserved && !request:
		return p.ofHouse(e.MessageID, e.Received)
	}
	for _, x := range r.Of(e, nil) {
		if s, known := whose[x.Hash]; known {
			return rootOf(s, p.joint.Since(x.Hash))
		}
	}
	if x, ok := r.PreviousUser(e); ok && whose[x.Hash] != 0 {
		return rootOf(whose[x.Hash], p.joint.Since(x.Hash))
	}
	return rootOf(stays, identity.Never) // It names only what could not be joined.
}

// ofOutcome tells whose it is what became of a mail: whose the mail is, and where
// that is not kept any more, whom the record held then.
func (p *Parting) ofOutcome(e *event.Event) root {
	if m := p.mails[outbox.MailOf(e)]; m != nil {
		return p.ofMail(m)
	}
	return p.held(id.Person(e.Person), e.Received.UnixMilli())
}

// ofHouse tells whose something is that the house itself noted: its id begins
// with the id of what led to it, or names the record that was walked.
func (p *Parting) ofHouse(messageID string, at time.Time) root {
	i := strings.LastIndexByte(messageID, '/')
	if i <= 0 {
		return p.ofEarlier(at.UnixMilli())
	}
	parent := messageID[:i]
	if r, known := p.roots[parent]; known {
		return r
	}
	kind, rest, _ := strings.Cut(parent, "/")
	name, _, _ := strings.Cut(rest, "/")
	for _, x := range [...]string{kind, name} { // What became of a mail may be lost, and the mail not.
		if m := p.mails[x]; m != nil {
			return p.ofMail(m)
		}
	}
	last := parent[strings.LastIndexByte(parent, '/')+1:]
	switch kind {
	case "due", "set": // then the person and an instant
		return p.heldBy(name, at.UnixMilli())
	case "group", "unmerge": // at last the person
		return p.heldBy(last, at.UnixMilli())
	case "version": // It is brought about before what is walked at that instant.
		return p.heldBy(last, at.UnixMilli()-1)
	case "merge":
		r, known := p.roots[strings.TrimSuffix(rest, "/then")]
		if known && at.UnixMilli() < r.since { // of two who were the same side's
			return r
		}
	}
	return p.ofEarlier(at.UnixMilli())
}

// ofEarlier tells whose something is that goes back to what is in no history of
// those who are parted now: with nothing lost, it went with somebody who was
// parted from them before, so it is of whoever was in one record with that one.
func (p *Parting) ofEarlier(at int64) root {
	if p.Lost > 0 {
		return rootOf(both, 0)
	}
	stayed, left, since, err := p.joint.WithFormer(p.who, at)
	if err != nil || stayed == left {
		return rootOf(both, 0)
	}
	return rootOf(sideOf(left), since)
}

// sideOf gives the side of who leaves, or of who stays.
func sideOf(left bool) side {
	if left {
		return leaves
	}
	return stays
}

func (p *Parting) heldBy(number string, at int64) root {
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return p.ofEarlier(at)
	}
	if stayed, left, _ := p.joint.Held(id.Person(n), at); !stayed && !left { // A sender's id that looks like one of ours, or a record that is in no merge.
		return p.ofEarlier(at)
	}
	return p.held(id.Person(n), at)
}

// held tells whose identifiers a record held at an instant, in Unix milliseconds.
func (p *Parting) held(who id.Person, at int64) root {
	stayed, left, since := p.joint.Held(who, at)
	switch {
	case stayed == left:
		return rootOf(both, 0)
	case left:
		return rootOf(leaves, since)
	}
	return rootOf(stays, since)
}

// ofMail tells into whose story a mail goes, and whether what led to it was the
// leaver's alone.
func (p *Parting) ofMail(m *outbox.Mail) root {
	if m.Person != p.who { // Another's, who was parted from one of the two: it is only shared.
		if stayed, left, _ := p.joint.With(m.Person, m.Decided.UnixMilli()); stayed != left {
			return rootOf(sideOf(left), identity.Never)
		}
		return rootOf(both, 0)
	}
	r, known := p.roots[m.Cause]
	if !known {
		r = p.ofHouse(m.Cause, m.Decided)
	}
	at := m.Decided.UnixMilli()
	join, here := p.joins[r.since]
	if before := at == r.since && here && r.place < join; at >= r.since && !before {
		r.side = both
	}
	return r
}

// theirs tells whether what bears a message id was the leaver's alone.
func (p *Parting) theirs(messageID string) bool { return p.roots[messageID].theirs }
