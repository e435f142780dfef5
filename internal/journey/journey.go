// Package journey keeps journeys' definitions and each person's place in them.
// What comes in is YAML written by people, one person's events in order, and
// the instants at which their waiting ends; what goes out are the mails that
// are owed, the traits to set, and why each of it was, or was not, decided. It
// is pure: it reads no clock and no store, sends nothing, and never fails at
// run time: what cannot be done says why and the journey goes on or stops as
// its definition says.
package journey

import (
	"crypto/sha256"
	"slices"
	"time"

	"rapport/internal/message"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// The limits of a journey and of a person in journeys. Whatever is beyond one
// of them is refused with the limit's name and value.
const (
	MaxSteps       = 100                   // steps in one journey, those in branches included
	MaxDepth       = 8                     // how deep branches may nest
	MaxBranches    = 20                    // branches of one if
	MaxWaitFors    = 64                    // wait_for steps in one journey
	MaxSets        = 20                    // traits set by one step
	MaxConditions  = 16                    // conditions in one any of exit_when or wait_for that holds events
	MaxWait        = 3660 * 24 * time.Hour // the longest wait, timeout, re-entry, validity or age: 3660d
	MaxName        = 64                    // bytes in the name of a journey or a step
	MaxText        = 1024                  // bytes of one text: a name, a reason or a value to set
	MaxNodes       = 20_000                // YAML values in one journey
	MaxNesting     = 64                    // how deep YAML values may nest
	MaxProblems    = 100                   // mistakes named in one journey
	MaxJourneys    = 1000                  // journeys in one configuration
	MaxPlaces      = 32                    // places one person holds at a time
	MaxRecords     = 256                   // journeys that one person is remembered in
	MaxKeys        = 32                    // keys remembered for one person and journey
	MaxStays       = 32                    // ended stays remembered while mails of them may be pending
	KeptStays      = 4                     // ended stays with mails remembered in any case
	MaxNotes       = 16                    // decisions remembered for one person and journey
	MaxNote        = 160                   // bytes of what one remembered decision saw
	MaxTriggerData = 64 << 10              // bytes of the trigger's properties
	MaxKey         = 128                   // bytes of a key
	Never          = rule.Never            // the instant of what waits for nothing
	day            = int64(24 * time.Hour / time.Millisecond)
	defaultAge     = int64(time.Hour / time.Millisecond)
	defaultValid   = day
)

// Reentry says how often one person may enter.
type Reentry uint8

// The kinds of re-entry.
const (
	Once   Reentry = 1 // one time for ever
	Every  Reentry = 2 // when the last entry is at least so long ago
	Always Reentry = 3 // whenever the person is not inside
)

// Change says what becomes of those inside a journey when it is changed.
type Change uint8

// The kinds of change.
const (
	StayOnChange Change = 0 // they go on in the version that they entered
	MoveOnChange Change = 1 // they go on at the same step of the new version
	ExitOnChange Change = 2 // their stay ends, and mails that have not left do not leave
)

// TriggerKind says what begins a journey.
type TriggerKind uint8

// The kinds of trigger.
const (
	OnNamedEvent TriggerKind = 1 // an event of a name
	OnEnter      TriggerKind = 2 // entering a segment
	OnLeave      TriggerKind = 3 // leaving a segment
	OnDate       TriggerKind = 4 // a date in a trait
	OnRequest    TriggerKind = 5 // a request through the API
)

// The names under which a segment's entries and exits come in.
const (
	AudienceEntered = "Audience Entered"
	AudienceExited  = "Audience Exited"
)

// Ref is a thing of another file that a journey names, and where it does.
type Ref struct {
	Name         string
	Line, Column int
}

// SendRef is one mail of a journey, for checks across files.
type SendRef struct {
	Step, Template string
	Purpose        purpose.Purpose
	Class          message.Class
	Provider       string
	ValidFor       time.Duration // zero means for ever
	Line, Column   int
}

// ValueRef is one trait that a set step computes, and what of.
type ValueRef struct {
	Trait        string
	Reads        []string // paths below person and trigger
	Line, Column int
}

// Refs is everything that a journey refers to: each name once, where it first
// stands, in the order of the text.
type Refs struct {
	Sends     []SendRef
	Templates []Ref
	Purposes  []Ref
	Providers []Ref
	Segments  []Ref
	Events    []Ref // those it is begun by, waits for, exits by or counts
	Traits    []Ref // those it reads, as paths
	Sets      []Ref // those it sets
	// Properties are those of the trigger that it reads, as paths; Values what each set
	// step makes traits of.
	Properties []Ref
	Values     []ValueRef
	Tallies    []rule.Tally // what must be counted for it, each once
}

// Definition is one checked journey. It is immutable and safe for use by many
// goroutines.
type Definition struct {
	name     string
	purpose  purpose.Purpose
	class    message.Class
	validFor int64 // milliseconds; zero means for ever
	provider string
	closed   bool // nobody enters, everybody inside ends
	trigger  trigger
	reentry  Reentry
	every    int64
	key      string
	include  bool
	change   Change // what becomes of those inside when this version takes effect
	maxAge   int64
	aged     bool // the author gave maxAge
	exit     *cond
	nodes    []node
	waits    []int // the nodes that wait_for, by bit
	refs     Refs
	digest   [sha256.Size]byte
}

// trigger is what begins a journey.
type trigger struct {
	kind  TriggerKind
	name  string // the event's or the segment's
	where *rule.Where
	rule  *rule.Rule
	date  *dateSpec
	ever  *rule.Rule // that the event ever came, to explain with; nil for a segment
	fits  *rule.Rule // that one ever came that where fits; nil without where
}

// Name gives the journey's name, which is its file's.
func (d *Definition) Name() string { return d.name }

// Purpose gives what the journey is for: without permission for it nobody enters.
func (d *Definition) Purpose() purpose.Purpose { return d.purpose }

// Refs gives everything that the journey refers to. The caller must not change it.
func (d *Definition) Refs() Refs { return d.refs }

// Trigger gives what begins the journey and the name of the event or segment.
func (d *Definition) Trigger() (TriggerKind, string) { return d.trigger.kind, d.trigger.name }

// DateTrait gives the path of the trait whose date begins the journey, "" where none does.
func (d *Definition) DateTrait() string {
	if d.trigger.kind != OnDate {
		return ""
	}
	return d.trigger.date.trait
}

// Reentry gives how often one person may enter; the duration belongs to Every.
func (d *Definition) Reentry() (Reentry, time.Duration) {
	return d.reentry, time.Duration(d.every) * time.Millisecond
}

// IncludeExisting tells whether entries into its segment by backfill begin it too.
func (d *Definition) IncludeExisting() bool { return d.include }

// Stopped tells whether the definition is switched off: nobody enters and
// whoever is inside ends.
func (d *Definition) Stopped() bool { return d.closed }

// WithMaxTriggerAge gives the definition with another age at which a trigger is
// too old, for a journey that does not say one itself.
func (d *Definition) WithMaxTriggerAge(age time.Duration) *Definition {
	if d.aged || age <= 0 {
		return d
	}
	own := *d
	own.maxAge = age.Milliseconds()
	return &own
}

// Steps gives the number of steps.
func (d *Definition) Steps() int { return len(d.nodes) }

// Same tells whether two definitions mean the same, so that people inside the
// one are inside the other.
func (d *Definition) Same(o *Definition) bool { return d.name == o.name && d.digest == o.digest }

// kind is the kind of a step.
type kind uint8

const (
	sendStep kind = iota + 1
	waitStep
	waitForStep
	ifStep
	setStep
	stopStep
)

var kindNames = map[kind]string{
	sendStep: "send", waitStep: "wait", waitForStep: "wait_for", ifStep: "if", setStep: "set", stopStep: "stop",
}

// node is one step. Steps stand in the order of the text; next and parent are
// places in that order, -1 for none.
type node struct {
	kind         kind
	path         string // "3.then.1"
	id           string // its name in keys
	named        bool   // the name was given by the author
	parent, next int
	line, column int

	template   string
	purpose    purpose.Purpose
	class      message.Class
	provider   string
	validFor   int64
	stopOnFail bool // send, wait until, set

	length int64      // wait: a duration
	until  *untilSpec // or an instant
	window *window    // or until a window is open; of a send: when it may leave

	cond    *cond
	timeout int64
	bit     int // wait_for: which bit of Place.Seen

	branches []branch // if; of a wait_for the first is then
	orElse   int      // if: else; wait_for: on_timeout

	sets   []assignment
	reason string // stop
}

// branch is one way on from an if.
type branch struct {
	rule *rule.Rule
	to   int
}

// cond is what exit_when and wait_for look for: any of some events, or a rule.
type cond struct {
	events []match
	rule   *rule.Rule
}

// match is an event to look for. What is to come is matched directly, what is
// already stored through the rule that counts it since the trigger.
type match struct {
	name   string
	where  *rule.Where
	stored *rule.Rule // nil where same is given: what is counted knows no trigger
	same   string     // a property that must have the value it has in the trigger, or ""
}

// after gives the step that follows a step, -1 at the end.
func (d *Definition) after(i int) int {
	for i >= 0 {
		if n := d.nodes[i].next; n >= 0 {
			return n
		}
		i = d.nodes[i].parent
	}
	return -1
}

// step gives a step of a stored place; false when there is none, as in a state
// that was damaged.
func (d *Definition) step(i int) (*node, bool) {
	if i < 0 || i >= len(d.nodes) {
		return nil, false
	}
	return &d.nodes[i], true
}

// addRef notes a name once.
func addRef(refs []Ref, name string, line, column int) []Ref {
	if name == "" || slices.ContainsFunc(refs, func(r Ref) bool { return r.Name == name }) {
		return refs
	}
	return append(refs, Ref{Name: name, Line: line, Column: column})
}

// add moves an instant by a duration and stays below Never.
func add(at, d int64) int64 {
	if d > 0 && at > Never-d {
		return Never
	}
	return at + d
}
