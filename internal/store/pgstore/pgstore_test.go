package pgstore_test

import (
	"testing"

	"rapport/internal/eventlog"
	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/store/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestState(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.State {
		s, err := pgstore.OpenState(t.Context(), pgstore.Config{URL: pgtest.Database(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

func TestLog(t *testing.T) {
	storetest.RunLog(t, func(t *testing.T) eventlog.Store {
		l, err := pgstore.OpenLog(t.Context(), pgstore.Config{URL: pgtest.Database(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	})
}
