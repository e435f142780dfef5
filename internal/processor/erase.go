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
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/profile"
	"rapport/internal/rights"
)

// The names of records of type event.Rights.
const (
	EraseRecord = "erase" // Person is to be erased; Properties are an EraseRequest
	AdmitRecord = "admit" // events under an identifier are kept again; Properties are an AdmitRequest
	// ReleaseRecord takes identifiers from Person that somebody else had when they were
	// erased; Properties are a ReleaseRequest.
	ReleaseRecord = "release"
)

// EraseRequest is what the log holds of a request to erase somebody. It names
// nobody: the record's Person does.
type EraseRequest struct {
	Law      rights.Law `json:"law"`
	Received int64      `json:"received"` // Unix milliseconds
	Note     string     `json:"note,omitempty"`
	// Subjects are keyed hashes of identifiers, in hex, of somebody who cannot be read
	// any more.
	Subjects []string `json:"subjects,omitempty"`
}

// EraseEvent makes the record that erases somebody.
func EraseEvent(request string, who id.Person, at time.Time, req EraseRequest) (*event.Event, error) {
	props, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	return &event.Event{
		Type: event.Rights, Name: EraseRecord, Source: reserved, MessageID: request, Person: int64(who), Time: at, Received: at, Properties: props,
	}, nil
}

// AdmitRequest is what the log holds of somebody who comes back: the keyed hash of
// the identifier, in hex.
type AdmitRequest struct {
	Subject string `json:"subject"`
}

// Erased is what an erasure came to: what was taken away.
type Erased struct {
	Person      string `json:"person"`
	Identifiers int    `json:"identifiers"` // under which nothing is kept any more
	Merged      int    `json:"merged"`      // other numbers that named the person
	Events      int    `json:"events"`      // of their history
	Mails       int    `json:"mails"`       // of which only that there was one stays
	Withdrawn   int    `json:"withdrawn"`   // of them had not left, and do not leave
	Rejects     int    `json:"rejects"`     // kept events that named them
	Asides      int    `json:"asides"`      // set-aside records that named them
	Told        bool   `json:"told"`        // destinations are told
	Note        string `json:"note,omitempty"`
}

// Forgotten is whom the tables of other rooms forget.
type Forgotten struct {
	Request  string // its id
	At       time.Time
	People   []id.Person
	Subjects []id.Hash       // keyed hashes of every identifier and of every number
	Names    []identity.Name // their identifiers in the clear, for destinations
	Owns     func(address string) bool
	Event    func(*event.Event) bool // it is about them
	Payload  func([]byte) bool       // what came in and was kept names them
}

// rightsRecord carries out what an operator has the log say of somebody's rights.
func (w *Walker) rightsRecord(it *item, lane eventlog.Lane) error {
	switch it.e.Name {
	case EraseRecord:
		return w.erase(it)
	case AdmitRecord:
		return w.admit(it, lane)
	case ReleaseRecord:
		return w.release(it)
	}
	return fault.New(fault.Internal, "bad_rights", "the record of a right names none")
}

// erase forgets somebody: what the walk knows of them, and what other rooms keep.
// A row without anything stays, so that later records about them are dropped.
func (w *Walker) erase(it *item) error {
	var req EraseRequest
	if err := json.Unmarshal(it.e.Properties, &req); err != nil {
		return fault.Wrap(err, fault.Internal, "bad_erase", "the request to erase somebody cannot be read")
	}
	f, err := w.set.figure(id.Person(it.e.Person))
	if err != nil {
		return err
	}
	if err := w.packer.Flush(); err != nil { // entries of this very batch are history too
		return fmt.Errorf("write history: %w", err)
	}
	x, err := w.forgotten(f, it, req.Subjects)
	if err != nil {
		return err
	}
	out := Erased{Person: f.id.String(), Identifiers: len(f.ident.Identifiers), Merged: len(x.People) - 1, Note: req.Note}
	if out.Withdrawn, err = w.withdrawAll(f); err != nil {
		return err
	}
	if err := w.leaveAll(f); err != nil {
		return err
	}
	if err := w.cleanMerges(x); err != nil {
		return err
	}
	if out.Events, err = profile.Blank(w.p.books.History, f.prof.Heads); err != nil {
		return err
	}
	told, err := w.p.books.Forget(*x, &out)
	if err != nil {
		return err
	}
	var names []id.Hash
	for _, y := range f.ident.Identifiers {
		names = append(names, y.Hash)
	}
	if err := w.close(it, f, &req, told, &out, names); err != nil {
		return err
	}
	return w.bury(x.People)
}

