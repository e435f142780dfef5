package profile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/event"
	"rapport/internal/rule"
)

// Schema says what is counted for everybody: the tallies of all rules of a
// configuration version, by event name. It is immutable.
type Schema struct {
	byEvent map[string][]*rule.Tally
	byID    map[uint32]*rule.Tally
}

// NewSchema takes the united tallies of all rules.
func NewSchema(tallies []rule.Tally) *Schema {
	s := &Schema{byEvent: map[string][]*rule.Tally{}, byID: map[uint32]*rule.Tally{}}
	for i := range tallies {
		t := &tallies[i]
		s.byEvent[t.Event] = append(s.byEvent[t.Event], t)
		s.byID[t.ID] = t
	}
	return s
}

// Counts tells whether events of a name are counted at all.
func (s *Schema) Counts(name string) bool { return len(s.byEvent[name]) > 0 }

// Change says what one event changed in a profile. Its slices are valid until
// the next fold into the same Change.
type Change struct {
	Traits  []string // names of the traits that now have another value
	Tallies []uint32 // ids of the tallies that counted the event
	Refused int      // traits that were over a limit or not allowed
}

func (c *Change) reset() { c.Traits, c.Tallies, c.Refused = c.Traits[:0], c.Tallies[:0], 0 }

// Guard tells whether a trait may be written by this event; nil allows all.
type Guard func(name string) bool

// Fold adds one event to the picture: seen times, traits of an identify, an
// address where none was known, tallies. History is added apart, for it belongs
// to the transaction. props is the event's properties, already pointed at them.
func (p *Profile) Fold(e *event.Event, props *rule.Object, s *Schema, may Guard, c *Change) {
	c.reset()
	at := e.Time.UnixMilli()
	if p.Events == 0 || at < p.First {
		p.First = at
	}
	p.Last = max(p.Last, at)
	p.Events++
	switch {
	case e.Type == event.Send || e.Type == event.Trigger: // What was asked for says nothing of the person.
	case e.Type == event.Identify:
		p.foldTraits(e.Traits, at, may, c)
	case e.Email != "":
		if _, known := p.find("email"); !known {
			p.write("email", quote(e.Email), at, may, c)
		}
	}
	p.count(NameOf(e), at, props, s, c, false)
}

// The names under which rules know views of pages and screens.
const (
	PageViewed   = "Page Viewed"
	ScreenViewed = "Screen Viewed"
)

// NameOf gives the name under which rules know an event: that of a track, and
// for the other types the name Segment's own audiences use.
func NameOf(e *event.Event) string {
	switch e.Type {
	case event.Page:
		return PageViewed
	case event.Screen:
		return ScreenViewed
	case event.Track, event.Outcome:
		return e.Name
	}
	return ""
}

// count adds an event to the tallies that want it. Backwards says that it was
// walked before those that are counted already.
func (p *Profile) count(name string, at int64, props *rule.Object, s *Schema, c *Change, backwards bool) {
	if name == "" {
		return
	}
	for _, t := range s.byEvent[name] {
		sample, counts := t.Take(props)
		if !counts {
			continue
		}
		i, ok := p.findTally(t.ID)
		if !ok {
			p.Tallies = slices.Insert(p.Tallies, i, Tally{ID: t.ID})
		}
		p.Tallies[i].Put(at, sample, t, backwards)
		c.Tallies = append(c.Tallies, t.ID)
	}
}

// foldTraits writes each member of a JSON object by its own time.
func (p *Profile) foldTraits(raw []byte, at int64, may Guard, c *Change) {
	if len(raw) == 0 {
		return
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return
	}
	for dec.PeekKind() == '"' {
		tok, err := dec.ReadToken()
		if err != nil {
			return
		}
		name := Canonical(tok.String())
		if name == GroupTrait || name == GroupsTrait { // the house's own
			if err := dec.SkipValue(); err != nil {
				return
			}
			c.Refused++
			continue
		}
		value, err := dec.ReadValue()
		if err != nil {
			return
		}
		p.write(name, normal(name, value), at, may, c)
	}
}

// Set writes one trait, as a journey's set step does.
func (p *Profile) Set(name string, value []byte, at int64, c *Change) {
	name = Canonical(name)
	p.write(name, normal(name, value), at, nil, c)
}

