package sealed_test

import (
	"testing"

	"rapport/internal/destination"
	"rapport/internal/store"
	"rapport/internal/store/sealed"
)

// TestATellingKeepsItsKeyWhileItWaits: what is to be told of an erasure opens after a
// start, and its key is destroyed when it is cleared away, or at the start behind that.
func TestATellingKeepsItsKeyWhileItWaits(t *testing.T) {
	t.Parallel()
	s, beneath := kept(t)
	must(t, s.Write(t.Context(), opts, func(tx store.Tx) (err error) {
		for range 2 {
			if _, err = tx.Destination().Tell(destination.Item{Kind: destination.Erasure, Name: "n", At: noon, Person: 1, Body: []byte(marker)}); err != nil {
				return err
			}
		}
		return nil
	}))
	records := func() int {
		t.Helper()
		list, err := s.Ring.Records()
		must(t, err)
		return len(list)
	}
	must(t, s.Sweep(t.Context()))
	if n := records(); n != 2 {
		t.Fatalf("%d keys of two tellings that wait", n)
	}
	trim := func(upTo int64) func(store.Tx) error {
		return func(tx store.Tx) error {
			_, _, err := tx.Destination().Trim(upTo, 10)
			return err
		}
	}
	must(t, s.Write(t.Context(), opts, trim(1)))
	if n := records(); n != 1 {
		t.Errorf("%d keys of the one that is left", n)
	}
	must(t, s.Read(t.Context(), func(tx store.Tx) error {
		list, err := tx.Destination().Told(0, 10)
		if len(list) != 1 || string(list[0].Body) != marker {
			t.Errorf("there is %+v", list)
		}
		return err
	}))
	must(t, beneath.Write(t.Context(), opts, trim(2))) // and the process died
	must(t, (&sealed.State{State: beneath, Ring: s.Ring}).Sweep(t.Context()))
	if n := records(); n != 0 {
		t.Errorf("%d keys of nothing", n)
	}
}
