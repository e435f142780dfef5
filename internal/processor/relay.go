package processor

import (
	"context"
	"fmt"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
)

// RelayWaits tells the relay that a commit has left something to say.
func (w *Walker) RelayWaits() { poke(w.relayed) }

// HurryRelay has what waits said at once, for those who drive the house by hand.
func (w *Walker) HurryRelay() {
	poke(w.relayed)
	poke(w.hurried)
}

// RunRelay appends what state wants to say to the log, until the context ends.
// A row is deleted after it is appended; a crash in between appends it again,
// and the duplicate window makes it once. Nobody outside waits for what it says,
// so it gathers for a moment: one append, one fsync and one batch of the walk
// then carry what many commits have left.
func (w *Walker) RunRelay(ctx context.Context) error {
	for {
		n, err := w.Relay(ctx)
		if err != nil && ctx.Err() == nil {
			w.Logger.Warn("relaying to the log failed, trying again", "error", err)
		}
		if n == relayAtOnce && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.relayed:
		case <-time.After(longestWait): // machine time: a guard against a lost wake-up
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.hurried:
		case <-time.After(relayGather): // machine time
		}
	}
}

// relayGather is how long the relay gathers before it speaks.
const relayGather = 10 * time.Millisecond

const relayAtOnce = 500

// Relay appends one round of waiting rows and says how many there were.
func (w *Walker) Relay(ctx context.Context) (int, error) {
	return w.relay(ctx, func([]byte) bool { return true })
}

// ofGroup tells whether a row has members of a group hear of a change.
func ofGroup(body []byte) bool {
	var e event.Event
	return e.Decode(body) == nil && e.Type == event.GroupChanged
}

// relay appends those rows that are to be said; the others go unsaid.
func (w *Walker) relay(ctx context.Context, say func(body []byte) bool) (int, error) {
	var rows []RelayRow
	err := w.Keeper.Read(ctx, func(b Books) error {
		var err error
		rows, err = b.Walk.Relay(w.relayedTo, relayAtOnce)
		return err
	})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	bodies := make([][]byte, 0, len(rows))
	for _, r := range rows {
		if say(r.Body) {
			bodies = append(bodies, r.Body)
		}
	}
	if len(bodies) > 0 {
		if _, _, err := w.Log.Append(ctx, eventlog.Live, bodies); err != nil {
			return 0, fmt.Errorf("append what state says: %w", err)
		}
	}
	last := rows[len(rows)-1].Seq
	w.relayedTo = last
	err = w.Keeper.Write(ctx, false, func(b Books) error { return b.Walk.DropRelay(last) })
	if err != nil {
		return len(rows), fmt.Errorf("drop relayed rows: %w", err)
	}
	return len(rows), nil
}
