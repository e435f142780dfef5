// Package breach keeps what is known of breaches of personal data (GDPR, Art. 4(12)):
// what was open to whom and when, the clock of 72 hours that runs for telling the
// authority, and whom of what kind of data it concerns (Art. 33 and 34). What comes
// in is what operators find out; what goes out are the register that Art. 33(5) asks
// for and the draft of a report. It holds no personal data and looks into nobody's.
package breach

import (
	"context"
	"slices"
	"time"

	"rapport/internal/fault"
)

// Term is how long the authority may be told after whoever is responsible has become
// aware (GDPR, Art. 33(1)).
const Term = 72 * time.Hour

// Scope is what somebody could reach who should not have.
type Scope struct {
	From         time.Time `json:"from"`
	Until        time.Time `json:"until,omitzero"` // before; zero: to this day
	Keys         []string  `json:"keys,omitempty"` // ids of management keys that somebody else had
	Sources      []string  `json:"sources,omitempty"`
	Destinations []string  `json:"destinations,omitempty"`
	Everything   bool      `json:"everything,omitempty"` // the data folder, the database or a backup with its keys
}

// Texts are what only people can say. They hold no personal data.
type Texts struct {
	Nature       string `json:"nature,omitempty"`       // what happened (Art. 33(3)(a))
	Contact      string `json:"contact,omitempty"`      // where more can be obtained (b)
	Consequences string `json:"consequences,omitempty"` // likely ones (c)
	Measures     string `json:"measures,omitempty"`     // taken or proposed (d)
	Delay        string `json:"delay,omitempty"`        // why it took longer than 72 hours (Art. 33(1))
	Reason       string `json:"reason,omitempty"`       // why nobody had to be told, or what else belongs into the register
}

// MaxText is how long each may be, in bytes.
const MaxText = 4000

// Outcomes of a breach.
const (
	Told        = "told"         // the authority was
	NotRequired = "not_required" // it is unlikely to result in a risk (Art. 33(1))
)

// Breach is one breach as the register has it.
type Breach struct {
	ID        string    `json:"id"`
	Aware     time.Time `json:"aware_at"` // the clock runs from here
	Due       time.Time `json:"due_at"`
	Authority time.Time `json:"authority_told_at,omitzero"`
	People    time.Time `json:"people_told_at,omitzero"`
	Closed    time.Time `json:"closed_at,omitzero"`
	Outcome   string    `json:"outcome,omitempty"`
	Scope     Scope     `json:"scope"`
	Texts
	Affected Affected  `json:"affected"`
	Counted  time.Time `json:"counted_at"` // when Affected was
}

// Open tells whether it still waits for its end.
func (b *Breach) Open() bool { return b.Closed.IsZero() }

// Late tells whether the authority is, or was, told after its time.
func (b *Breach) Late(now time.Time) bool {
	told := b.Authority
	if told.IsZero() {
		if told = b.Closed; told.IsZero() {
			told = now
		}
	}
	return b.Outcome != NotRequired && told.After(b.Due)
}

// Check holds a scope against what can be looked for.
func (s *Scope) Check(now time.Time) error {
	switch {
	case s.From.IsZero():
		return fault.New(fault.Invalid, "bad_from", "say from when on it was open: from")
	case s.From.After(now) || !s.Until.IsZero() && !s.Until.After(s.From):
		return fault.New(fault.Invalid, "bad_until", "the time in which it was open ends after it began, and began in the past")
	case !s.Everything && len(s.Keys)+len(s.Sources)+len(s.Destinations) == 0:
		return fault.New(fault.Invalid, "nothing_open", "say what was open: keys, sources, destinations, or everything")
	case len(s.Keys)+len(s.Sources)+len(s.Destinations) > maxNamed:
		return fault.New(fault.Invalid, "too_many_named", "at most %d keys, sources and destinations are looked for at once", maxNamed)
	}
	return nil
}

// maxNamed is how many things a scope names at most.
const maxNamed = 100

func (t *Texts) check() error {
	for _, text := range []string{t.Nature, t.Contact, t.Consequences, t.Measures, t.Delay, t.Reason} {
		if len(text) > MaxText {
			return fault.New(fault.Invalid, "text_too_long", "a text of a breach has at most %d bytes", MaxText)
		}
	}
	return nil
}

// over puts what is said in the place of what was said before.
func (t *Texts) over(before Texts) Texts {
	for _, p := range [][2]*string{
		{&before.Nature, &t.Nature}, {&before.Contact, &t.Contact}, {&before.Consequences, &t.Consequences},
		{&before.Measures, &t.Measures}, {&before.Delay, &t.Delay}, {&before.Reason, &t.Reason},
	} {
		if *p[1] != "" {
			*p[0] = *p[1]
		}
	}
	return before
}

