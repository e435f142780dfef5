package pgstore_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
)

// with adds settings of the session to an address.
func with(t *testing.T, address string, settings ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for i := 0; i < len(settings); i += 2 {
		q.Set(settings[i], settings[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// stranger is a session of somebody else, within a transaction.
func stranger(t *testing.T, address string) pgx.Tx {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func mustExec(t *testing.T, tx pgx.Tx, sql string, args ...any) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
		t.Error(err)
	}
}

const touch = "UPDATE rapport_state.person SET body = body WHERE id = $1"

// TestDeadlock lets a stranger's session and ours wait for each other, so that
// PostgreSQL ends ours: it is run again, unless its caller wants to do that.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	for name, once := range map[string]bool{"run again": false, "its caller's to run again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := pgtest.Database(t)
			s := open(t, with(t, address, "deadlock_timeout", "50ms"))
			for who := range id.Person(2) {
				if err := insert(s, who+1, true); err != nil {
					t.Fatal(err)
				}
			}
			other := stranger(t, address)
			mustExec(t, other, touch, 1)
			done, runs := make(chan struct{}), 0
			err := s.Write(t.Context(), store.WriteOptions{Durable: true, Once: once}, func(tx store.Tx) error {
				runs++
				if err := tx.Persons().Update(2, []byte("mine")); err != nil {
					return err
				}
				if _, err := tx.Persons().After(0, 1); err != nil { // It is in the database now, and locked.
					return err
				}
				if runs == 1 {
					go func() {
						defer close(done)
						mustExec(t, other, touch, 2) // It waits for us.
						if err := other.Commit(context.Background()); err != nil {
							t.Error(err)
						}
					}()
				}
				return tx.Persons().Update(1, []byte("mine")) // We wait for it.
			})
			<-done
			switch {
			case once && (runs != 1 || !fault.Temporary(err)):
				t.Errorf("after %d runs: %v", runs, err)
			case !once && (runs != 2 || err != nil):
				t.Errorf("after %d runs: %v", runs, err)
			}
		})
	}
}

// TestSerializationFailure lets a stranger change a row after our transaction
// has taken its snapshot, as databases do that run every transaction so.
func TestSerializationFailure(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	s := open(t, with(t, address, "default_transaction_isolation", "serializable"))
	if err := insert(s, 1, true); err != nil {
		t.Fatal(err)
	}
	runs := 0
	err := s.Write(t.Context(), store.WriteOptions{Durable: true}, func(tx store.Tx) error {
		if _, err := tx.Persons().After(0, 1); err != nil { // the snapshot
			return err
		}
		if runs++; runs <= 3 {
			other := stranger(t, address)
			mustExec(t, other, touch, 1)
			if err := other.Commit(t.Context()); err != nil {
				return err
			}
		}
		return tx.Persons().Update(1, []byte("mine"))
	})
	if err != nil || runs != 4 {
		t.Errorf("after %d runs: %v", runs, err)
	}
}

// TestTerminatedBackend ends our session in the middle of a transaction: nothing
// of it is kept, its caller is told that it may try again, and then it works.
func TestTerminatedBackend(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	s := open(t, with(t, address, "application_name", "ends-soon"))
	write := func(terminate bool) error {
		return s.Write(t.Context(), store.WriteOptions{Durable: true}, func(tx store.Tx) error {
			if err := tx.Persons().Insert(1, []byte("x")); err != nil {
				return err
			}
			if _, err := tx.Persons().After(0, 1); err != nil {
				return err
			}
			if terminate {
				mustExec(t, stranger(t, address), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ends-soon' AND state = 'idle in transaction'`)
			}
			return nil
		})
	}
	if err := write(true); !fault.Temporary(err) {
		t.Fatalf("the caller is told %v", err)
	}
	if got := people(t, s); len(got) != 0 {
		t.Fatalf("%v stayed", got)
	}
	if err := write(false); err != nil {
		t.Fatal(err)
	}
	if got := people(t, s); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}

// A statement that hangs is ended by the server, and may be tried again.
func TestAStatementThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	s := open(t, with(t, address, "statement_timeout", "100ms"))
	if err := insert(s, 1, true); err != nil {
		t.Fatal(err)
	}
	other := stranger(t, address)
	mustExec(t, other, "LOCK TABLE rapport_state.person IN ACCESS EXCLUSIVE MODE")
	read := func() error {
		return s.Read(t.Context(), func(tx store.Tx) error {
			return tx.Persons().Load([]id.Person{1}, func(id.Person, []byte) error { return nil })
		})
	}
	if err := read(); fault.KindOf(err) != fault.Unavailable || !fault.Temporary(err) {
		t.Errorf("a read that hangs: %v", err)
	}
	if err := insert(s, 2, true); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a write that hangs: %v", err)
	}
	if err := other.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := insert(s, 2, true); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Without other words of the address a session has its limits.
func TestSessionsHaveLimits(t *testing.T) {
	t.Parallel()
	limits, err := pgstore.Limits(t.Context(), pgstore.Config{URL: pgtest.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	if want := "1min 20s 1min"; limits != want {
		t.Errorf("statement, lock and idle limits are %s, want %s", limits, want)
	}
}
