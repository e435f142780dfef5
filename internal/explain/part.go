package explain

import (
	"context"

	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/processor"
)

// Parting is what an unmerge comes to.
type Parting struct {
	Person  string `json:"person"`           // who stays
	Parted  string `json:"parted,omitempty"` // who left; missing before it is done
	Leaving int    `json:"identifiers"`      // identifiers that leave
	Moved   int    `json:"moved"`            // events of the one who leaves alone
	Stayed  int    `json:"stayed"`           // events of the one who stays alone
	Both    int    `json:"both"`             // what the house noted of both: it stays in both histories
	// Lost are events of which retention has left nothing: traits that only they
	// brought stay with who stays, and what was counted of them is gone.
	Lost int64 `json:"lost"`
}

// Parting tells what would come of parting somebody, and changes nothing.
func (r *Reader) Parting(ctx context.Context, who id.Person, names []identity.Name) (out Parting, living id.Person, err error) {
	err = r.Keeper.Read(ctx, func(b processor.Books) error {
		f, err := load(b, who)
		if err != nil {
			return err
		}
		leaving, err := r.Resolver.Leaving(&f.ident, names)
		if err != nil {
			return err
		}
		var staying []identity.Identifier
		for _, x := range f.ident.Identifiers {
			if !contains(leaving, x) {
				staying = append(staying, x)
			}
		}
		p, err := processor.Divide(b.History, &f.prof, r.Resolver, leaving, staying)
		if err != nil {
			return err
		}
		living = f.id
		out = Parting{
			Person: f.id.String(), Leaving: len(leaving), Both: p.Both, Lost: p.Lost,
			Moved: len(p.Leave) - p.Both, Stayed: len(p.Stay) - p.Both,
		}
		return nil
	})
	return out, living, err
}

func contains(list []identity.Identifier, x identity.Identifier) bool {
	for _, y := range list {
		if y.Hash == x.Hash {
			return true
		}
	}
	return false
}

// PartedBy gives who left by a request, zero where it was not carried out.
func (r *Reader) PartedBy(ctx context.Context, who id.Person, cause string) (left id.Person, err error) {
	err = r.Keeper.Read(ctx, func(b processor.Books) error {
		merges, err := b.Identity.Merges(who)
		for _, m := range merges {
			if m.Rule == identity.RuleUnmerge && m.Cause == cause {
				left = m.From
			}
		}
		return err
	})
	return left, err
}
