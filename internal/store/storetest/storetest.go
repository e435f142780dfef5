// Package storetest is the contract that every home of the data must pass: what
// each accessor gives back, what a rollback leaves, who may write first. What
// comes in is a way to open a fresh store; what goes out are test failures. It
// knows no database.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rapport/internal/id"
	"rapport/internal/store"
)

// noon is the instant around which the tests happen.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var normal = store.WriteOptions{Priority: store.Normal}

// Run checks a state store. open gives a new, empty one and closes it with the test.
func Run(t *testing.T, open func(t *testing.T) store.State) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store.State)
	}{
		{"Persons", testPersons},
		{"Identity", testIdentity},
		{"Merges", testMerges},
		{"Packs", testPacks},
		{"SegmentCounts", testSegmentCounts},
		{"Backfill", testBackfill},
		{"Alarms", testAlarms},
		{"Ledger", testLedger},
		{"GrantsOfTheirOwn", testGrantsOfTheirOwn},
		{"Notices", testNotices},
		{"OptIns", testOptIns},
		{"Foreseen", testForeseen},
		{"ForeseenPeople", testForeseenPeople},
		{"Ahead", testAhead},
		{"Narrowing", testNarrowing},
		{"Suppressions", testSuppressions},
		{"MailInsert", testMailInsert},
		{"MailTwin", testMailTwin},
		{"MailOwed", testMailOwed},
		{"MailMove", testMailMove},
		{"MailInState", testMailInState},
		{"MailStory", testMailStory},
		{"MailNewest", testMailNewest},
		{"MailReassign", testMailReassign},
		{"MailShared", testMailShared},
		{"MailParts", testMailParts}, {"MailRewritten", testMailRewritten},
		{"Caps", testCaps},
		{"LogID", testLogID},
		{"Position", testPosition},
		{"Seen", testSeen},
		{"Asides", testAsides},
		{"Groups", testGroups},
		{"Trail", testTrail},
		{"Relay", testRelay},
		{"Told", testTold},
		{"Destinations", testDestinations}, {"Requests", testRequests}, {"ForgetRequests", testForgetRequests}, {"Barred", testBarred}, {"Breaches", testBreaches}, {"Forget", testForget},
		{"HeldBack", testHeldBack},
		{"Trim", testTrim}, {"TrimErasures", testTrimErasures},
		{"Alerts", testAlerts},
		{"Keys", testKeys},
		{"Rejects", testRejects},
		{"Violations", testViolations},
		{"Versions", testVersions},
		{"Meta", testMeta},
		{"Rollback", testRollback},
		{"RollbackOfPanic", testRollbackOfPanic},
		{"StatementError", testStatementError},
		{"Priority", testPriority},
		{"WaitEndsWithContext", testWaitEndsWithContext},
		{"Durable", testDurable},
		{"Snapshot", testSnapshot},
		{"ConcurrentReaders", testConcurrentReaders},
		{"ReadsMayNotWrite", testReadsMayNotWrite},
		{"Close", testClose},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

// write runs fn in a transaction that must commit.
func write(t *testing.T, s store.State, fn func(tx store.Tx) error) {
	t.Helper()
	if err := s.Write(context.Background(), normal, fn); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// read runs fn in a snapshot that must not fail.
func read(t *testing.T, s store.State, fn func(tx store.Tx) error) {
	t.Helper()
	if err := s.Read(context.Background(), fn); err != nil {
		t.Fatalf("read: %v", err)
	}
}

// same compares; nil and empty slices are the same.
func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func hash(s string) (h id.Hash) {
	copy(h[:], fmt.Sprintf("%-16s", s))
	return h
}

var errPlanned = errors.New("planned")

func testPersons(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error {
		for i := id.Person(1); i <= 5; i++ {
			if err := tx.Persons().Insert(i, fmt.Appendf(nil, "body %d", i)); err != nil {
				return err
			}
		}
		n, err := tx.Persons().Count()
		same(t, "count within", n, 5)
		return err
	})
	write(t, s, func(tx store.Tx) error { return tx.Persons().Update(3, make([]byte, 9000)) })
	read(t, s, func(tx store.Tx) error {
		got := map[id.Person]int{}
		var order []id.Person
		err := tx.Persons().Load([]id.Person{1, 3, 4, 77}, func(who id.Person, body []byte) error {
			got[who] = len(body)
			order = append(order, who)
			return tx.Persons().Load([]id.Person{2}, func(_ id.Person, other []byte) error { // Nested.
				same(t, "nested", string(other), "body 2")
				if who == 1 {
					same(t, "outer after nested", string(body), "body 1")
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		same(t, "lengths", got, map[id.Person]int{1: 6, 3: 9000, 4: 6})
		same(t, "order", order, []id.Person{1, 3, 4})
		after, err := tx.Persons().After(2, 2)
		same(t, "after", after, []id.Person{3, 4})
		if err != nil {
			return err
		}
		n, err := tx.Persons().Count()
		same(t, "count", n, 5)
		return err
	})
	write(t, s, func(tx store.Tx) error {
		if err := tx.Persons().Update(99, []byte("x")); err == nil {
			t.Error("an update of nobody succeeds")
		}
		if err := tx.Persons().Insert(3, []byte("x")); err == nil {
			t.Error("a second row of one person succeeds")
		}
		if err := tx.Persons().Load([]id.Person{1}, func(id.Person, []byte) error { return errPlanned }); !errors.Is(err, errPlanned) {
			t.Errorf("the callback's error comes out as %v", err)
		}
		return nil
	})
	read(t, s, func(tx store.Tx) error {
		n, err := tx.Persons().Count()
		same(t, "count after failures", n, 5)
		return err
	})
}

func testMeta(t *testing.T, s store.State) {
	ctx := t.Context()
	if v, err := s.Meta(ctx, "key"); v != nil || err != nil {
		t.Errorf("unset: %q, %v", v, err)
	}
	for _, v := range []string{"one", "", "two"} {
		if err := s.SetMeta(ctx, "key", []byte(v)); err != nil {
			t.Fatal(err)
		}
		got, err := s.Meta(ctx, "key")
		if err != nil || got == nil || string(got) != v {
			t.Errorf("got %q, %v; want %q", got, err, v)
		}
	}
}

func testRollback(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error { return tx.Persons().Insert(1, []byte("old")) })
	err := s.Write(t.Context(), normal, func(tx store.Tx) error {
		if err := tx.Persons().Update(1, []byte("new")); err != nil {
			return err
		}
		if err := tx.Persons().Insert(2, []byte("two")); err != nil {
			return err
		}
		if err := tx.Processor().AppendRelay([]byte("relay")); err != nil {
			return err
		}
		if _, _, err := tx.Outbox().Insert(mail("k", 1, noon), noon); err != nil {
			return err
		}
		return errPlanned
	})
	if !errors.Is(err, errPlanned) {
		t.Fatalf("the error comes out as %v", err)
	}
	read(t, s, func(tx store.Tx) error {
		err := tx.Persons().Load([]id.Person{1, 2}, func(who id.Person, body []byte) error {
			if who != 1 || string(body) != "old" {
				t.Errorf("%s holds %q", who, body)
			}
			return nil
		})
		n, countErr := tx.Persons().Count()
		same(t, "count", n, 1)
		counts, mailErr := tx.Outbox().Counts()
		same(t, "mails", len(counts), 0)
		rows, relayErr := tx.Processor().Relay(0, 10)
		same(t, "relay rows", len(rows), 0)
		return errors.Join(err, countErr, mailErr, relayErr)
	})
	write(t, s, func(tx store.Tx) error { return tx.Persons().Insert(2, []byte("again")) })
}

func testRollbackOfPanic(t *testing.T, s store.State) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = s.Write(t.Context(), normal, func(tx store.Tx) error {
			if err := tx.Persons().Insert(1, []byte("x")); err != nil {
				return err
			}
			panic("a defect")
		})
	}()
	write(t, s, func(tx store.Tx) error { // The next one may write, and finds nothing.
		n, err := tx.Persons().Count()
		same(t, "count", n, 0)
		return err
	})
}

// testStatementError: a statement that fails leaves the rest of its transaction whole.
func testStatementError(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error {
		if err := tx.Persons().Insert(1, []byte("x")); err != nil {
			return err
		}
		if err := tx.Persons().Insert(1, []byte("y")); err == nil {
			t.Error("a second row of one person succeeds")
		}
		return tx.Persons().Insert(2, []byte("z"))
	})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Persons().After(0, 10)
		same(t, "persons", got, []id.Person{1, 2})
		return err
	})
}