// forgotten collects under what somebody is known.
func (w *Walker) forgotten(f *figure, it *item, subjects []string) (*Forgotten, error) {
	x := &Forgotten{Request: it.e.MessageID, At: time.UnixMilli(w.now).UTC(), People: []id.Person{f.id}}
	merges, err := MergesOf(w.p.books.Identity, f.id)
	if err != nil {
		return nil, err
	}
	for _, m := range merges {
		if m.Rule == identity.RuleUnmerge || slices.Contains(x.People, m.From) {
			continue
		}
		now, err := w.set.figure(m.From)
		if err != nil {
			return nil, err
		}
		if now == f || now.erased != 0 {
			x.People = append(x.People, m.From)
		}
	}
	own := map[id.Hash]bool{}
	for _, y := range f.ident.Identifiers {
		own[y.Hash] = true
		x.Subjects = append(x.Subjects, y.Hash)
		x.Names = append(x.Names, identity.Name{Kind: strings.Clone(y.Kind), Value: strings.Clone(y.Value)})
	}
	for _, text := range subjects {
		h, ok := id.ParseHash(text)
		if !ok {
			return nil, fault.New(fault.Internal, "bad_erase", "the request to erase somebody names a hash that is none")
		}
		own[h] = true
		x.Subjects = append(x.Subjects, h)
	}
	for _, who := range x.People {
		x.Subjects = append(x.Subjects, w.Hasher.Sum(personKind, who.String()))
	}
	x.Owns = func(address string) bool { return own[w.Resolver.Hash(identity.Email, address)] }
	x.Event = func(e *event.Event) bool {
		if slices.Contains(x.People, id.Person(e.Person)) {
			return true
		}
		return slices.ContainsFunc(w.Resolver.Of(e, nil), func(y identity.Identifier) bool { return own[y.Hash] })
	}
	x.Payload = func(b []byte) bool {
		return mentions(b, func(s string) bool {
			return own[w.Resolver.Hash(identity.UserID, s)] || own[w.Resolver.Hash(identity.Anonymous, s)] ||
				own[w.Resolver.HashOf(identity.Name{Kind: identity.Email, Value: s})] ||
				slices.ContainsFunc(x.Names, func(n identity.Name) bool { return n.Value == s })
		}, x.Names)
	}
	return x, nil
}

// withdrawAll keeps what is still owed to somebody from leaving.
func (w *Walker) withdrawAll(f *figure) (n int, err error) {
	mails, err := w.p.books.Outbox.OfPerson(f.id, MaxParted)
	if err != nil {
		return 0, fmt.Errorf("list mails: %w", err)
	}
	for i := range mails {
		m := &mails[i]
		if m.Person != f.id || !m.State.Unsent() {
			continue
		}
		m.State, m.LeaseEnds = message.Skipped, time.Time{}
		step := outbox.Step{State: m.State, At: time.UnixMilli(w.now).UTC(), Reason: outbox.Erased}
		if err := w.p.books.Outbox.Move(m, step); err != nil {
			return n, fmt.Errorf("withdraw a mail: %w", err)
		}
		n++
	}
	w.p.erasedMails += int64(n)
	return n, nil
}

// leaveAll takes somebody out of segments, groups and alarms.
func (w *Walker) leaveAll(f *figure) error {
	for _, in := range w.version.Segments.In(&f.seg) {
		w.counts[in.Segment]--
	}
	groups, err := memberships(f)
	if err != nil {
		return err
	}
	for _, m := range groups {
		if err := w.p.books.Group.Leave(w.Resolver.Hash(groupKind, m.ID), f.id); err != nil {
			return fmt.Errorf("leave a group: %w", err)
		}
	}
	return w.set.disarm(f)
}

// cleanMerges takes the identifiers of somebody out of the merge log.
func (w *Walker) cleanMerges(x *Forgotten) error {
	for _, who := range x.People {
		merges, err := w.p.books.Identity.Merges(who)
		if err != nil {
			return fmt.Errorf("read the merge log: %w", err)
		}
		for _, m := range merges {
			if err := w.cleanMerge(m, x.Subjects, slices.Contains(x.People, m.From)); err != nil {
				return err
			}
		}
	}
	return nil
}