// Store keeps breaches. It is one accessor of a transaction and is used by one
// goroutine at a time.
type Store interface {
	// Put writes a breach, new or again.
	Put(b Breach) error
	// Breach finds one.
	Breach(id string) (b Breach, found bool, err error)
	// Breaches lists some: open ones by when they are due, or all, the newest first.
	Breaches(open bool, limit int) ([]Breach, error)
}

// Keeper runs functions over this room's rows in one transaction; a write is durable
// before it returns. The roof joins it to the store.
type Keeper interface {
	Write(ctx context.Context, fn func(Store) error) error
	Read(ctx context.Context, fn func(Store) error) error
}

// Register takes breaches down.
type Register struct {
	Keeper Keeper
	Now    func() time.Time
}

// MaxListed is how many breaches one list has at most.
const MaxListed = 1000

// Open takes a breach down; its clock runs from when whoever is responsible was aware.
func (r *Register) Open(ctx context.Context, b Breach) (Breach, error) {
	now := r.Now().UTC().Truncate(time.Millisecond)
	if b.Aware.IsZero() {
		b.Aware = now
	}
	if b.Aware.After(now) {
		return b, fault.New(fault.Invalid, "bad_aware", "nobody becomes aware of a breach in the future")
	}
	b.Aware = b.Aware.UTC().Truncate(time.Millisecond)
	b.Due = b.Aware.Add(Term)
	if err := b.Texts.check(); err != nil {
		return b, err
	}
	return b, r.Keeper.Write(ctx, func(s Store) error { return s.Put(b) })
}

// Change is what was found out, or done, about a breach; what is empty stays.
type Change struct {
	Texts
	Authority time.Time
	People    time.Time
	Scope     *Scope
	Affected  *Affected // counted anew
}

// Change notes what was found out. A breach that is closed can be changed still: what
// is found out later belongs into the register too.
func (r *Register) Change(ctx context.Context, id string, c Change) (Breach, error) {
	return r.change(ctx, id, func(b *Breach, now time.Time) error {
		for _, at := range []time.Time{c.Authority, c.People} {
			if at.After(now) || !at.IsZero() && at.Before(b.Aware) {
				return fault.New(fault.Invalid, "bad_told", "somebody is told of a breach after it was known, and not in the future")
			}
		}
		if !c.Authority.IsZero() {
			b.Authority = c.Authority.UTC().Truncate(time.Millisecond)
		}
		if !c.People.IsZero() {
			b.People = c.People.UTC().Truncate(time.Millisecond)
		}
		if c.Scope != nil {
			b.Scope = *c.Scope
		}
		if c.Affected != nil {
			b.Affected, b.Counted = *c.Affected, now
		}
		b.Texts = c.Texts.over(b.Texts)
		return nil
	})
}

// Close ends a breach: the authority was told, or need not be, and why.
func (r *Register) Close(ctx context.Context, id, outcome, reason string) (Breach, error) {
	return r.change(ctx, id, func(b *Breach, now time.Time) error {
		b.Texts = (&Texts{Reason: reason}).over(b.Texts)
		switch {
		case !slices.Contains([]string{Told, NotRequired}, outcome):
			return fault.New(fault.Invalid, "bad_outcome", "a breach ends as told or not_required")
		case !b.Open():
			return fault.New(fault.Conflict, "breach_closed", "the breach is closed already: it ended as %s", b.Outcome)
		case outcome == Told && b.Authority.IsZero():
			return fault.New(fault.Conflict, "authority_not_told", "note first when the authority was told")
		case outcome == NotRequired && b.Reason == "":
			return fault.New(fault.Invalid, "reason_required", "say why nobody need be told: the register must show it (GDPR, Art. 33(5))")
		}
		b.Closed, b.Outcome = now, outcome
		return nil
	})
}

func (r *Register) change(ctx context.Context, id string, fn func(b *Breach, now time.Time) error) (b Breach, err error) {
	err = r.Keeper.Write(ctx, func(s Store) error {
		var found bool
		if b, found, err = s.Breach(id); err != nil {
			return err
		}
		if !found {
			return errNone
		}
		if err := fn(&b, r.Now().UTC().Truncate(time.Millisecond)); err != nil {
			return err
		}
		if err := b.Texts.check(); err != nil {
			return err
		}
		return s.Put(b)
	})
	return b, err
}

var errNone = fault.New(fault.NotFound, "no_such_breach", "there is no breach of this id; rapport privacy breach list shows them")

// Breach finds one.
func (r *Register) Breach(ctx context.Context, id string) (b Breach, err error) {
	found := false
	err = r.Keeper.Read(ctx, func(s Store) error {
		b, found, err = s.Breach(id)
		return err
	})
	if err == nil && !found {
		err = errNone
	}
	return b, err
}

// Breaches lists some.
func (r *Register) Breaches(ctx context.Context, open bool, limit int) (list []Breach, err error) {
	if limit <= 0 || limit > MaxListed {
		limit = MaxListed
	}
	err = r.Keeper.Read(ctx, func(s Store) error {
		list, err = s.Breaches(open, limit)
		return err
	})
	return list, err
}
