package app_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/store/pgstore/pgtest"
)

// erasedAt is when the houses of these tests live.
var erasedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// broughtBack begins a house out of copies and waits until what its log's tail holds is
// walked, and what was to be erased again is.
func broughtBack(t *testing.T, database string, data, keys, newer []byte) (l *lived, folder, where string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "again")
	where = folder
	if database != "" {
		database = pgtest.Database(t)
		where = database
	}
	o := app.RestoreOptions{Data: folder, Database: database, Keys: unlocked(t, keys), Newer: newer}
	if _, err := app.Restore(t.Context(), unlocked(t, data), o); err != nil {
		t.Fatal(err)
	}
	l = live(t, app.Options{Data: folder, Database: database, Clock: app.NewClock(erasedAt.Add(time.Hour), 0)}, nil)
	l.sends()
	return l, folder, where
}

// sends waits until mails leave: everything that is done before that is done then.
func (l *lived) sends() {
	l.t.Helper()
	select {
	case <-app.Sends(l.house):
	case <-time.After(20 * time.Second):
		l.t.Fatal("the house does not begin to send")
	}
	l.settle()
}

// listOf gives a folder's list of who was erased.
func listOf(t *testing.T, data string) []byte {
	t.Helper()
	out, err := os.ReadFile(filepath.Join(data, "erasures.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOnlyWhoWasErased restores a copy from before a parting, of which one side was
// erased since: the other one is there, without the names that went and what came under
// them. Who was joined with somebody only after the copy is erased under the old number.
func TestOnlyWhoWasErased(t *testing.T) {
	t.Parallel()
	const (
		seen   = `{"messageId":"d1","anonymousId":"tablet","event":"Seen"}`
		is     = `{"messageId":"d2","userId":"ann","anonymousId":"tablet","traits":{"name":"Ann"}}`
		shared = `{"messageId":"d2","userId":"ann","traits":{"email":"all@people.example"}}`
	)
	for name, c := range map[string]struct {
		before, after, parted []string // bodies; who leaves
		from, erased, stays   string
		sealed                bool // under the key of who was erased: with the keys of today nobody can read it
	}{
		"who leaves is erased":           {before: []string{seen, is}, from: "user_id:ann", parted: []string{"anonymous_id:tablet"}, erased: "anonymous_id:tablet", stays: "user_id:ann"},
		"who stays is erased":            {before: []string{seen, is}, from: "user_id:ann", parted: []string{"user_id:ann"}, erased: "anonymous_id:tablet", stays: "user_id:ann", sealed: true},
		"who had a user id is erased":    {before: []string{shared}, from: "user_id:ann", parted: []string{"user_id:ann"}, erased: "user_id:ann", stays: "email:all@people.example"},
		"who was joined since is erased": {before: []string{seen}, after: []string{is}, erased: "user_id:ann"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothStores(t, func(t *testing.T, database string) {
				sink := taking(t, func(string) bool { return false })
				data := t.TempDir()
				l := live(t, app.Options{Data: data, Database: database, Clock: app.NewClock(erasedAt, 0)}, small(t, sink.Addr(), nil))
				say := func(bodies []string) {
					for _, body := range bodies {
						path := "/v1/identify"
						if body == seen {
							path = "/v1/track"
						}
						if w := l.ask("POST", path, body); w.Code != http.StatusOK {
							t.Fatal(w.Code, w.Body)
						}
					}
					l.settle()
				}
				say(c.before)
				before, then := l.backs(), keysOf(t, data, true)
				say(c.after)
				if len(c.parted) > 0 {
					if w := l.parts(c.from, "p1", c.parted...); w.Code != http.StatusOK {
						t.Fatal(w.Code, w.Body)
					}
				}
				l.erase(c.erased)
				today, newer := keysOf(t, data, true), listOf(t, data)
				l.end()
				for keys, raw := range map[string][]byte{"then": then, "today": today} {
					l, folder, where := broughtBack(t, database, before, raw, newer)
					if w := l.ask("GET", "/v1/people/"+c.erased, ""); w.Code != http.StatusNotFound {
						t.Errorf("keys of %s: who was erased: %d %s", keys, w.Code, w.Body)
					}
					if c.stays != "" {
						want := http.StatusOK
						if c.sealed && keys == "today" {
							want = http.StatusNotFound
						}
						if w := l.ask("GET", "/v1/people/"+c.stays, ""); w.Code != want {
							t.Errorf("keys of %s: whom nobody erased: %d %s", keys, w.Code, w.Body)
						}
					}
					if w := l.ask("POST", "/v1/track", `{"messageId":"late","anonymousId":"tablet","event":"Late"}`); w.Code != http.StatusOK {
						t.Error(w.Code, w.Body)
					}
					l.settle()
					l.end()
					if c.erased != "anonymous_id:tablet" {
						continue
					}
					if got, err := app.Holds(t.Context(), where, folder, "tablet"); err != nil || len(got) > 0 {
						t.Errorf("keys of %s: the name that went is in %v, %v", keys, got, err)
					}
				}
			})
		})
	}
}

// TestTheTailBringsNobodyBack restores a copy whose state had not heard of somebody
// yet and whose log had: what the tail says of them is walked and not kept.
func TestTheTailBringsNobodyBack(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	data, behind := t.TempDir(), t.TempDir()
	o := app.Options{Data: data, Clock: app.NewClock(erasedAt, 0)}
	l := live(t, o, small(t, sink.Addr(), nil))
	l.lives("ann")
	l.end()
	copyFiles(t, data, behind)
	l = live(t, o, nil)
	l.track("Seen", "bob", "b1")
	l.settle()
	l.end()
	_ = os.Remove(filepath.Join(behind, "log.db-wal"))
	for _, name := range []string{"log.db", "keys.json", "keyset.json", "keys.db"} {
		copyFile(t, name, data, behind)
	}
	tail := locked(t, func(w io.Writer) error { return app.BackupFolder(t.Context(), behind, "", "test", w) })
	then := keysOf(t, data, true)
	l = live(t, o, nil)
	l.erase("user_id:bob")
	l.end()
	today, newer := keysOf(t, data, true), listOf(t, data)
	for name, keys := range map[string][]byte{"then": then, "today": today} {
		l, folder, where := broughtBack(t, "", tail, keys, newer)
		if w := l.ask("GET", "/v1/people/user_id:bob", ""); w.Code != http.StatusNotFound {
			t.Errorf("keys of %s: %d %s", name, w.Code, w.Body)
		}
		var list struct {
			Asides []any `json:"set_aside"`
		}
		l.get("/v1/set-aside", &list)
		if len(list.Asides) > 0 {
			t.Errorf("keys of %s: set aside is %v", name, list.Asides)
		}
		l.end()
		if got, err := app.Holds(t.Context(), where, folder, "bob"); err != nil || len(got) > 0 {
			t.Errorf("keys of %s: he is in %v, %v", name, got, err)
		}
	}
}

// TestWordsBeforeThePerson: what was permitted under an identifier that led to nobody
// yet goes too, with the keys of then, where who bore it was erased since.
func TestWordsBeforeThePerson(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		data := t.TempDir()
		l := live(t, app.Options{Data: data, Database: database, Clock: app.NewClock(erasedAt, 0)}, small(t, sink.Addr(), rightsConfig))
		l.lives("eve-lives")
		w := l.ask("POST", "/v1/consent", fmt.Sprintf(`{"subject":"email:%[1]s@people.example","purpose":"marketing.newsletter","state":"granted","url":"http://shop.example/%[1]s"}`, marker))
		if w.Code > 299 {
			t.Fatal(w.Code, w.Body)
		}
		l.settle()
		permitted := func(l *lived) int {
			n, err := app.Permitted(t.Context(), l.house, "email", marker+"@people.example")
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := permitted(l); n != 1 {
			t.Fatalf("%d purposes are spoken of before", n)
		}
		before, then := l.backs(), keysOf(t, data, true)
		l.identify("z1", marker, `{"email":"`+marker+`@people.example"}`)
		l.erase("user_id:" + marker)
		newer := listOf(t, data)
		l.end()
		l, folder, where := broughtBack(t, database, before, then, newer)
		if n := permitted(l); n != 0 {
			t.Errorf("%d purposes are spoken of", n)
		}
		l.end()
		if got, err := app.Holds(t.Context(), where, folder, marker); err != nil || len(got) > 0 {
			t.Errorf("it is in %v, %v", got, err)
		}
	})
}