func testPriority(t *testing.T, s store.State) {
	inside, leave := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		_ = s.Write(context.Background(), normal, func(store.Tx) error {
			close(inside)
			<-leave
			return nil
		})
	})
	<-inside
	var mu sync.Mutex
	var order []string
	// Each waits, in turn, before the next one comes; those who wait are found
	// by the number that have begun and not been let in.
	for i, w := range []struct {
		name string
		p    store.Priority
	}{{"idle 1", store.Idle}, {"normal 1", store.Normal}, {"idle 2", store.Idle}, {"urgent 1", store.Urgent}, {"normal 2", store.Normal}, {"urgent 2", store.Urgent}, {"narrowing", store.Narrowing}} {
		group.Go(func() {
			err := s.Write(context.Background(), store.WriteOptions{Priority: w.p}, func(store.Tx) error {
				mu.Lock()
				defer mu.Unlock()
				order = append(order, w.name)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		waitFor(t, s, i+1)
	}
	for p, want := range []int{store.Narrowing: 1, store.Urgent: 3, store.Normal: 5, store.Idle: 7} {
		same(t, "waiting", s.Waiting(store.Priority(p)), want)
	}
	close(leave)
	group.Wait()
	same(t, "order", order, []string{"narrowing", "urgent 1", "urgent 2", "normal 1", "normal 2", "idle 1", "idle 2"})
}

func waitFor(t *testing.T, s store.State, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); s.Waiting(store.Idle) < n; {
		if time.Now().After(deadline) {
			t.Fatalf("%d wait to write, want %d", s.Waiting(store.Idle), n)
		}
	}
}

func testWaitEndsWithContext(t *testing.T, s store.State) {
	inside, leave := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		_ = s.Write(context.Background(), normal, func(store.Tx) error {
			close(inside)
			<-leave
			return nil
		})
	})
	<-inside
	ctx, end := context.WithCancel(context.Background())
	got := make(chan error)
	go func() {
		got <- s.Write(ctx, normal, func(store.Tx) error {
			t.Error("it ran although its context had ended")
			return nil
		})
	}()
	waitFor(t, s, 1)
	end()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(leave)
	group.Wait()
	write(t, s, func(store.Tx) error { return nil })
}

