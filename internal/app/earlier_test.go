package app_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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

// TestEarlierVersions opens what earlier versions have left behind, in each store a
// house of the schema numbers that testdata/earlier holds: between any two of them
// the migrations meet rows in the tables that they change. Everybody is still there
// and everything is told as the version itself told it, what was waiting goes on,
// and what comes in is walked. testdata/earlier/make.sh says how it was made.
func TestEarlierVersions(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/earlier/*.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string][]int{}
	for _, archive := range archives {
		var number int
		store, rest, _ := strings.Cut(strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), "-")
		if _, err := fmt.Sscan(rest, &number); err != nil {
			t.Fatal(archive, err)
		}
		numbers[store] = append(numbers[store], number)
		t.Run(store+"/"+rest, func(t *testing.T) {
			t.Parallel()
			goesOn(t, archive, store == "postgres", number)
		})
	}
	for _, store := range []string{"files", "postgres"} {
		slices.Sort(numbers[store])
		t.Logf("%s: from schema %v to %d", store, numbers[store], sqlitestore.Schema())
		if n := len(numbers[store]); n < 6 || numbers[store][n-1] < sqlitestore.Schema()-1 {
			t.Errorf("%s: there are archives of schema %v and none of %d, the last one before the newest migration: make it with make.sh", store, numbers[store], sqlitestore.Schema()-1)
		}
	}
}

// goesOn opens one archive and lets its house live on.
func goesOn(t *testing.T, archive string, postgres bool, number int) {
	t.Helper()
	dir, database := t.TempDir(), ""
	unpack(t, archive, dir)
	was := fileSchema(t, dir)
	if postgres {
		database = restored(t, filepath.Join(dir, "dump.sql"))
		was = databaseSchema(t, database)
	}
	if was != number {
		t.Fatalf("it holds schema %d", was)
	}
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	house, stop := runningOn(t, dir, database, at, nil)
	hasEverything(t, house, dir)
	if n := tellsTheSame(t, house, dir); n < 30 && number > 1 {
		t.Errorf("%d answers of the version itself are there, want those to make.sh's questions", n)
	}
	e := &event.Event{Type: event.Track, Source: "server", MessageID: "new", UserID: "u1", Name: "Order Completed", Time: at, Received: at}
	if err := app.Tell(t.Context(), house, e); err != nil {
		t.Fatal(err)
	}
	goOn(t, house, at.AddDate(11, 0, 0))
	wanted := map[string]int{"u1": 1, "u2": 1, "u3": 1, "u4": 1, "u5": 1}
	if number > 1 {
		wanted["u4"], wanted["u5"] = 0, 0 // The one's address is suppressed, the other withdrew.
	}
	for who, n := range wanted {
		if left, _ := house.Inbox().List(who+"@shop.example", 100); len(left) != n {
			t.Errorf("%d mails have left to %s after the wait, want %d", len(left), who, n)
		}
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
}

// fileSchema reads the number that SQLite keeps in the header of a file, 0 without one.
func fileSchema(t *testing.T, dir string) int {
	t.Helper()
	raw := fileOf(t, dir, "state.db")
	if len(raw) < 64 {
		return 0
	}
	return int(binary.BigEndian.Uint32(raw[60:64]))
}

func databaseSchema(t *testing.T, address string) (n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	if err := c.QueryRow(t.Context(), "SELECT n FROM rapport_state.schema_version").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// tellsTheSame asks what the version itself was asked before it stopped, and wants
// all that it answered in the answer. It gives how many answers there were.
func tellsTheSame(t *testing.T, house *app.House, dir string) (lines int) {
	t.Helper()
	for line := range bytes.Lines(fileOf(t, dir, "said.jsonl")) {
		var was struct {
			Path   string
			Answer any
		}
		if err := json.Unmarshal(line, &was); err != nil {
			t.Fatal(err)
		}
		var is any
		ask(t, house, dir, was.Path, &is)
		lines++
		for _, name := range ofTheProcess[was.Path] {
			delete(was.Answer.(map[string]any), name)
		}
		if missing := lacks(is, was.Answer, ""); missing != "" {
			t.Errorf("%s: %s", was.Path, missing)
		}
	}
	return lines
}

// ofTheProcess are the members of an answer that tell of the process which gave it.
var ofTheProcess = map[string][]string{
	"/v1/status":            {"now", "uptime_seconds", "walk", "lanes", "ready", "doors"},
	"/v1/destinations/away": {"state", "reason", "until", "last", "last_at", "counts"},
}

// lacks says what of one answer is missing in another; "" for nothing.
func lacks(is, was any, at string) string {
	switch was := was.(type) {
	case map[string]any:
		is, ok := is.(map[string]any)
		if !ok {
			return at + " is no object any more"
		}
		for name, value := range was {
			if missing := lacks(is[name], value, at+"/"+name); missing != "" {
				return missing
			}
		}
		return ""
	case []any:
		is, ok := is.([]any)
		if !ok || len(is) != len(was) {
			return fmt.Sprintf("%s had %d members: %v, and is %v", at, len(was), was, is)
		}
		for i := range was {
			if missing := lacks(is[i], was[i], fmt.Sprint(at, "/", i)); missing != "" {
				return missing
			}
		}
		return ""
	}
	if !reflect.DeepEqual(is, was) {
		return fmt.Sprintf("%s was %v and is %v", at, was, is)
	}
	return ""
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
	if s.Mails["accepted"] < 5 || s.Rejects["event_not_defined"] != 1 {
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
		if h.FileInfo().IsDir() {
			continue
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
