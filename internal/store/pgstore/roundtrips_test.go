package pgstore_test

import (
	"fmt"
	"testing"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
)

// What costs as many round trips for many as for one: a database that is a
// millisecond away takes a batch in a few milliseconds, whatever it holds. The
// first call of each prepares its statements, once for a session.
func TestRoundTripsDoNotGrowWithABatch(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		most int
		make func(t *testing.T, address string, wire *pgtest.Wire) func(n, many int) int
	}{
		"append frames":          {1, appending},
		"look up, load and save": {3, saving}, // two questions and the commit
		"save what is known":     {1, known},  // the commit alone: the questions were asked ahead
		"owe mails":              {1, deciding},
		"claim what is owed":     {8, claiming}, // three classes, the next one and the commit, with what prepares them
		"read what was woken":    {3, waking},   // the question, with what prepares it, and the end of the snapshot
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, wire := pgtest.Counted(t, pgtest.Database(t))
			trips := tt.make(t, address, wire)
			counts := map[int]int{}
			for n, many := range []int{1, 1, 10, 250} {
				counts[many] = trips(n, many)
			}
			if counts[1] != counts[250] || counts[10] != counts[250] || counts[1] > tt.most || counts[1] == 0 {
				t.Errorf("round trips by size of the batch: %v, want the same and at most %d", counts, tt.most)
			}
		})
	}
}

func appending(t *testing.T, address string, wire *pgtest.Wire) func(n, many int) int {
	log, err := pgstore.OpenLog(t.Context(), pgstore.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return func(n, many int) int {
		var frames []eventlog.Frame
		for i := range many {
			frames = append(frames, eventlog.Frame{Lane: eventlog.Live, First: int64(1000*n + i + 1), Count: 1, At: time.UnixMilli(1), Body: []byte("x")})
		}
		return wire.Count(func() {
			if err := log.Append(t.Context(), frames); err != nil {
				t.Error(err)
			}
		})
	}
}

// counted runs a transaction and gives its round trips.
func counted(t *testing.T, s *pgstore.State, wire *pgtest.Wire, fn func(tx store.Tx) error) int {
	t.Helper()
	return wire.Count(func() {
		if err := s.Write(t.Context(), store.WriteOptions{Durable: true}, fn); err != nil {
			t.Error(err)
		}
	})
}

// known is what the walk does with people of a batch whom it has asked for ahead.
func known(t *testing.T, address string, wire *pgtest.Wire) func(n, many int) int {
	s := open(t, address)
	return func(n, many int) int {
		hashes, found := make([]id.Hash, many), make([]id.Person, many)
		for i := range hashes {
			copy(hashes[i][:], fmt.Sprintf("%d-%d", n, i))
		}
		trips := 0
		for i := range 2 { // of nobody yet, and of those who are there then
			people, err := s.Ahead(t.Context(), hashes, nil)
			if err != nil || len(people) != i*many {
				t.Fatalf("%d people read ahead, want %d (%v)", len(people), i*many, err)
			}
			trips = counted(t, s, wire, func(tx store.Tx) error { return lookedUp(tx, hashes, found, 1000*n+1) })
		}
		return trips
	}
}

// lookedUp looks names up, loads who has them, and writes them all.
func lookedUp(tx store.Tx, hashes []id.Hash, found []id.Person, first int) error {
	if err := tx.Identity().Lookup(hashes, found); err != nil {
		return err
	}
	if err := tx.Persons().Load(found, func(id.Person, []byte) error { return nil }); err != nil {
		return err
	}
	for i, h := range hashes {
		who := id.Person(first + i)
		save := tx.Persons().Insert
		if found[i] != 0 {
			save = tx.Persons().Update
		}
		if err := save(who, []byte("somebody")); err != nil {
			return err
		}
		if err := tx.Identity().Bind(h, who); err != nil {
			return err
		}
	}
	return nil
}

// saving is what the walk does with the people of a batch.
func saving(t *testing.T, address string, wire *pgtest.Wire) func(n, many int) int {
	s := open(t, address)
	return func(n, many int) int {
		hashes, found := make([]id.Hash, many), make([]id.Person, many)
		for i := range hashes {
			copy(hashes[i][:], fmt.Sprintf("%d-%d", n, i))
		}
		batch := func(tx store.Tx) error {
			if err := lookedUp(tx, hashes, found, 1000*n+1); err != nil {
				return err
			}
			pack, err := tx.Profile().LastPack()
			if err != nil {
				return err
			}
			return tx.Profile().AppendPack(pack+1, []byte("history"))
		}
		fresh := counted(t, s, wire, batch)
		known := counted(t, s, wire, batch)
		if n > 0 && fresh != known { // after the first, which prepares
			t.Errorf("%d round trips for people who are new, %d for the same again", fresh, known)
		}
		return known
	}
}

// owing inserts mails and gives their ids.
func owing(t *testing.T, s *pgstore.State, n, many int) (ids []id.Message) {
	t.Helper()
	err := s.Write(t.Context(), store.WriteOptions{Durable: true}, func(tx store.Tx) error {
		for i := range many {
			at := time.UnixMilli(int64(1000*n + i))
			in := message.Intent{Key: fmt.Sprintf("%d/%d", n, i), Person: 1, Template: "t", Class: message.Triggered, Decided: at, Due: at}
			in.ID = id.NewMessage(at, in.Key)
			ids = append(ids, in.ID)
			if _, _, err := tx.Outbox().Insert(in, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func deciding(t *testing.T, address string, wire *pgtest.Wire) func(n, many int) int {
	s := open(t, address)
	return func(n, many int) int { return wire.Count(func() { owing(t, s, n, many) }) }
}

// anew gives a process of its own, to which nothing is known of the mails that
// another has decided.
func anew(t *testing.T, address string, n, many int) (*pgstore.State, []id.Message) {
	t.Helper()
	before := open(t, address)
	ids := owing(t, before, n, many)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, address), ids
}

func claiming(t *testing.T, address string, wire *pgtest.Wire) func(n, many int) int {
	return func(n, many int) int {
		s, _ := anew(t, address, n, many)
		return counted(t, s, wire, func(tx store.Tx) error {
			late := time.UnixMilli(1_000_000)
			owed, err := tx.Outbox().Owed(late, 1000)
			if err != nil {
				return err
			}
			if len(owed) != many {
				t.Errorf("%d mails are owed, want %d", len(owed), many)
			}
			for i := range owed {
				owed[i].State = message.Claimed
				if err := tx.Outbox().Move(&owed[i], outbox.Step{State: message.Claimed}); err != nil {
					return err
				}
			}
			_, _, err = tx.Outbox().NextOwed(late)
			return err
		})
	}
}

func waking(t *testing.T, address string, wire *pgtest.Wire) func(n, many int) int {
	return func(n, many int) int {
		s, ids := anew(t, address, n, many)
		return wire.Count(func() {
			err := s.Read(t.Context(), func(tx store.Tx) error {
				list, err := tx.Outbox().Named(ids)
				if len(list) != many {
					t.Errorf("%d mails are there, want %d", len(list), many)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil { // It waits for the end of the snapshot.
				t.Error(err)
			}
		})
	}
}
