package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rapport/internal/destination"
	"rapport/internal/store"
)

func item(name string) destination.Item {
	return destination.Item{Kind: destination.Segment, Flags: destination.Left, Name: name, At: noon, Person: 7, Subject: hash("s"), Body: []byte(`{"a":1}`)}
}

func tell(t *testing.T, s store.State, names ...string) {
	t.Helper()
	write(t, s, func(tx store.Tx) error {
		for _, n := range names {
			if _, err := tx.Destination().Tell(item(n)); err != nil {
				return err
			}
		}
		return nil
	})
}

func testTold(t *testing.T, s store.State) {
	tell(t, s, "a", "b")
	err := s.Write(t.Context(), normal, func(tx store.Tx) error {
		seq, err := tx.Destination().Tell(item("lost"))
		same(t, "number", seq, 3)
		return errors.Join(err, errPlanned)
	})
	if !errors.Is(err, errPlanned) {
		t.Fatal(err)
	}
	write(t, s, func(tx store.Tx) error {
		d := tx.Destination()
		nobody := destination.Item{Kind: destination.Alert, Name: "c", At: noon}
		seq, err := d.Tell(nobody)
		same(t, "number after a rollback", seq, 3)
		if err != nil {
			return err
		}
		within, err := d.Told(2, 10)
		nobody.Seq = 3
		same(t, "within the transaction", within, []destination.Item{nobody})
		return err
	})
	read(t, s, func(tx store.Tx) error {
		d := tx.Destination()
		a, b := item("a"), item("b")
		a.Seq, b.Seq = 1, 2
		got, err := d.Told(0, 2)
		same(t, "told", got, []destination.Item{a, b})
		some, itemsErr := d.Items([]int64{2, 9})
		same(t, "items", some, []destination.Item{b})
		none, noneErr := d.Items(nil)
		same(t, "no items", len(none), 0)
		last, lastErr := d.Last()
		same(t, "last", last, 3)
		if _, err := d.Tell(a); err == nil {
			t.Error("a reader tells")
		}
		return errors.Join(err, itemsErr, noneErr, lastErr)
	})
}

func testDestinations(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error {
		d := tx.Destination()
		return errors.Join(d.Begin("crm", 4), d.Begin("Bi", 2), d.Begin("crm", 9), d.Move("crm", 6, 3), d.Move("crm", 5, 0), d.Disable("Bi", "gone", noon), d.Move("nobody", 1, 0))
	})
	want := []destination.Standing{{Name: "Bi", Seq: 2, Disabled: "gone", Since: noon}, {Name: "crm", Seq: 6}}
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Destination().Standings()
		same(t, "standings", got, want)
		return err
	})
	write(t, s, func(tx store.Tx) error {
		d := tx.Destination()
		return errors.Join(d.Enable("Bi"), d.Hold("crm", destination.Held{Seq: 5, Due: noon}), d.Hold("Bi", destination.Held{Seq: 5, Due: noon}), d.Forget("crm"))
	})
	read(t, s, func(tx store.Tx) error {
		d := tx.Destination()
		got, err := d.Standings()
		same(t, "standings", got, []destination.Standing{{Name: "Bi", Seq: 2}})
		waiting, _, countErr := d.CountHeld("crm")
		same(t, "held for who is forgotten", waiting, 0)
		waiting, _, otherErr := d.CountHeld("Bi")
		same(t, "held for another", waiting, 1)
		return errors.Join(err, countErr, otherErr)
	})
}

