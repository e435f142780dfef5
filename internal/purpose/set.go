package purpose

import (
	"slices"
	"strings"
)

// Set says for which purposes something may be used: those it names and their
// families. Nil means that nobody has said: for every one. A set that is there and
// names none permits nothing.
type Set []Purpose

// Of tells whether p is another purpose or one of its family.
func (p Purpose) Of(family Purpose) bool {
	return p == family || len(p) > len(family) && p[len(family)] == '.' && p[:len(family)] == family
}

// Serves tells whether something may be used for a purpose.
func (s Set) Serves(p Purpose) bool {
	return s == nil || slices.ContainsFunc(s, p.Of)
}

// And gives what holds of something that is made of both: of a family and one of
// its members the member.
func (s Set) And(o Set) Set {
	switch {
	case s == nil:
		return o
	case o == nil:
		return s
	}
	out := Set{}
	for _, p := range s {
		if o.Serves(p) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, p := range o {
		if s.Serves(p) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// Equal tells whether two sets name the same, in whatever order.
func (s Set) Equal(o Set) bool {
	return (s == nil) == (o == nil) && len(s) == len(o) && !slices.ContainsFunc(s, func(p Purpose) bool { return !slices.Contains(o, p) })
}

// String names them for a reader.
func (s Set) String() string {
	if s == nil {
		return "every purpose"
	}
	names := make([]string, len(s))
	for i, p := range s {
		names[i] = string(p)
	}
	if slices.Sort(names); len(names) == 0 {
		return "no purpose"
	}
	return strings.Join(names, ", ")
}
