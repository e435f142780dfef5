package sealed_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/seal"
	"rapport/internal/seal/keyset"
	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/store/sealed"
	"rapport/internal/store/sqlitestore"
	"rapport/internal/store/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func ring(t *testing.T) *seal.Ring { return ringOver(t, func(s seal.Store) seal.Store { return s }) }

// ringOver opens keys that lie in a store, or in what is put over it.
func ringOver(t *testing.T, over func(seal.Store) seal.Store) *seal.Ring {
	t.Helper()
	root, err := keyset.New()
	must(t, err)
	kept, err := sqlitestore.OpenKeyring(sqlitestore.KeyringConfig{Path: filepath.Join(t.TempDir(), "keys.db")})
	must(t, err)
	t.Cleanup(func() { must(t, kept.Close()) })
	r, err := seal.Open(seal.Config{Store: over(kept), Root: root, Rand: rand.Reader, Now: time.Now, Fresh: true})
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSealedStores holds stores that seal to what all stores are held to.
func TestSealedStores(t *testing.T) {
	t.Parallel()
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.State {
			s, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "state.db")})
			must(t, err)
			t.Cleanup(func() { must(t, s.Close()) })
			return &sealed.State{State: s, Ring: ring(t)}
		})
		storetest.RunLog(t, func(t *testing.T) eventlog.Store {
			l, err := sqlitestore.OpenLog(sqlitestore.LogConfig{Path: filepath.Join(t.TempDir(), "log.db")})
			must(t, err)
			t.Cleanup(func() { must(t, l.Close()) })
			return &sealed.Log{Log: l, Ring: ring(t)}
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.State {
			s, err := pgstore.OpenState(t.Context(), pgstore.Config{URL: pgtest.Database(t)})
			must(t, err)
			t.Cleanup(func() { must(t, s.Close()) })
			return &sealed.State{State: s, Ring: ring(t)}
		})
	})
}

// holds tells which files of a folder hold a text.
func holds(t *testing.T, dir, text string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range list {
		if e.Type().IsRegular() {
			raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
			must(t, err)
			if bytes.Contains(raw, []byte(text)) {
				names = append(names, e.Name())
			}
		}
	}
	return names
}
