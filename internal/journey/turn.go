package journey

import (
	"encoding/json"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// Person is the one whose turn it is, as the walk has them after the event at
// hand was folded in: traits, tallies and memberships of now.
type Person interface {
	ID() id.Person
	// Trait gives the raw JSON of a trait, false when there is none.
	Trait(path string) ([]byte, bool)
	// Tally gives what was counted under a tally's number, false when nothing was.
	Tally(number uint32) (rule.TallyState, bool)
	// Member says whether the person is in a segment.
	Member(segment string) bool
	// Permit is the gate at a journey's entry; the reason says why not.
	Permit(p purpose.Purpose) (allowed bool, reason string)
}

// Event is what a journey needs to know of one event.
type Event struct {
	Type       event.Type
	Name       string // as tallies count it
	Time       int64  // event time, Unix milliseconds
	MessageID  string
	Properties []byte // a JSON object or nil; valid during the call
	Segment    string // of a segment's entry or exit: which; "" for all that came from outside
	Initial    bool   // it came by backfill, a changed definition or an import
}

// Kind says what an effect is.
type Kind uint8

// The kinds of effect.
const (
	Send    Kind = 1 // Intent is a mail that is owed
	Set     Kind = 2 // Traits are to be folded into the person, as an identify at At
	Entered Kind = 3 // somebody entered
	Refused Kind = 4 // somebody was refused; Reason says why
	Ended   Kind = 5 // a stay ended; Reason says why
	Failed  Kind = 6 // a step could not be done; Reason says why
)

// Effect is one thing that came of a turn, in the order in which it happened.
type Effect struct {
	Kind    Kind
	At      int64 // business time of the decision
	Journey string
	Version int
	Place   string // "" for a refusal
	Step    string
	Reason  string // stable snake_case
	Intent  message.Intent
	Trigger string // the event that brought Intent.Data, as tallies count it; "" where none did
	Trait   string // the path of the trait whose date did, "" where none did
	Traits  []byte // a JSON object
}

// Turn is one person's turn: OnEvent and OnTime read Person, move State, and
// append to Effects. A Turn is used again and again, by one goroutine at a time.
type Turn struct {
	Person  Person
	State   *State
	Now     int64 // business time of the record at hand, Unix milliseconds
	Effects []Effect
	Changed bool // State is no longer as it was given
	// Again asks for another OnTime at the same Now, once the traits in Effects
	// are folded in and what follows from them (segments, and their events) is
	// worked off: a journey goes on after a set with what the set has changed.
	Again bool

	event     rule.Object // properties of the event at hand
	inner     inner
	workspace *time.Location // the zone of whoever has none of their own
	zones     map[string]*time.Location
}

// Begin makes the turn ready for a person and an instant.
func (t *Turn) Begin(p Person, s *State, now int64) {
	t.Person, t.State, t.Now = p, s, now
	t.Rewind()
	t.Changed = false
	t.event.Reset(nil)
	t.inner.props.Reset(nil)
	t.inner.Person = p
}

// Rewind empties the effects, once they are worked off.
func (t *Turn) Rewind() {
	clear(t.Effects)
	t.Effects, t.Again = t.Effects[:0], false
}

// inner is a person as seen from inside a journey: with the trigger's properties.
type inner struct {
	Person
	props rule.Object
}

var _ rule.Subject = (*inner)(nil)

// Property gives the raw JSON of a property of the trigger.
func (v *inner) Property(path string) ([]byte, bool) { return v.props.Get(path) }

// text reads a trait that is a text, "" for any other.
func (t *Turn) text(trait string) string {
	raw, ok := t.Person.Trait(trait)
	var s string
	if !ok || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// emit appends an effect of a place.
func (t *Turn) emit(f *flow, p *Place, e Effect) {
	e.Journey, e.Version, e.Place = p.Journey, p.Version, p.ID()
	if f != nil {
		e.Version = f.version
	}
	t.Effects = append(t.Effects, e)
}

// note remembers a decision of a place.
func (t *Turn) note(p *Place, at int64, k NoteKind, step, text string) {
	t.noteOf(p, Note{At: at, Kind: k, Step: step, Text: text})
}

// noteOf remembers a decision that is about an instant.
func (t *Turn) noteOf(p *Place, n Note) {
	t.Changed = true
	n.Occurrence = p.Occurrence
	if r := t.State.record(p.Journey); r != nil {
		r.note(n)
	}
}

// end ends a stay and remembers it. The place is swept away later.
func (t *Turn) end(f *flow, p *Place, at int64, why Ending, text string) {
	t.endBy(f, p, at, why, seen{text: text})
}

// seen is what a decision was made by: a text, and where it is an event, when
// that happened.
type seen struct {
	text string
	when int64
}

// endBy is end by something that happened.
func (t *Turn) endBy(f *flow, p *Place, at int64, why Ending, by seen) {
	p.End, p.Ended = why, at
	said := why.String()
	if by.text != "" {
		said += ": " + by.text
	}
	t.noteOf(p, Note{At: at, Kind: NoteEnded, Text: said, When: by.when})
	t.emit(f, p, Effect{Kind: Ended, At: at, Reason: why.String()})
	if r := t.State.record(p.Journey); r != nil {
		r.end(p.Stay, at)
	}
}

// sweep removes the places that ended.
func (t *Turn) sweep() {
	kept := t.State.Places[:0]
	for i := range t.State.Places {
		if t.State.Places[i].End == 0 {
			kept = append(kept, t.State.Places[i])
		}
	}
	clear(t.State.Places[len(kept):])
	t.State.Places = kept
}
