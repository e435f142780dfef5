package app

import (
	"testing"
	"time"
)

// An import waits for the walk where somebody live is held up by it, and runs
// ahead, within bounds, where nobody is.
func TestAnImportWaitsForTheWalkBesideLiveEvents(t *testing.T) {
	t.Parallel()
	for since, want := range map[time.Duration]int64{
		-time.Second: bulkBehind, // clocks that step
		0:            bulkBehind, time.Second: bulkBehind,
		liveOfLate: bulkAlone, 24 * time.Hour: bulkAlone,
	} {
		if got := mayBeBehind(since); got != want {
			t.Errorf("%s after the last live event the walk may be %d records behind, want %d", since, got, want)
		}
	}
}
