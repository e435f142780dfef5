package processor_test

import (
	"context"
	"fmt"
	"testing"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/store/pgstore/pgtest"
)

// The walk asks PostgreSQL a few times for a whole batch, and not for each event,
// person or frame of it: people who are new and start a journey each, and people
// who are known.
func TestAWalkedBatchIsAFewRoundTrips(t *testing.T) {
	t.Parallel()
	address, wire := pgtest.Counted(t, pgtest.Database(t))
	h := setupOn(t, address, shop)
	// A batch reads the log, looks names up, loads people and commits; what people
	// permit is asked for two of them, and then for all.
	const many, most = 300, 9
	for _, who := range []string{"new", "known"} {
		for i := range many { // a frame each
			h.append(event.Event{UserID: fmt.Sprintf("u%d", i), Name: "Product Added", MessageID: fmt.Sprintf("%s-%d", who, i)})
		}
		before, batches := h.walker.Walked(eventlog.Live), 0
		trips := wire.Count(func() {
			for ; h.walker.Walked(eventlog.Live) < before+many; batches++ {
				_, err := h.walker.Step(context.Background(), eventlog.Live)
				h.must(err)
			}
		})
		t.Logf("%d events of people who are %s: %d round trips for %d batches", many, who, trips, batches)
		if trips == 0 || trips > most*batches || batches > many/20 {
			t.Errorf("%d events of people who are %s cost %d round trips in %d batches, want at most %d for each of a few", many, who, trips, batches, most)
		}
	}
	same(t, "events of the last", int64(3), h.person("user_id", fmt.Sprintf("u%d", many-1)).EventsCount) // and the entry they caused
}
