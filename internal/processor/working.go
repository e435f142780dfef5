package processor

import (
	"errors"
	"fmt"
	"slices"

	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/journey"
	"rapport/internal/person"
	"rapport/internal/profile"
	"rapport/internal/rule"
	"rapport/internal/segment"
)

// figure is one person in the walk's hands: the row taken apart, each section
// in the words of its room.
type figure struct {
	id    id.Person
	ident identity.Record
	prof  profile.Profile
	seg   segment.State
	jour  journey.State
	alarm int64 // armed instant, 0 for none

	erased int64 // when they were erased, 0: they were not, else nothing is known

	body  []byte // what the sections point into
	fresh bool   // not in the store yet
	dirty bool
	used  bool // touched by the batch in hand
}

// workingSet is whom and what a batch touches. People stay in it from batch to
// batch while there is room, for sessions; a rolled back batch forgets all.
type workingSet struct {
	w       *Walker
	books   *Books
	batch   *batch // in hand
	figures map[id.Person]*figure
	idents  map[id.Hash]id.Person // looked up or bound in this batch
	dirty   []*figure
	free    []*figure
	last    id.Person // the highest number given
	known   bool      // last was read

	hashes  []id.Hash
	people  []id.Person
	missing []id.Person
	section [4][]byte
	row     []byte
}

// keptPeople is how many people stay decoded between batches. More buys
// nothing with uniform traffic: collecting their garbage eats the gain.
const keptPeople = 2000

func (s *workingSet) init(w *Walker) {
	s.w = w
	s.figures = make(map[id.Person]*figure, 2*keptPeople)
	s.idents = make(map[id.Hash]id.Person, 4096)
}

// begin looks up everybody whom a batch names, in key order.
func (s *workingSet) begin(books *Books, b *batch) error {
	s.books, s.batch = books, b
	s.dirty = s.dirty[:0]
	clear(s.idents)
	if s.hashes = append(s.hashes[:0], b.named...); len(s.hashes) == 0 {
		s.hashes = b.hashes(s.hashes)
	}
	if cap(s.people) < len(s.hashes) {
		s.people = make([]id.Person, len(s.hashes), 2*len(s.hashes))
	}
	s.people = s.people[:len(s.hashes)]
	if err := books.Identity.Lookup(s.hashes, s.people); err != nil {
		return fmt.Errorf("look up identifiers: %w", err)
	}
	for i, h := range s.hashes {
		s.idents[h] = s.people[i]
	}
	s.people = b.persons(s.people)
	if err := s.load(s.people, s.w.hurries); !errors.Is(err, errPressed) {
		return err
	}
	return s.loadFirst()
}

// loadFirst loads whom the records name that are walked in any case; who is missing
// then is loaded when it is their turn.
func (s *workingSet) loadFirst() error {
	s.people = s.people[:0]
	for i := range s.batch.items[:min(leastItems, len(s.batch.items))] {
		it := &s.batch.items[i]
		s.people = append(s.people, id.Person(max(it.e.Person, 0)))
		for _, x := range it.ids {
			s.people = append(s.people, s.idents[x.Hash])
		}
	}
	return s.load(s.people, nil)
}

// errPressed ends a loading of people ahead of their turn.
var errPressed = errors.New("somebody waits")

