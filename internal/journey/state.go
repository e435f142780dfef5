package journey

import (
	"slices"
	"strconv"
	"strings"

	"rapport/internal/id"
)

// State is where one person stands in all journeys. The zero value is a person
// who never met one.
type State struct {
	Places  []Place  // where the person is inside, in order of entry
	Records []Record // what is remembered of each journey, sorted by name
	Dates   []Dated  // when dates begin journeys, sorted by name
}

// Place is one stay in a journey that has not ended.
type Place struct {
	Journey string
	Version int // the version that was entered, to which the place keeps
	Stay
	Trigger int64  // event time of what began it
	Cause   string // its message id
	Data    []byte // its properties, a JSON object or nil
	Node    int    // the step at which the place stands, in the order of its definition
	Waiting bool   // the step was begun and waits; else it is yet to be done
	Until   int64  // when the wait ends or the step is to be done
	Check   int64  // when a condition must be asked again because time passed, or Never
	Seen    uint64 // which wait_for steps an event has already come for
}

// Stay is one passage through a journey, running or ended.
type Stay struct {
	Origin     id.Person // who entered: after a merge not who holds the place
	Occurrence int64     // the person's how-manieth entry
	Key        string    // the value that the journey is keyed by, or ""
	Entered    int64
	Ended      int64  // zero while it lasts
	End        Ending // zero while it lasts
	Sent       []Sent // the mails it decided, in order
	Also       []Twin // stays that a merge joined to this one
}

// Sent is a mail that was decided.
type Sent struct {
	Step    string
	By      Twin  // the stay that decided it: another one only after a merge
	Until   int64 // until when it may be handed over, Never for ever
	Fate    Fate
	Dropped bool // another mail of the same step counts, this one must not leave
}

// Fate is what became of a mail as far as the journey was told. Numbers are
// kept for ever: states hold them.
type Fate uint8

// The fates.
const (
	Owed   Fate = 0 // it may still leave
	Left   Fate = 1 // it was sent
	Missed Fate = 2 // it bounced or was skipped
)

// Twin names a stay.
type Twin struct {
	Origin     id.Person
	Occurrence int64
}

// Record is what is remembered of one journey for one person.
type Record struct {
	Journey string
	Count   int64      // entries ever
	Entered int64      // the last of them
	Keys    []KeyCount // the same for each key, oldest entry first
	Stays   []Stay     // ended stays, in order of their end
	Notes   []Note     // the last decisions, oldest first
}

// KeyCount is how often a key was entered.
type KeyCount struct {
	Key     string
	Count   int64
	Entered int64
}

// Ending says why a stay ended. Numbers are kept for ever: states hold them.
type Ending uint8

// The endings.
const (
	Completed   Ending = 1  // the last step was done
	Stopped     Ending = 2  // a stop step
	Exited      Ending = 3  // exit_when came true
	Merged      Ending = 4  // another place in the same journey stayed
	SendFailed  Ending = 5  // a mail failed whose step says on_failure: stop
	StepFailed  Ending = 6  // another step failed that says on_failure: stop
	SwitchedOff Ending = 7  // the journey was stopped by its definition
	Lost        Ending = 8  // the version that was entered is no longer known
	Parted      Ending = 10 // an event began it that somebody else did, from whom the person was parted
	Denied      Ending = 11 // the person said no to the journey's purpose
	Changed     Ending = 9  // a new version lets nobody stay, or has no step to go on with
)

var endingNames = map[Ending]string{
	Completed: "completed", Stopped: "stopped", Exited: "exited", Merged: "merged", SendFailed: "send_failed",
	StepFailed: "step_failed", SwitchedOff: "switched_off", Lost: "version_lost", Changed: "changed", Parted: "parted",
	Denied: "not_permitted",
}

// String gives the stable name.
func (e Ending) String() string { return endingNames[e] }

// revokes tells whether mails decided during the stay must no longer leave.
func (e Ending) revokes() bool {
	return e == Exited || e == SendFailed || e == StepFailed || e == SwitchedOff || e == Lost || e == Changed
}

// NoteKind says what a remembered decision was about. Numbers are kept for ever.
type NoteKind uint8

