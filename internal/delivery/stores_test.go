package delivery_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/store/sqlitestore"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := pgtest.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// overStores runs a test on the clock of a bubble over a store in memory, over
// files and over PostgreSQL. Whatever waits for a real store holds that clock.
func overStores(t *testing.T, fn func(t *testing.T, b *bundle)) {
	t.Helper()
	run(t, "memory", fn)
	onStore(t, "files", "", func(t *testing.T, _ string) (store.State, error) {
		return sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	}, fn)
	onStore(t, "postgres", pgtest.Database(t), func(t *testing.T, address string) (store.State, error) {
		return pgstore.OpenState(t.Context(), pgstore.Config{URL: address})
	}, fn)
}

func onStore(t *testing.T, name, address string, open func(*testing.T, string) (store.State, error), fn func(t *testing.T, b *bundle)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			state, err := open(t, address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := state.Close(); err != nil {
					t.Error(err)
				}
			}()
			fn(t, setupOn(t, state))
		})
	})
}
