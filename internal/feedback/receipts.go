package feedback

import (
	"context"
	"slices"

	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/fault"
	"rapport/internal/id"
)

// Said tells what was said of an address and of the person behind it, newest
// first, one line for each statement.
func (d *Desk) Said(ctx context.Context, token string) ([]*consent.Record, error) {
	t, m, err := d.preferences(ctx, token)
	if err != nil {
		return nil, err
	}
	all, err := d.Permission.Records(ctx, everyName(t, &m)...)
	if err != nil {
		return nil, err
	}
	type line struct{ record, purpose string }
	seen := map[line]bool{}
	var out []*consent.Record
	for _, r := range slices.Backward(append(all.All(), all.Awaited...)) {
		if l := (line{r.ID, string(r.Purposes[0])}); !seen[l] {
			seen[l] = true
			out = append(out, r)
		}
	}
	return out, nil
}

// Receipts gives signed receipts of all that was said of an address and of the
// person behind it.
func (d *Desk) Receipts(ctx context.Context, token string) (*audit.Receipts, error) {
	t, m, err := d.preferences(ctx, token)
	if err != nil {
		return nil, err
	}
	if d.Prove == nil {
		return nil, fault.New(fault.NotFound, "no_receipts", "this house gives no receipts")
	}
	names := everyName(t, &m)
	all, err := d.Permission.Records(ctx, names...)
	if err != nil {
		return nil, err
	}
	return d.Prove(ctx, names, consent.Bytes(all.Records))
}

func everyName(t Token, m *Mail) []id.Hash {
	out := hashes(m.Names)
	if !slices.Contains(out, t.Address) {
		out = append(out, t.Address)
	}
	return out
}

// Notice finds a text by its id, version and language, whether or not it is the
// one in effect.
func (d *Desk) Notice(ctx context.Context, r consent.NoticeRef) (consent.Notice, error) {
	list, err := d.Permission.AllNotices(ctx)
	if err != nil {
		return consent.Notice{}, err
	}
	i := slices.IndexFunc(list, func(n consent.Notice) bool { return n.Ref().Name() == r.Name() })
	if i < 0 {
		return consent.Notice{}, fault.New(fault.NotFound, "no_such_notice", "there is no such notice")
	}
	return list[i], nil
}

// Signalled lists the purposes that a Global Privacy Control signal narrows.
func (d *Desk) Signalled() (out []*consent.Definition) {
	for _, def := range d.Permission.Policy().Purposes() {
		if def.GPC && def.Objectable() {
			out = append(out, def)
		}
	}
	return out
}
