package consent

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// Applied is what a transaction changed in the picture. Done must be called
// once the transaction has committed, never before: only then may permission
// widen. What narrows is in the picture already.
type Applied struct {
	a       *Authority
	updates []update
	version int64
}

type update struct {
	subject id.Hash
	held    []Held
	against []Suppression
	tick    int64
}

// Done lets the picture show what the transaction changed. Calling it on the
// zero value does nothing.
func (ap Applied) Done() {
	if ap.a == nil {
		return
	}
	a := ap.a
	a.mu.Lock()
	defer a.mu.Unlock()
	v := a.view.Load()
	for _, u := range ap.updates {
		states, against := v.policy.pack(&u)
		v.picture.set(u.subject, u.tick, states, against)
	}
	if ap.version > a.version.Load() {
		a.version.Store(ap.version)
	}
}

func (p *Policy) pack(u *update) (states, against uint64) {
	for _, s := range u.against {
		against |= p.forbids(s)
	}
	return p.word(u.held), against
}

// Narrow writes what narrows into the ledger and the suppression list, durably,
// and into the picture, before it returns. The caller then answers 2xx and sees
// to it that the record is in the log. Grants in the list are refused.
func (a *Authority) Narrow(ctx context.Context, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if slices.ContainsFunc(entries, func(e Entry) bool { return e.State <= Granted }) {
		return fault.New(fault.Internal, "not_a_narrowing", "a grant cannot hold before it is walked")
	}
	var ap Applied
	err := a.keeper.Narrow(ctx, func(st Store) error {
		var err error
		ap, err = a.apply(st, entries, true)
		return err
	})
	if err != nil {
		return fmt.Errorf("narrow permission: %w", err)
	}
	ap.Done()
	a.counts[NarrowingsMade].Add(uint64(len(entries)))
	return nil
}

// ApplyIn writes statements in the walk's transaction. What the door has written
// already changes nothing.
func (a *Authority) ApplyIn(st Store, entries []Entry) (Applied, error) {
	if len(entries) == 0 {
		return Applied{}, nil
	}
	return a.apply(st, entries, false)
}

// Submit takes a change of permission that is no event: from the API, a page,
// a signal. What narrows holds when it returns; what widens holds once walked.
// The record names the change for ever: the same one again changes nothing.
func (a *Authority) Submit(ctx context.Context, record, source string, entries []Entry) error {
	if a.log == nil {
		return fault.New(fault.Unavailable, "log_missing", "this process has no log to write the change to")
	}
	if record == "" || len(entries) == 0 {
		return fault.New(fault.Invalid, "empty_change", "a change of permission needs a record and at least one statement")
	}
	at := arrival(a.now())
	var narrow []Entry
	for i := range entries {
		e := &entries[i]
		e.Record, e.Source, e.At = source+"/"+record, source, at
		if e.Said.IsZero() {
			e.Said = at
		}
		if e.State > Granted {
			narrow = append(narrow, *e)
		}
	}
	if err := a.Narrow(ctx, narrow); err != nil {
		return err
	}
	ev, err := ChangeEvent(record, source, at, entries)
	if err != nil {
		return err
	}
	v := a.view.Load()
	for i := range entries {
		if entries[i].State == Granted {
			a.expect(v, &entries[i])
		}
	}
	if err := a.log.AppendEvent(ctx, ev); err != nil {
		return fmt.Errorf("log change of permission: %w", err)
	}
	return nil
}

func (a *Authority) apply(st Store, entries []Entry, door bool) (Applied, error) {
	var touched []id.Hash
	err := st.Foresee(func(yield func(id.Hash, bool) bool) {
		for i := range entries {
			if !yield(entries[i].Subject, true) {
				return
			}
		}
	})
	if err != nil {
		return Applied{}, err
	}
	for _, e := range ordered(entries) {
		moved, err := a.one(st, e, door)
		if err != nil {
			return Applied{}, err
		}
		if moved && !slices.Contains(touched, e.Subject) {
			touched = append(touched, e.Subject)
		}
	}
	return a.gather(st, touched)
}

