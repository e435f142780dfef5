package sqlitestore

import (
	"path/filepath"
	"testing"

	"rapport/internal/eventlog"
	"rapport/internal/store"
	"rapport/internal/store/storetest"
)

func openState(t testing.TB, c Config) *State {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "state.db")
	}
	s, err := OpenState(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStateKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.State { return openState(t, Config{}) })
}

func TestLogKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.RunLog(t, func(t *testing.T) eventlog.Store {
		l, err := OpenLog(LogConfig{Path: filepath.Join(t.TempDir(), "log.db")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return l
	})
}
