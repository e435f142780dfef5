package app

import (
	"context"
	"log/slog"
	"time"

	"rapport/internal/event"
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
