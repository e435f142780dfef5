package app_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/fault"
	"rapport/internal/store/pgstore/pgtest"
)

// TestANumberIsGivenOnce, also behind a restore of data that are older than the keys:
// whoever comes next gets neither the number of who was erased since, whose key is never
// made again, nor that of anybody who came since, under which others know them.
func TestANumberIsGivenOnce(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		config := small(t, sink.Addr(), nil)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		data := t.TempDir()
		l := live(t, app.Options{Data: data, Database: database, Clock: app.NewClock(at, 0)}, config)
		l.track("Seen", "ann", "a1")
		l.settle()
		before := l.backs()
		l.track("Seen", "bob", "b1")
		l.track("Seen", "cem", "c1")
		l.settle()
		given := map[string]string{l.number("user_id:ann"): "ann", l.number("user_id:bob"): "bob", l.number("user_id:cem"): "cem"}
		if len(given) != 3 {
			t.Fatal(given)
		}
		l.erase("user_id:cem")
		today := keysOf(t, data, true)
		newer, err := os.ReadFile(filepath.Join(data, "erasures.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		l.end()
		folder, there := filepath.Join(t.TempDir(), "again"), ""
		if database != "" {
			there = pgtest.Database(t)
		}
		if _, err := app.Restore(t.Context(), unlocked(t, before), app.RestoreOptions{Data: folder, Database: there, Keys: unlocked(t, today), Newer: newer}); err != nil {
			t.Fatal(err)
		}
		l = live(t, app.Options{Data: folder, Database: there, Clock: app.NewClock(at.Add(time.Hour), 0)}, config)
		for i := range 3 {
			l.track("Seen", fmt.Sprint("new-", i), fmt.Sprint("n", i))
		}
		l.settle()
		for i := range 3 {
			name := fmt.Sprint("new-", i)
			number := l.number("user_id:" + name)
			if given[number] != "" {
				t.Errorf("%s got the number of %s", name, given[number])
			}
			given[number] = name
		}
	})
}

// hears tells of a text in the log of a house.
type hears struct {
	slog.Handler
	text string
	ch   chan struct{}
}

func (h *hears) Enabled(context.Context, slog.Level) bool { return true }

func (h *hears) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if strings.Contains(fmt.Sprint(a.Value.Any()), h.text) {
			select {
			case h.ch <- struct{}{}:
			default:
			}
		}
		return true
	})
	return nil
}

func (h *hears) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h *hears) WithGroup(string) slog.Handler { return h }

// TestKeysFromBeforeTheData: a restore refuses them. Where they are brought later
// nobody counts as erased whose key is only not in them, and what they do waits until
// the newest are there.
func TestKeysFromBeforeTheData(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		config := small(t, sink.Addr(), nil)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		data := t.TempDir()
		o := app.Options{Data: data, Database: database, Clock: app.NewClock(at, 0)}
		l := live(t, o, config)
		l.track("Seen", "ann", "a1")
		l.settle()
		l.end()
		then := keysOf(t, data, true)
		l = live(t, o, nil)
		for i := range 300 { // Keys are made ahead, for some 255 people.
			l.track("Seen", fmt.Sprint("other-", i), fmt.Sprint("o", i))
		}
		l.track("Seen", "bob", "b1")
		l.settle()
		l.end()
		var out bytes.Buffer
		if err := app.BackupFolder(t.Context(), data, database, "test", &out); err != nil {
			t.Fatal(err)
		}
		today := keysOf(t, data, true)

		folder, there := filepath.Join(t.TempDir(), "again"), ""
		if database != "" {
			there = pgtest.Database(t)
		}
		_, err := app.Restore(t.Context(), bytes.NewReader(out.Bytes()), app.RestoreOptions{Data: folder, Keys: unlocked(t, then)})
		if fault.CodeOf(err) != "keys_older" {
			t.Errorf("keys from before the data: %v", err)
		}
		if list, _ := os.ReadDir(folder); len(list) > 0 {
			t.Errorf("what is refused left %v", list)
		}
		if _, err := app.Restore(t.Context(), bytes.NewReader(out.Bytes()), app.RestoreOptions{Data: folder, Database: there}); err != nil {
			t.Fatal(err)
		}
		if _, err := app.RestoreKeys(unlocked(t, then), folder, ""); err != nil {
			t.Fatal(err)
		}
		heard := &hears{text: "keys_older", ch: make(chan struct{}, 1)}
		o = app.Options{Data: folder, Database: there, Clock: app.NewClock(at.Add(time.Hour), 0), Logger: slog.New(heard)}
		l = live(t, o, config)
		if w := l.ask("GET", "/v1/people/user_id:bob", ""); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "keys_older") {
			t.Errorf("who came since: %d %s", w.Code, w.Body)
		}
		if w := l.ask("GET", "/v1/people/user_id:ann", ""); w.Code != http.StatusOK {
			t.Errorf("who was there before: %d %s", w.Code, w.Body)
		}
		if code := l.track("Seen", "bob", "b2"); code != http.StatusOK {
			t.Error(code)
		}
		select {
		case <-heard.ch:
		case <-time.After(20 * time.Second):
			t.Error("nothing is said of the keys")
		}
		l.end()
		for _, name := range []string{"keys.db", "keys.db-wal", "keys.db-shm", "keys.json", "keyset.json"} {
			if err := os.Remove(filepath.Join(folder, name)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		if _, err := app.RestoreKeys(unlocked(t, today), folder, ""); err != nil {
			t.Fatal(err)
		}
		l = live(t, o, config)
		l.settle()
		if got := l.timeline("bob"); got["b1"] != 1 || got["b2"] != 1 {
			t.Errorf("with the newest keys their story is %v", got)
		}
	})
}
