package processor_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/store"
)

// A whole batch may take long: whoever said no has their turn after a few records, once
// the walk had its least time.
func TestWhoSaysNoWaitsForAFewRecords(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	first := h.walker.Walked(eventlog.Live)
	for i := range 50 {
		h.append(event.Event{UserID: fmt.Sprint("u", i), Name: "Product Added"})
	}
	var ticks time.Duration
	h.machine = func() time.Time { ticks += 200 * time.Microsecond; return start.Add(ticks) } // each record
	var seen int64
	turn := make(chan error, 1)
	records := 0
	h.trouble.pressed = func(really func() bool) bool {
		if records++; records == 1 {
			go func() {
				o := store.WriteOptions{Priority: store.Narrowing, Durable: true}
				turn <- h.state.Write(context.Background(), o, func(tx store.Tx) (err error) {
					seen, err = tx.Processor().Position(eventlog.Live)
					return err
				})
			}()
			for h.state.Waiting(store.Narrowing) == 0 { //nolint:revive // It comes as soon as the goroutine runs.
			}
		}
		return really()
	}
	h.walk()
	h.must(<-turn)
	same(t, "walked before their turn", int64(16), seen-first)
	same(t, "sizes", map[string]int64{"cart": 50}, h.sizes())
}

// hurried is a clock by which each look takes longer than any turn.
func hurried() func() time.Time {
	now := start
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

// An alarm that rings in a transaction which loads nobody ahead is heard all the same.
func TestEndingEarlyLosesNoAlarm(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	for i := range 40 {
		h.append(event.Event{UserID: fmt.Sprint("u", i), Name: "Product Added"})
	}
	h.walk()
	same(t, "sizes", map[string]int64{"cart": 40}, h.sizes())
	h.reopen() // Nobody is in memory.
	h.machine = hurried()
	asked := 0 // The first to ask are those who load.
	h.trouble.pressed = func(func() bool) bool { asked++; return asked%25 == 1 }
	h.at(30 * time.Hour)
	same(t, "sizes when the time of all is over", map[string]int64{}, h.sizes())
}

// Where a transaction ends is nobody's business: what comes out is the same.
func TestEndingEarlyChangesNothing(t *testing.T) {
	t.Parallel()
	const people = 20
	run := func(t *testing.T, every int) (names [][]string, sizes map[string]int64, aside []int64) {
		h := setup(t, shop)
		h.configs[2] = shop
		n := 0
		if every > 0 {
			h.machine = hurried()
			h.trouble.pressed = func(func() bool) bool { n++; return n%every == 0 }
		}
		for _, what := range []string{"Product Added", "Page Seen", "Order Completed"} {
			for i := range people {
				h.append(event.Event{UserID: fmt.Sprint("u", i), Anonymous: fmt.Sprint("a", i/2), Name: what, MessageID: fmt.Sprint(what, i)})
				h.append(event.Event{UserID: fmt.Sprint("u", i), Name: what, MessageID: fmt.Sprint(what, i)}) // again
			}
			h.append(event.Event{Name: "about nobody"})
		}
		h.append(event.Event{Type: event.Config, Source: "rapport", MessageID: "config/2", Name: "2"})
		h.append(event.Event{UserID: "u0", Name: "Product Added"})
		h.walk()
		for i := range people {
			names = append(names, h.names("user_id", fmt.Sprint("u", i)))
		}
		for _, a := range h.asides() {
			aside = append(aside, a.Pos)
		}
		if every > 0 && n == 0 {
			t.Error("nothing asked whether somebody waits")
		}
		return names, h.sizes(), aside
	}
	names, sizes, aside := run(t, 0)
	if len(aside) != 3 {
		t.Fatalf("set aside: got %v, want three", aside)
	}
	for _, every := range []int{1, 2, 5} {
		t.Run(fmt.Sprint("every ", every), func(t *testing.T) {
			n, s, a := run(t, every)
			same(t, "timelines", names, n)
			same(t, "sizes", sizes, s)
			same(t, "set aside", aside, a)
		})
	}
}
