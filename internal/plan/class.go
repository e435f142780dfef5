package plan

import (
	"slices"

	"rapport/internal/event"
	"rapport/internal/plan/pii"
	"rapport/internal/purpose"
)

// Class tells how harmful a property or trait of an event is, or what stands below
// it: the highest that any plan says of it. Where none speaks of it, its name may:
// what is personal by its meaning is so without a plan.
func (s *Set) Class(t event.Type, name, path string) (out purpose.Class) {
	for _, d := range s.Documents() {
		for _, e := range d.Events {
			if e.Type != t || e.Name != name && e.Name != "*" && t != event.Identify && t != event.Group {
				continue
			}
			for i := range e.Versions {
				f, a := e.Versions[i].At(e, path)
				out = max(out, a.Class, f.highest())
			}
		}
	}
	if out == purpose.Unclassified && (pii.Named(path) != pii.None || (t == event.Identify || t == event.Group) && slices.Contains(expected, "traits."+path)) {
		return purpose.Personal
	}
	return out
}

// highest gives the highest class of a field and those below it.
func (f *Field) highest() purpose.Class {
	if f == nil {
		return purpose.Unclassified
	}
	out := max(f.Attribute.Class, f.Items.highest())
	for _, below := range f.Fields {
		out = max(out, below.highest())
	}
	return out
}
