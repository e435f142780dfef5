package pgstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
)

func open(t *testing.T, address string) *pgstore.State {
	t.Helper()
	s, err := pgstore.OpenState(t.Context(), pgstore.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func insert(s *pgstore.State, who id.Person, durable bool) error {
	return s.Write(context.Background(), store.WriteOptions{Durable: durable}, func(tx store.Tx) error {
		return tx.Persons().Insert(who, []byte("x"))
	})
}

func people(t *testing.T, s *pgstore.State) (out []id.Person) {
	t.Helper()
	err := s.Read(t.Context(), func(tx store.Tx) (err error) {
		out, err = tx.Persons().After(0, 1000)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestASecondServerIsRefused(t *testing.T) {
	t.Parallel()
	c := pgstore.Config{URL: pgtest.Database(t)}
	first, err := pgstore.Lock(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pgstore.Lock(t.Context(), c); fault.CodeOf(err) != "database_held" {
		t.Errorf("the second is told %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := pgstore.Lock(t.Context(), c)
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	_ = again.Release()
}

func TestWhoLostTheDatabaseWritesNoMore(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	old := open(t, address)
	if err := insert(old, 1, true); err != nil {
		t.Fatal(err)
	}
	taken := open(t, address)
	if err := insert(old, 2, true); fault.CodeOf(err) != "database_taken" {
		t.Errorf("the old owner is told %v", err)
	}
	if err := insert(taken, 2, false); err != nil {
		t.Errorf("the new owner: %v", err)
	}
	if got := people(t, taken); len(got) != 2 {
		t.Errorf("persons %v, want two", got)
	}
}

// A crash of the database loses nothing that was durable, and the store goes on
// by itself.
func TestTheDatabaseCrashesAndComesBack(t *testing.T) {
	t.Parallel()
	c, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	address, err := c.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, address)
	for who := id.Person(1); who <= 20; who++ {
		if err := insert(s, who, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := insert(s, 21, true)
		if err == nil {
			break
		}
		if !fault.Temporary(err) || time.Now().After(deadline) {
			t.Fatalf("after the crash: %v", err)
		}
	}
	if got := people(t, s); len(got) != 21 {
		t.Errorf("%d persons, want 21", len(got))
	}
}

// A connection is cut when the database has taken a COMMIT and before its answer
// comes: the store finds out that it was carried out.
func TestACommitWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	address, cut := throughCutter(t, pgtest.Database(t))
	s := open(t, address)
	for who := id.Person(1); who <= 5; who++ {
		cut.Store(who%2 == 0)
		if err := insert(s, who, true); err != nil {
			t.Fatalf("person %d: %v", who, err)
		}
	}
	cut.Store(false)
	if got := people(t, s); len(got) != 5 {
		t.Errorf("persons %v, want five", got)
	}
	err := s.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error { return tx.Persons().Insert(3, nil) })
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("person 3 is there twice: %v", err)
	}
}

// throughCutter puts a relay between the store and a database of the cluster. While
// the switch is on it swallows the answer to a COMMIT and hangs up.
func throughCutter(t *testing.T, address string) (through string, cut *atomic.Bool) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	cut = new(atomic.Bool)
	go func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go relay(c, socket, cut)
			}
		}
	}()
	u.Host, u.RawQuery = l.Addr().String(), "sslmode=disable"
	return u.String(), cut
}

func relay(c net.Conn, socket string, cut *atomic.Bool) {
	defer func() { _ = c.Close() }()
	db, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer func() { _ = db.Close() }()
	go func() { _, _ = io.Copy(db, c) }()
	buf := make([]byte, 64<<10)
	for {
		n, err := db.Read(buf)
		// The tag of the command's completion comes when it has been carried out.
		if cut.Load() && bytes.Contains(buf[:n], []byte("COMMIT\x00")) {
			cut.Store(false)
			return
		}
		if _, werr := c.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// What a crash of the database takes back, the process still remembers: it may
// write nothing more on top of it, and is told to begin anew.
func TestACrashTakesBackWhatWasNotDurable(t *testing.T) {
	t.Parallel()
	c, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	address, err := c.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keepInMemory(t, address)
	s := open(t, address)
	for who := id.Person(1); who <= 20; who++ {
		if err := insert(s, who, who <= 5); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	err = insert(s, 21, true)
	for fault.Temporary(err) && time.Now().Before(deadline) {
		err = insert(s, 21, true)
	}
	if fault.CodeOf(err) != store.CodeRewound {
		t.Errorf("after the crash: %v", err)
	}
	anew := open(t, address)
	if got := people(t, anew); len(got) != 5 {
		t.Errorf("%d persons, want the five durable ones", len(got))
	}
	if err := insert(anew, 6, true); err != nil {
		t.Errorf("begun anew: %v", err)
	}
}

// keepInMemory lets PostgreSQL write its log only when it must.
func keepInMemory(t *testing.T, address string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, sql := range []string{"ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}
