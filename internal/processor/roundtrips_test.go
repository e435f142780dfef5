package processor_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/store/pgstore/pgtest"
)

// The walk asks PostgreSQL a few times for a whole batch, and not for each event,
// person or frame of it: people who are new, and people who are known. Only who
// starts a journey, or is owed a mail, is asked about by themselves.
func TestAWalkedBatchIsAFewRoundTrips(t *testing.T) {
	t.Parallel()
	address, wire := pgtest.Counted(t, pgtest.Database(t))
	segments, _, _ := strings.Cut(shop, "journeys:")
	h := setupOn(t, address, segments)
	const many = 300
	// The log is read, names are looked up, people are loaded, all is committed;
	// what is prepared for the first time is asked once more, and snapshots that
	// were read before may end meanwhile.
	const most = 16
	for _, who := range []string{"new", "known"} {
		for i := range many { // a frame each
			h.append(event.Event{UserID: fmt.Sprintf("u%d", i), Name: "Product Added", MessageID: fmt.Sprintf("%s-%d", who, i)})
		}
		before := h.walker.Walked(eventlog.Live)
		trips := wire.Count(func() {
			for h.walker.Walked(eventlog.Live) < before+many {
				_, err := h.walker.Step(context.Background(), eventlog.Live)
				h.must(err)
			}
		})
		t.Logf("%d events of people who are %s: %d round trips", many, who, trips)
		if trips == 0 || trips > most {
			t.Errorf("%d events of people who are %s cost %d round trips, want at most %d", many, who, trips, most)
		}
	}
	same(t, "events of the last", int64(3), h.person("user_id", fmt.Sprintf("u%d", many-1)).EventsCount) // and the entry they caused
}
