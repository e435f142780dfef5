package app

import (
	"context"
	"sync"
)

// Replay walks everything that the log holds into the state, and sends nothing:
// what was to be sent has been, by the house that wrote the log. It must not be
// used beside Run.
func (h *House) Replay(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { _ = h.log.Run(running) }) // the log may hear of groups again
	defer group.Wait()
	defer stop()
	if err := h.walker.LoadSeen(ctx); err != nil {
		return err
	}
	return h.walker.Replay(ctx)
}
