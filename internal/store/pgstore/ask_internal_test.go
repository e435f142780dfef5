package pgstore

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/store"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/timer"
)

func openHere(t *testing.T) (*State, string) {
	t.Helper()
	address := pgtest.Database(t)
	s, err := OpenState(t.Context(), Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, address
}

// A key that is taken is met with the next question, and who asks may make an error
// of its own of that: the transaction is run again all the same, and asks.
func TestAKeyThatIsTakenIsAskedForWhateverIsMadeOfIt(t *testing.T) {
	t.Parallel()
	s, _ := openHere(t)
	masked := errors.New("made of it by a room")
	insert := func(n byte, key string, once bool) (tries int, added bool, err error) {
		err = s.Write(t.Context(), store.WriteOptions{Once: once}, func(tx store.Tx) (err error) {
			tries++
			in := message.Intent{ID: id.Message{n, 1}, Key: key, Person: 1, Class: message.Transactional}
			if _, added, err = tx.Outbox().Insert(in, time.Now()); err != nil {
				return err
			}
			if _, err := tx.Consent().Standing(id.Hash{9}); err != nil {
				return masked
			}
			return nil
		})
		return tries, added, err
	}
	if _, added, err := insert(1, "k", true); err != nil || !added {
		t.Fatal(added, err)
	}
	if tries, added, err := insert(2, "k", false); err != nil || added || tries != 2 {
		t.Errorf("run again by the store: %d tries, added %v, %v", tries, added, err)
	}
	if tries, added, err := insert(3, "k", false); err != nil || added || tries != 1 {
		t.Errorf("the next one asks at once: %d tries, added %v, %v", tries, added, err)
	}
	s.askKeys = 0
	if _, _, err := insert(4, "k", true); !errors.Is(err, errKeyTaken) || !fault.Temporary(err) {
		t.Errorf("its caller's to run again: %v", err)
	}
	if _, added, err := insert(4, "k", true); err != nil || added {
		t.Errorf("run again by its caller: added %v, %v", added, err)
	}
}

// How a database is set up may change while a process has it open.
func TestADurableTransactionIsSoWhateverTheDatabaseIsSetUpFor(t *testing.T) {
	t.Parallel()
	s, _ := openHere(t)
	if _, err := s.readers.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`); err != nil {
		t.Fatal(err)
	}
	s.writer.Reset() // as after any loss of the connection
	for durable, want := range map[bool]string{true: "on", false: "off"} {
		got := ""
		err := s.Write(t.Context(), store.WriteOptions{Durable: durable}, func(x store.Tx) error {
			_, err := x.(*tx).one([]any{&got}, "SELECT current_setting('synchronous_commit')")
			return err
		})
		if err != nil || got != want {
			t.Errorf("durable %v: synchronous_commit is %s, %v", durable, got, err)
		}
	}
}

// Rows are locked in order of their keys, whatever the order in which they were
// touched: two transactions then never wait for each other.
func TestRowsAreLockedInOrderOfTheirKeys(t *testing.T) {
	t.Parallel()
	p := pending{
		newPersons: map[id.Person][]byte{}, persons: map[id.Person][]byte{}, idents: map[id.Hash]id.Person{}, alarms: map[timer.Alarm]bool{},
		keys: map[id.Hash]id.Message{}, newMails: map[id.Message]*standing{}, mails: map[id.Message]*standing{}, parts: map[int64][]byte{},
	}
	for _, n := range rand.Perm(100) {
		h := id.Hash{byte(n), 1}
		p.newPersons[id.Person(n)], p.persons[id.Person(n)], p.parts[int64(n)] = nil, nil, nil
		p.idents[h], p.keys[h] = id.Person(n%2), id.Message(h)
		p.alarms[timer.Alarm{Due: int64(n / 10), Who: id.Person(n)}] = n%2 == 0
		p.newMails[id.Message(h)], p.mails[id.Message(h)] = &standing{}, &standing{}
	}
	statements := 0
	sorted := func(sql string, args ...any) {
		if len(args) == 0 {
			return
		}
		statements++
		keys := reflect.ValueOf(args[0])
		if keys.Kind() != reflect.Slice || keys.Len() < 40 {
			t.Errorf("%d keys in %.60s", keys.Len(), sql)
		}
		switch x := args[0].(type) {
		case []int64:
			if !slices.IsSorted(x) {
				t.Errorf("not in order: %.60s: %v", sql, x)
			}
		case []pgtype.UUID:
			if !slices.IsSortedFunc(x, func(a, b pgtype.UUID) int { return slices.Compare(a.Bytes[:], b.Bytes[:]) }) {
				t.Errorf("not in order: %.60s: %v", sql, x)
			}
		default:
			t.Errorf("%.60s begins with %T", sql, x)
		}
	}
	p.flushPeople(sorted)
	p.flushMails(sorted)
	if statements < 9 {
		t.Errorf("%d statements were looked at", statements)
	}
}
