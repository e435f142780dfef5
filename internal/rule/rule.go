// Package rule is the one rule language of the house: segments, journeys and
// content variants ask their questions in it. YAML goes in, with every mistake
// named at once; a checked and bounded tree comes out, which answers for one
// person with a truth and with the instant until which that truth holds if
// nothing but time passes. It never reads a clock, a store or a name that was
// not declared when the rule was checked, and it never fails at run time: a
// value that is missing or of another type is simply not what was asked for.
package rule

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Never is the instant of what does not change merely because time passes.
const Never int64 = math.MaxInt64

// The limits of a rule. A rule beyond one of them is refused with the limit's
// name and value.
const (
	MaxDepth    = 16                    // how deep all, any and not may nest
	MaxNodes    = 256                   // conditions in one rule, all, any and not included
	MaxList     = 1000                  // values of one in or not_in
	MaxWhere    = 32                    // comparisons in one where, trait or property
	MaxCount    = 1000                  // the highest number in a count
	MaxText     = 1024                  // bytes of one text: a name or a value
	MaxPath     = 256                   // bytes of one path
	MaxSteps    = 16                    // steps of one path
	MaxPattern  = 256                   // bytes of one regular expression
	MaxProgram  = 1000                  // steps that it may become
	MaxMatched  = 4096                  // bytes of a text that it is sought in; longer ones do not match
	MaxItems    = 4                     // how deep lists of objects may be asked, where included
	MaxSamples  = 1000                  // newest events that a sum, avg, min, max, first or last within a time looks at
	MaxDigits   = 18                    // significant digits of a number that is summed
	MaxPlaces   = 30                    // its places behind the point
	MaxDuration = 3660 * 24 * 3_600_000 // milliseconds of within and before: 3660d
	MaxProblems = 100                   // mistakes named in one rule
)

// Context says which conditions make sense where the rule stands. The zero
// value is that of a segment.
type Context struct {
	Property bool     // there is a triggering event, so its properties can be asked
	Since    bool     // there is a trigger, so did can count since it
	Segments []string // the segments that exist; nil leaves in_segment unchecked
}

// Problem is one mistake in a rule: where it stands, what is wrong, and what to
// write instead.
type Problem struct {
	Line, Column int
	Message      string
	Hint         string
}

// String gives the problem in one line.
func (p Problem) String() string {
	s := fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message)
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Rule is a checked condition. It is immutable and safe for use by many
// goroutines.
type Rule struct {
	root       node
	text       string
	tallies    []Tally
	traits     []string
	properties []string
	segments   []string
	events     []string
	usesNow    bool
	cost       int
}

// Subject is whom a rule is asked about. Paths are those of the rule, as Object.Get
// takes them; raw JSON that is returned must stay unchanged during the call.
type Subject interface {
	// Trait gives the raw JSON of a trait, false when there is none.
	Trait(path string) ([]byte, bool)
	// Tally gives what was counted under a Tally's ID, false when nothing was.
	Tally(id uint32) (TallyState, bool)
	// Member says whether the person is in a segment.
	Member(segment string) bool
	// Property gives the raw JSON of a property of the triggering event.
	Property(path string) ([]byte, bool)
}

// At is the instant for which a rule is asked, in Unix milliseconds of business
// time, and the instant of the trigger where there is one.
type At struct {
	Now   int64
	Since int64
}

// Tallies gives what must be counted for the rule, each once.
func (r *Rule) Tallies() []Tally { return slices.Clone(r.tallies) }

// Traits gives the paths of the traits that the rule reads, sorted.
func (r *Rule) Traits() []string { return slices.Clone(r.traits) }

// Properties gives the paths of the triggering event's properties that the rule
// reads, sorted. Those in a where are not among them.
func (r *Rule) Properties() []string { return slices.Clone(r.properties) }

// Segments gives the names of the segments that the rule reads, sorted.
func (r *Rule) Segments() []string { return slices.Clone(r.segments) }

// Events gives the names of the events that the rule counts, sorted.
func (r *Rule) Events() []string { return slices.Clone(r.events) }

// UsesNow says whether the rule's answer can change merely because time passes.
func (r *Rule) UsesNow() bool { return r.usesNow }

// Cost says how much work an evaluation is at most, in units of about one
// comparison.
func (r *Rule) Cost() int { return r.cost }

// String gives the canonical text of the rule, which is YAML and parses to the
// same rule.
func (r *Rule) String() string { return r.text }

// Eval answers the rule: whether it holds at at.Now, and the first instant
// later than at.Now at which it may hold no longer, or hold at last, merely
// because time passes. It allocates nothing.
//
// Everything that happened counts up to and including at.Now. The subject's
// tallies must know what happened until then. What they know beyond it is not
// counted, and the answer expires when it would be; but as a tally keeps no more
// times than it needs, it is exact only where later events have not displaced
// earlier ones. So a person's now should not go backwards.
func (r *Rule) Eval(s Subject, at At) (truth bool, validUntil int64) {
	return r.root.eval(s, at)
}

// sortUnique sorts and removes doubles.
func sortUnique[T cmp.Ordered](s []T) []T {
	slices.Sort(s)
	return slices.Compact(s)
}
