package app_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport/internal/app"
	"rapport/internal/event"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/store/sqlitestore"
)

// TestEarlierVersions opens what earlier versions have left behind, each schema
// number once for each store: everybody is still there, what was waiting goes on,
// and what comes in is walked. testdata/earlier/make.sh says how it was made.
func TestEarlierVersions(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/earlier/*.tar.gz")
	if err != nil || len(archives) < 2 {
		t.Fatalf("there are %v, %v", archives, err)
	}
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			unpack(t, archive, dir)
			database := ""
			if strings.HasPrefix(filepath.Base(archive), "postgres-") {
				database = restored(t, filepath.Join(dir, "dump.sql"))
			}
			at := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
			house, stop := runningOn(t, dir, database, at, nil)
			hasEverything(t, house, dir)
			e := &event.Event{Type: event.Track, Source: "server", MessageID: "new", UserID: "u1", Name: "Order Completed", Time: at, Received: at}
			if err := app.Tell(t.Context(), house, e); err != nil {
				t.Fatal(err)
			}
			goOn(t, house, at.AddDate(11, 0, 0))
			if left, n := house.Inbox().List("", 100); n != 5 {
				t.Errorf("%d mails have left after the wait, want 5: %v", n, left)
			}
			var p struct {
				EventsCount int `json:"events_count"`
			}
			// Six of make.sh, the device's two, and the new one.
			if ask(t, house, dir, "/v1/people/user_id:u1", &p); p.EventsCount < 9 {
				t.Errorf("u1 has %d events", p.EventsCount)
			}
			stop()
			_, stop = runningOn(t, dir, database, at.AddDate(11, 0, 1), nil) // once more, now as a house of this version
			stop()
		})
	}
}

// TestMigrationsHaveTheSameNumbers: a number means the same in both stores.
func TestMigrationsHaveTheSameNumbers(t *testing.T) {
	t.Parallel()
	made, err := pgstore.Migrate(t.Context(), pgstore.Config{URL: pgtest.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range made {
		if s.Name == pgstore.StateSchema && s.To != sqlitestore.Schema() {
			t.Errorf("PostgreSQL's state is at %d, that of files at %d", s.To, sqlitestore.Schema())
		}
	}
}

// hasEverything compares an earlier house with what make.sh has put in.
func hasEverything(t *testing.T, house *app.House, dir string) {
	t.Helper()
	for _, n := range []string{"1", "2", "3", "4", "5"} {
		var p struct {
			ID     string
			Traits map[string]any
		}
		ask(t, house, dir, "/v1/people/email:u"+n+"@shop.example", &p)
		if p.Traits["plan"] != "pro" || p.Traits["first_name"] != "Ann" && p.Traits["firstName"] != "Ann" {
			t.Errorf("u%s is %+v", n, p)
		}
		var happened struct{ Events []struct{ Event string } }
		ask(t, house, dir, "/v1/people/user_id:u"+n+"/events?limit=100", &happened)
		orders := 0
		for _, e := range happened.Events {
			if e.Event == "Order Completed" {
				orders++
			}
		}
		if orders != 3 {
			t.Errorf("u%s has %d orders", n, orders)
		}
	}
	var one, other struct{ ID string }
	ask(t, house, dir, "/v1/people/anonymous_id:device-1", &one)
	ask(t, house, dir, "/v1/people/user_id:u1", &other)
	if one.ID == "" || one.ID != other.ID {
		t.Errorf("the device belongs to %q, u1 is %q", one.ID, other.ID)
	}
	var s struct {
		Mails   map[string]int64
		Rejects map[string]int64
	}
	ask(t, house, dir, "/v1/status", &s)
	if s.Mails["accepted"] != 5 || s.Rejects["event_not_defined"] != 1 {
		t.Errorf("the status is %+v", s)
	}
}

// goOn lets a house live until an instant and do all that is due.
func goOn(t *testing.T, house *app.House, end time.Time) {
	t.Helper()
	for at := (time.Time{}); at.Before(end); {
		var err error
		if at, err = house.Advance(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	if err := house.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ask reads a resource of the management API.
func ask(t *testing.T, house *app.House, dir, path string, answer any) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(dir, "manage.key"))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	w := httptest.NewRecorder()
	house.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil {
		t.Fatalf("%s: %v in %s", path, err, w.Body)
	}
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(io.LimitReader(r, 10<<20))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(h.Name)), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// restored gives a new database with a dump's rows.
func restored(t *testing.T, dump string) string {
	t.Helper()
	sql, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	address := pgtest.Database(t)
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	if _, err := c.Exec(t.Context(), string(sql)); err != nil {
		t.Fatal(err)
	}
	return address
}
