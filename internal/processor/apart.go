package processor

import (
	"fmt"
	"slices"

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
		if err := identity.MayPart(&other.ident); err != nil {
			return err
		}
		w.setApart(g, other)
	}
	return nil
}

// namesToo lets the numbers of those whose identifiers all leave name who leaves:
// somebody may have noted them before the two were joined. A number that names
// somebody else by now goes on naming them.
func (w *Walker) namesToo(f, g *figure, merges []identity.Merge) error {
	for _, m := range merges {
		if m.Rule == identity.RuleUnmerge || m.From == g.id {
			continue
		}
		var moved identity.Record
		if err := moved.Decode(m.Moved); err != nil {
			return fmt.Errorf("read the merge log: %w", err)
		}
		if len(moved.Identifiers) == 0 || slices.ContainsFunc(moved.Identifiers, func(x identity.Identifier) bool { return !g.ident.Holds(x.Hash) }) {
			continue
		}
		if err := w.set.load([]id.Person{m.From}, nil); err != nil {
			return err
		}
		x := w.set.figures[m.From]
		if x == nil || x.ident.MergedInto == 0 {
			continue
		}
		if now, err := w.set.figure(m.From); err != nil {
			return err
		} else if now != f {
			continue
		}
		x.ident.MergedInto = g.id
		w.set.touch(x)
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