// Replace writes one of the house's own traits, whatever was written when.
func (p *Profile) Replace(name string, value []byte, at int64, c *Change) {
	if i, ok := p.find(name); ok {
		at = max(at, p.Traits[i].At)
	}
	p.write(name, value, at, nil, c)
}

// write is last-writer-wins by event time; of two writes at one instant the one
// walked later wins. A null deletes and is remembered with its time.
func (p *Profile) write(name string, value []byte, at int64, may Guard, c *Change) {
	if name == "" || len(name) > MaxTraitName || len(value) > MaxTraitBytes {
		c.Refused++
		return
	}
	if string(value) == "null" {
		value = nil
	}
	i, ok := p.find(name)
	if ok && (at < p.Traits[i].At) {
		return
	}
	if ok && bytes.Equal(p.Traits[i].Value, value) && (p.Traits[i].Value == nil) == (value == nil) {
		p.Traits[i].At = at
		return
	}
	if may != nil && !may(name) {
		c.Refused++
		return
	}
	if !p.room(i, ok, len(value)) {
		c.Refused++
		return
	}
	if !ok {
		p.Traits = slices.Insert(p.Traits, i, Trait{Name: strings.Clone(name)})
	}
	p.Traits[i].Value, p.Traits[i].At = bytes.Clone(value), at
	c.Traits = append(c.Traits, p.Traits[i].Name)
}

// room tells whether a value of so many bytes may stand at place i, where a
// trait is already or not.
func (p *Profile) room(i int, there bool, size int) bool {
	if !there && len(p.Traits) >= MaxTraits {
		return false
	}
	if there {
		size -= len(p.Traits[i].Value)
	}
	if size <= 0 {
		return true
	}
	for k := range p.Traits {
		size += len(p.Traits[k].Value)
	}
	return size <= MaxBytes
}

// Merge adds another person's picture to this one: the later write of each
// trait wins, tallies add up, both histories are kept. What finds no room within
// the limits is left out and counted.
func (p *Profile) Merge(from *Profile, s *Schema, c *Change) {
	c.reset()
	if from.Events > 0 && (p.Events == 0 || from.First < p.First) {
		p.First = from.First
	}
	p.Last = max(p.Last, from.Last)
	p.Events += from.Events
	p.Version = min(p.Version, from.Version)
	p.Heads = append(p.Heads, from.Heads...)
	for i := range from.Traits {
		t := &from.Traits[i]
		at, ok := p.find(t.Name)
		if (!ok || t.At > p.Traits[at].At) && !p.room(at, ok, len(t.Value)) {
			c.Refused++
			continue
		}
		switch {
		case !ok:
			p.Traits = slices.Insert(p.Traits, at, Trait{strings.Clone(t.Name), bytes.Clone(t.Value), t.At})
			c.Traits = append(c.Traits, p.Traits[at].Name)
		case t.At > p.Traits[at].At:
			p.Traits[at].Value, p.Traits[at].At = bytes.Clone(t.Value), t.At
			c.Traits = append(c.Traits, p.Traits[at].Name)
		}
	}
	for i := range from.Tallies {
		t := &from.Tallies[i]
		def, counted := s.byID[t.ID]
		if !counted {
			continue // no rule asks for it any more
		}
		at, ok := p.findTally(t.ID)
		if !ok {
			p.Tallies = slices.Insert(p.Tallies, at, Tally{ID: t.ID})
		}
		p.Tallies[at].Merge(t.TallyState, def)
		c.Tallies = append(c.Tallies, t.ID)
	}
}

// Recount makes all tallies anew from history, as a backfill needs when rules
// ask for what was not counted before. It reads every entry.
func (p *Profile) Recount(st Store, s *Schema) error {
	p.Tallies = p.Tallies[:0]
	var c Change
	var props rule.Object
	return History(st, p.Heads, func(_ Pointer, e *event.Event) (bool, error) {
		name := NameOf(e)
		if s.Counts(name) {
			props.Reset(e.Properties)
			p.count(name, e.Time.UnixMilli(), &props, s, &c, true)
			c.reset()
		}
		return true, nil
	})
}
