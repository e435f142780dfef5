// Package plan is the tracking plan: which events a source may send, with which
// fields of which types, how harmful each field is, why it may be used and how
// long it is kept. What comes in are plans that people wrote (plan/*.yaml, or
// exports of Segment and RudderStack) and one event at a time; what goes out is
// a verdict with the violations, and the event as it may be kept: without what
// nobody planned, and with personal data masked where it should not be. It does
// no I/O, keeps nothing of an event, and its violations name places, never
// values. See docs/plan.md.
package plan

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/purpose"
)

// Effect is what becomes of an event that is not as planned. The order counts:
// the hardest that anything asks for is taken.
type Effect uint8

// The effects.
const (
	Unsaid     Effect = iota // as the level above says
	Allow                    // taken as it is, and told
	Strip                    // taken without what was not planned
	Quarantine               // kept aside, to be sent again once the plan or the sender is mended
	Refuse                   // turned away and not kept
)

var effectNames = []string{"", "allow", "strip", "quarantine", "refuse"}

// String gives the word that stands in a plan.
func (e Effect) String() string {
	if int(e) < len(effectNames) {
		return effectNames[e]
	}
	return ""
}

// Rules say what becomes of what is not as planned.
type Rules struct {
	OnViolation     Effect // a field is not as the plan has it: allow, quarantine or refuse
	UnplannedEvents Effect // allow, quarantine or refuse
	UnplannedFields Effect // any
}

// over gives the rules where they say something, else those below.
func (r Rules) over(below Rules) Rules {
	return Rules{
		cmp.Or(r.OnViolation, below.OnViolation), cmp.Or(r.UnplannedEvents, below.UnplannedEvents), cmp.Or(r.UnplannedFields, below.UnplannedFields),
	}
}

// Attribute is what the plan says of one value beyond its form.
type Attribute struct {
	Class     purpose.Class
	Purposes  []purpose.Purpose // why it may be used; nil: nothing is said, so for whatever its source is
	Retention time.Duration     // how long it is kept; zero: nothing is said
}

// And gives what holds of something that is made of both: the higher class, the
// purposes that both have, the shorter time.
func (a Attribute) And(b Attribute) Attribute {
	out := Attribute{Class: max(a.Class, b.Class), Purposes: purpose.Set(a.Purposes).And(b.Purposes), Retention: a.Retention}
	if b.Retention > 0 && (out.Retention == 0 || b.Retention < out.Retention) {
		out.Retention = b.Retention
	}
	return out
}

// Permits tells whether a value may be used for a purpose: one that is named, or
// of the family of one that is named. Where nothing is said everything is
// permitted, as far as the plan goes.
func (a Attribute) Permits(p purpose.Purpose) bool {
	return purpose.Set(a.Purposes).Serves(p)
}

// Document is one plan as somebody wrote it.
type Document struct {
	Name        string // the file's name
	Title       string
	Description string
	Sources     map[string]Rules // whose events it judges; nil: those of all sources that no other plan names
	Rules       Rules
	Quiet       bool // violations are counted and no events are made of them
	Events      []*Event
	Context     map[string]*Field
	Personal    *Personal
}

// Event is one planned event: a track by its name, a page or screen by its name
// ("*" for any), identify ("") or group ("").
type Event struct {
	Type        event.Type
	Name        string
	Description string
	Rules       Rules
	Attribute   Attribute // what holds for its fields where they say nothing
	Versions    []Version // by number, the oldest first; at least one
}

// Version is one form of an event, which context.protocols.event_version names.
type Version struct {
	Number      int // 1 where there is one only
	Description string
	Fields      map[string]*Field
	Schema      map[string]any // what else is asked, in JSON Schema; nil: nothing
	Line        int
}

// Field is one planned property or trait.
type Field struct {
	Types       []string
	Required    bool
	Description string
	Enum        []any
	Format      string
	Pattern     string
	Minimum     string // a number, as it was written
	Maximum     string
	Items       *Field
	Fields      map[string]*Field
	Attribute   Attribute
	Schema      map[string]any // what else is asked, in JSON Schema
}

// Set is all plans of a configuration, compiled. It is immutable and safe for
// concurrent use.
type Set struct {
	plans   []*compiled
	sources map[string]*Plan
	rest    *Plan // for sources that no plan names
}

// Compile makes plans ready to judge. An error names the plan, the event and
// what is wrong with it.
func Compile(docs []*Document) (*Set, error) {
	s := &Set{sources: map[string]*Plan{}}
	for _, d := range docs {
		c, err := compile(d)
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", d.Name, err)
		}
		s.plans = append(s.plans, c)
		if d.Sources == nil {
			if s.rest != nil {
				return nil, fmt.Errorf("plan %s and plan %s both name no sources: one plan at most is for all the others", s.rest.of.Name, d.Name)
			}
			s.rest = &Plan{compiled: c, rules: d.Rules.over(defaults)}
		}
		for source, rules := range d.Sources {
			if other := s.sources[source]; other != nil {
				return nil, fmt.Errorf("plan %s and plan %s both name the source %q: a source follows one plan", other.of.Name, d.Name, source)
			}
			s.sources[source] = &Plan{compiled: c, rules: rules.over(d.Rules).over(defaults)}
		}
	}
	return s, nil
}

// defaults are the rules of somebody who begins: everything is taken, and told.
var defaults = Rules{OnViolation: Allow, UnplannedEvents: Allow, UnplannedFields: Allow}

// For gives the plan that a source follows; nil where there is none.
func (s *Set) For(source string) *Plan {
	if s == nil {
		return nil
	}
	if p := s.sources[source]; p != nil {
		return p
	}
	return s.rest
}

// Documents lists the plans as they were written.
func (s *Set) Documents() []*Document {
	if s == nil {
		return nil
	}
	out := make([]*Document, 0, len(s.plans))
	for _, c := range s.plans {
		out = append(out, c.of)
	}
	return out
}

// Trait gives what the plans say of a trait of people, such as "address.city":
// the narrowest of what all plans say. planned is false where none knows it.
func (s *Set) Trait(path string) (a Attribute, planned bool) {
	return s.attribute(event.Identify, "", path)
}

// GroupTrait gives the same of a trait of groups.
func (s *Set) GroupTrait(path string) (Attribute, bool) { return s.attribute(event.Group, "", path) }

// Property gives the same of a property of a track, "" for the event as a whole.
func (s *Set) Property(name, path string) (Attribute, bool) {
	return s.attribute(event.Track, name, path)
}

func (s *Set) attribute(t event.Type, name, path string) (out Attribute, planned bool) {
	if s == nil {
		return out, false
	}
	for _, c := range s.plans {
		e := c.find(t, name)
		if e == nil {
			continue
		}
		for i := range e.of.Versions {
			a, ok := e.of.attribute(&e.of.Versions[i], path)
			if ok {
				out, planned = out.And(a), true
			}
		}
	}
	return out, planned
}

// attribute walks down to a field. What a field does not say is what the one
// above it says, and what both say is narrowed.
func (e *Event) attribute(v *Version, path string) (Attribute, bool) {
	a := e.Attribute
	if path == "" {
		return a, true
	}
	fields := v.Fields
	for step := range strings.SplitSeq(path, ".") {
		f := fields[step]
		for f == nil || f.Fields == nil && f.Items != nil {
			if f == nil {
				return a, false
			}
			f = f.Items
		}
		a = a.And(f.Attribute)
		fields = f.Fields
	}
	return a, true
}
