package processor

import (
	"slices"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
)

// keepApart lets a merged person inherit from whom the other is kept apart, and
// those from whom.
func (w *Walker) keepApart(into, from *figure) error {
	for _, who := range from.ident.Apart {
		g, err := w.set.figure(who)
		if err != nil {
			return err
		}
		if g == into {
			continue
		}
		g.ident.Apart = slices.DeleteFunc(g.ident.Apart, func(x id.Person) bool { return x == from.id })
		w.setApart(into, g)
	}
	from.ident.Apart = nil
	return nil
}

// apartFromOthers keeps who leaves apart from all from whom the one who stays is.
func (w *Walker) apartFromOthers(f, g *figure) error {
	for _, who := range f.ident.Apart {
		other, err := w.set.figure(who)
		if err != nil {
			return err
		}
		if len(other.ident.Apart) >= identity.MaxApart {
			return fault.New(fault.Limited, "too_many_parted",
				"somebody from whom this person is kept apart is kept apart from %d others already (MaxApart)", identity.MaxApart)
		}
		w.setApart(g, other)
	}
	return nil
}

func (w *Walker) setApart(a, b *figure) {
	for _, x := range [2][2]*figure{{a, b}, {b, a}} {
		if !slices.Contains(x[0].ident.Apart, x[1].id) {
			x[0].ident.Apart = append(x[0].ident.Apart, x[1].id)
			w.set.touch(x[0])
		}
	}
}
