package app_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"rapport/internal/app"
	"rapport/internal/audit"
	"rapport/internal/delivery/deliverytest"
	"rapport/internal/store/pgstore/pgtest"
)

// heard is what clients were told before the power failed.
type heard struct {
	mu       sync.Mutex
	cut      bool
	total    int
	events   map[string]string // message id → person
	sends    map[string]string // idempotency key → id of the mail
	objected map[string]bool   // person
	signed   []audit.Parcel    // checkpoints of the trail
}

// note keeps an answer unless the power is gone by now.
func (h *heard) note(keep func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.cut {
		keep()
		h.total++
	}
}

func (h *heard) over() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cut
}

// The power fails while clients write events, ask for mails and take permission
// back, and what was not synced is forgotten. Whatever a client was told is
// there after a restart: the event, once; the mail, under its id; the objection,
// at the gate. No mail that had arrived is sent again, unless it is
// transactional and says so.
func TestPowerLossForgetsNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	seeded(t, 30, func(t *testing.T, r *rand.Rand) {
		powerFails(t, r, "", func() (string, error) { return "", nil })
	})
}

// The same where the state is in PostgreSQL, whose machine loses its power
// together with ours: of its files is left what was synced at its last
// checkpoint, and of its write-ahead log what it had flushed.
func TestPowerLossOfTheDatabaseForgetsNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	seeded(t, 3, func(t *testing.T, r *rand.Rand) {
		machine, address, err := pgtest.StartMachine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stopped(t, machine.Stop)
		powerFails(t, r, address, func() (string, error) {
			left, err := machine.PowerLoss(t.Context())
			if err != nil {
				return "", err
			}
			stopped(t, left.Stop)
			return left.Like(address), nil
		})
	})
}

