package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/person"
	"rapport/internal/processor"
	"rapport/internal/rights"
	"rapport/internal/store"
)

// returned is somebody whom an older state has under identifiers that are barred.
type returned struct {
	names []id.Hash
	whole bool // they were erased; else somebody was who has got a name of theirs since
}

// eraseAgain has those erased once more whom an older state has brought back. Who was
// not erased loses the names that were somebody else's by then.
func (h *House) eraseAgain(ctx context.Context) error {
	if len(h.again) == 0 {
		return nil
	}
	back, err := h.back(ctx)
	if err != nil {
		return fmt.Errorf("look up who was erased: %w", err)
	}
	now := h.clock.Now().UTC().Truncate(time.Millisecond)
	var bodies [][]byte
	for _, x := range slices.Sorted(maps.Keys(back)) {
		e, err := returnedEvent(x, back[x], now)
		if err != nil {
			return err
		}
		bodies = append(bodies, e.Append(nil))
	}
	if len(bodies) == 0 {
		return nil
	}
	h.logger.Warn("the state is older than erasures, which are done again", "people", len(bodies))
	if _, _, err := h.log.Append(ctx, eventlog.Live, bodies); err != nil {
		return fmt.Errorf("erase again: %w", err)
	}
	return nil
}

func returnedEvent(who id.Person, r returned, now time.Time) (*event.Event, error) {
	if !r.whole {
		return processor.ReleaseEvent(fmt.Sprintf("release-again-%d-%d", who, now.UnixMilli()), who, now, processor.ReleaseRequest{Subjects: hexes(r.names)})
	}
	return processor.EraseEvent(fmt.Sprintf("erase-again-%d-%d", who, now.UnixMilli()), who, now, processor.EraseRequest{
		Law: rights.GDPR, Received: now.UnixMilli(), Note: "erased before the backup that was restored", Subjects: hexes(r.names),
	})
}

// forgetAgain takes away what the tail of an older log has said under barred names
// since the house began.
func (h *House) forgetAgain(ctx context.Context) error {
	names := slices.DeleteFunc(h.again, func(x id.Hash) bool { return !h.barred.Has(x) })
	h.again, h.erasedThen = nil, nil
	if len(names) == 0 {
		return nil
	}
	err := h.state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error { return forgetNames(tx, names) })
	if err != nil {
		return fmt.Errorf("forget who was erased: %w", err)
	}
	return h.destroy(nil, names)
}

// back gives whom an older state has brought back, by the names that the file has
// of them. One of whom only that row is left that an erasure leaves is not.
func (h *House) back(ctx context.Context) (out map[id.Person]returned, err error) {
	who := make([]id.Person, len(h.again))
	err = h.state.Read(ctx, func(tx store.Tx) error {
		out = map[id.Person]returned{}
		if err := tx.Identity().Lookup(h.again, who); err != nil {
			return err
		}
		names := map[id.Person][]id.Hash{}
		for i, x := range who {
			if x != 0 && h.barred.Has(h.again[i]) {
				names[x] = append(names[x], h.again[i])
			}
		}
		return tx.Persons().Load(slices.Sorted(maps.Keys(names)), func(x id.Person, body []byte) error {
			row, err := person.Decode(x, body)
			if err != nil || row.Erased > person.Unreadable {
				return err
			}
			r := returned{names[x], true}
			if row.Erased == 0 {
				var rec identity.Record
				if err := rec.Decode(row.Identity); err != nil {
					return fmt.Errorf("row of %s: %w", x, err)
				}
				r.whole = h.wasErased(x, &rec)
			}
			out[x] = r
			return nil
		})
	})
	return out, err
}

// wasErased tells whether somebody with barred names is who was erased. A name may
// have been parted from them, and somebody else erased who had got it: then they have
// a name that is not barred, and the file lists another number. A user id that is not
// barred is that of somebody whom nobody erased.
func (h *House) wasErased(who id.Person, rec *identity.Record) bool {
	barred, others := false, false
	for _, x := range rec.Identifiers {
		if !h.barred.Has(x.Hash) {
			if x.Kind == identity.UserID {
				return false
			}
			others = true
			continue
		}
		if people, known := h.erasedThen[x.Hash]; known {
			barred = barred || slices.Contains(people, who)
		} else {
			barred = barred || x.Kind == identity.UserID // Only what it says is known.
		}
	}
	return barred || !others
}
