package processor_test

import (
	"context"
	"crypto/rand"
	"testing"

	"rapport/internal/audit"
	"rapport/internal/id"
	"rapport/internal/processor/processortest"
	"rapport/internal/store"
	"rapport/internal/store/noted"
	"rapport/internal/store/pgstore/pgtest"
)

// trailKeeper joins the trail to a state, as the roof does.
type trailKeeper struct{ state store.State }

func (k trailKeeper) Write(ctx context.Context, durable bool, fn func(audit.Store) error) error {
	return k.state.Write(ctx, store.WriteOptions{Priority: store.Idle, Durable: durable}, func(tx store.Tx) error { return fn(tx.Audit()) })
}

func (k trailKeeper) Hurry(ctx context.Context, fn func(audit.Store) error) error {
	return k.Write(ctx, false, fn)
}

func (k trailKeeper) Read(ctx context.Context, fn func(audit.Store) error) error {
	return k.state.Read(ctx, func(tx store.Tx) error { return fn(tx.Audit()) })
}

// What the trail costs an event: the same walk with its rows, each in the
// transaction of its act, and without. The difference of the two is the cost.
func BenchmarkTrail(b *testing.B) {
	const people = 20_000
	for _, with := range []bool{false, true} {
		name := map[bool]string{false: "without", true: "with"}[with]
		b.Run(name, func(b *testing.B) {
			h := &house{
				t: b, dir: b.TempDir(), database: pgtest.Chosen(b), clock: processortest.NewHand(start),
				configs: map[int]string{1: benchConfig(0)}, trouble: &trouble{},
			}
			var trail *audit.Trail
			if with {
				secret, public, err := audit.MakeKey(rand.Reader, "bench.test/trail")
				h.must(err)
				hasher, err := id.NewHasher([]byte("0123456789abcdef0123456789abcdef"))
				h.must(err)
				h.around = func(s store.State) store.State {
					trail, err = audit.New(audit.Config{Keeper: trailKeeper{s}, Key: secret, Now: h.clock.Now, Rand: rand.Reader}, public)
					h.must(err)
					return &noted.State{State: s, Trail: trail, Now: h.clock.Now, Hash: hasher.Sum}
				}
			}
			h.begin()
			benchWalkIn(b, h, people)
			if with { // What was noted is put into the tree and signed, which a server does meanwhile.
				b.StartTimer()
				h.must(trail.CatchUp(context.Background(), true))
				b.StopTimer()
			}
		})
	}
}
