package identity

import (
	"slices"
	"strings"

	"rapport/internal/fault"
	"rapport/internal/id"
)

// MaxApart is from how many others one person may be kept apart.
const MaxApart = 50

// Name is an identifier as an operator writes it.
type Name struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// HashOf gives the keyed hash of an identifier as an operator writes it.
func (r *Resolver) HashOf(n Name) id.Hash {
	value := n.Value
	if n.Kind == Email {
		value = strings.ToLower(strings.TrimSpace(value))
	}
	return r.hasher.Sum(n.Kind, value)
}

// Leaving gives those identifiers of a person that an operator names, or says
// why they cannot leave: each must be the person's, and some must stay.
func (r *Resolver) Leaving(rec *Record, names []Name) ([]Identifier, error) {
	var out []Identifier
	for _, n := range names {
		h := r.HashOf(n)
		i := slices.IndexFunc(rec.Identifiers, func(x Identifier) bool { return x.Hash == h })
		if i < 0 {
			return nil, fault.New(fault.Invalid, "not_theirs", "an identifier of kind %s is not this person's; GET the person to see which are", n.Kind)
		}
		if !slices.ContainsFunc(out, func(x Identifier) bool { return x.Hash == h }) {
			out = append(out, rec.Identifiers[i])
		}
	}
	switch {
	case len(out) == 0:
		return nil, fault.New(fault.Invalid, "nothing_leaves", "name at least one identifier that leaves")
	case len(out) == len(rec.Identifiers):
		return nil, fault.New(fault.Invalid, "nothing_stays", "all identifiers leave: name only those of the other person")
	}
	return out, MayPart(rec)
}

// MayPart tells whether one more may be kept apart from somebody.
func MayPart(rec *Record) error {
	if len(rec.Apart) >= MaxApart {
		return fault.New(fault.Conflict, "too_many_parted",
			"this person, or somebody from whom they are kept apart, is kept apart from %d others already (MaxApart)", MaxApart)
	}
	return nil
}

// Part moves identifiers into the record of somebody new, and keeps the two
// apart from then on.
func Part(from, to *Record, fromID, toID id.Person, leaving []Identifier) {
	for _, x := range leaving {
		from.Identifiers = slices.DeleteFunc(from.Identifiers, func(y Identifier) bool { return y.Hash == x.Hash })
		x.Kind, x.Value = kindName(x.Kind), strings.Clone(x.Value) // its strings go with the other's row
		to.insert(x)
		if to.Created == 0 || x.First < to.Created {
			to.Created = x.First
		}
	}
	from.Apart, to.Apart = append(from.Apart, toID), append(to.Apart, fromID)
}
