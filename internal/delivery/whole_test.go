package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"rapport/internal/delivery"
	"rapport/internal/delivery/deliverytest"
	smtprelay "rapport/internal/delivery/smtp"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
	"rapport/internal/store/sqlitestore"
)

// TestOverRealFilesAndRealTCP sends 200 mails of each class through SQLite and
// SMTP to a sink that drops some before DATA, some after the final dot and
// refuses others, and holds the ledger against the sink's record.
func TestOverRealFilesAndRealTCP(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	sink, err := deliverytest.NewSink(deliverytest.SinkConfig{Judge: func(_, to string) deliverytest.Fault {
		if to == "" {
			return deliverytest.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		seen[to]++
		n := 0
		if _, err := fmt.Sscanf(to, "p%d@", &n); err != nil || seen[to] > 1 {
			return deliverytest.Fault{}
		}
		switch n % 10 {
		case 3:
			return deliverytest.Fault{Drop: deliverytest.BeforeData}
		case 5:
			return deliverytest.Fault{Drop: deliverytest.AfterDot}
		case 7:
			return deliverytest.Fault{Refuse: &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "later"}}
		case 9:
			return deliverytest.Fault{Refuse: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}}
		}
		return deliverytest.Fault{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	relay, err := smtprelay.New(smtprelay.Config{Addr: sink.Addr(), TLS: smtprelay.None, Now: time.Now, Mono: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	state, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()

	quick := outbox.Schedule{Waits: []time.Duration{5 * time.Millisecond}, GiveUp: time.Hour}
	var suppressed []string
	d, err := delivery.New(delivery.Config{
		State: state, Renderer: &renderer{}, Gate: &gate{}, Providers: map[string]delivery.Provider{"main": relay},
		Suppressor: suppressor(func(address string) { suppressed = append(suppressed, address) }),
		Now:        time.Now, Mono: time.Now, Logger: slog.New(slog.DiscardHandler), UnknownGrace: 50 * time.Millisecond,
		Rules: outbox.Rules{
			Caps:      []outbox.Cap{{Most: 5, Window: time.Hour}},
			Schedules: map[message.Class]outbox.Schedule{message.Transactional: quick, message.Triggered: quick, message.Broadcast: quick},
		},
		Limits: map[string]delivery.Limits{"main": {Concurrency: 16}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()

	var ids []id.Message
	now := time.Now()
	err = state.Write(t.Context(), store.WriteOptions{Durable: true}, func(tx store.Tx) error {
		for i := range 600 {
			in := message.Intent{
				Key: fmt.Sprint("k", i), Person: id.Person(i + 1), Template: "hello", Class: message.Class(i%3 + 1), Decided: now, Due: now,
				To: fmt.Sprintf("p%d@d%d.example", i, i),
			}
			in.ID = id.NewMessage(now, in.Key)
			if _, added, err := tx.Outbox().Insert(in, now); err != nil || !added {
				return errors.Join(err, fmt.Errorf("added %v", added))
			}
			ids = append(ids, in.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Wake(ids...)
	counts := waitForEnds(t, state, len(ids))
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}

	// Of each ten: seven are simply sent or sent after a wait, one each is cut,
	// refused for good. A cut transactional mail goes again.
	if counts[message.Failed] != 60 || counts[message.Resolved] != 40 || counts[message.Accepted] != 500 {
		t.Errorf("states %v", counts)
	}
	for i := range ids {
		to, want := fmt.Sprintf("p%d@d%d.example", i, i), 1
		switch {
		case i%10 == 9:
			want = 0
		case i%10 == 5 && i%3 == 0:
			want = 2 // transactional
		}
		if got := sink.To(to); got != want {
			t.Errorf("mail %d arrived %d times, want %d", i, got, want)
		}
	}
	if len(suppressed) != 60 || !strings.HasPrefix(suppressed[0], "p") {
		t.Errorf("%d addresses suppressed, want 60", len(suppressed))
	}
	err = state.Read(t.Context(), func(tx store.Tx) error {
		rows, err := tx.Processor().Relay(0, 1000)
		if len(rows) != 600 {
			t.Errorf("%d relay rows, want one for each mail", len(rows))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

type suppressor func(address string)

func (s suppressor) Bounced(_ store.Tx, address string, o message.Outcome, _ time.Time) (func(), error) {
	if !o.Suppress {
		return nil, errors.New("asked to suppress a live address")
	}
	return func() { s(address) }, nil
}

// waitForEnds waits until n mails have come to an end, and gives the states.
func waitForEnds(t *testing.T, state store.State, n int) map[message.State]int64 {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var counts map[message.State]int64
		err := state.Read(t.Context(), func(tx store.Tx) error {
			var err error
			counts, err = tx.Outbox().Counts()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		done := int64(0)
		for s, k := range counts {
			if s.Final() {
				done += k
			}
		}
		if done == int64(n) {
			return counts
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("states %v", counts)
		}
	}
}
