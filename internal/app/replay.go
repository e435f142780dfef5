package app

import (
	"context"
	"sync"

	"rapport/internal/eventlog"
)

// Replay walks everything that the log holds into the state, and sends nothing:
// what was to be sent has been, by the house that wrote the log. It must not be
// used beside Run.
func (h *House) Replay(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { _ = h.log.Run(running) }) // nothing is appended
	defer group.Wait()
	defer stop()
	if err := h.walker.LoadSeen(ctx); err != nil {
		return err
	}
	for {
		walked := 0
		for _, lane := range []eventlog.Lane{eventlog.Live, eventlog.Bulk} {
			n, err := h.walker.Step(ctx, lane)
			if err != nil {
				return err
			}
			walked += n
		}
		more, err := h.walker.Fill(ctx)
		if err != nil {
			return err
		}
		if walked == 0 && !more {
			return nil
		}
	}
}