func testHeldBack(t *testing.T, s store.State) {
	waits := destination.Held{Seq: 2, Attempts: 3, Due: noon, Reason: "timeout"}
	dead := destination.Held{Seq: 5, Attempts: 10, Due: noon, Dead: true, Reason: "refused", Status: 500}
	old := destination.Held{Seq: 1, Attempts: 10, Due: noon.Add(-time.Hour), Dead: true, Reason: "refused", Status: 404}
	write(t, s, func(tx store.Tx) error {
		d := tx.Destination()
		return errors.Join(d.Hold("crm", destination.Held{Seq: 2, Due: noon}), d.Hold("crm", waits), d.Hold("crm", dead), d.Hold("crm", old),
			d.Hold("crm", destination.Held{Seq: 3, Due: noon}), d.Release("crm", 3), d.Hold("other", waits))
	})
	look := func(what string, wantWaits, wantDead []destination.Held) {
		t.Helper()
		read(t, s, func(tx store.Tx) error {
			d := tx.Destination()
			w, err := d.Held("crm", false, 0, 10)
			same(t, what+": waiting", w, wantWaits)
			x, deadErr := d.Held("crm", true, 0, 10)
			same(t, what+": dead", x, wantDead)
			a, b, countErr := d.CountHeld("crm")
			same(t, what+": counts", [2]int64{a, b}, [2]int64{int64(len(wantWaits)), int64(len(wantDead))})
			return errors.Join(err, deadErr, countErr)
		})
	}
	look("at first", []destination.Held{waits}, []destination.Held{old, dead})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Destination().Held("crm", true, 1, 1)
		same(t, "a page", got, []destination.Held{dead})
		return err
	})
	later := noon.Add(time.Minute)
	write(t, s, func(tx store.Tx) error {
		n, err := tx.Destination().Redrive("crm", []int64{5, 2, 77}, later)
		same(t, "redriven: what waits is not, nor what is not there", n, 1)
		return err
	})
	again := destination.Held{Seq: 5, Due: later}
	look("after one is driven again", []destination.Held{waits, again}, []destination.Held{old})
	write(t, s, func(tx store.Tx) error {
		n, err := tx.Destination().DropDead(noon.Add(-time.Hour), 10)
		same(t, "too young to be dropped", n, 0)
		return err
	})
	write(t, s, func(tx store.Tx) error {
		n, err := tx.Destination().Redrive("crm", nil, later)
		same(t, "all", n, 1)
		return errors.Join(err, tx.Destination().Hold("crm", old))
	})
	write(t, s, func(tx store.Tx) error {
		n, err := tx.Destination().DropDead(noon, 10)
		same(t, "dropped", n, 1)
		return err
	})
	look("at last", []destination.Held{waits, again}, nil)
}

// testTrimErasures: of erasures that go the bodies are given as they were kept, of
// nothing else.
func testTrimErasures(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) (err error) {
		for i, kind := range []destination.Kind{destination.Event, destination.Erasure, destination.Erasure} {
			_, tellErr := tx.Destination().Tell(destination.Item{Kind: kind, Name: "n", At: noon, Person: 1, Body: fmt.Appendf(nil, "b%d", i)})
			err = errors.Join(err, tellErr)
		}
		return err
	})
	texts := func(bodies [][]byte) (out []string) {
		for _, b := range bodies {
			out = append(out, string(b))
		}
		slices.Sort(out)
		return out
	}
	there := func() (out []string) {
		t.Helper()
		read(t, s, func(tx store.Tx) error {
			list, err := tx.Destination().Erasures()
			out = texts(list)
			return err
		})
		return out
	}
	all, gone := there(), []string(nil)
	same(t, "how many there are", len(slices.Compact(all)), 2)
	write(t, s, func(tx store.Tx) error {
		n, erasures, err := tx.Destination().Trim(2, 10)
		same(t, "how many go", n, 2)
		gone = texts(erasures)
		return err
	})
	rest := there()
	same(t, "how many erasures go", len(gone), 1)
	same(t, "those that went and the rest", slices.Sorted(slices.Values(slices.Concat(gone, rest))), all)
	read(t, s, func(tx store.Tx) error {
		left, err := tx.Destination().Told(0, 10)
		if len(left) != 1 || string(left[0].Body) != "b2" {
			t.Errorf("left is %+v", left)
		}
		return err
	})
}

func testTrim(t *testing.T, s store.State) {
	tell(t, s, "a", "b", "c", "d")
	trim := func(upTo int64, limit int) (n int) {
		t.Helper()
		write(t, s, func(tx store.Tx) (err error) {
			n, _, err = tx.Destination().Trim(upTo, limit)
			return err
		})
		return n
	}
	write(t, s, func(tx store.Tx) error { return tx.Destination().Hold("crm", destination.Held{Seq: 2, Due: noon}) })
	same(t, "one at a time", trim(3, 1), 1)
	same(t, "what is held stays", trim(3, 10), 1)
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Destination().Told(0, 10)
		var names []string
		for _, it := range got {
			names = append(names, it.Name)
		}
		same(t, "left", names, []string{"b", "d"})
		return err
	})
	write(t, s, func(tx store.Tx) error { return tx.Destination().Release("crm", 2) })
	same(t, "all", trim(4, 10), 2)
	read(t, s, func(tx store.Tx) error {
		last, err := tx.Destination().Last()
		same(t, "a number is never given again", last, 4)
		list, listErr := tx.Destination().Standings()
		same(t, "nobody", len(list), 0)
		return errors.Join(err, listErr)
	})
	tell(t, s, "e")
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Destination().Told(0, 10)
		same(t, "rows", len(got), 1)
		same(t, "number", got[0].Seq, 5)
		return err
	})
}
