// Package profile folds events into one picture of a person: traits, tallies,
// history, first and last seen. What comes in are events about a person, in the
// order of the walk; what goes out is what changed, and a view bound to a
// purpose. It never decides who an event is about and never reads a clock.
package profile

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"rapport/internal/rule"
	"rapport/internal/wire"
)

// Trait is one property of a person: the last value by event time. A deleted
// trait keeps its time, so that an older event does not bring it back.
type Trait struct {
	Name  string
	Value []byte // raw JSON; nil when deleted
	At    int64  // event time of the last write, Unix milliseconds
}

// Tally counts one kind of event for a person, as exactly as the rules need.
type Tally struct {
	ID uint32
	rule.TallyState
}

// Profile is the profile section of a person's row.
type Profile struct {
	Traits  []Trait // in order of name
	Tallies []Tally // in order of id
	First   int64   // event time of the first event ever, Unix milliseconds
	Last    int64   // event time of the latest event
	Events  int64   // how many events were folded in
	Version int     // the configuration version up to which tallies and memberships are complete
	Heads   []Pointer
}

// The traits in which rules, journeys and mails see the groups of a person: the
// one that a call named last, and all of them as a list, newest first. They are
// the house's own: an identify cannot write them.
const (
	GroupTrait  = "$group"
	GroupsTrait = "$groups"
)

// Limits of one profile. What goes beyond is refused and counted, never grown.
const (
	MaxTraits     = 500       // traits of one person, deleted ones counted: they keep their time
	MaxTraitName  = 100       // bytes of a name
	MaxTraitBytes = 64 << 10  // bytes of one value, as JSON
	MaxBytes      = 256 << 10 // bytes of all values of one person
)

// Trait gives the raw JSON at a dotted path; both spellings of the reserved
// names are understood. Derived: `name` from first and last name.
func (p *Profile) Trait(path string) ([]byte, bool) {
	name, rest, nested := strings.Cut(path, ".")
	name = Canonical(name)
	i, ok := p.find(name)
	if !ok || p.Traits[i].Value == nil {
		if name == "name" && !nested {
			return p.fullName(nil)
		}
		return nil, false
	}
	if !nested {
		return p.Traits[i].Value, true
	}
	return within(p.Traits[i].Value, rest)
}

// fullName joins a name of its parts, of those that somebody may see.
func (p *Profile) fullName(seen Scope) ([]byte, bool) {
	var parts []string
	for _, name := range [...]string{"first_name", "last_name"} {
		if seen != nil && !seen.Trait(name) {
			continue
		}
		if i, ok := p.find(name); ok {
			if s, ok := stringOf(p.Traits[i].Value); ok && s != "" {
				parts = append(parts, s)
			}
		}
	}
	if len(parts) == 0 {
		return nil, false
	}
	return quote(strings.Join(parts, " ")), true
}

// Keep writes a trait as it stood, where the profile has none of its name.
func (p *Profile) Keep(t Trait) {
	if i, ok := p.find(t.Name); !ok && p.room(i, ok, len(t.Value)) {
		p.Traits = slices.Insert(p.Traits, i, Trait{strings.Clone(t.Name), slices.Clone(t.Value), t.At})
	}
}

// Text gives a trait that is a JSON string, as a Go string.
func (p *Profile) Text(path string) string {
	raw, _ := p.Trait(path)
	s, _ := stringOf(raw)
	return s
}

func (p *Profile) find(name string) (int, bool) {
	return slices.BinarySearchFunc(p.Traits, name, func(t Trait, n string) int { return strings.Compare(t.Name, n) })
}

// Tally gives the state of a tally, false when nothing was ever counted.
func (p *Profile) Tally(tally uint32) (rule.TallyState, bool) {
	i, ok := p.findTally(tally)
	if !ok {
		return rule.TallyState{}, false
	}
	return p.Tallies[i].TallyState, true
}

func (p *Profile) findTally(tally uint32) (int, bool) {
	return slices.BinarySearchFunc(p.Tallies, tally, func(t Tally, n uint32) int {
		switch {
		case t.ID < n:
			return -1
		case t.ID > n:
			return 1
		}
		return 0
	})
}

// The formats of the section. The second has the values of measures behind each
// tally; who has none is written in the first.
const (
	profileFormat  = 1
	measuredFormat = 2
)

var errProfile = errors.New("profile section: malformed")

// Append writes the section: format, seen, version, heads, traits, tallies.
func (p *Profile) Append(dst []byte) []byte {
	measured := slices.ContainsFunc(p.Tallies, func(t Tally) bool { return t.Values != nil })
	if measured {
		dst = append(dst, measuredFormat)
	} else {
		dst = append(dst, profileFormat)
	}
	dst = binary.AppendVarint(dst, p.First)
	dst = binary.AppendVarint(dst, p.Last-p.First)
	dst = binary.AppendUvarint(dst, uint64(p.Events))
	dst = binary.AppendUvarint(dst, uint64(p.Version))
	dst = binary.AppendUvarint(dst, uint64(len(p.Heads)))
	for _, h := range p.Heads {
		dst = binary.AppendUvarint(dst, uint64(h))
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Traits)))
	for i := range p.Traits {
		t := &p.Traits[i]
		dst = wire.AppendString(dst, t.Name)
		dst = wire.AppendBytes(dst, t.Value)
		dst = binary.AppendVarint(dst, t.At-p.First)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Tallies)))
	for i := range p.Tallies {
		dst = binary.LittleEndian.AppendUint32(dst, p.Tallies[i].ID)
		dst = p.Tallies[i].TallyState.Append(dst)
		if measured {
			dst = p.Tallies[i].AppendValues(dst)
		}
	}
	return dst
}

// Decode reads what Append wrote, reusing the capacity of p. Names and values
// point into b, which must not change while p is in use.
func (p *Profile) Decode(b []byte) error {
	*p = Profile{Traits: p.Traits[:0], Tallies: p.Tallies[:0], Heads: p.Heads[:0]}
	if len(b) == 0 {
		return nil
	}
	if b[0] != profileFormat && b[0] != measuredFormat {
		return errProfile
	}
	r := wire.Reader{Rest: b[1:]}
	p.First = r.Varint()
	p.Last = p.First + r.Varint()
	p.Events = int64(r.Uvarint())
	p.Version = int(r.Uvarint())
	for n := r.Count(); n > 0; n-- {
		p.Heads = append(p.Heads, Pointer(r.Uvarint()))
	}
	for n := r.Count(); n > 0; n-- {
		t := Trait{Name: r.Alias(), Value: r.Bytes()}
		if len(t.Value) == 0 {
			t.Value = nil
		}
		t.At = p.First + r.Varint()
		p.Traits = append(p.Traits, t)
	}
	return p.decodeTallies(&r, b[0] == measuredFormat)
}

func (p *Profile) decodeTallies(r *wire.Reader, measured bool) error {
	n := r.Count()
	p.Tallies = slices.Grow(p.Tallies, n)[:n]
	for i := range p.Tallies {
		t := &p.Tallies[i] // its slices may have been used before
		id := r.Take(4)
		if id == nil {
			return errProfile
		}
		t.ID = binary.LittleEndian.Uint32(id)
		var err error
		if r.Rest, err = t.TallyState.Decode(r.Rest); err != nil {
			return err
		}
		if t.Values = nil; measured {
			if r.Rest, err = t.DecodeValues(r.Rest); err != nil {
				return err
			}
		}
	}
	if !r.Done() {
		return errProfile
	}
	return nil
}
