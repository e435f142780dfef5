package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store"
	"rapport/internal/store/sqlitestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted counts the transactions of a state.
type counted struct {
	store.State
	n atomic.Int64
}

func (c *counted) Write(ctx context.Context, o store.WriteOptions, fn func(store.Tx) error) error {
	c.n.Add(1)
	return c.State.Write(ctx, o, fn)
}

func open(t *testing.T) *counted {
	t.Helper()
	s, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &counted{State: s}
}

// busy keeps the state's one place until its end is called.
func busy(t *testing.T, s store.State) (end func()) {
	t.Helper()
	inside, leave := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		_ = s.Write(context.Background(), store.WriteOptions{}, func(store.Tx) error {
			close(inside)
			<-leave
			return nil
		})
	})
	<-inside
	return func() {
		close(leave)
		group.Wait()
	}
}

func insert(who id.Person) func(store.Tx) error {
	return func(tx store.Tx) error { return tx.Persons().Insert(who, []byte("a")) }
}

func people(t *testing.T, s store.State) (out []id.Person) {
	t.Helper()
	err := s.Read(context.Background(), func(tx store.Tx) (err error) {
		out, err = tx.Persons().After(0, 100)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// startAll starts one writer after the other, each once the one before waits.
func startAll(ctx context.Context, g *store.Together, fns ...func(store.Tx) error) (errs []error, wait func()) {
	errs = make([]error, len(fns))
	var group sync.WaitGroup
	for i, fn := range fns {
		group.Go(func() { errs[i] = g.Write(ctx, fn) })
		for g.Waiting() <= i { //nolint:revive // It comes as soon as the goroutine runs.
		}
	}
	return errs, group.Wait
}

func TestWhoWaitsTogetherSharesATransaction(t *testing.T) {
	t.Parallel()
	s := open(t)
	g := &store.Together{State: s}
	end := busy(t, s.State)
	errs, wait := startAll(t.Context(), g, insert(1), insert(2), insert(3), insert(4))
	end()
	wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if got := people(t, s); len(got) != 4 || s.n.Load() != 1 {
		t.Errorf("%v in %d transactions, want four in one", got, s.n.Load())
	}
	if err := g.Write(t.Context(), insert(5)); err != nil || len(people(t, s)) != 5 {
		t.Errorf("one that comes later: %v, %v", err, people(t, s))
	}
}

func TestWhoFailsFailsAlone(t *testing.T) {
	t.Parallel()
	s := open(t)
	g := &store.Together{State: s}
	no := errors.New("no")
	end := busy(t, s.State)
	errs, wait := startAll(t.Context(), g, insert(1), func(tx store.Tx) error { return errors.Join(insert(2)(tx), no) }, insert(3),
		func(store.Tx) error { panic("a defect") })
	end()
	wait()
	if errs[0] != nil || !errors.Is(errs[1], no) || errs[2] != nil || fault.CodeOf(errs[3]) != "write_panicked" {
		t.Errorf("errors: %v", errs)
	}
	if got := people(t, s); len(got) != 2 || got[0] != 1 || got[1] != 3 {
		t.Errorf("people: %v, want 1 and 3", got)
	}
}

func TestWhoGivesUpTakesBackWhatWasNotBegun(t *testing.T) {
	t.Parallel()
	s := open(t)
	g := &store.Together{State: s}
	end := busy(t, s.State)
	ctx, cancel := context.WithCancel(t.Context())
	errs, wait := startAll(ctx, g, insert(1), insert(2))
	cancel()
	wait()
	end()
	if !errors.Is(errs[0], context.Canceled) || !errors.Is(errs[1], context.Canceled) {
		t.Errorf("errors: %v", errs)
	}
	if err := g.Write(t.Context(), insert(3)); err != nil {
		t.Fatal(err)
	}
	if got := people(t, s); len(got) != 1 || got[0] != 3 {
		t.Errorf("people: %v, want 3 alone", got)
	}
}

// away is a store that nobody can reach.
type away struct {
	store.State
	n     atomic.Int64
	reach chan struct{}
}

func (a *away) Write(context.Context, store.WriteOptions, func(store.Tx) error) error {
	a.n.Add(1)
	<-a.reach
	return fault.New(fault.Unavailable, "database_unreachable", "away")
}

func TestWhereTheStoreIsAwayNobodyTriesAlone(t *testing.T) {
	t.Parallel()
	a := &away{reach: make(chan struct{})}
	g := &store.Together{State: a}
	errs, wait := startAll(t.Context(), g, insert(1), insert(2), insert(3), insert(4))
	close(a.reach)
	wait()
	for i, err := range errs {
		if fault.CodeOf(err) != "database_unreachable" {
			t.Errorf("writer %d: %v", i, err)
		}
	}
	if a.n.Load() != 1 {
		t.Errorf("%d transactions, want one", a.n.Load())
	}
}
