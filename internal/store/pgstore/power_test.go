package pgstore_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
)

// The machine of the database loses its power: all that was written durably is
// there, and what need not be is whole or not there, never with a gap.
func TestPowerLossKeepsWhatWasDurable(t *testing.T) {
	t.Parallel()
	machine, address, err := pgtest.StartMachine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = machine.Stop() })
	s := open(t, address)
	for who := id.Person(1); who <= 40; who++ {
		if who == 31 {
			beginPage(t, s, address)
		}
		if err := insert(s, who, who <= 30); err != nil {
			t.Fatal(err)
		}
	}
	left, err := machine.PowerLoss(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = left.Stop() })
	anew := open(t, left.Like(address))
	if got := people(t, anew); len(got) != 30 {
		t.Errorf("%d persons, want the thirty durable ones", len(got))
	}
	if err := insert(anew, 31, true); err != nil {
		t.Errorf("begun anew: %v", err)
	}
}

// Where the user is set up so that commits are answered before they are on the
// disk, those that must be durable say so themselves.
func TestPowerLossKeepsWhatWasDurableOfALaxUser(t *testing.T) {
	t.Parallel()
	machine, address, err := pgtest.StartMachine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = machine.Stop() })
	exec(t, address, "ALTER ROLE rapport SET synchronous_commit = off")
	log, err := pgstore.OpenLog(t.Context(), pgstore.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	s := open(t, address)
	beginPage(t, s, address)
	append1 := func(pos int64) {
		t.Helper()
		if err := log.Append(t.Context(), []eventlog.Frame{{Lane: eventlog.Live, First: pos, Count: 1, At: time.UnixMilli(1), Body: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(people, frames int64) {
		t.Helper()
		left, err := machine.PowerLoss(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = left.Stop() })
		var gotPeople, gotFrames int64
		row(t, left.Like(address), "SELECT (SELECT count(*) FROM rapport_state.person), (SELECT count(*) FROM rapport_log.frame)", &gotPeople, &gotFrames)
		if gotPeople != people || gotFrames != frames {
			t.Errorf("%d persons and %d frames are left, want %d and %d", gotPeople, gotFrames, people, frames)
		}
	}
	append1(1)
	wants(0, 1)
	if err := insert(s, 1, true); err != nil {
		t.Fatal(err)
	}
	wants(1, 1)
}

// exec runs a statement as the cluster's owner.
func exec(t *testing.T, address, sql string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// row reads one row into places.
func row(t *testing.T, address, sql string, places ...any) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	if err := c.QueryRow(t.Context(), sql).Scan(places...); err != nil {
		t.Fatal(err)
	}
}

// The settings that no session can make good are named.
func TestUnsafeSettingsAreNamed(t *testing.T) {
	t.Parallel()
	cluster, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	c := pgstore.Config{URL: cluster.URL("postgres")}
	if off, err := pgstore.Unsafe(t.Context(), c); err != nil || len(off) > 0 {
		t.Errorf("of a server with its defaults: %v, %v", off, err)
	}
	exec(t, c.URL, "ALTER SYSTEM SET fsync = off")
	exec(t, c.URL, "ALTER SYSTEM SET full_page_writes = off")
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	if off, err := pgstore.Unsafe(t.Context(), c); err != nil || len(off) != 2 || off[0] != "fsync" {
		t.Errorf("with both off: %v, %v", off, err)
	}
}
