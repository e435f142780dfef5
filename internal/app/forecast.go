package app

import (
	"context"
	"errors"
	"time"

	"rapport/internal/consent"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/journey"
	"rapport/internal/person"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/purpose"
	"rapport/internal/rule"
	"rapport/internal/segment"
	"rapport/internal/store"
)

// forecast walks over everybody with a configuration that is not in effect and
// writes nothing.
type forecast struct {
	house *House
	next  *edition
	plan  *Plan
	tx    store.Tx
	now   int64

	ident identity.Record
	prof  profile.Profile
	was   segment.State
	will  segment.State
	jour  journey.State
	work  segment.Work
}

// forecastPeople is how many people are looked at in one snapshot.
const forecastPeople = 500

func (f *forecast) run(ctx context.Context) error {
	f.now = f.house.clock.Now().UnixMilli()
	older := f.house.edition().walk
	for after, more := id.Person(0), true; more; {
		err := f.house.state.Read(ctx, func(tx store.Tx) error {
			f.tx = tx
			ids, err := tx.Persons().After(after, forecastPeople)
			if err != nil {
				return err
			}
			if more = len(ids) == forecastPeople; len(ids) > 0 {
				after = ids[len(ids)-1]
			}
			return tx.Persons().Load(ids, func(who id.Person, body []byte) error { return f.one(who, body, older.Segments) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// one looks at one person: memberships that would move, and mails that would be
// owed within a day because of it.
func (f *forecast) one(who id.Person, body []byte, older *segment.Catalog) error {
	r, err := person.Decode(who, append([]byte(nil), body...))
	if err != nil {
		return err
	}
	if err := f.ident.Decode(r.Identity); err != nil || f.ident.MergedInto != 0 || r.Erased != 0 {
		return err
	}
	if err := f.prof.Decode(r.Profile); err != nil {
		return err
	}
	if err := f.was.Decode(r.Segment); err != nil {
		return err
	}
	if err := f.jour.Decode(r.Journey); err != nil {
		return err
	}
	if err := f.prof.Recount(f.tx.Profile(), f.next.walk.Schema); err != nil {
		return err
	}
	_ = f.will.Decode(nil) // An empty section always decodes.
	var failed error
	f.work.Permit = func(purposes []purpose.Purpose, class purpose.Class, now int64) (bool, int64) {
		ok, until, err := processor.Computes(f.house.consent, f.tx.Consent(), &f.ident, purposes, class, now)
		failed = errors.Join(failed, err)
		return ok, until
	}
	f.next.walk.Segments.All(&f.will, f, f.now, true, &f.work)
	if failed != nil {
		return failed
	}
	in := map[string]bool{}
	for _, m := range f.next.walk.Segments.In(&f.will) {
		in[m.Segment] = true
		if !older.Member(&f.was, m.Segment) {
			f.move(m.Segment, 1, 0)
			f.mails(m.Segment, who)
		}
	}
	for _, m := range older.In(&f.was) {
		if !in[m.Segment] {
			f.move(m.Segment, 0, 1)
		}
	}
	return nil
}

func (f *forecast) move(name string, enter, leave int64) {
	m := f.plan.Moves[name]
	m.Enter += enter
	m.Leave += leave
	f.plan.Moves[name] = m
}

// mails plays the journeys that take people in who are there already, for a day.
func (f *forecast) mails(segment string, who id.Person) {
	ev := journey.Event{Name: journey.AudienceEntered, Segment: segment, Initial: true, Time: f.now, MessageID: "forecast"}
	journeys := f.next.walk.Journeys
	if !journeys.Begins(&ev) {
		return
	}
	var t journey.Turn
	p := &forecastPerson{forecast: f, who: who}
	t.Begin(p, &f.jour, f.now)
	journeys.OnEvent(&t, &ev)
	until := f.now + (24 * time.Hour).Milliseconds()
	for range 100 {
		for _, e := range t.Effects {
			if e.Kind == journey.Send {
				f.plan.Mails24h++
			}
		}
		due := f.jour.NextDue()
		if due > until {
			return
		}
		t.Begin(p, &f.jour, due)
		journeys.OnTime(&t)
	}
}

// Trait implements rule.Subject.
func (f *forecast) Trait(path string) ([]byte, bool) { return f.prof.Trait(path) }

// Tally implements rule.Subject.
func (f *forecast) Tally(t uint32) (rule.TallyState, bool) { return f.prof.Tally(t) }

// Member implements rule.Subject.
func (f *forecast) Member(name string) bool { return f.next.walk.Segments.Member(&f.will, name) }

// Property implements rule.Subject.
func (f *forecast) Property(string) ([]byte, bool) { return nil, false }

type forecastPerson struct {
	*forecast
	who id.Person
}

var _ journey.Person = (*forecastPerson)(nil)

// ID implements journey.Person.
func (p *forecastPerson) ID() id.Person { return p.who }

// Permit implements journey.Person.
func (p *forecastPerson) Permit(why purpose.Purpose) (bool, string) {
	q := consent.Question{Subjects: p.ident.Subjects(), Operation: consent.Enter, Purpose: why, Channel: purpose.Email, At: time.UnixMilli(p.now)}
	if email := p.ident.Address(p.prof.Text("email")); email != "" {
		q.Address = p.house.resolver.Hash(identity.Email, email)
	}
	d := p.house.consent.DecideIn(p.tx.Consent(), q)
	return d.Effect == consent.Allow, d.Reason
}
