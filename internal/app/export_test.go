package app

import (
	"context"
	"log/slog"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
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

// Records reads the live lane from its beginning.
func Records(ctx context.Context, h *House) (out []event.Event, err error) {
	recs, err := h.log.Read(ctx, eventlog.Live, 1, 1<<20)
	for _, r := range recs {
		var e event.Event
		if err := e.Decode(append([]byte(nil), r.Body...)); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, err
}
