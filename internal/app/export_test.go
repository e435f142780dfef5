package app

import (
	"context"

	"rapport/internal/event"
	"rapport/internal/explain"
)

// Tell appends a record as a door would.
func Tell(ctx context.Context, h *House, e *event.Event) error {
	return (*journal)(h).AppendEvent(ctx, e)
}

// Reader gives the room that answers questions.
func Reader(h *House) *explain.Reader { return h.reader }
