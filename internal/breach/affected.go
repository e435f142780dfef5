package breach

import (
	"slices"
	"strings"

	"rapport/internal/purpose"
)

// Kind is what of a person was within reach.
type Kind uint8

// The kinds.
const (
	Identifiers Kind = 1 << iota
	Traits
	Events
	Mails
	Permission
	Trail   // what was done with their data
	Changed // something of theirs was written or erased
)

var kindNames = []struct {
	kind Kind
	name string
}{
	{Identifiers, "identifiers"}, {Traits, "traits"}, {Events, "events"}, {Mails, "mails"}, {Permission, "permission"}, {Trail, "trail"}, {Changed, "changed"},
}

// Whole is all that can be read of a person.
const Whole = Identifiers | Traits | Events | Mails | Permission

// Names lists the kinds in it.
func (k Kind) Names() (out []string) {
	for _, x := range kindNames {
		if k&x.kind != 0 {
			out = append(out, x.name)
		}
	}
	return out
}

// touches is what the acts of a management key reach, by the row of the trail.
var touches = map[string]Kind{
	"person.read": Identifiers | Traits | Permission, "person.events_read": Identifiers | Events, "person.exported": Whole | Trail, "person.trail_read": Trail,
	"trail.searched": Trail, "person.segment_read": Traits, "person.journey_read": Traits, "messages.read": Mails, "message.read": Identifiers | Mails, "permission.read": Permission,
	"person.erase_asked": Changed, "person.correct_asked": Changed, "person.restrict_asked": Changed, "person.lift_asked": Changed,
	"person.object_asked": Changed, "person.unmerge_asked": Changed, "permission.asked": Changed, "suppression.asked": Changed, "suppression.lift_asked": Changed,
}

// nameless are acts by which people's data were read or written whom the trail does
// not name, and what they reach.
var nameless = []string{
	"messages.read", "message.read", "rejected.read", "record.read", "requests.read", "request.read", "destination.dead_read", "breach.people_read", "trail.searched", "trail.exported", "import.asked", "rejected.resend_asked", "record.resend_asked",
}

// Everybody is the act that reaches all of everybody.
const Everybody = "backup.taken"

// Touch tells what an act reaches of the person whom its row names; of nobody, whether
// it may have reached somebody all the same.
func Touch(act string, named bool) (k Kind, unnamed bool) {
	if named {
		return touches[act], false
	}
	return 0, slices.Contains(nameless, act) || act == Everybody
}

// Touched is one person within a scope.
type Touched struct {
	Person  string
	Address string // where they can be told, "" where none is known
	Kinds   Kind
	Records map[purpose.Class]int64 // values, by class
	Names   []string                // of their traits, and kinds of identifiers
	Events  int64
	Mails   int64
}

// Count is how many something concerns.
type Count struct {
	Name    string `json:"name"`
	People  int64  `json:"people,omitempty"`
	Records int64  `json:"records,omitempty"`
}

// Affected is whom a breach concerns, and with which data: what Art. 33(3)(a) asks for.
type Affected struct {
	People     int64   `json:"people"`
	Gone       int64   `json:"gone,omitempty"` // who are named and of whom nothing is held any more
	AtMost     bool    `json:"at_most"`        // some of them may not be concerned
	Kinds      []Count `json:"kinds"`
	Classes    []Count `json:"classes"`    // of values: sensitive, personal, internal, public, unclassified
	Attributes []Count `json:"attributes"` // traits and identifiers, by how many people have them
	Acts       []Count `json:"acts,omitempty"`
	Nameless   []Count `json:"nameless,omitempty"` // acts whose rows do not say whom they concern
}

// mostAttributes is how many attributes are told by name.
const mostAttributes = 200

// Sum counts people.
type Sum struct {
	out                         Affected
	kinds, classes, names, acts map[string]*Count
	unnamed                     map[string]*Count
}

// NewSum begins at nobody.
func NewSum() *Sum {
	return &Sum{kinds: map[string]*Count{}, classes: map[string]*Count{}, names: map[string]*Count{}, acts: map[string]*Count{}, unnamed: map[string]*Count{}}
}

func add(to map[string]*Count, name string, people, records int64) {
	c := to[name]
	if c == nil {
		c = &Count{Name: name}
		to[name] = c
	}
	c.People += people
	c.Records += records
}

// Act counts what a key did: the rows of one act that name somebody, or nobody.
func (s *Sum) Act(name string, named bool) {
	to := s.unnamed
	if named {
		to = s.acts
	}
	add(to, name, 0, 1)
}

// Gone counts one of whom nothing is held.
func (s *Sum) Gone() { s.out.Gone++ }

// AtMost notes that some who are counted may not be concerned.
func (s *Sum) AtMost() { s.out.AtMost = true }

// Add counts one person.
func (s *Sum) Add(t *Touched) {
	s.out.People++
	for _, name := range t.Kinds.Names() {
		records := int64(0)
		switch name {
		case "events":
			records = t.Events
		case "mails":
			records = t.Mails
		}
		add(s.kinds, name, 1, records)
	}
	for class, n := range t.Records {
		name := class.String()
		if name == "" {
			name = "unclassified"
		}
		add(s.classes, name, 1, n)
	}
	for _, name := range t.Names {
		if s.names[name] != nil || len(s.names) < mostAttributes {
			add(s.names, name, 1, 0)
		}
	}
}

// Affected gives what was counted, the most first.
func (s *Sum) Affected() Affected {
	out := s.out
	for _, l := range []struct {
		from map[string]*Count
		to   *[]Count
	}{{s.kinds, &out.Kinds}, {s.classes, &out.Classes}, {s.names, &out.Attributes}, {s.acts, &out.Acts}, {s.unnamed, &out.Nameless}} {
		*l.to = []Count{}
		for _, c := range l.from {
			*l.to = append(*l.to, *c)
		}
		slices.SortFunc(*l.to, func(a, b Count) int {
			if a.People != b.People {
				return int(b.People - a.People)
			}
			return strings.Compare(a.Name, b.Name)
		})
	}
	return out
}
