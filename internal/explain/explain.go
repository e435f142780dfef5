// Package explain answers what there is to tell: about a person, why they are
// in a segment or not, why a journey mailed them or not, and the whole story of
// one mail. What comes in are names and identifiers; what goes out are plain
// structures for the doors. It only reads, always in one snapshot, and shows a
// person's attributes only through a view.
package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/journey"
	"rapport/internal/person"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/purpose"
	"rapport/internal/purview"
	"rapport/internal/rule"
	"rapport/internal/segment"
	"rapport/internal/spec"
)

// Config is what a Reader needs; all of it is required.
type Config struct {
	Keeper   processor.Keeper
	Resolver *identity.Resolver
	Consent  *consent.Authority
	Version  func() *processor.Version
	Now      func() time.Time // business time
}

// Reader answers questions. It is safe for concurrent use.
type Reader struct{ Config }

// New checks the configuration.
func New(c Config) (*Reader, error) {
	if c.Keeper == nil || c.Resolver == nil || c.Consent == nil || c.Version == nil || c.Now == nil {
		return nil, errors.New("explain: Keeper, Resolver, Consent, Version and Now are required")
	}
	return &Reader{c}, nil
}

// Person is what is known of somebody.
type Person struct {
	ID          id.Person                  `json:"-"`
	Name        string                     `json:"id"`
	Identifiers []Identifier               `json:"identifiers"`
	Traits      map[string]json.RawMessage `json:"traits"`
	Segments    []Membership               `json:"segments"`
	Journeys    []Place                    `json:"journeys"`
	Permission  []Permission               `json:"permission"`
	Suppressed  []Suppression              `json:"suppressed"`
	FirstSeen   *time.Time                 `json:"first_seen,omitempty"`
	LastSeen    *time.Time                 `json:"last_seen,omitempty"`
	EventsCount int64                      `json:"events_count"`
	Merged      []string                   `json:"merged,omitempty"`      // who became this person
	Parted      []string                   `json:"parted,omitempty"`      // ids of people from whom an operator has parted them
	NextChange  *time.Time                 `json:"next_change,omitempty"` // when something changes merely because time passes
}

// Identifier is one name somebody goes by.
type Identifier struct {
	Kind  string    `json:"kind"`
	Value string    `json:"value"`
	Since time.Time `json:"since"`
}

// Membership is one segment somebody is in.
type Membership struct {
	Segment string     `json:"name"`
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until,omitempty"` // when it ends if nothing happens
}

// Place is one stay in a journey.
type Place struct {
	Journey string     `json:"journey"`
	Step    string     `json:"step,omitempty"`
	Entered time.Time  `json:"entered"`
	Version int        `json:"version"`
	Waits   *time.Time `json:"until,omitempty"` // when the wait ends
}

// Permission is how one purpose stands.
type Permission struct {
	Purpose purpose.Purpose `json:"purpose"`
	Basis   purpose.Basis   `json:"basis,omitempty"`
	Allowed bool            `json:"allowed"`
	State   string          `json:"state"` // why, stable snake_case
	Since   *time.Time      `json:"at,omitempty"`
	Method  string          `json:"method,omitempty"`
	Until   *time.Time      `json:"until,omitempty"` // when the yes ends, or has ended
}

// Suppression is what stands against the person's address.
type Suppression struct {
	Reason  consent.Reason  `json:"reason"`
	Purpose purpose.Purpose `json:"purpose"`
	At      time.Time       `json:"at"`
}

// figure is one person's row taken apart, for reading.
type figure struct {
	id    id.Person
	alarm int64
	ident identity.Record
	prof  profile.Profile
	seg   segment.State
	jour  journey.State
	body  []byte

	erased bool
}

// Find gives the person of an identifier: kind "id" takes a person's own id.
func (r *Reader) Find(ctx context.Context, kind, value string) (id.Person, error) {
	if kind == "id" {
		who, err := id.ParsePerson(value)
		if err != nil {
			return 0, fault.Wrap(err, fault.Invalid, "bad_person", "a person's id is per_ and a number")
		}
		return who, nil
	}
	if kind == identity.Email {
		value = strings.ToLower(strings.TrimSpace(value))
	}
	var out [1]id.Person
	err := r.Keeper.Read(ctx, func(b processor.Books) error {
		return b.Identity.Lookup([]id.Hash{r.Resolver.Hash(kind, value)}, out[:])
	})
	if err != nil {
		return 0, fmt.Errorf("look up a person: %w", err)
	}
	if out[0] == 0 {
		return 0, errNobody
	}
	return out[0], nil
}

var errErased = fault.New(fault.NotFound, "person_erased", "this person was erased: nothing is held, and nothing that names them is kept")

