package app_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rapport/internal/app"
	"rapport/internal/eventlog"
	"rapport/internal/project"
	"rapport/internal/seal"
	"rapport/internal/store/move"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/store/sqlitestore"
)

// needle is what is looked for: somebody's id, name, address, and whatever else
// they say.
const needle = "needle7f3"

// tellNeedle has somebody come in by every door.
func tellNeedle(t *testing.T, l *lived) {
	t.Helper()
	id := func(s string) string { return strings.ReplaceAll(s, "NEEDLE", needle) }
	for i, c := range []struct {
		path, body string
		status     int
	}{
		{"/v1/identify", `{"messageId":"1","anonymousId":"NEEDLE-device","userId":"NEEDLE","traits":{"email":"NEEDLE@people.example","nick":"NEEDLE"},"context":{"ip":"203.0.113.9","userAgent":"NEEDLE","page":{"url":"https://shop.example/NEEDLE"}}}`, 200},
		{"/v1/track", `{"messageId":"2","userId":"NEEDLE","event":"Trigger","properties":{"ref":"NEEDLE"}}`, 200},
		{"/v1/batch", `{"batch":[{"type":"group","messageId":"3","userId":"NEEDLE","groupId":"NEEDLE-firm","traits":{"name":"NEEDLE"}}]}`, 200},
		{"/v1/batch", `{"batch":[{"type":"track","messageId":"4","userId":"NEEDLE","properties":{"ref":"NEEDLE"}}]}`, 200}, // No name: refused and kept.
		{"/v1/send", `{"template":"receipt","to":"NEEDLE@elsewhere.example","data":{"ref":"NEEDLE"}}`, 202},
		{"/v1/consent", `{"subject":"user_id:NEEDLE","purpose":"marketing.newsletter","state":"objected","evidence":{"call":"NEEDLE"},"form":"NEEDLE","url":"https://shop.example/NEEDLE","user_agent":"NEEDLE"}`, 200},
		{"/v1/track", `{"messageId":"5","userId":"NEEDLE","event":"Seen","properties":{"ref":"NEEDLE"}}`, 200},
	} {
		w := l.ask("POST", c.path, id(c.body), "Idempotency-Key", fmt.Sprint("key-", i))
		if w.Code != c.status {
			t.Fatalf("%s: %d %s", c.path, w.Code, w.Body)
		}
		l.settle()
	}
	l.get("/v1/people/user_id:"+needle, &struct{}{})
}

// readable lists where the needle is read in what is stored, as table.column, and
// frames of the log that are not sealed.
func readable(t *testing.T, dir, database string) (out []string) {
	t.Helper()
	var state interface {
		move.State
		Close() error
	}
	var log move.Log
	var err, lerr error
	if database == "" {
		state, err = sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(dir, "state.db")})
		log, lerr = sqlitestore.OpenLog(sqlitestore.LogConfig{Path: filepath.Join(dir, "log.db")})
	} else {
		state, err = pgstore.OpenState(t.Context(), pgstore.Config{URL: database})
		log, lerr = pgstore.OpenLog(t.Context(), pgstore.Config{URL: database})
	}
	if err != nil || lerr != nil {
		t.Fatal(err, lerr)
	}
	defer func() { _, _ = state.Close(), log.Close() }() // They were only read.
	tables, err := state.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range tables {
		rows, err := state.Rows(t.Context(), &tables[i], nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for c, v := range row {
				if strings.Contains(fmt.Sprintf("%s", v), needle) {
					out = append(out, tables[i].Name+"."+tables[i].Columns[c].Name)
				}
			}
		}
	}
	for _, lane := range []eventlog.Lane{eventlog.Live, eventlog.Bulk} {
		frames, err := log.Read(t.Context(), lane, 1, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			if !seal.Sealed(f.Body) {
				out = append(out, "log")
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestNobodyIsReadableWhereTheyAreStored: whoever has the tables, the log and the
// files finds nobody in them; without sealing the same search finds them.
func TestNobodyIsReadableWhereTheyAreStored(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		away := receiving(t, whsec("SECRET_ONE"))
		sink := taking(t, func(string) bool { return false })
		config := small(t, sink.Addr(), map[string]string{
			"destinations/all.yaml": hook(away, "events: all\nsegments: all\nmessages: all\nconsent: all\nidentifiers: [user_id, email]\n"),
		})
		for _, off := range []bool{true, false} {
			dir, where := t.TempDir(), database
			if off && where != "" {
				where = pgtest.Database(t)
			}
			l := live(t, app.Options{Data: dir, Database: where, Clock: handClock(), Secrets: project.Secrets{Env: secrets}, Root: app.RootKey{Off: off}}, config)
			tellNeedle(t, l)
			l.end()
			got := readable(t, dir, where)
			for _, want := range []string{"intent.body", "ledger.evidence", "ledger.facts", "log", "person.body", "reject.payload", "told.body", "group_row.body", "timeline.body", "parts.body"} {
				if off && !slices.Contains(got, want) {
					t.Errorf("unsealed the needle is not in %s: the search shows nothing of that; it is in %q", want, got)
				}
			}
			if !off && len(got) > 0 {
				t.Errorf("readable in %q", got)
			}
			if files := holdNeedle(t, dir); !off && len(files) > 0 || off && where == "" && len(files) == 0 {
				t.Errorf("unsealed %v: readable in the files %q", off, files)
			}
		}
	})
}

// holdNeedle lists the files of a folder in which the needle is read.
func holdNeedle(t *testing.T, dir string) (out []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if bytes.Contains(fileOf(t, dir, e.Name()), []byte(needle)) {
			out = append(out, e.Name())
		}
	}
	return out
}
