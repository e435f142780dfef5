// Package group keeps what is known of a group that people belong to: a company,
// an account, a team (Segment, "Spec: Group"). What comes in are group calls, in
// the order of the walk; what goes out are its traits, of which the last by event
// time holds, as with people. It never decides who belongs to a group.
package group

import (
	"encoding/json"
	"errors"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/profile"
	"rapport/internal/rule"
	"rapport/internal/wire"
)

// Limits of groups.
const (
	MaxID      = 500     // bytes of a group's id, as Segment has it
	MaxOf      = 8       // groups of one person; of more the newest stay
	MaxCopied  = 7 << 10 // bytes of a group's traits, as JSON, that rules and mails see with each member
	MaxMembers = 200     // members that one record of the walk brings forward
)

// Group is one group.
type Group struct {
	ID      string
	Cause   string // names the call that changed its traits last, "" while none has
	profile profile.Profile
}

// Fold writes the traits of a group call and tells whether anything changed. What
// cause names is the same in every replay.
func (g *Group) Fold(e *event.Event, cause string) bool {
	var props rule.Object
	var change profile.Change
	named := event.Event{Type: event.Identify, Time: e.Time, Traits: e.Traits}
	g.profile.Fold(&named, &props, nothing, nil, &change)
	if len(change.Traits) == 0 {
		return false
	}
	g.Cause = cause
	return true
}

// nothing is counted of groups.
var nothing = profile.NewSchema(nil)

// Known tells whether the group has traits.
func (g *Group) Known() bool { return len(g.profile.Traits) > 0 }

// AppendJSON writes the group as an object: its id, when a call named it last for the person,
// and its traits by name, as many as MaxCopied has room for.
func (g *Group) AppendJSON(dst []byte, seen string) []byte {
	start := len(dst)
	name, _ := json.Marshal(g.ID) // A text always marshals.
	dst = append(append(dst, `{"id":`...), name...)
	dst = append(append(append(dst, `,"seen_at":"`...), seen...), '"')
	g.profile.View("", nil).Each(func(name string, value []byte, _ int64) {
		key, _ := json.Marshal(name) // As above.
		if name == "id" || name == "seen_at" || len(dst)-start+len(key)+len(value)+3 > MaxCopied {
			return
		}
		dst = append(append(append(append(dst, ','), key...), ':'), value...)
	})
	return append(dst, '}')
}

// The formats of the row. The first counted the changes instead of naming their cause.
const (
	countedFormat = 1
	format        = 2
)

var errFormat = errors.New("group: malformed")

// Append writes the group's row.
func (g *Group) Append(dst []byte) []byte {
	dst = wire.AppendString(append(dst, format), g.Cause)
	dst = wire.AppendString(dst, g.ID)
	return g.profile.Append(dst)
}

// Decode reads what Append wrote. b must not change while g is in use.
func (g *Group) Decode(b []byte) error {
	*g = Group{}
	if len(b) == 0 {
		return nil
	}
	r := wire.Reader{Rest: b[1:]}
	switch b[0] {
	case countedFormat:
		r.Uvarint()
	case format:
		g.Cause = r.String()
	default:
		return errFormat
	}
	g.ID = r.Alias()
	if r.Bad || len(r.Rest) == 0 {
		return errFormat
	}
	return g.profile.Decode(r.Rest)
}

// Store keeps groups and who belongs to them. It is one accessor of a transaction
// and is used by one goroutine at a time.
type Store interface {
	// Group reads one, nil when nothing is known of it; SaveGroup writes it.
	Group(h id.Hash) ([]byte, error)
	SaveGroup(h id.Hash, body []byte) error
	// Join makes somebody a member; once more changes nothing.
	Join(h id.Hash, who id.Person) error
	// Leave ends a membership; of one that is none it changes nothing.
	Leave(h id.Hash, who id.Person) error
	// Members lists some, in order, behind one of them.
	Members(h id.Hash, behind id.Person, limit int) ([]id.Person, error)
}
