package app_test

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/project"
)

// TestATellingOfAnErasureTakesItsKeyAlong: once all destinations know, by which
// identifiers somebody was known is read in no copy with today's keys; before, it is
// in one, so that a restored house can tell them.
func TestATellingOfAnErasureTakesItsKeyAlong(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		clock := handClock()
		down := receiving(t, whsec("SECRET_ONE"))
		down.answers(func(_ *message, w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) })
		sink := taking(t, func(string) bool { return false })
		config := small(t, sink.Addr(), map[string]string{"destinations/down.yaml": hook(down, wantsEvents+"identifiers: [user_id, email]\n")})
		data := t.TempDir()
		l := live(t, app.Options{Data: data, Database: database, Clock: clock, Secrets: project.Secrets{Env: secrets}}, config)
		l.tracks(t, "zoe-marker", "a1")
		l.settle()
		l.erase("user_id:zoe-marker")
		l.until("down", "it waits", func(x line) bool { return x.Waiting > 0 && x.Behind == 0 })
		copied, then := l.backs(), keysOf(t, data, true)
		down.answers(nil)
		clock.Set(clock.Now().Add(24 * time.Hour))
		l.until("down", "nothing waits", func(x line) bool { return x.Waiting == 0 && x.Behind == 0 })
		for n := 1; n > 0; time.Sleep(5 * time.Millisecond) { // The server decides when it clears away.
			var err error
			if n, err = app.Erasures(t.Context(), l.house); err != nil {
				t.Fatal(err)
			}
		}
		l.end()
		today := keysOf(t, data, true)
		for _, c := range []struct {
			keys []byte
			want int
		}{{then, 1}, {today, 0}} {
			folder := filepath.Join(t.TempDir(), "again")
			if _, err := app.Restore(t.Context(), unlocked(t, copied), app.RestoreOptions{Data: folder, Keys: unlocked(t, c.keys)}); err != nil {
				t.Fatal(err)
			}
			got, err := app.Holds(t.Context(), folder, folder, "zoe-marker")
			if err != nil || len(got) != c.want || c.want == 1 && got[0] != "told" {
				t.Errorf("they are in %v, %v; want %d tables", got, err, c.want)
			}
		}
	})
}