// cleanMerge takes identifiers out of one row, and what joined them where one of them
// was in it, or anyway.
func (w *Walker) cleanMerge(m identity.Merge, subjects []id.Hash, anyway bool) error {
	var moved identity.Record
	if err := moved.Decode(m.Moved); err != nil {
		return fmt.Errorf("read the merge log: %w", err)
	}
	n := len(moved.Identifiers)
	moved.Identifiers = slices.DeleteFunc(moved.Identifiers, func(y identity.Identifier) bool { return slices.Contains(subjects, y.Hash) })
	if len(moved.Identifiers) == n && !anyway {
		return nil
	}
	now := m
	if now.Moved = moved.Append(nil); m.Rule != identity.RuleUnmerge { // Of a parting it is the house's own request.
		now.Cause = ""
	}
	if err := w.p.books.Identity.Remake(m, now); err != nil {
		return fmt.Errorf("clean the merge log: %w", err)
	}
	return nil
}

// close writes what came of the request, and under which names nothing is kept.
func (w *Walker) close(it *item, f *figure, req *EraseRequest, told int64, out *Erased, names []id.Hash) error {
	out.Told = told != 0
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	received := time.UnixMilli(req.Received).UTC()
	r := rights.Request{
		ID: it.e.MessageID, Kind: rights.Erase, Law: req.Law, Person: f.id, Subject: w.Hasher.Sum(personKind, f.id.String()),
		Received: received, Due: req.Law.Due(received), Closed: time.UnixMilli(w.now).UTC(), Outcome: rights.Done, Told: told, Body: body,
	}
	if err := w.p.books.Rights.Put(r); err != nil {
		return fmt.Errorf("note an erasure: %w", err)
	}
	if err := w.p.books.Rights.Bar(r.ID, names); err != nil {
		return fmt.Errorf("note an erasure: %w", err)
	}
	w.p.barred = append(w.p.barred, names...)
	w.p.admitted = slices.DeleteFunc(w.p.admitted, func(h id.Hash) bool { return slices.Contains(names, h) })
	return nil
}

// bury leaves of each number only that there was somebody.
func (w *Walker) bury(people []id.Person) error {
	if err := w.set.load(people, nil); err != nil {
		return err
	}
	for _, who := range people {
		f := w.set.figures[who]
		if f == nil {
			continue
		}
		w.set.touch(f)
		*f = figure{id: f.id, fresh: f.fresh, dirty: true, used: true, erased: w.now, body: f.body[:0]}
	}
	w.p.gone = append(w.p.gone, people...)
	return nil
}

// admit lets events under one identifier be kept again, about somebody new.
func (w *Walker) admit(it *item, lane eventlog.Lane) error {
	var req AdmitRequest
	err := json.Unmarshal(it.e.Properties, &req)
	h, ok := id.ParseHash(req.Subject)
	if err != nil || !ok {
		return fault.New(fault.Internal, "bad_admit", "the record of somebody who comes back names nobody")
	}
	found, err := w.p.books.Rights.Unbar(h)
	if err != nil || !found {
		return err
	}
	if err := w.p.books.Identity.Unbind(h); err != nil {
		return fmt.Errorf("unbind an identifier: %w", err)
	}
	if w.Admits != nil {
		if err := w.Admits(h, lane, it.pos); err != nil {
			return err
		}
	}
	w.set.idents[h] = 0
	w.p.admitted = append(w.p.admitted, h)
	return nil
}

// living takes out of an event's identifiers those of somebody who was erased. If
// the first of them, which says whom the event is about, is one, or none is left,
// the event is about nobody.
func (w *Walker) living(ids []identity.Identifier) ([]identity.Identifier, error) {
	out, cut := ids, false
	for i, x := range ids {
		gone, err := w.isErased(x.Hash)
		switch {
		case err != nil:
			return nil, err
		case gone && i == 0:
			return nil, nil
		case gone && !cut:
			out, cut = slices.Clone(ids[:i]), true
		case !gone && cut:
			out = append(out, x)
		}
	}
	return out, nil
}

// isErased tells whether an identifier was that of somebody who was erased.
func (w *Walker) isErased(h id.Hash) (bool, error) {
	if w.Barred != nil && w.Barred(h) && !slices.Contains(w.p.admitted, h) {
		return true, nil
	}
	who, err := w.set.Who(h)
	if err != nil || who == 0 {
		return false, err
	}
	f, err := w.set.figure(who)
	return err == nil && f.erased != 0, err
}
