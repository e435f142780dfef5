package delivery

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rapport/internal/store"
	"rapport/internal/store/sqlitestore"
)

// Whoever said no has their turn after the entry that is being written, not after
// the whole group of them, once the group had its least time.
func TestAGroupLetsWhoSaysNoGoFirst(t *testing.T) {
	t.Parallel()
	state, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	var machine time.Time
	l := newLedger(state, still{}, func() time.Time { return machine }, slog.New(slog.DiscardHandler), &Skips{})
	var order []string
	turn := make(chan error, 1)
	one := func(name string, then func()) *entry {
		return &entry{done: make(chan error, 1), write: func(store.Tx) error {
			order = append(order, name)
			machine = machine.Add(leastTurn / 2)
			then()
			return nil
		}}
	}
	nothing := func() {}
	group := []*entry{one("first", nothing), one("second", func() {
		go func() {
			turn <- state.Write(context.Background(), store.WriteOptions{Priority: store.Narrowing}, func(store.Tx) error {
				order = append(order, "no")
				return nil
			})
		}()
		for state.Waiting(store.Narrowing) == 0 { //nolint:revive // It comes as soon as the goroutine runs.
		}
	}), one("third", nothing), one("fourth", nothing)}
	l.commit(group)
	if err := <-turn; err != nil {
		t.Fatal(err)
	}
	if want := []string{"first", "second", "no", "third", "fourth"}; !slices.Equal(order, want) {
		t.Errorf("written in the order %v, want %v", order, want)
	}
	for i, e := range group {
		if err := <-e.done; err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}
