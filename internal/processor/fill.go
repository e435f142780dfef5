package processor

import (
	"context"
	"fmt"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/rule"
	"rapport/internal/segment"
)

// fillPeople is how many people one step of a backfill brings forward.
const fillPeople = 200

// fill brings some people to the configuration in effect and notes how far it
// came. Somebody who cannot be brought is found by going one by one and passed
// over: their next event says what is wrong, and nobody else waits for them.
func (w *Walker) fill(ctx context.Context) error {
	many := min(fillPeople, w.bulkSize())
	if w.oneByOne > 0 {
		many = 1
		w.oneByOne--
	}
	err := w.fillSome(ctx, many, false)
	switch {
	case err == nil:
		return nil
	case temporary(err) || ctx.Err() != nil:
		w.Logger.Warn("a step of the backfill failed, trying again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond): // machine time, as in span
		}
		return ctx.Err()
	case many > 1:
		w.oneByOne = many
		return nil
	}
	w.Logger.Error("somebody was passed over by the backfill", "after", id.Person(w.backfill.Next).String(), "code", fault.CodeOf(err))
	if err := w.fillSome(ctx, 1, true); err != nil && !temporary(err) && ctx.Err() == nil {
		return fmt.Errorf("backfill: %w", err)
	}
	return ctx.Err()
}

// fillSome is one transaction of a backfill. With over it only notes that these
// people were looked at.
func (w *Walker) fillSome(ctx context.Context, many int, over bool) error {
	p := pass{armed: rule.Never}
	next := w.backfill
	err := w.Keeper.Write(ctx, true, func(books Books) error {
		p = pass{books: &books, armed: rule.Never}
		next = w.backfill
		w.p, w.failure, w.now = &p, nil, max(w.safe, 1)
		if err := w.packer.begin(books.History); err != nil {
			return err
		}
		none := batch{}
		if err := w.set.begin(&books, &none); err != nil {
			return err
		}
		books.Consent = &foresight{Store: books.Consent, set: &w.set}
		ids, err := books.Persons.After(id.Person(w.backfill.Next), many)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			next.Next = int64(ids[len(ids)-1])
		}
		if !over {
			if err := w.fillThese(ids); err != nil {
				return err
			}
		}
		if len(ids) < many || next.Next >= next.Last {
			next.Done = true
		}
		return w.finishFill(&books, next)
	})
	if err != nil {
		w.forget()
		return err
	}
	w.set.committed()
	w.mu.Lock()
	w.backfill = next
	w.instantFloor = max(w.instantFloor, w.now)
	w.noteArmed(p.armed)
	w.stats.Derived += p.derived
	w.stats.Mails += int64(len(p.owed))
	w.mu.Unlock()
	if p.armed != rule.Never {
		poke(w.armed)
	}
	if len(p.owed) > 0 && w.Owed != nil {
		w.Owed(p.owed)
	}
	return nil
}

func (w *Walker) fillThese(ids []id.Person) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = w.panicked(r, "people", len(ids))
		}
	}()
	if err := w.set.load(ids, nil); err != nil {
		return err
	}
	for _, who := range ids {
		f, ok := w.set.figures[who]
		if !ok || f.ident.MergedInto != 0 || f.erased != 0 {
			continue
		}
		if err := w.ready(f, w.now); err != nil {
			return err
		}
	}
	return nil
}

func (w *Walker) finishFill(books *Books, next segment.Backfill) error {
	if w.failure != nil {
		return w.failure
	}
	if err := w.packer.Flush(); err != nil {
		return err
	}
	if err := w.set.save(); err != nil {
		return err
	}
	if len(w.counts) > 0 {
		if err := books.Segment.AddCounts(w.counts); err != nil {
			return err
		}
		clear(w.counts)
	}
	return books.Segment.SaveBackfill(next)
}

// Backfill gives how far bringing everybody to the configuration has come.
func (w *Walker) Backfill() segment.Backfill {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.backfill
}
