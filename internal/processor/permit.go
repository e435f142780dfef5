package processor

import (
	"fmt"
	"slices"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/purpose"
	"rapport/internal/purview"
	"rapport/internal/rule"
)

// computes is the gate at segments: may data of the person in hand decide for one of
// these purposes? It is asked in the transaction, at the instant that is walked.
func (w *Walker) computes(purposes []purpose.Purpose, class purpose.Class, now int64) (bool, int64) {
	f := w.subject.f
	ok, until, err := Computes(w.Consent, w.p.books.Consent, &f.ident, purposes, class, now)
	if err != nil && w.failure == nil {
		w.failure = err // Nobody leaves a segment because a disk cannot be read.
	}
	return ok, until
}

var errUnreadable = fault.New(fault.Unavailable, consent.Unreadable, "permission cannot be read: the walk waits")

// Computes asks for a person whether a segment may be computed for one of some
// purposes, and until when. An error says that nobody can tell.
func Computes(
	a *consent.Authority, st consent.Store, who *identity.Record,
	purposes []purpose.Purpose, class purpose.Class, now int64,
) (ok bool, until int64, err error) {
	q := consent.Question{Operation: consent.Compute, Channel: purpose.Web, At: time.UnixMilli(now).UTC()}
	q.Subjects = who.Subjects()
	if class == purpose.Sensitive {
		q.Class = consent.Sensitive
	}
	switch d := a.DecideAny(st, q, purposes...); {
	case d.Reason == consent.Unreadable:
		return false, rule.Never, errUnreadable
	case d.Effect != consent.Allow:
		return false, rule.Never, nil
	case d.Until.IsZero():
		return true, rule.Never, nil
	default:
		return true, d.Until.UnixMilli(), nil
	}
}

// scope gives what a purpose may see of the person in hand: of what is sensitive
// nothing without their yes.
func (w *Walker) scope(f *figure, why purpose.Purpose, now int64) *purview.Scope {
	sees := w.version.Purview.For(why)
	if !sees.Sensitive() {
		return sees
	}
	d := w.Consent.DecideIn(w.p.books.Consent, consent.Question{
		Subjects: f.ident.Subjects(), Operation: consent.Personalise, Purpose: why, Channel: purpose.Web,
		Class: consent.Sensitive, At: time.UnixMilli(now).UTC(),
	})
	if d.Reason == consent.Unreadable && w.failure == nil { // A mail is not made poorer because a disk cannot be read.
		w.failure = errUnreadable
	}
	if d.Effect != consent.Allow {
		return sees.Modest()
	}
	return sees
}

// reconsider evaluates the segments that depend on permission anew for whom the
// record in hand has said something of it, or given another identifier, under which
// something may have been said.
func (w *Walker) reconsider(e *event.Event) error {
	if len(w.spoke) == 0 && len(w.named) == 0 {
		return nil
	}
	people := slices.Clone(w.named)
	for _, h := range w.spoke {
		who, err := w.set.Who(h)
		if err != nil {
			return err
		}
		people = append(people, who)
	}
	for i, who := range people {
		f, err := w.whose(who)
		if err != nil {
			return err
		}
		if people[i] = 0; f != nil {
			people[i] = f.id
		}
	}
	for _, who := range sortPersons(people) {
		if who == 0 {
			continue
		}
		if err := w.reconsiderOne(who, e); err != nil {
			return err
		}
	}
	return nil
}

// whose gives somebody as they are known by now, nil where nobody is.
func (w *Walker) whose(who id.Person) (*figure, error) {
	if who == 0 {
		return nil, nil //nolint:nilnil // Nobody is an answer.
	}
	f, err := w.set.figure(who)
	if err != nil || f.erased != 0 {
		return nil, err
	}
	return f, nil
}

func (w *Walker) reconsiderOne(who id.Person, e *event.Event) error {
	f, err := w.set.figure(who)
	if err != nil {
		return err
	}
	if err := w.ready(f, w.now); err != nil {
		return err
	}
	w.set.touch(f) // Until when a membership holds may change without the membership.
	w.subject.f, w.subject.props = f, nil
	initial := e.Flags&event.Bulk != 0
	w.transitions(f, w.version.Segments.Reconsider(&f.seg, &w.subject, w.now, initial, &w.work), e.MessageID)
	return w.settle(f, fmt.Sprintf("permission/%s/%d", e.MessageID, f.id), initial)
}
