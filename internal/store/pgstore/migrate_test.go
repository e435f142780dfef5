package pgstore_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"rapport/internal/fault"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
)

// TestMigrationsGoForwardWholeOrNotAtAll brings a database with data forward,
// over a step that fails, and over a session that ends in its middle.
func TestMigrationsGoForwardWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	c := pgstore.Config{URL: pgtest.Database(t)}
	s := open(t, c.URL)
	if err := insert(s, 1, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const (
		good = "ALTER TABLE person ADD COLUMN seal int; CREATE TABLE extra(a int PRIMARY KEY)"
		bad  = "CREATE TABLE more(a int PRIMARY KEY); INSERT INTO nowhere VALUES(1)"
		ends = "CREATE TABLE more(a int PRIMARY KEY); SELECT pg_terminate_backend(pg_backend_pid())"
	)
	for step, want := range map[string]string{bad: "nowhere", ends: "terminat"} {
		if err := pgstore.MigrateBy(t.Context(), c, good, step); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a step that fails: %v", err)
		}
		if there(t, c.URL, "extra") || there(t, c.URL, "more") {
			t.Error("half of it is there")
		}
	}
	// What failed leaves the earlier version as it was, and it goes on serving.
	s = open(t, c.URL)
	if got := people(t, s); len(got) != 1 {
		t.Errorf("it holds %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Two that begin at once take turns.
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() { errs[i] = pgstore.MigrateBy(t.Context(), c, good) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("the mended step: %v", err)
	}
	if !there(t, c.URL, "extra") {
		t.Error("the mended step is not there")
	}
	// A program that does not know the step refuses, whatever it would do.
	if _, err := pgstore.OpenState(t.Context(), c); fault.CodeOf(err) != "schema_newer" {
		t.Errorf("an older program is told %v", err)
	}
}

func there(t *testing.T, address, table string) (found bool) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	if err := c.QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", pgstore.StateSchema+"."+table).Scan(&found); err != nil {
		t.Fatal(err)
	}
	return found
}
