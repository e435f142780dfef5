package sqlitestore

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func noonNow() time.Time { return noon }

// runLog opens a running log over a file; it ends with the test.
func runLog(t *testing.T, c LogConfig) (*eventlog.Log, *Log) {
	t.Helper()
	store, err := OpenLog(c)
	if err != nil {
		t.Fatal(err)
	}
	log, err := eventlog.Open(eventlog.Config{Store: store, Now: noonNow})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := log.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		group.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return log, store
}

func TestLogKeepsItsIDAndRecords(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.db")
	log, store := runLog(t, LogConfig{Path: path})
	id := store.ID()
	if len(id) != 32 {
		t.Fatalf("id %q", id)
	}
	for range 3 {
		if _, _, err := log.Append(t.Context(), eventlog.Bulk, [][]byte{[]byte("a"), nil, []byte("c")}); err != nil {
			t.Fatal(err)
		}
	}
	again, second := runLog(t, LogConfig{Path: path})
	if second.ID() != id {
		t.Errorf("id %q, want %q", second.ID(), id)
	}
	got, err := again.Read(t.Context(), eventlog.Bulk, 2, 1<<20)
	if err != nil || len(got) != 8 || got[0].Pos != 2 || string(got[7].Body) != "c" || !got[7].At.Equal(noon) {
		t.Errorf("got %d records, %v", len(got), err)
	}
	if tail, _ := again.Tail(eventlog.Live); tail != 0 {
		t.Errorf("the live lane ends at %d", tail)
	}
}

func TestLogRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.db")
	store, err := OpenLog(LogConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.w.db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = OpenLog(LogConfig{Path: path})
	if fault.CodeOf(err) != "schema_newer" || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("got %v, want schema_newer and what to do", err)
	}
}