var errNobody = fault.New(fault.NotFound, "no_such_person", "nobody is known by this identifier")

// load reads a person, following merges.
func load(b processor.Books, who id.Person) (*figure, error) {
	for range 64 {
		f := &figure{}
		err := b.Persons.Load([]id.Person{who}, func(_ id.Person, body []byte) error {
			f.body = append(f.body, body...)
			return nil
		})
		if err != nil {
			return nil, err
		}
		if f.body == nil {
			return nil, errNobody
		}
		if err := f.decode(who); err != nil {
			return nil, err
		}
		if f.erased {
			return nil, errErased
		}
		if f.ident.MergedInto == 0 {
			return f, nil
		}
		who = f.ident.MergedInto
	}
	return nil, fmt.Errorf("%s: merges go in a circle", who)
}

func (f *figure) decode(who id.Person) error {
	row, err := person.Decode(who, f.body)
	if err != nil {
		return err
	}
	f.id, f.alarm, f.erased = who, row.Alarm, row.Erased != 0
	if err := f.ident.Decode(row.Identity); err != nil {
		return err
	}
	if err := f.prof.Decode(row.Profile); err != nil {
		return err
	}
	if err := f.seg.Decode(row.Segment); err != nil {
		return err
	}
	return f.jour.Decode(row.Journey)
}

// subjects gives the hashes under which permission is kept and the hash of the address.
func (r *Reader) subjects(f *figure) (all []id.Hash, address id.Hash) {
	if email := f.ident.Address(f.prof.Text("email")); email != "" {
		address = r.Resolver.Hash(identity.Email, email)
	}
	return f.ident.Subjects(), address
}

