package delivery_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

// What is skipped in a transaction that fails is counted once, when it succeeds.
func TestSkipsAreCountedWhenTheyAreCommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.cfg.Skips = &delivery.Skips{}
		b.gate.set(func(*outbox.Mail) (bool, string, []byte, error) { return false, "withdrawn", nil, nil })
		fails := 2
		b.mem.BeforeCommit(func(o store.WriteOptions) error {
			if o.Durable && fails > 0 {
				fails--
				return errors.New("the disk is tired")
			}
			return nil
		})
		b.open()
		b.wake(b.owe(nil))
		b.settle()
		time.Sleep(time.Minute) // The bubble's clock: what was given back is claimed again.
		b.settle()
		b.close()
		if got := b.cfg.Skips.Counts(); got["withdrawn"] != 1 || len(got) != 1 || fails != 0 {
			t.Errorf("counted %v after %d failures to come", got, fails)
		}
	})
}

// However many reasons there are, the page of metrics stays short.
func TestReasonsOfSkipsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.cfg.Skips = &delivery.Skips{}
		n := 0
		b.gate.set(func(*outbox.Mail) (bool, string, []byte, error) {
			n++
			return false, fmt.Sprint("reason_", n), nil, nil
		})
		b.open()
		for range 100 {
			b.wake(b.owe(nil))
		}
		b.settle()
		b.close()
		if got := b.cfg.Skips.Counts(); len(got) != 65 || got["other"] != 36 {
			t.Errorf("%d reasons are counted, %d under other", len(got), got["other"])
		}
	})
}
