package pgstore_test

import (
	"strings"
	"testing"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/store/storetest"
)

// poolers are the ways in which PgBouncer is set up before a database: as it
// comes, so that it refuses what a session says at its start, and so that it
// hears it and does nothing.
var poolers = map[string][]string{
	"refuses": nil,
	"ignores": {"ignore_startup_parameters=search_path,statement_timeout,lock_timeout,idle_in_transaction_session_timeout,plan_cache_mode,enable_seqscan,jit"},
}

func TestBehindAPooler(t *testing.T) {
	t.Parallel()
	for name, settings := range poolers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Pooler(t, pgtest.Database(t), settings...)
			through := func(t *testing.T) string {
				t.Helper()
				return pgtest.Through(t, server, pgtest.Database(t))
			}
			t.Run("state", func(t *testing.T) {
				t.Parallel()
				storetest.Run(t, func(t *testing.T) store.State { return open(t, through(t)) })
			})
			t.Run("log", func(t *testing.T) {
				t.Parallel()
				storetest.RunLog(t, func(t *testing.T) eventlog.Store {
					l, err := pgstore.OpenLog(t.Context(), pgstore.Config{URL: through(t)})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = l.Close() })
					return l
				})
			})
			t.Run("what the address says", func(t *testing.T) {
				t.Parallel()
				address := through(t)
				s := open(t, with(t, address, "lock_timeout", "10ms"))
				if err := insert(s, 1, true); err != nil {
					t.Fatal(err)
				}
				held := stranger(t, address)
				mustExec(t, held, touch, 1)
				err := s.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error { return tx.Persons().Update(1, []byte("y")) })
				if !fault.Temporary(err) || !strings.Contains(err.Error(), "55P03") {
					t.Errorf("a lock that is held ends with %v", err)
				}
			})
			t.Run("two servers", func(t *testing.T) {
				t.Parallel()
				c := pgstore.Config{URL: through(t)}
				for range 2 { // A lock of a session would stay behind in the pooler.
					lock, err := pgstore.Lock(t.Context(), c)
					if err != nil {
						t.Fatal(err)
					}
					if err := lock.Release(); err != nil {
						t.Fatal(err)
					}
				}
				old := open(t, c.URL)
				if err := insert(old, 1, true); err != nil {
					t.Fatal(err)
				}
				taken := open(t, c.URL)
				if err := insert(old, 2, true); fault.CodeOf(err) != "database_taken" {
					t.Errorf("who lost the database is told %v", err)
				}
				if got := people(t, taken); len(got) != 1 || got[0] != id.Person(1) {
					t.Errorf("it holds %v", got)
				}
			})
		})
	}
}
