package app

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"rapport/internal/destination"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/processor"
	"rapport/internal/store"
)

// Tell appends a record as a door would.
func Tell(ctx context.Context, h *House, e *event.Event) error {
	return (*journal)(h).AppendEvent(ctx, e)
}

// Reader gives the room that answers questions.
func Reader(h *House) *explain.Reader { return h.reader }

// Space watches a disk.
type Space struct{ s *space }

// NewSpace looks for the first time.
func NewSpace(least int64, look func() (int64, int64, error), now func() time.Time, l *slog.Logger) Space {
	return Space{newSpace(&space{look: look, least: least, now: now, logger: l})}
}

// Room says why nothing new may be taken.
func (s Space) Room() error { return s.s.room() }

// DiskSpace asks the system.
var DiskSpace = diskSpace

// Logged reads what stands in a lane of the log.
func Logged(ctx context.Context, h *House, lane eventlog.Lane) (out []event.Event, err error) {
	for next := int64(1); ; {
		recs, err := h.log.Read(ctx, lane, next, 1<<20)
		if err != nil || len(recs) == 0 {
			return out, err
		}
		for _, r := range recs {
			var e event.Event
			if err := e.Decode(bytes.Clone(r.Body)); err != nil {
				return out, err
			}
			out = append(out, e)
		}
		next = recs[len(recs)-1].Pos + 1
	}
}

// SetAside puts a record among those that could not be walked.
func SetAside(ctx context.Context, h *House, a processor.Aside) error {
	return h.state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error { return tx.Processor().SetAside(a) })
}

// Enqueue has an item told, as a room does that has no other way.
func Enqueue(ctx context.Context, h *House, it destination.Item) error {
	return h.state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error {
		_, err := tx.Destination().Tell(it)
		return err
	})
}
