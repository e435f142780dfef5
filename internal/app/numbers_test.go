package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rapport/internal/app"
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
