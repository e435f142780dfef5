package pgstore_test

import (
	"testing"

	"rapport/internal/id"
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
