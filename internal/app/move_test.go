package app_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport/internal/app"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/store/pgstore/pgtest"
)

// earlierHouse unpacks the archive of a house with people, mails and waits.
func earlierHouse(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	unpack(t, "testdata/earlier/files-1.tar.gz", dir)
	return dir
}

func moveStore(ctx context.Context, from, to, data string, told func(doing, table string)) (app.MoveResult, error) {
	return app.MoveStore(ctx, app.MoveOptions{
		From: from, To: to, Data: data, Logger: slog.New(slog.DiscardHandler),
		Told: func(doing, table string, _ int64) {
			if told != nil {
				told(doing, table)
			}
		},
	})
}

func digestOf(t *testing.T, where, data string) string {
	t.Helper()
	sums, err := app.DigestStore(t.Context(), where, data, app.RootKey{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return sums.Digest
}

// TestMoveThereAndBack moves a house into PostgreSQL, lets it live there, moves
// it back into files, and lets it live on: what waited comes, and nothing twice.
func TestMoveThereAndBack(t *testing.T) {
	t.Parallel()
	dir, database := earlierHouse(t), pgtest.Database(t)
	before := digestOf(t, dir, dir)
	moved, err := moveStore(t.Context(), dir, database, dir+"/.", nil) // However the folder is written, its keys stay in use.
	if err != nil {
		t.Fatal(err)
	}
	leaves(t, moved, filepath.Join(dir, "log.db"), filepath.Join(dir, "state.db"))
	if got := digestOf(t, database, dir); got != before {
		t.Fatalf("the database holds %s, the files held %s", got, before)
	}
	if _, err := app.Open(t.Context(), app.Options{Data: dir, Clock: app.NewClock(time.Now(), 0)}, nil); fault.CodeOf(err) != "moved" {
		t.Errorf("the files still serve: %v", err)
	}
	at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	house, stop := runningOn(t, dir, database, at, nil)
	hasEverything(t, house, dir)
	for _, id := range []string{"o1-1", "new"} { // the first is known from before the move
		e := &event.Event{Type: event.Track, Source: "server", MessageID: id, UserID: "u1", Name: "Product Viewed", Time: at, Received: at}
		if err := app.Tell(t.Context(), house, e); err != nil {
			t.Fatal(err)
		}
	}
	goOn(t, house, at.Add(time.Hour))
	if s := house.Stats(); s.Duplicates != 1 {
		t.Errorf("%d of what came before the move is known for what it is, want 1", s.Duplicates)
	}
	stop()
	back := filepath.Join(t.TempDir(), "back")
	if moved, err = moveStore(t.Context(), database, back, dir, nil); err != nil {
		t.Fatal(err)
	}
	leaves(t, moved, "the schemas rapport_log and rapport_state of the database", dir)
	house, stop = runningOn(t, back, "", at.Add(2*time.Hour), nil)
	hasEverything(t, house, back)
	goOn(t, house, at.AddDate(11, 0, 0))
	if _, n := house.Inbox().List("", 100); n != 5 {
		t.Errorf("%d mails have left after the wait, want 5", n)
	}
	stop()
}

func leaves(t *testing.T, moved app.MoveResult, want ...string) {
	t.Helper()
	if !slices.Equal(moved.Left, want) {
		t.Errorf("left behind are %q, want %q", moved.Left, want)
	}
}

// TestMoveThatIsInterrupted ends a move at many of its steps, there and back;
// given again it goes on, and meanwhile nobody serves what is not whole.
func TestMoveThatIsInterrupted(t *testing.T) {
	t.Parallel()
	dir, same, database := earlierHouse(t), earlierHouse(t), pgtest.Database(t)
	data, back := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "back")
	before := digestOf(t, same, same) // A house of before the trail, which nobody has opened since, has no key of it.
	interrupted(t, dir, database, data, app.Options{Data: data, Database: database})
	if got := digestOf(t, database, data); got != before {
		t.Errorf("the database holds %s, the files held %s", got, before)
	}
	interrupted(t, database, back, data, app.Options{Data: back})
	if got := digestOf(t, back, back); got != before {
		t.Errorf("the files hold %s, before both moves they held %s", got, before)
	}
}

// interrupted moves a house, ending after one step, then after nine more, and so on.
func interrupted(t *testing.T, from, to, data string, target app.Options) {
	t.Helper()
	target.Clock = app.NewClock(time.Now(), 0)
	for steps := 1; ; steps += 9 {
		if steps > 500 {
			t.Fatal("it never comes to its end")
		}
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		_, err := moveStore(ctx, from, to, data, func(string, string) {
			if n++; n == steps {
				cancel()
			}
		})
		cancel()
		if err == nil {
			if steps < 40 {
				t.Errorf("it was interrupted %d times only", steps/9)
			}
			return
		}
		if _, err := app.Open(t.Context(), target, nil); fault.CodeOf(err) != "move_unfinished" {
			t.Fatalf("after step %d the target serves: %v", steps, err)
		}
	}
}

// TestMoveIsProven changes one byte of the target behind the move's back.
func TestMoveIsProven(t *testing.T) {
	t.Parallel()
	dir, database := earlierHouse(t), pgtest.Database(t)
	once := false
	_, err := moveStore(t.Context(), dir, database, dir, func(doing, _ string) {
		if once || !strings.HasPrefix(doing, "reading") {
			return
		}
		once = true
		c, err := pgx.Connect(t.Context(), database)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.Close(t.Context()) }()
		if _, err := c.Exec(t.Context(), "UPDATE rapport_state.timeline SET body = set_byte(body, 9, (get_byte(body, 9) + 1) % 256) WHERE id = 3"); err != nil {
			t.Error(err)
		}
	})
	if fault.CodeOf(err) != "not_the_same" || !strings.Contains(err.Error(), "timeline differ") {
		t.Fatalf("got %v", err)
	}
	_, stop := runningOn(t, dir, "", time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC), nil) // The source stays in use.
	stop()
}

func TestMoveRefuses(t *testing.T) {
	t.Parallel()
	dir, other, database := earlierHouse(t), earlierHouse(t), pgtest.Database(t)
	if err := os.WriteFile(filepath.Join(other, "keys.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := func(code, from, to, data string) {
		t.Helper()
		if _, err := moveStore(t.Context(), from, to, data, nil); fault.CodeOf(err) != code {
			t.Errorf("want %s, got %v", code, err)
		}
	}
	refused("same_place", dir, dir, dir)
	refused("no_house", filepath.Join(dir, "nothing"), database, dir)
	refused("target_in_use", dir, other, dir)
	_, stop := runningOn(t, dir, "", time.Now(), nil)
	refused("folder_held", dir, database, dir)
	stop()
	refused("keys_of_another", dir, database, other)
	if _, err := moveStore(t.Context(), dir, database, dir, nil); err != nil {
		t.Errorf("named rightly it goes on: %v", err)
	}
	refused("target_in_use", dir, database, dir)
	refused("moved", dir, filepath.Join(t.TempDir(), "elsewhere"), dir)
	if err := app.Reopen(t.Context(), dir, dir, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	_, stop = runningOn(t, dir, "", time.Now(), nil)
	stop()
}
