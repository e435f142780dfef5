package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"
	"golang.org/x/mod/sumdb/tlog"

	"rapport/internal/app"
	"rapport/internal/audit"
)

// forger has the database to itself: what SQL can do, it does.
type forger struct {
	*testing.T
	exec   func(sql string)
	leaves func() [][]byte // of all rows, by their numbers
}

// forge lets fn loose on the trail in the database of a house that rests.
func forge(t *testing.T, dir, database string, fn func(*forger)) {
	t.Helper()
	f := &forger{T: t}
	if database != "" {
		c, err := pgx.Connect(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(t.Context()) }()
		f.exec = func(sql string) {
			if _, err := c.Exec(t.Context(), "SET search_path = rapport_state;"+sql); err != nil {
				t.Fatal(sql, err)
			}
		}
		f.leaves = func() [][]byte {
			rows, err := c.Query(t.Context(), "SELECT leaf FROM rapport_state.trail ORDER BY n")
			if err != nil {
				t.Fatal(err)
			}
			out, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		fn(f)
		return
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.Join(dir, "state.db")}
	c, err := sqlite3.OpenFlags(u.String(), sqlite3.OPEN_READWRITE|sqlite3.OPEN_URI)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	f.exec = func(sql string) {
		if err := c.Exec(sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	f.leaves = func() (out [][]byte) {
		q, _, err := c.Prepare("SELECT leaf FROM trail ORDER BY n")
		if err != nil {
			t.Fatal(err)
		}
		for q.Step() {
			out = append(out, q.ColumnBlob(0, nil))
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	fn(f)
}

// blob writes bytes for either database.
func blob(database string, raw []byte) string {
	if database != "" {
		return fmt.Sprintf(`'\x%x'::bytea`, raw)
	}
	return fmt.Sprintf("x'%x'", raw)
}

// hashAnew makes every stored hash of the tree fit the rows that are there, and
// forgets what was signed, so that the house signs what it finds.
func (f *forger) hashAnew(database string) {
	f.exec("DELETE FROM trail_hash")
	f.exec("DELETE FROM checkpoint")
	f.exec("DELETE FROM checkpoint_left")
	var all []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, _ error) {
		for _, i := range indexes {
			out = append(out, all[i])
		}
		return out, nil
	})
	for n, leaf := range f.leaves() {
		hashes, err := tlog.StoredHashes(int64(n), leaf, read)
		if err != nil {
			f.Fatal(err)
		}
		for _, h := range hashes {
			f.exec(fmt.Sprintf("INSERT INTO trail_hash(i, h) VALUES(%d, %s)", len(all), blob(database, h[:])))
			all = append(all, h)
		}
	}
}

// TestATrailForgedInTheDatabase: whoever may write the database and sign with the
// house's key alters, swaps or cuts off rows and makes every hash anew. The bundle
// then fits itself, and a checkpoint that left before convicts it by the row.
func TestATrailForgedInTheDatabase(t *testing.T) {
	t.Parallel()
	const row, keep = 7, 5
	for name, c := range map[string]struct {
		touch    func(f *forger, database string, leaves [][]byte)
		want     []string // with the hashes that left
		of       string   // with the signed note alone; SIZE: rows that it was for, LAST: the last of them
		unhashed string   // without any checkpoint, when the hashes and checkpoints stay
	}{
		"altered": {
			touch: func(f *forger, database string, leaves [][]byte) {
				other := bytes.Replace(leaves[row], []byte(`"act":"`), []byte(`"act":"no.`), 1)
				f.exec(fmt.Sprintf("UPDATE trail SET leaf = %s WHERE n = %d", blob(database, other), row))
			},
			want: []string{fmt.Sprintf("row %d is not what it was", row)}, of: "among rows 0 to LAST something was changed",
			unhashed: "something was changed",
		},
		"reordered": {
			touch: func(f *forger, _ string, leaves [][]byte) {
				if bytes.Equal(leaves[row], leaves[row+1]) {
					f.Fatal("the rows are the same: that they change places shows nothing")
				}
				f.exec(fmt.Sprintf("UPDATE trail SET n = -1 WHERE n = %d", row))
				f.exec(fmt.Sprintf("UPDATE trail SET n = %d WHERE n = %d", row, row+1))
				f.exec(fmt.Sprintf("UPDATE trail SET n = %d WHERE n = -1", row+1))
			},
			want: []string{fmt.Sprintf("row %d is not what it was", row), fmt.Sprintf("row %d is not what it was", row+1)},
			of:   "among rows 0 to LAST something was changed", unhashed: "something was changed",
		},
		"cut off": {
			touch: func(f *forger, _ string, _ [][]byte) { f.exec(fmt.Sprintf("DELETE FROM trail WHERE n >= %d", keep)) },
			want:  []string{"is for SIZE rows and the bundle ends with row"}, of: "is for SIZE rows and the bundle ends with row",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothStores(t, func(t *testing.T, database string) {
				sink := taking(t, func(string) bool { return false })
				away := filepath.Join(t.TempDir(), "trail.ndjson")
				base := "workspace: faults\nbase_url: http://mail.shop.example\nsending:\n  from: Shop <shop@shop.example>\n  postal_address: 1 Sample Street, Sampletown\n  provider: sink\n"
				config := small(t, sink.Addr(), map[string]string{"rapport.yaml": base + "trail: {every: 1h, file: " + away + "}\n"})
				o := app.Options{Data: t.TempDir(), Database: database, Clock: handClock()}
				l := live(t, o, config)
				for i := range 30 {
					if w := l.ask("GET", fmt.Sprintf("/v1/people/user_id:nobody%d/trail", i), ""); w.Code != http.StatusNotFound {
						t.Fatal(w.Code, w.Body)
					}
				}
				bundle := func() (key string, raw []byte) {
					t.Helper()
					if w := l.ask("POST", "/v1/audit/checkpoint", ""); w.Code != http.StatusOK {
						t.Fatal(w.Code, w.Body)
					}
					var k struct{ Key string }
					l.get("/v1/audit/key", &k)
					return k.Key, l.ask("GET", "/v1/audit/bundle", "").Body.Bytes()
				}
				verify := func(key string, raw []byte, older ...audit.Parcel) *audit.Report {
					t.Helper()
					r, err := audit.Verify(bytes.NewReader(raw), key, older)
					if err != nil {
						t.Fatal(err)
					}
					return r
				}
				key, raw := bundle()
				older, err := audit.ReadParcels(kept(t, away))
				if err != nil || len(older) == 0 {
					t.Fatal(len(older), err)
				}
				honest := verify(key, raw, older...)
				if len(honest.Problems) > 0 || honest.Covered < 30 {
					t.Fatalf("before: %+v", honest)
				}
				size := older[len(older)-1].From + int64(len(older[len(older)-1].Leaves))
				said := strings.NewReplacer("SIZE", fmt.Sprint(size), "LAST", fmt.Sprint(size-1)).Replace
				wants := func(what string, r *audit.Report, texts ...string) {
					t.Helper()
					for _, text := range texts {
						if problems := strings.Join(r.Problems, "\n"); !strings.Contains(problems, said(text)) {
							t.Errorf("%s: problems %q, want %q", what, problems, said(text))
						}
					}
				}
				l.end()
				forge(t, o.Data, database, func(f *forger) { c.touch(f, database, f.leaves()) })
				if c.unhashed != "" {
					l = live(t, o, nil)
					key, raw = bundle()
					wants("with the hashes as they were", verify(key, raw), c.unhashed)
					l.end()
				}
				forge(t, o.Data, database, func(f *forger) { f.hashAnew(database) })
				l = live(t, o, nil)
				key, raw = bundle()
				if r := verify(key, raw); len(r.Problems) > 0 || r.Covered < keep {
					t.Errorf("hashed and signed anew it does not fit itself, so that this shows nothing: %+v", r)
				}
				wants("against what left", verify(key, raw, older...), c.want...)
				note := audit.Parcel{Checkpoint: older[len(older)-1].Checkpoint}
				wants("against a note that left", verify(key, raw, note), c.of)
			})
		})
	}
}

func kept(t *testing.T, path string) []byte {
	t.Helper()
	return fileOf(t, filepath.Dir(path), filepath.Base(path))
}
