package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"rapport/internal/audit"
	"rapport/internal/id"
	"rapport/internal/store"
)

// testTrail keeps rows, hashes and checkpoints, and takes back what is rolled back.
func testTrail(t *testing.T, s store.State) {
	ann, bob := id.Hash{1}, id.Hash{2}
	var want []audit.Row
	add := func(tx store.Tx, a audit.Act) error {
		r, err := audit.NewRow(&a, make([]byte, audit.SaltBytes))
		if err != nil {
			return err
		}
		r.N, err = tx.Audit().Append(r)
		want = append(want, r)
		return err
	}
	write(t, s, func(tx store.Tx) error {
		return errors.Join(
			add(tx, audit.Act{At: noon, Actor: "key/a", What: "person.read", Object: "per_1", Subject: ann, Detail: []byte(`{"a":1}`)}),
			add(tx, audit.Act{At: noon.Add(time.Second), Actor: "walk", What: audit.WalkedAct, Object: "live/1"}),
			add(tx, audit.Act{At: noon.Add(2 * time.Second), Actor: "key/b", What: "person.erased", Object: "per_2", Subject: bob}),
		)
	})
	broken := errors.New("taken back")
	err := s.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error {
		n := len(want)
		defer func() { want = want[:n] }()
		return errors.Join(add(tx, audit.Act{At: noon, What: "x"}), broken)
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	write(t, s, func(tx store.Tx) error {
		err := add(tx, audit.Act{At: noon.Add(3 * time.Second), Actor: "key/a", What: "person.read", Object: "per_2", Subject: bob})
		size, sizeErr := tx.Audit().Size()
		same(t, "size within the transaction", size, 4)
		return errors.Join(err, sizeErr)
	})
	for i := range want {
		same(t, "numbers have no gaps", want[i].N, int64(i))
	}
	search := func(q audit.Query) (found []int64) {
		q.Newest = 4
		read(t, s, func(tx store.Tx) error {
			rows, err := tx.Audit().Search(q)
			for _, r := range rows {
				same(t, fmt.Sprint("row ", r.N), r, want[r.N])
				found = append(found, r.N)
			}
			return err
		})
		return found
	}
	all := audit.Query{Before: -1, Limit: 10, Walked: true}
	with := func(change func(q *audit.Query)) audit.Query {
		q := all
		change(&q)
		return q
	}
	for name, row := range map[string]struct {
		q    audit.Query
		want []int64
	}{
		"all, newest first": {all, []int64{3, 2, 1, 0}},
		"without the walk":  {with(func(q *audit.Query) { q.Walked = false }), []int64{3, 2, 0}},
		"of one":            {with(func(q *audit.Query) { q.Subjects = []id.Hash{bob} }), []int64{3, 2}},
		"of two":            {with(func(q *audit.Query) { q.Subjects = []id.Hash{bob, ann, bob} }), []int64{3, 2, 0}},
		"of nobody":         {with(func(q *audit.Query) { q.Subjects = []id.Hash{{9}} }), nil},
		"by an actor":       {with(func(q *audit.Query) { q.Actor = "key/a" }), []int64{3, 0}},
		"by an act":         {with(func(q *audit.Query) { q.What = "person.read" }), []int64{3, 0}},
		"by a kind of act":  {with(func(q *audit.Query) { q.What = "person." }), []int64{3, 2, 0}},
		"of a time":         {with(func(q *audit.Query) { q.Since, q.Until = noon.Add(time.Second), noon.Add(3*time.Second) }), []int64{2, 1}},
		"a page":            {with(func(q *audit.Query) { q.Before, q.Limit = 3, 2 }), []int64{2, 1}},
		"a page of one":     {with(func(q *audit.Query) { q.Subjects, q.Before = []id.Hash{bob}, 3 }), []int64{2}},
	} {
		same(t, name, search(row.q), row.want)
	}
	testTree(t, s, want)
}

func testTree(t *testing.T, s store.State, rows []audit.Row) {
	hashes := make([]tlog.Hash, tlog.StoredHashCount(int64(len(rows))))
	for i := range hashes {
		hashes[i] = tlog.RecordHash([]byte{byte(i)})
	}
	one, all := tlog.StoredHashCount(1), int64(len(hashes))
	write(t, s, func(tx store.Tx) error { return tx.Audit().AppendHashes(hashes[:one]) })
	write(t, s, func(tx store.Tx) error {
		n, err := tx.Audit().Hashed()
		same(t, "one is hashed", n, 1)
		return errors.Join(err, tx.Audit().AppendHashes(hashes[one:]))
	})
	marks := []audit.Checkpoint{{Size: 1, At: noon, Note: "one"}, {Size: 4, At: noon.Add(time.Minute), Note: "four"}}
	write(t, s, func(tx store.Tx) error {
		a := tx.Audit()
		_, found, err := a.LastCheckpoint()
		same(t, "no checkpoint yet", found, false)
		return errors.Join(err, a.SaveCheckpoint(marks[0]), a.SaveCheckpoint(marks[1]), a.SetLeft("disk", 1), a.SetLeft("disk", 4))
	})
	read(t, s, func(tx store.Tx) error {
		a := tx.Audit()
		n, err := a.Hashed()
		same(t, "all are hashed", n, int64(len(rows)))
		got, hashErr := a.Hashes([]int64{all - 1, 0, 2})
		same(t, "hashes in the order that was asked", got, []tlog.Hash{hashes[all-1], hashes[0], hashes[2]})
		if _, err := a.Hashes([]int64{all}); err == nil {
			t.Error("a hash that is not there is read")
		}
		page, pageErr := a.Rows(1, 2)
		same(t, "a page of rows", page, rows[1:3])
		list, listErr := a.Checkpoints(1, 5)
		same(t, "checkpoints above", list, marks[1:])
		last, found, lastErr := a.LastCheckpoint()
		same(t, "the newest", last, marks[1])
		same(t, "is there", found, true)
		left, leftErr := a.Left("disk")
		same(t, "left", left, 4)
		none, noneErr := a.Left("elsewhere")
		same(t, "nothing left to elsewhere", none, 0)
		return errors.Join(err, hashErr, pageErr, listErr, lastErr, leftErr, noneErr)
	})
}
