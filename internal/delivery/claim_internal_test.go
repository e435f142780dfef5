package delivery

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
	"rapport/internal/store/sqlitestore"
)

// still stands for rooms that this test never comes to.
type still struct{}

func (still) Render(context.Context, message.Intent, time.Time) (r message.Rendered, p []byte, err error) {
	return r, nil, nil
}

func (still) Foresee(store.Tx, []id.Person, []string) error { return nil }

func (still) Pass(store.Tx, *outbox.Mail, time.Time) (bool, string, []byte, error) {
	return true, "", nil, nil
}

func (still) Send(context.Context, []message.Rendered) []message.Outcome { return nil }

func (still) Capabilities() Capabilities { return Capabilities{} }

// A look at the outbox claims no more than there is room for, although what is
// held in memory at the beginning may have been handed over meanwhile.
func TestScanClaimsWhatThereIsRoomFor(t *testing.T) {
	mem, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }()
	d, err := New(Config{
		State: mem, Renderer: still{}, Gate: still{}, Now: time.Now, Mono: time.Now, Logger: slog.New(slog.DiscardHandler),
		Providers: map[string]Provider{"main": still{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := d.lanes["main"]
	go d.ledger.run()
	defer d.ledger.close()
	err = mem.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error {
		for i := range l.window + 10 {
			in := message.Intent{ID: id.Message{byte(i >> 8), byte(i), 1}, Key: time.Duration(i).String(), Person: 1, Class: message.Transactional}
			if _, _, err := tx.Outbox().Insert(in, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(5) { // handed over, and the registry has not heard of it
		d.mails.add(&job{mail: outbox.Mail{Intent: message.Intent{ID: id.Message{9, 9, i}}}, lane: l, claimed: time.Now()})
	}
	more, err := d.claimRound(t.Context(), nil, true, l.window)
	if err != nil || !more {
		t.Errorf("more = %v, %v; ten mails are still owed", more, err)
	}
	err = mem.Read(t.Context(), func(tx store.Tx) error {
		counts, err := tx.Outbox().Counts()
		if counts[message.Claimed] != int64(l.window) || counts[message.Deferred] != 0 {
			t.Errorf("states %v, want %d claimed and none deferred", counts, l.window)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