// The kinds of note.
const (
	NoteEntered NoteKind = 1  // text and when: the event that began it
	NoteRefused NoteKind = 2  // step: the reason; text: what was seen
	NoteWait    NoteKind = 3  // when: until when
	NoteCame    NoteKind = 4  // wait_for: text and when are what came
	NoteTimeout NoteKind = 5  // wait_for: nothing came
	NoteBranch  NoteKind = 6  // if: text is which branch and what was seen
	NoteSent    NoteKind = 7  // text: the template, unless the step has its name
	NoteSkipped NoteKind = 8  // the step was not done; text says why
	NoteSet     NoteKind = 9  // text: the traits
	NoteEnded   NoteKind = 10 // text: the ending and what was seen
	NoteOutcome NoteKind = 11 // text: what became of a mail
	NoteMerged  NoteKind = 12 // another person's stay was joined
	NoteGate    NoteKind = 13 // the trigger's rule held; text: what was seen
	NoteMoved   NoteKind = 14 // a new version took effect; step: where the stay goes on
)

var noteNames = map[NoteKind]string{
	NoteEntered: "entered", NoteRefused: "refused", NoteWait: "waits", NoteCame: "came", NoteTimeout: "timed_out",
	NoteBranch: "branch", NoteSent: "sent", NoteSkipped: "skipped", NoteSet: "set", NoteEnded: "ended",
	NoteOutcome: "outcome", NoteMerged: "merged", NoteGate: "gate", NoteMoved: "moved",
}

// String gives the stable name.
func (k NoteKind) String() string { return noteNames[k] }

// Note is one remembered decision. Of refusals for one reason, with only
// refusals between them, the last is kept with their number.
type Note struct {
	At         int64
	Kind       NoteKind
	Occurrence int64  // of which stay, zero for a refusal
	Step       string // which step, or the reason of a refusal
	Text       string // what was seen, at most MaxNote bytes
	When       int64  // until when it waits, or when the event happened that it is about; zero says nothing
	Times      int64  // how often
}

// Said writes what was seen for people.
func (n *Note) Said() string {
	switch {
	case n.When == 0:
		return n.Text
	case n.Kind == NoteWait:
		return "until " + instant(n.When)
	}
	return n.Text + " of " + instant(n.When)
}

// Empty tells whether the person never met a journey.
func (s *State) Empty() bool { return len(s.Places) == 0 && len(s.Records) == 0 && len(s.Dates) == 0 }

// NextDue gives the earliest instant at which OnTime has something to do, or Never.
func (s *State) NextDue() int64 {
	due := Never
	for i := range s.Places {
		due = min(due, s.Places[i].due())
	}
	for i := range s.Dates {
		due = min(due, s.Dates[i].Fire)
	}
	return due
}

// NextDue gives the earliest instant at which OnTime has something to do, or Never.
func NextDue(s *State) int64 { return s.NextDue() }

func (p *Place) due() int64 { return min(p.Until, p.Check) }

// ID names the place for the mails it decides: "<journey>/<person>/<occurrence>".
func (p *Place) ID() string { return placeID(p.Journey, p.Twin()) }

// Twin names the stay.
func (s *Stay) Twin() Twin { return Twin{s.Origin, s.Occurrence} }

// is tells whether the stay is the one named or was joined with it.
func (s *Stay) is(t Twin) bool { return s.Twin() == t || slices.Contains(s.Also, t) }

func (s *Stay) sent(step string) bool {
	return slices.ContainsFunc(s.Sent, func(m Sent) bool { return m.Step == step })
}

// dropped tells whether a mail counts no longer.
func (s *Stay) dropped(by Twin, step string) bool {
	m := s.mail(by, step)
	return m != nil && m.Dropped
}

// mail finds the mail that a stay decided in a step.
func (s *Stay) mail(by Twin, step string) *Sent {
	for i := range s.Sent {
		if m := &s.Sent[i]; m.Step == step && m.By == by {
			return m
		}
	}
	return nil
}

func placeID(journey string, t Twin) string {
	b := make([]byte, 0, len(journey)+32)
	b = append(b, journey...)
	b = append(b, "/per_"...)
	b = strconv.AppendInt(b, int64(t.Origin), 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, t.Occurrence, 10))
}

func parsePlaceID(place string) (journey string, t Twin, ok bool) {
	journey, rest, ok := strings.Cut(place, "/")
	if !ok {
		return "", t, false
	}
	who, occurrence, ok := strings.Cut(rest, "/")
	if !ok {
		return "", t, false
	}
	origin, err := id.ParsePerson(who)
	if err != nil {
		return "", t, false
	}
	n, err := strconv.ParseInt(occurrence, 10, 64)
	return journey, Twin{origin, n}, err == nil && n > 0
}