// ordered puts statements in order of arrival, and of those that arrived
// together the widest first, so that the narrower holds.
func ordered(entries []Entry) []Entry {
	if len(entries) < 2 {
		return entries
	}
	out := slices.Clone(entries)
	slices.SortStableFunc(out, func(x, y Entry) int {
		return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.State, y.State))
	})
	return out
}

// gather reads what the touched subjects hold now, and lets what is narrow into
// the picture at once: should the transaction fail, it is narrow for nothing,
// until it is repeated.
func (a *Authority) gather(st Store, touched []id.Hash) (Applied, error) {
	if len(touched) == 0 {
		return Applied{}, nil
	}
	ap := Applied{a: a}
	tick := a.tick.Add(1)
	for _, subject := range touched {
		held, err := st.Standing(subject)
		if err != nil {
			return Applied{}, err
		}
		against, err := st.Suppressions(subject)
		if err != nil {
			return Applied{}, err
		}
		ap.updates = append(ap.updates, update{subject, slices.Clone(held), slices.Clone(against), tick})
	}
	var err error
	if ap.version, err = st.Version(); err != nil {
		return Applied{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	v := a.view.Load()
	for i := range ap.updates {
		states, against := v.policy.pack(&ap.updates[i])
		if states|against != 0 {
			v.picture.tighten(ap.updates[i].subject, states, against)
		}
	}
	return ap, nil
}

// one writes one statement and tells whether anything moved.
func (a *Authority) one(st Store, e Entry, door bool) (bool, error) {
	if e.Subject == (id.Hash{}) || e.Record == "" || e.State < Granted || e.State > Objected {
		return false, fault.New(fault.Invalid, "malformed_statement", "a statement needs a subject, a record and a state")
	}
	e.At = arrival(e.At)
	held, err := st.Standing(e.Subject)
	if err != nil {
		return false, err
	}
	cur, _ := standing(held, e.Purpose)
	if e.State == Granted {
		return a.grant(st, e, cur)
	}
	return a.narrow(st, e, cur, door)
}

func (a *Authority) narrow(st Store, e Entry, cur Held, door bool) (bool, error) {
	if cur.State == Granted && e.State == Refused {
		e.State = Withdrawn
	}
	if e.At.Before(cur.At) {
		if !door && cur.State == Granted && cur.Record != e.Record {
			// The walk met it after a later grant; had it come through the door it would stand already.
			return false, a.note(st, e, cur)
		}
		e.At = cur.At // It arrives now, whatever the clock says.
	}
	if !door && cur.State > Granted && atLeast(cur.State, e.State) && !a.comesWith(&e) {
		a.leaveUnsaid(&e)
		return a.against(st, e)
	}
	_, added, err := a.append(st, e)
	if err == nil && !added && door && cur.State == Granted && cur.Record == e.Record {
		// A sender uses an id twice, for a yes and then for a no. The no must hold.
		e.Record += "/again"
		_, added, err = a.append(st, e)
	}
	if err != nil {
		return false, err
	}
	if !added {
		return false, nil
	}
	a.forget(&e)
	_, err = a.against(st, e)
	return true, err
}

// append writes a row with all that it rests on.
func (a *Authority) append(st Store, e Entry) (seq int64, added bool, err error) {
	if err := a.Policy().complete(&e); err != nil {
		return 0, false, err
	}
	return st.Append(e)
}

// note writes down a "no" that a later word has overtaken, and restates that word.
func (a *Authority) note(st Store, e Entry, cur Held) error {
	_, added, err := a.append(st, e)
	if err != nil || !added {
		return err
	}
	return a.restate(st, e, cur)
}

// against adds the suppression that a statement about mail brings with it.
func (a *Authority) against(st Store, e Entry) (bool, error) {
	if e.Kind != "email" || within(e.Purpose, purpose.Service) {
		return false, nil
	}
	s := Suppression{Address: e.Subject, Purpose: e.Purpose, Reason: Unsubscribed, At: e.At, Source: e.Method}
	switch e.Method {
	case ByComplaint:
		s.Purpose, s.Reason = "", Complaint
	case ByLink, ByPreferences:
		if d, ok := a.Policy().Purpose(e.Purpose); ok && d.Scope != AddressScope {
			return false, nil
		}
	default:
		return false, nil
	}
	before, err := st.Suppressions(e.Subject)
	if err != nil {
		return false, err
	}
	for _, b := range before {
		if b.Purpose == s.Purpose && b.Reason == s.Reason {
			return false, nil
		}
	}
	return true, st.Suppress(s)
}

func (a *Authority) grant(st Store, e Entry, cur Held) (bool, error) {
	came := e
	defer a.forget(&came)
	switch {
	case cur.State == Granted && !a.renews(&e, cur):
		return false, nil
	case cur.State > Granted && e.Method == ByImport:
		a.counts[GrantsOvertake].Add(1) // A list that somebody brings along outdoes nobody's own word.
		return false, nil
	case cur.State > Granted && (!e.At.After(cur.At) || a.tied(&e)):
		a.counts[GrantsOvertake].Add(1)
		return false, a.note(st, e, cur)
	}
	if e.Method == ByImport && e.Said.Before(e.At) {
		e.At = arrival(e.Said) // What somebody said long ago is not fresh because a file says it today: it expires when it would have.
	}
	_, added, err := a.append(st, e)
	if err != nil || !added {
		return false, err
	}
	return true, a.lift(st, e)
}

// renews tells whether a grant on a grant is worth a row: only where grants
// expire and half of the time has passed, where it ends later by its own words, or
// where it was given under another notice.
func (a *Authority) renews(e *Entry, cur Held) bool {
	d, ok := a.Policy().Purpose(e.Purpose)
	at := e.At
	if e.Method == ByImport && e.Said.Before(at) {
		at = e.Said
	}
	switch name := noticeOf(e.Facts); {
	case !ok:
		return false
	case e.Method == ByOptIn, name != "" && name != cur.Notice:
		return true // A yes that is proven better, or under another text, is a word of its own.
	}
	return d.ValidFor > 0 && at.After(cur.At.Add(d.ValidFor/2)) || !cur.Expires.IsZero() && (e.Expires.IsZero() || e.Expires.After(cur.Expires))
}

// restate makes sure that the word which holds is the one the store shows, after
// a row was written that lost against it.
func (a *Authority) restate(st Store, lost Entry, cur Held) error {
	held, err := st.Standing(lost.Subject)
	if err != nil {
		return err
	}
	if now, ok := standing(held, lost.Purpose); ok && now.State == cur.State {
		return nil
	}
	lost.Record, lost.State, lost.Said = lost.Record+"/overtaken", cur.State, cur.At
	if cur.At.After(lost.At) {
		lost.At = cur.At
	}
	_, _, err = a.append(st, lost)
	return err
}

// lift takes an unsubscribe back where the person herself, an operator or a
// server vouching for her says yes again, later, for the very address. It lifts
// no complaint, no bounce, and nothing for any other purpose.
func (a *Authority) lift(st Store, e Entry) error {
	if e.Kind != "email" || e.Method != ByPreferences && e.Method != ByAPI && e.Method != ByServer && e.Method != ByOptIn {
		return nil
	}
	list, err := st.Suppressions(e.Subject)
	if err != nil {
		return err
	}
	list = slices.Clone(list)
	keep := slices.Clone(list)
	keep = slices.DeleteFunc(keep, func(s Suppression) bool {
		return s.Reason != Unsubscribed || s.Purpose == e.Purpose && s.At.Before(e.At)
	})
	all := slices.DeleteFunc(list, func(s Suppression) bool { return s.Reason != Unsubscribed })
	if len(keep) == len(all) {
		return nil
	}
	if err := st.Unsuppress(e.Subject, Unsubscribed); err != nil {
		return err
	}
	for _, s := range keep {
		if err := st.Suppress(s); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what was expected of a grant that is now walked or outdone.
func (a *Authority) forget(e *Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := statement{e.Subject, e.Purpose}
	if at, ok := a.coming[key]; ok && at <= e.At.UnixMilli() {
		delete(a.coming, key)
	}
}

// leaveUnsaid remembers a "no" that the walk met and that changed nothing: a
// grant of the same instant must lose against it. Only the latest instant is kept.
func (a *Authority) leaveUnsaid(e *Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := e.At.UnixMilli(); at != a.unsaidAt {
		clear(a.unsaid)
		a.unsaidAt = at
	}
	a.unsaid[statement{e.Subject, e.Purpose}] = true
}

// comesWith tells whether a grant of the same instant waits behind a "no". The
// "no" is then written down although it changes nothing: what is only remembered
// would be forgotten by a crash between the two.
func (a *Authority) comesWith(e *Entry) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, comes := a.coming[statement{e.Subject, e.Purpose}]
	return comes && at == e.At.UnixMilli()
}

func (a *Authority) tied(e *Entry) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return e.At.UnixMilli() == a.unsaidAt && a.unsaid[statement{e.Subject, e.Purpose}]
}

// Suppress puts an address on the list, durably.
func (a *Authority) Suppress(ctx context.Context, s Suppression) error {
	var ap Applied
	err := a.keeper.Narrow(ctx, func(st Store) error {
		var err error
		ap, err = a.SuppressIn(st, s)
		return err
	})
	if err != nil {
		return fmt.Errorf("suppress address: %w", err)
	}
	ap.Done()
	return nil
}

// SuppressIn does it in the caller's transaction.
func (a *Authority) SuppressIn(st Store, s Suppression) (Applied, error) {
	if _, ok := reasonBits[s.Reason]; !ok || s.Address == (id.Hash{}) {
		return Applied{}, fault.New(fault.Invalid, "malformed_suppression", "a suppression needs an address and a known reason")
	}
	if s.At.IsZero() {
		s.At = a.now()
	}
	s.At = arrival(s.At)
	if err := st.Suppress(s); err != nil {
		return Applied{}, err
	}
	return a.gather(st, []id.Hash{s.Address})
}

// Lift removes what stands against an address for one reason, by an operator's
// word. It gives no consent: what the ledger says still holds.
func (a *Authority) Lift(ctx context.Context, address id.Hash, reason Reason) error {
	var ap Applied
	err := a.keeper.Write(ctx, func(st Store) error {
		if err := st.Unsuppress(address, reason); err != nil {
			return err
		}
		var err error
		ap, err = a.gather(st, []id.Hash{address})
		return err
	})
	if err != nil {
		return fmt.Errorf("lift suppression: %w", err)
	}
	ap.Done()
	return nil
}

// Shown is one purpose as a person may see it.
type Shown struct {
	Definition *Definition
	Decision   Decision
	Since      time.Time // of the word that decided; zero where nobody said anything
	Method     string    // how that word arrived, or ""
}

// Show tells a person how each purpose that is not hidden stands for them.
func (a *Authority) Show(ctx context.Context, subjects []id.Hash, address id.Hash) ([]Shown, error) {
	var out []Shown
	err := a.keeper.Read(ctx, func(st Store) error {
		out = out[:0]
		for _, d := range a.Policy().list {
			if d.Hidden {
				continue
			}
			q := Question{Subjects: subjects, Address: address, Operation: Track, Purpose: d.Name, At: a.now()}
			if d.Scope == AddressScope {
				q.Operation, q.Channel = Render, purpose.Email
			}
			s := Shown{Definition: d, Decision: a.DecideIn(st, q)}
			if s.Decision.Reason == Unreadable {
				return errors.New("permissions cannot be read")
			}
			if err := s.trace(st, append(slices.Clone(subjects), address)); err != nil {
				return err
			}
			out = append(out, s)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("show permissions: %w", err)
	}
	return out, nil
}

// trace finds the ledger row behind a decision.
func (s *Shown) trace(st Store, subjects []id.Hash) error {
	if s.Decision.Record == "" {
		return nil
	}
	for _, subject := range subjects {
		rows, err := st.Ledger(subject)
		if err != nil {
			return err
		}
		for _, e := range rows {
			if e.Record == s.Decision.Record && within(s.Definition.Name, e.Purpose) {
				s.Since, s.Method = e.At, e.Method
				return nil
			}
		}
	}
	return nil
}

func parseHash(s string) (id.Hash, error) {
	var h id.Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, errors.New("want 32 hexadecimal digits")
	}
	copy(h[:], b)
	return h, nil
}
