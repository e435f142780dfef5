package explain

import (
	"context"
	"encoding/json"
	"slices"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/processor"
	"rapport/internal/profile"
)

// Parting tells what would come of parting somebody, and changes nothing.
func (r *Reader) Parting(ctx context.Context, who id.Person, names []identity.Name) (out processor.Parted, living id.Person, err error) {
	err = r.Keeper.Read(ctx, func(b processor.Books) error {
		f, err := load(b, who)
		if err != nil {
			return err
		}
		leaving, err := r.Resolver.Leaving(&f.ident, names)
		if err != nil {
			return err
		}
		for _, other := range f.ident.Apart { // Who leaves is kept apart from them too.
			o, err := load(b, other)
			if err != nil {
				return err
			}
			if err := identity.MayPart(&o.ident); err != nil {
				return err
			}
		}
		p, err := processor.Divide(&b, f.id, &f.prof, r.Resolver, &f.ident, leaving)
		if err != nil {
			return err
		}
		living = f.id
		out = p.Comes(len(leaving))
		out.Person = f.id.String()
		return nil
	})
	return out, living, err
}

// PartedBy gives what came of a request to part somebody, false where it was not
// carried out on them or on whom they were made of. The same tells whether these
// are the names it gave.
func (r *Reader) PartedBy(ctx context.Context, who id.Person, request string, names []identity.Name) (out processor.Parted, same, found bool, err error) {
	err = r.Keeper.Read(ctx, func(b processor.Books) error {
		f, err := load(b, who)
		if err != nil {
			return err
		}
		merges, err := processor.MergesOf(b.Identity, f.id)
		if err != nil {
			return err
		}
		for _, m := range merges {
			if m.Rule != identity.RuleUnmerge || m.Cause != request {
				continue
			}
			var left identity.Record
			if err := left.Decode(m.Moved); err != nil {
				return err
			}
			found, same = true, r.named(left.Identifiers, names)
			out = processor.Parted{Person: m.Into.String(), Parted: m.From.String(), Identifiers: len(left.Identifiers)}
			return comeOf(b, f, request, &out)
		}
		return nil
	})
	return out, same, found, err
}

// named tells whether names are exactly these identifiers.
func (r *Reader) named(list []identity.Identifier, names []identity.Name) bool {
	given := map[id.Hash]bool{}
	for _, n := range names {
		h := r.Resolver.HashOf(n)
		if !slices.ContainsFunc(list, func(x identity.Identifier) bool { return x.Hash == h }) {
			return false
		}
		given[h] = true
	}
	return len(given) == len(list)
}

// comeOf reads what a history says of a parting; where retention has taken that,
// the merge log's share of it stands.
func comeOf(b processor.Books, f *figure, request string, out *processor.Parted) error {
	return profile.History(b.History, f.prof.Heads, func(_ profile.Pointer, e *event.Event) (bool, error) {
		if e.Type != event.Unmerge || e.MessageID != request {
			return true, nil
		}
		return false, json.Unmarshal(e.Properties, out)
	})
}
