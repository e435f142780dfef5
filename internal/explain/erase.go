package explain

import (
	"context"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/processor"
	"rapport/internal/profile"
)

// Erasing tells what an erasure would take away, and changes nothing. What was
// rejected or set aside is not counted ahead.
func (r *Reader) Erasing(ctx context.Context, who id.Person) (out processor.Erased, err error) {
	err = r.Keeper.Read(ctx, func(b processor.Books) error {
		out = processor.Erased{}
		f, err := load(b, who)
		if err != nil {
			return err
		}
		out.Person, out.Identifiers = f.id.String(), len(f.ident.Identifiers)
		err = profile.History(b.History, f.prof.Heads, func(profile.Pointer, *event.Event) (bool, error) {
			out.Events++
			return true, nil
		})
		if err != nil {
			return err
		}
		mails, err := b.Outbox.OfPerson(f.id, processor.MaxParted)
		if err != nil {
			return err
		}
		out.Mails = len(mails)
		for _, m := range mails {
			if m.Person == f.id && m.State.Unsent() {
				out.Withdrawn++
			}
		}
		return nil
	})
	return out, err
}