func testDurable(t *testing.T, s store.State) {
	for i := id.Person(1); i <= 6; i++ { // To and fro; that it survives power loss is shown with a file system of its own.
		err := s.Write(t.Context(), store.WriteOptions{Durable: i%2 == 0, Priority: store.Priority(i % 3)}, func(tx store.Tx) error {
			return tx.Persons().Insert(i, []byte("x"))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read(t, s, func(tx store.Tx) error {
		n, err := tx.Persons().Count()
		same(t, "count", n, 6)
		return err
	})
}

func testSnapshot(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error { return tx.Persons().Insert(1, []byte("x")) })
	read(t, s, func(tx store.Tx) error {
		before, err := tx.Persons().Count()
		if err != nil {
			return err
		}
		write(t, s, func(tx store.Tx) error { return tx.Persons().Insert(2, []byte("y")) })
		after, err := tx.Persons().Count()
		same(t, "count in one snapshot", after, before)
		return err
	})
	read(t, s, func(tx store.Tx) error {
		n, err := tx.Persons().Count()
		same(t, "count in the next", n, 2)
		return err
	})
}

// testConcurrentReaders: each snapshot shows whole transactions only.
func testConcurrentReaders(t *testing.T, s store.State) {
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				err := s.Read(context.Background(), func(tx store.Tx) error {
					got, err := tx.Persons().After(0, 1000)
					if len(got)%10 != 0 {
						t.Errorf("a snapshot shows %d persons: part of a transaction", len(got))
					}
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 20 {
		write(t, s, func(tx store.Tx) error {
			for j := range 10 {
				if err := tx.Persons().Insert(id.Person(i*10+j+1), make([]byte, 300)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	close(done)
	group.Wait()
}

func testReadsMayNotWrite(t *testing.T, s store.State) {
	for name, fn := range map[string]func(tx store.Tx) error{
		"person": func(tx store.Tx) error { return tx.Persons().Insert(1, []byte("x")) },
		"relay":  func(tx store.Tx) error { return tx.Processor().AppendRelay([]byte("x")) },
		"mail": func(tx store.Tx) error {
			_, _, err := tx.Outbox().Insert(mail("k", 1, noon), noon)
			return err
		},
	} {
		if err := s.Read(t.Context(), fn); err == nil {
			t.Errorf("%s: a reader has written", name)
		}
	}
}

func testClose(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error { return tx.Persons().Insert(1, []byte("x")) })
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Write(t.Context(), normal, func(store.Tx) error { return nil }); err == nil {
		t.Error("a closed store can be written")
	}
	if err := s.Read(t.Context(), func(store.Tx) error { return nil }); err == nil {
		t.Error("a closed store can be read")
	}
}
