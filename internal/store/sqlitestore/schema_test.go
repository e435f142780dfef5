package sqlitestore

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store"
)

func TestStateRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	s := openState(t, Config{Path: path})
	if err := s.w.db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := OpenState(Config{Path: path})
	if fault.CodeOf(err) != "schema_newer" || !strings.Contains(err.Error(), "newer version") || !strings.Contains(err.Error(), "state.db") {
		t.Errorf("got %v, want schema_newer with the file and what to do", err)
	}
}

// TestMigrationsGoForwardWholeOrNotAtAll brings a file with data forward, over
// a step that fails.
func TestMigrationsGoForwardWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	s := openState(t, Config{Path: path})
	err := s.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error { return tx.Persons().Insert(1, []byte("somebody")) })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.queue.Enter(t.Context(), store.Urgent); err != nil {
		t.Fatal(err)
	}
	c := s.w
	version := func() (v int64) {
		if err := c.queryInt("PRAGMA user_version", &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	good := "ALTER TABLE person ADD COLUMN seal INTEGER; CREATE TABLE extra(a INTEGER PRIMARY KEY)"
	bad := "CREATE TABLE more(a INTEGER PRIMARY KEY); INSERT INTO nowhere VALUES(1)"
	base := append([]string(nil), migrations...)
	from := version()
	if err := c.migrate(append(base, good, bad)); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a step that fails: %v", err)
	}
	if got := version(); got != from+1 {
		t.Errorf("schema %d after a good and a bad step, want %d", got, from+1)
	}
	if err := c.db.Exec("SELECT a FROM more"); err == nil {
		t.Error("half of the bad step is there")
	}
	if err := c.migrate(append(base, good, "CREATE TABLE more(a INTEGER PRIMARY KEY)")); err != nil {
		t.Errorf("the mended step: %v", err)
	}
	s.queue.Leave()
	err = s.Read(t.Context(), func(tx store.Tx) error {
		return tx.Persons().Load([]id.Person{1}, func(_ id.Person, body []byte) error {
			if string(body) != "somebody" {
				t.Errorf("the person holds %q after the migrations", body)
			}
			return errPlannedStop
		})
	})
	if !errors.Is(err, errPlannedStop) {
		t.Errorf("the person is gone: %v", err)
	}
}

var errPlannedStop = errors.New("seen")

// TestUnfinishedMailsAreFoundByIndex: what delivery asks again and again must
// not read mails that are done.
func TestUnfinishedMailsAreFoundByIndex(t *testing.T) {
	t.Parallel()
	s := openState(t, Config{})
	for _, c := range []struct{ sql, index string }{
		{"SELECT " + mailRows + "WHERE m.owed = ? AND m.due <= ? ORDER BY m.due, m.id LIMIT ?", "mail_owed"},
		{"SELECT due FROM mail WHERE owed = ? ORDER BY due LIMIT 1", "mail_owed"},
		{"SELECT " + mailRows + "WHERE m.busy = 1 AND m.state = ? AND m.id > ? ORDER BY m.id LIMIT ?", "mail_busy"},
		{"SELECT " + mailRows + "WHERE m.person = ? ORDER BY m.id DESC LIMIT ?", "mail_person"},
		{"SELECT count(*) FROM cap WHERE person = ? AND at > ?", "cap_person"},
		{"SELECT at, body FROM seen WHERE at >= ? ORDER BY at, seq", "seen_at"},
	} {
		q := s.w.query("EXPLAIN QUERY PLAN " + c.sql)
		var plan []string
		for q.step() {
			plan = append(plan, q.colText(3))
		}
		if err := q.done(); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan, "; ")
		if !strings.Contains(text, c.index) || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("%s: %s", c.sql, text)
		}
	}
}
