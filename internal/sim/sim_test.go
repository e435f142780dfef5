package sim_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"rapport/internal/sim"
)

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestTheHouseKeepsItsPromises runs as many simulations as RAPPORT_ROUNDS says,
// from RAPPORT_SEED on; without it, as many as fit into some seconds.
func TestTheHouseKeepsItsPromises(t *testing.T) {
	t.Parallel()
	rounds := number(t, "RAPPORT_ROUNDS", 0)
	seed := number(t, "RAPPORT_SEED", uint64(time.Now().UnixNano()%1_000_000_000))
	began := time.Now()
	var sum sim.Report
	n := uint64(0)
	for ; n < rounds || rounds == 0 && (n < 4 || n < 40 && time.Since(began) < 15*time.Second); n++ {
		s := seed + n
		t.Run(fmt.Sprintf("seed %d", s), func(t *testing.T) {
			got, err := sim.Run(context.Background(), sim.Config{Seed: s, Dir: t.TempDir(), Plain: s%2 == 0})
			if err != nil {
				t.Fatalf("RAPPORT_SEED=%d RAPPORT_ROUNDS=1: %v", s, err)
			}
			sum.Add(got)
		})
	}
	t.Logf("%d rounds from seed %d: %+v", n, seed, sum)
}