// Person tells what is known of somebody, as far as a purpose may see it; no
// purpose sees all, for the operator.
func (r *Reader) Person(ctx context.Context, who id.Person, why purpose.Purpose) (*Person, error) {
	v := r.Version()
	var sees *purview.Scope
	var f *figure
	var merges []identity.Merge
	err := r.Keeper.Read(ctx, func(b processor.Books) error {
		var err error
		if f, err = load(b, who); err != nil {
			return err
		}
		if sees, err = r.scope(b, v, f, why); err != nil {
			return err
		}
		merges, err = b.Identity.Merges(f.id)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &Person{
		ID: f.id, Name: f.id.String(), Traits: map[string]json.RawMessage{}, EventsCount: f.prof.Events,
		Identifiers: []Identifier{}, Segments: []Membership{}, Journeys: []Place{}, Permission: []Permission{}, Suppressed: []Suppression{},
		FirstSeen: instant(f.prof.First, f.prof.Events > 0), LastSeen: instant(f.prof.Last, f.prof.Events > 0),
	}
	for _, x := range f.ident.Identifiers {
		out.Identifiers = append(out.Identifiers, Identifier{x.Kind, x.Value, utc(x.First)})
	}
	f.prof.View(why, sees).Each(func(name string, value []byte, _ int64) {
		out.Traits[name] = append(json.RawMessage(nil), value...)
	})
	for _, m := range v.Segments.In(&f.seg) {
		if !sees.Segment(m.Segment) {
			continue
		}
		out.Segments = append(out.Segments, Membership{m.Segment, utc(m.Since), instant(m.Until, m.Until != rule.Never)})
	}
	for i := range f.jour.Places {
		p := &f.jour.Places[i]
		if !serves(sees, v, p.Journey) {
			continue
		}
		out.Journeys = append(out.Journeys, Place{p.Journey, v.Journeys.Step(p), utc(p.Entered), p.Version, instant(p.Until, p.Waiting && p.Until != rule.Never)})
	}
	due := min(f.seg.NextDue(), f.jour.NextDue())
	out.NextChange = instant(due, due != rule.Never)
	for _, m := range merges {
		switch {
		case m.Rule == identity.RuleUnmerge:
			out.Parted = append(out.Parted, (m.Into ^ m.From ^ f.id).String()) // the other one
		case m.Into == f.id:
			out.Merged = append(out.Merged, m.From.String())
		}
	}
	return out, r.permissions(ctx, f, out)
}

func (r *Reader) permissions(ctx context.Context, f *figure, out *Person) error {
	subjects, address := r.subjects(f)
	shown, err := r.Consent.Show(ctx, subjects, address)
	if err != nil {
		return err
	}
	for _, s := range shown {
		p := Permission{Purpose: s.Definition.Name, Basis: s.Definition.Basis, Allowed: s.Decision.Effect == consent.Allow, State: s.Decision.Reason, Method: s.Method}
		if !s.Since.IsZero() {
			p.Since = &s.Since
		}
		if !s.Decision.Until.IsZero() {
			p.Until = &s.Decision.Until
		}
		out.Permission = append(out.Permission, p)
	}
	if address == (id.Hash{}) {
		return nil
	}
	return r.Keeper.Read(ctx, func(b processor.Books) error {
		against, err := b.Consent.Suppressions(address)
		for _, a := range against {
			out.Suppressed = append(out.Suppressed, Suppression{a.Reason, a.Purpose, a.At})
		}
		return err
	})
}

func utc(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func instant(ms int64, there bool) *time.Time {
	if !there {
		return nil
	}
	t := utc(ms)
	return &t
}

// Event is one entry of a person's timeline.
type Event struct {
	Type        string            `json:"type"`
	Name        string            `json:"event,omitempty"`
	MessageID   string            `json:"message_id"`
	Source      string            `json:"source"`
	Time        time.Time         `json:"timestamp"`
	Received    time.Time         `json:"received_at"`
	Properties  json.RawMessage   `json:"properties,omitempty"`
	Traits      json.RawMessage   `json:"traits,omitempty"`
	Identifiers map[string]string `json:"identifiers,omitempty"`
	Violations  []Violation       `json:"violations,omitempty"` // how it differs from Segment's spec
}

// Violation is one way in which a reserved event is not as the spec has it.
type Violation struct {
	Pointer string `json:"pointer"` // into the event
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// violationsOf looks again at what the door found: what it could convert is
// converted, and the rest differs from the spec as it did then.
func violationsOf(e *event.Event) (out []Violation) {
	if e.Type != event.Track {
		return nil
	}
	var c spec.Check
	c.Properties(e.Name, e.Properties)
	for i := range c.Found {
		f := &c.Found[i]
		pointer := "/event"
		if f.Property != "" || f.List != "" {
			pointer = "/properties" + f.Pointer()
		}
		out = append(out, Violation{pointer, string(f.Code), f.Detail()})
	}
	return out
}

// Events gives a page of a person's timeline as far as a purpose may see it, newest
// first by when it was walked, and the cursor of the next page, "" at the end.
func (r *Reader) Events(ctx context.Context, who id.Person, why purpose.Purpose, cursor string, limit int) ([]Event, string, error) {
	skip := profile.Pointer(0)
	if cursor != "" {
		n, err := strconv.ParseInt(cursor, 36, 64)
		if err != nil || n <= 0 {
			return nil, "", fault.New(fault.Invalid, "bad_cursor", "the cursor is not one that this server gave")
		}
		skip = profile.Pointer(n)
	}
	out := []Event{}
	next := ""
	err := r.Keeper.Read(ctx, func(b processor.Books) error {
		f, err := load(b, who)
		if err != nil {
			return err
		}
		sees, err := r.scope(b, r.Version(), f, why)
		if err != nil {
			return err
		}
		return profile.History(b.History, f.prof.Heads, func(at profile.Pointer, e *event.Event) (bool, error) {
			if skip != 0 {
				if at == skip {
					skip = 0
				} else {
					return true, nil
				}
			}
			if len(out) == limit {
				next = strconv.FormatInt(int64(at), 36)
				return false, nil
			}
			if shown, ok := seen(sees, e); ok {
				out = append(out, eventOf(shown))
			}
			return true, nil
		})
	})
	return out, next, err
}

func eventOf(e *event.Event) Event {
	out := Event{
		Type: e.Type.String(), Name: strings.Clone(e.Name), MessageID: strings.Clone(e.MessageID), Source: strings.Clone(e.Source),
		Time: e.Time, Received: e.Received,
		Properties: append(json.RawMessage(nil), e.Properties...), Traits: append(json.RawMessage(nil), e.Traits...),
		Violations: violationsOf(e),
	}
	ids := map[string]string{}
	for kind, v := range map[string]string{"user_id": e.UserID, "anonymous_id": e.Anonymous, "email": e.Email, "previous_id": e.Previous, "group_id": e.GroupID} {
		if v != "" {
			ids[kind] = strings.Clone(v)
		}
	}
	for _, x := range e.External {
		ids[strings.Clone(x.Type)] = strings.Clone(x.Value)
	}
	if len(ids) > 0 {
		out.Identifiers = ids
	}
	return out
}

// subject lets rules ask a person who is only read.
type subject struct {
	f *figure
	v *processor.Version
}

func (s *subject) ID() id.Person                          { return s.f.id }
func (s *subject) Trait(path string) ([]byte, bool)       { return s.f.prof.Trait(path) }
func (s *subject) Tally(t uint32) (rule.TallyState, bool) { return s.f.prof.Tally(t) }
func (s *subject) Member(name string) bool                { return s.v.Segments.Member(&s.f.seg, name) }
func (s *subject) Property(string) ([]byte, bool)         { return nil, false }

var _ rule.Subject = (*subject)(nil)

// Segment is why somebody is in a segment or not.
type Segment struct {
	Segment string           `json:"segment"`
	Person  string           `json:"person"`
	In      bool             `json:"member"`
	Since   *time.Time       `json:"since,omitempty"`
	Until   *time.Time       `json:"changes,omitempty"` // merely because time passes
	At      time.Time        `json:"at"`
	Written string           `json:"written"`                    // the rule's canonical text
	Pending bool             `json:"backfill_pending,omitempty"` // the backfill has not come to the person yet: this is what it will find
	Why     rule.Explanation `json:"rule"`

	Purposes purpose.Set `json:"purposes,omitempty"` // for which it may be used; none are told where it is for all
	Withheld string      `json:"withheld,omitempty"` // "consent": the rule holds, and the person permits none of them
}

// Segment explains a membership with the values seen now, to a purpose that may use
// the segment.
func (r *Reader) Segment(ctx context.Context, name string, who id.Person, why purpose.Purpose) (*Segment, error) {
	v := r.Version()
	def, ok := v.Segments.Definition(name)
	if !ok {
		return nil, fault.New(fault.NotFound, "no_such_segment", "there is no segment %q in configuration %d", name, v.Number)
	}
	now := r.Now()
	var f *figure
	pending, withheld := false, ""
	err := r.Keeper.Read(ctx, func(b processor.Books) (err error) {
		if f, err = load(b, who); err != nil {
			return err
		}
		sees, err := r.scope(b, v, f, why)
		if err != nil {
			return err
		}
		if !sees.Sees(def.Use) {
			return outside("the segment", name, why)
		}
		if pending = f.prof.Version < v.Number; pending {
			if err := r.bring(f, b, v, now); err != nil {
				return err
			}
		}
		withheld, err = r.withheld(f, b, v, &def, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &Segment{Segment: name, Person: f.id.String(), At: now, Written: def.Rule.String(), Pending: pending, Purposes: def.Use.Purposes, Withheld: withheld}
	out.Why = def.Rule.Explain(&subject{f, v}, rule.At{Now: now.UnixMilli()})
	_, until := def.Rule.Eval(&subject{f, v}, rule.At{Now: now.UnixMilli()})
	out.Until = instant(until, until != rule.Never)
	for _, m := range v.Segments.In(&f.seg) {
		if m.Segment == name {
			out.In, out.Since = true, instant(m.Since, true)
		}
	}
	return out, nil
}

// bring counts somebody for a configuration that the backfill has not brought
// them to yet, in memory only: what is told of them is what will be.
func (r *Reader) bring(f *figure, b processor.Books, v *processor.Version, now time.Time) error {
	if err := f.prof.Recount(b.History, v.Schema); err != nil {
		return fmt.Errorf("recount %s: %w", f.id, err)
	}
	var failed error
	work := segment.Work{Permit: r.computes(f, b, &failed)}
	v.Segments.All(&f.seg, &subject{f, v}, now.UnixMilli(), true, &work)
	return failed
}

func (r *Reader) read(ctx context.Context, who id.Person) (f *figure, err error) {
	err = r.Keeper.Read(ctx, func(b processor.Books) error {
		f, err = load(b, who)
		return err
	})
	return f, err
}

// Living gives who somebody is by now: themselves, or whom they were merged
// into. A NotFound fault says that there is no such person.
func (r *Reader) Living(ctx context.Context, who id.Person) (id.Person, error) {
	f, err := r.read(ctx, who)
	if err != nil {
		return 0, err
	}
	return f.id, nil
}

// Segments gives every segment with its size and how far a backfill came.
func (r *Reader) Segments(ctx context.Context) ([]SegmentSize, error) {
	v := r.Version()
	var sizes map[string]int64
	var fill segment.Backfill
	err := r.Keeper.Read(ctx, func(b processor.Books) (err error) {
		if sizes, err = b.Segment.Counts(); err != nil {
			return err
		}
		fill, _, err = b.Segment.Backfill()
		return err
	})
	if err != nil {
		return nil, err
	}
	out := []SegmentSize{}
	for _, name := range v.Segments.Names() {
		def, _ := v.Segments.Definition(name)
		s := SegmentSize{Segment: name, Title: def.Title, People: sizes[name]}
		if fill.Version != 0 && !fill.Done {
			s.Backfill = &Progress{Done: fill.Next, Total: fill.Last}
		}
		out = append(out, s)
	}
	return out, nil
}

// SegmentSize is how many people a segment holds.
type SegmentSize struct {
	Segment  string    `json:"name"`
	Title    string    `json:"title,omitempty"`
	People   int64     `json:"people"`
	Backfill *Progress `json:"backfill,omitempty"`
}

// Progress is how many people of how many are done.
type Progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}