// load brings people into the set, or as many as there are until enough.
func (s *workingSet) load(people []id.Person, enough func() bool) error {
	s.missing = s.missing[:0]
	for _, who := range people {
		if who == 0 {
			continue
		}
		if f, ok := s.figures[who]; ok {
			f.used = true
			continue
		}
		s.missing = append(s.missing, who)
	}
	s.missing = sortPersons(s.missing)
	if len(s.missing) == 0 {
		return nil
	}
	err := s.books.Persons.Load(s.missing, func(who id.Person, body []byte) error {
		f := s.take()
		f.body = append(f.body[:0], body...)
		if err := f.decode(who); err != nil {
			return err
		}
		s.figures[who] = f
		if enough != nil && enough() {
			return errPressed
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load people: %w", err)
	}
	return nil
}

func (s *workingSet) take() *figure {
	if n := len(s.free); n > 0 {
		f := s.free[n-1]
		s.free = s.free[:n-1]
		f.used = true
		return f
	}
	return &figure{used: true}
}

func (f *figure) decode(who id.Person) error {
	row, err := person.Decode(who, f.body)
	if err != nil {
		return err
	}
	f.id, f.alarm, f.erased, f.fresh, f.dirty = who, row.Alarm, row.Erased, false, false
	if err := f.ident.Decode(row.Identity); err != nil {
		return fmt.Errorf("row of %s: %w", who, err)
	}
	if err := f.prof.Decode(row.Profile); err != nil {
		return fmt.Errorf("row of %s: %w", who, err)
	}
	if err := f.seg.Decode(row.Segment); err != nil {
		return fmt.Errorf("row of %s: %w", who, err)
	}
	if err := f.jour.Decode(row.Journey); err != nil {
		return fmt.Errorf("row of %s: %w", who, err)
	}
	return nil
}

// figure gives a person, following merges.
func (s *workingSet) figure(who id.Person) (*figure, error) {
	for range 64 {
		f, ok := s.figures[who]
		if !ok {
			if err := s.load([]id.Person{who}, nil); err != nil {
				return nil, err
			}
			if f, ok = s.figures[who]; !ok {
				return nil, fmt.Errorf("%s has no row", who)
			}
		}
		f.used = true
		if f.ident.MergedInto == 0 {
			return f, nil
		}
		who = f.ident.MergedInto
	}
	return nil, fmt.Errorf("%s: merges go in a circle", who)
}

func (s *workingSet) touch(f *figure) {
	if !f.dirty {
		f.dirty = true
		s.dirty = append(s.dirty, f)
	}
}

// Who implements identity.Directory.
func (s *workingSet) Who(h id.Hash) (id.Person, error) {
	if who, ok := s.idents[h]; ok {
		return who, nil
	}
	var out [1]id.Person
	if err := s.books.Identity.Lookup([]id.Hash{h}, out[:]); err != nil {
		return 0, err
	}
	s.idents[h] = out[0]
	return out[0], nil
}

// Record implements identity.Directory.
func (s *workingSet) Record(who id.Person) (*identity.Record, error) {
	f, err := s.figure(who)
	if err != nil {
		return nil, err
	}
	return &f.ident, nil
}

// New implements identity.Directory.
func (s *workingSet) New() (id.Person, error) {
	if !s.known {
		last, err := s.books.Identity.LastPerson()
		if err != nil {
			return 0, err
		}
		s.last, s.known = last, true
	}
	s.last++
	f := s.take()
	body := f.body[:0]
	*f = figure{id: s.last, fresh: true, used: true, body: body}
	f.ident.Created = s.w.now
	f.prof.Version = s.w.version.Number
	s.figures[f.id] = f
	s.touch(f)
	return f.id, nil
}

// Ready implements identity.Directory.
func (s *workingSet) Ready(who id.Person) error {
	f, err := s.figure(who)
	if err != nil {
		return err
	}
	return s.w.ready(f, s.w.now)
}

// Bind implements identity.Directory.
func (s *workingSet) Bind(h id.Hash, who id.Person) {
	s.idents[h] = who
	if s.w.version.Segments.Asking() {
		s.w.named = append(s.w.named, who)
	}
	if err := s.books.Identity.Bind(h, who); err != nil && s.w.failure == nil {
		s.w.failure = fmt.Errorf("bind identifier: %w", err)
	}
}

// Merge implements identity.Directory.
func (s *workingSet) Merge(m identity.Merge) error { return s.w.merge(m) }

// save writes everybody who changed, in order of id, and moves alarms.
func (s *workingSet) save() error {
	slices.SortFunc(s.dirty, func(a, b *figure) int { return int(a.id - b.id) })
	for _, f := range s.dirty {
		if err := s.arm(f); err != nil {
			return err
		}
		s.row = s.encode(f, s.row[:0])
		var err error
		if f.fresh {
			err = s.books.Persons.Insert(f.id, s.row)
		} else {
			err = s.books.Persons.Update(f.id, s.row)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", f.id, err)
		}
	}
	return nil
}

func (s *workingSet) encode(f *figure, dst []byte) []byte {
	if f.erased != 0 {
		row := person.Row{ID: f.id, Erased: f.erased}
		return row.Append(dst)
	}
	s.section[0] = f.ident.Append(s.section[0][:0])
	s.section[1] = f.prof.Append(s.section[1][:0])
	s.section[2] = f.seg.Append(s.section[2][:0])
	s.section[3] = f.jour.Append(s.section[3][:0])
	row := person.Row{ID: f.id, Alarm: f.alarm, Identity: s.section[0], Profile: s.section[1], Segment: s.section[2], Journey: s.section[3]}
	return row.Append(dst)
}

// committed settles the set after a commit: nobody is fresh or dirty any more,
// and who does not fit is let go.
func (s *workingSet) committed() {
	for _, f := range s.dirty {
		f.fresh, f.dirty = false, false
	}
	if len(s.figures) > keptPeople {
		for who, f := range s.figures {
			if !f.used || f.ident.MergedInto != 0 {
				delete(s.figures, who)
				s.free = append(s.free, f)
			}
		}
	}
	if len(s.free) > keptPeople {
		s.free = s.free[:keptPeople]
	}
	for _, f := range s.figures {
		f.used = false
	}
}

// forget empties the set after a rollback.
func (s *workingSet) forget() {
	clear(s.figures)
	s.free, s.known = nil, false
}

// subject is a person to whom rules and journeys put their questions.
type subject struct {
	w     *Walker
	f     *figure
	props *rule.Object
}

// Trait implements rule.Subject.
func (s *subject) Trait(path string) ([]byte, bool) { return s.f.prof.Trait(path) }

// Tally implements rule.Subject.
func (s *subject) Tally(tally uint32) (rule.TallyState, bool) { return s.f.prof.Tally(tally) }

// Member implements rule.Subject.
func (s *subject) Member(name string) bool { return s.w.version.Segments.Member(&s.f.seg, name) }

// Property implements rule.Subject.
func (s *subject) Property(path string) ([]byte, bool) {
	if s.props == nil {
		return nil, false
	}
	return s.props.Get(path)
}