// stopped has a cluster stopped when the test ends.
func stopped(t *testing.T, stop func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// powerFails lets the power fail under a house that clients use. fails cuts the
// power of the database's machine, and gives where the next house finds what is
// left of it.
func powerFails(t *testing.T, r *rand.Rand, database string, fails func() (string, error)) {
	t.Helper()
	disk, before, after := newDisk(t), t.TempDir(), t.TempDir()
	h := &heard{events: map[string]string{}, sends: map[string]string{}, objected: map[string]bool{}}
	sink := taking(t, func(string) bool { return h.over() })
	l := live(t, app.Options{Data: before, Database: database, VFS: disk.Name()}, small(t, sink.Addr(), nil))
	limit := 5 + r.IntN(120)
	var lossy *rand.Rand // nil: an orderly disk; else one that reorders
	if r.IntN(2) == 0 {
		lossy = rand.New(rand.NewPCG(r.Uint64(), 2))
	}
	var left string
	var group sync.WaitGroup
	for client := range 6 {
		own := rand.New(rand.NewPCG(r.Uint64(), 3))
		group.Go(func() {
			for n := 0; !h.over(); n++ {
				one(l, h, own, client, n)
				h.mu.Lock()
				if !h.cut && h.total >= limit {
					h.cut = true
					var err error
					if left, err = fails(); err == nil {
						err = disk.PowerLoss(after, lossy)
					}
					if err != nil {
						t.Error(err)
					}
				}
				h.mu.Unlock()
			}
		})
	}
	group.Wait()
	copyFile(t, "keys.json", before, after)
	copyFile(t, "keyset.json", before, after)
	l.end()
	if t.Failed() {
		return // There is nothing to open.
	}
	h.mu.Lock()
	h.cut = false // the lights are on again, the mail server answers
	h.mu.Unlock()
	again := live(t, app.Options{Data: after, Database: left}, nil)
	again.settle()
	checkHeard(t, again, h)
	checkArrived(t, again, h, sink)
	checkSigned(t, again, h)
}

// one does one thing that a client does.
func one(l *lived, h *heard, r *rand.Rand, client, n int) {
	who, what := fmt.Sprintf("c%dp%d", client, r.IntN(10)), fmt.Sprintf("c%d-%d", client, n)
	switch r.IntN(7) {
	case 0:
		who = "o" + what
		if l.object(who) == 200 {
			h.note(func() { h.objected[who] = true })
		}
	case 1:
		if status, mail := l.receipt("r"+what, what); status == 202 {
			h.note(func() { h.sends[what] = mail })
		}
	case 2:
		if l.track("Trigger", "m"+what, what) == 200 {
			h.note(func() { h.events[what] = "m" + what })
		}
	case 3:
		if w := l.ask("POST", "/v1/audit/checkpoint", ""); w.Code == 200 {
			if list, err := audit.ReadParcels(bytes.TrimSpace(w.Body.Bytes())); err == nil {
				h.note(func() { h.signed = append(h.signed, list...) })
			}
		}
	default:
		if l.track("Page Seen", who, what) == 200 {
			h.note(func() { h.events[what] = who })
		}
	}
}

// checkSigned holds the trail against the checkpoints that had left: whatever was
// signed and told is in it still.
func checkSigned(t *testing.T, l *lived, h *heard) {
	t.Helper()
	var key struct{ Key string }
	l.get("/v1/audit/key", &key)
	bundle := l.ask("GET", "/v1/audit/bundle", "").Body
	report, err := audit.Verify(bundle, key.Key, h.signed)
	if err != nil || len(report.Problems) > 0 || report.Older != len(h.signed) {
		t.Errorf("the trail does not hold against %d checkpoints that were told: %+v, %v", len(h.signed), report, err)
	}
}

// checkHeard holds a house against what clients were told.
func checkHeard(t *testing.T, l *lived, h *heard) {
	t.Helper()
	seen := map[string]map[string]int{}
	for what, who := range h.events {
		if seen[who] == nil {
			seen[who] = l.timeline(who)
		}
		if n := seen[who][what]; n != 1 {
			t.Errorf("event %s was acknowledged and is there %d times", what, n)
		}
	}
	for key, mail := range h.sends {
		if w := l.ask("GET", "/v1/messages/"+mail, ""); w.Code != 200 {
			t.Errorf("mail %s was accepted, and now: %d %s", mail, w.Code, w.Body)
		}
		if status, same := l.receipt("r"+key, key); status != 200 || same != mail {
			t.Errorf("asked again under the key %s: %d, mail %s, want %s", key, status, same, mail)
		}
	}
	for who := range h.objected {
		if status := l.track("Trigger", who, "after-"+who); status != 200 {
			t.Errorf("track: %d", status)
		}
	}
	l.settle()
	for who := range h.objected {
		var list struct{ Messages []mail }
		l.get("/v1/messages?person=user_id:"+who, &list)
		for _, m := range list.Messages {
			if m.State != "skipped" {
				t.Errorf("%s objected and has a mail that is %s", who, m.State)
			}
		}
	}
}

// checkArrived holds the ledger against the mail server's record of both lives.
func checkArrived(t *testing.T, l *lived, h *heard, sink *deliverytest.Sink) {
	t.Helper()
	for what, who := range h.events {
		if who != "m"+what {
			continue
		}
		var list struct{ Messages []mail }
		l.get("/v1/messages?person=user_id:"+who, &list)
		n := sink.To(who + "@people.example")
		switch {
		case len(list.Messages) != 1:
			t.Errorf("event %s owes %d mails, want one", what, len(list.Messages))
		case list.Messages[0].State == "accepted" && n != 1, list.Messages[0].State == "unknown" && n > 1:
			t.Errorf("the mail of event %s is %s and came %d times", what, list.Messages[0].State, n)
		case list.Messages[0].State != "accepted" && list.Messages[0].State != "unknown":
			t.Errorf("the mail of event %s is %s", what, list.Messages[0].State)
		}
	}
	for key, id := range h.sends {
		var m mail
		l.get("/v1/messages/"+id, &m)
		if n := sink.To("r" + key + "@people.example"); m.State != "accepted" || n < 1 || n > 1 && !m.Duplicate {
			t.Errorf("mail %s came %d times: %+v", key, n, m)
		}
	}
}