// Live tells whether the mail that a step of a place decided may still leave:
// the stay lasts or ended in order, and no other mail of the step counts instead.
// It is false once exit_when or a failure ended the stay. Of a stay that is no
// longer remembered nothing is revoked; of a journey never met there is none.
func (s *State) Live(place, step string) bool {
	journey, twin, ok := parsePlaceID(place)
	if !ok {
		return false
	}
	for i := range s.Places {
		if p := &s.Places[i]; p.Journey == journey && p.is(twin) {
			return !p.dropped(twin, step)
		}
	}
	r := s.Record(journey)
	if r == nil {
		return false
	}
	for i := len(r.Stays) - 1; i >= 0; i-- {
		if st := &r.Stays[i]; st.is(twin) {
			return !st.End.revokes() && !st.dropped(twin, step)
		}
	}
	return twin.Occurrence <= r.Count
}

// Record gives what is remembered of a journey, nil when nothing is.
func (s *State) Record(journey string) *Record {
	if i, ok := s.find(journey); ok {
		return &s.Records[i]
	}
	return nil
}

func (s *State) find(journey string) (int, bool) {
	return slices.BinarySearchFunc(s.Records, journey, func(r Record, name string) int { return strings.Compare(r.Journey, name) })
}

// record gives the record of a journey and makes it where there is none; nil at
// the limit.
func (s *State) record(journey string) *Record {
	i, ok := s.find(journey)
	if ok {
		return &s.Records[i]
	}
	if len(s.Records) >= MaxRecords {
		return nil
	}
	s.Records = slices.Insert(s.Records, i, Record{Journey: journey})
	return &s.Records[i]
}

// inside finds the place in a journey and key.
func (s *State) inside(journey, key string) *Place {
	for i := range s.Places {
		if p := &s.Places[i]; p.Journey == journey && p.Key == key && p.End == 0 {
			return p
		}
	}
	return nil
}

// note remembers a decision. Equal ones in a row are counted.
func (r *Record) note(n Note) {
	n.Text, n.Step = cut(n.Text, MaxNote), cut(n.Step, MaxName)
	n.Times = max(n.Times, 1)
	for i := len(r.Notes) - 1; i >= 0 && n.Kind == NoteRefused && r.Notes[i].Kind == NoteRefused; i-- {
		if r.Notes[i].Step == n.Step {
			n.Times += r.Notes[i].Times
			r.Notes = append(slices.Delete(r.Notes, i, i+1), n)
			return
		}
	}
	if len(r.Notes) >= MaxNotes {
		copy(r.Notes, r.Notes[len(r.Notes)-MaxNotes+1:])
		r.Notes = r.Notes[:MaxNotes-1]
	}
	r.Notes = append(r.Notes, n)
}

// entered counts an entry of a key.
func (r *Record) enter(key string, at int64) {
	r.Count++
	r.Entered = max(r.Entered, at)
	if key == "" {
		return
	}
	k := KeyCount{Key: key}
	if i := r.key(key); i >= 0 {
		k = r.Keys[i]
		r.Keys = slices.Delete(r.Keys, i, i+1)
	}
	k.Count++
	k.Entered = max(k.Entered, at)
	if len(r.Keys) >= MaxKeys {
		r.Keys = slices.Delete(r.Keys, 0, len(r.Keys)-MaxKeys+1)
	}
	r.Keys = append(r.Keys, k)
}

func (r *Record) key(key string) int {
	return slices.IndexFunc(r.Keys, func(k KeyCount) bool { return k.Key == key })
}

// end remembers an ended stay for as long as something depends on it: the
// newest few with mails, which count when people are merged, and those whose
// mails were revoked and may still be pending.
func (r *Record) end(s Stay, now int64) {
	r.Stays = append(r.Stays, s)
	r.prune(now)
}

func (r *Record) prune(now int64) {
	r.Stays = slices.DeleteFunc(r.Stays, func(s Stay) bool { return len(s.Sent) == 0 })
	old := len(r.Stays) - KeptStays
	i := -1
	r.Stays = slices.DeleteFunc(r.Stays, func(s Stay) bool {
		i++
		pending := s.End.revokes() && slices.ContainsFunc(s.Sent, func(m Sent) bool { return m.Until > now })
		return i < old && !pending
	})
	if over := len(r.Stays) - MaxStays; over > 0 {
		r.Stays = slices.Delete(r.Stays, 0, over)
	}
}

// cut shortens a text without breaking a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit - len("…")
	for end > 0 && s[end]&0xC0 == 0x80 {
		end--
	}
	return s[:end] + "…"
}
