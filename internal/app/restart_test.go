package app_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"rapport/internal/app"
	"rapport/internal/event"
	"rapport/internal/explain"
	"rapport/internal/fault"
	"rapport/internal/project"
)

// smallFolder is a configuration with one journey that waits for a day.
func smallFolder(t *testing.T, title string) *project.Config {
	t.Helper()
	return smallFolderAnd(t, title, nil)
}

// smallFolderAnd has files of one's own in it.
func smallFolderAnd(t *testing.T, title string, more map[string]string) *project.Config {
	t.Helper()
	files := project.Scaffold()
	for name := range files {
		if strings.HasPrefix(name, "journeys/") {
			delete(files, name)
		}
	}
	files["journeys/slow.yaml"] = []byte("trigger: {event: Began}\npurpose: service\nsteps:\n  - wait: 24h\n  - set: {slow: done}\n")
	files["rapport.yaml"] = append(files["rapport.yaml"], []byte("# "+title+"\n")...)
	for name, text := range more {
		files[name] = []byte(text)
	}
	folder := fstest.MapFS{}
	for name, text := range files {
		folder[name] = &fstest.MapFile{Data: text, Mode: 0o600}
	}
	config, problems := project.Load(folder)
	if config == nil {
		t.Fatal(problems)
	}
	return config
}

// running opens a house on a clock that is moved by hand and runs it.
func running(t *testing.T, dir string, at time.Time, config *project.Config) (*app.House, func()) {
	t.Helper()
	return runningOn(t, dir, "", at, config)
}

// runningOn does so over a database, or over files where it has no address.
func runningOn(t *testing.T, dir, database string, at time.Time, config *project.Config) (*app.House, func()) {
	t.Helper()
	return runningWith(t, app.Options{Data: dir, Database: database, Clock: app.NewClock(at, 0), Root: app.RootKey{Begin: true}}, config)
}

// runningAs opens a house with a root key, and runs it.
func runningAs(t *testing.T, dir, database string, root app.RootKey) (*app.House, func()) {
	t.Helper()
	return runningWith(t, app.Options{Data: dir, Database: database, Clock: app.NewClock(sealedAt, 0), Root: root}, nil)
}

func runningWith(t *testing.T, o app.Options, config *project.Config) (*app.House, func()) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	house, err := app.Open(ctx, o, config)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- house.Run(ctx) }()
	if err := house.Begin(ctx, config); err != nil {
		t.Fatal(err)
	}
	return house, func() {
		t.Helper()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := house.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPeopleStayInTheirJourneyHoweverOftenTheRestChanges(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir, start := t.TempDir(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	house, stop := running(t, dir, start, smallFolder(t, "first"))
	if err := app.Tell(ctx, house, &event.Event{Type: event.Track, Source: "server", MessageID: "m1", UserID: "u1", Name: "Began", Time: start, Received: start}); err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		if _, err := house.Apply(ctx, smallFolder(t, fmt.Sprint("title ", i)).Files, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := house.Version(); got < 25 {
		t.Fatalf("version %d is in effect: the test shows nothing", got)
	}
	stop()
	house, stop = running(t, dir, start.Add(25*time.Hour), nil)
	defer stop()
	end := start.Add(26 * time.Hour)
	for at := (time.Time{}); at.Before(end); {
		var err error
		if at, err = house.Advance(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	if err := house.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	reader := app.Reader(house)
	who, err := reader.Find(ctx, "user_id", "u1")
	if err != nil {
		t.Fatal(err)
	}
	var p *explain.Person
	if p, err = reader.Person(ctx, who, ""); err != nil {
		t.Fatal(err)
	}
	if got := string(p.Traits["slow"]); got != `"done"` {
		why, _ := reader.Journey(ctx, "slow", who, "")
		t.Errorf("the journey did not go on: slow = %s\n%s", got, why.Text)
	}
}

func TestHalfADataFolderIsRefused(t *testing.T) {
	t.Parallel()
	for lost, code := range map[string]string{"state.db": "state_missing", "log.db": "log_missing", "keys.json": "keys_missing"} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			dir, config := t.TempDir(), smallFolder(t, "first")
			_, stop := running(t, dir, time.Now(), config)
			stop()
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(filepath.Join(dir, lost+suffix)); err != nil && (suffix == "" || !os.IsNotExist(err)) {
					t.Fatal(err)
				}
			}
			house, err := app.Open(context.Background(), app.Options{Data: dir, Clock: app.NewClock(time.Now(), 0)}, config)
			if err == nil {
				_ = house.Close()
				t.Fatal("half a data folder was opened")
			}
			if got := fault.CodeOf(err); got != code {
				t.Errorf("code %s, want %s: %v", got, code, err)
			}
		})
	}
}

func TestAnOlderStateIsRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir, config := t.TempDir(), smallFolder(t, "first")
	_, stop := running(t, dir, time.Now(), config)
	stop()
	older, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	house, stop := running(t, dir, time.Now(), nil)
	if err := app.Tell(ctx, house, &event.Event{Type: event.Track, Source: "server", MessageID: "m1", UserID: "u1", Name: "Began", Time: time.Now(), Received: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := house.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := os.WriteFile(filepath.Join(dir, "state.db"), older, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(filepath.Join(dir, "state.db"+suffix)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	house, err = app.Open(ctx, app.Options{Data: dir, Clock: app.NewClock(time.Now(), 0)}, nil)
	if err == nil {
		_ = house.Close()
		t.Fatal("a state that is older than its log was opened")
	}
	if got := fault.CodeOf(err); got != "state_older" {
		t.Errorf("code %s, want state_older: %v", got, err)
	}
}
