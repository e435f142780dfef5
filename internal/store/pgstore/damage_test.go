package pgstore_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
)

// damageable is a body somewhere in the database, and how it is read.
type damageable struct {
	table, column string
	read          func() error // what was written, or an error; anything else fails the test
	codes         string       // of the error, one of them
	names         string       // in the error: what is damaged
}

// TestDamagedRowsAreNeverServed: whichever byte of a row changes in the database,
// its page's checksum being made anew or there being none, reading it gives an error
// that names the row and says what to do; the row itself is read as before when it
// is put right.
func TestDamagedRowsAreNeverServed(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	s := open(t, address)
	records := [][]byte{[]byte("the first record"), []byte("the second one")}
	fill(t, address, records)
	due := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	owed := message.Intent{ID: id.NewMessage(due, "k1"), Key: "k1", Person: 7, Template: "welcome", Purpose: "marketing", Class: message.Triggered, Decided: due, Due: due}
	err := s.Write(t.Context(), store.WriteOptions{Durable: true}, func(tx store.Tx) error {
		if err := tx.Persons().Insert(7, []byte("somebody")); err != nil {
			return err
		}
		if err := tx.Profile().AppendPack(1, []byte("what they did")); err != nil {
			return err
		}
		_, _, err := tx.Outbox().Insert(owed, due)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func(fn func(tx store.Tx) error) func() error {
		return func() error { return s.Read(t.Context(), fn) }
	}
	for _, d := range []damageable{
		{"rapport_state.person", "body", read(func(tx store.Tx) error {
			return tx.Persons().Load([]id.Person{7}, func(_ id.Person, body []byte) error { return whole(t, body, "somebody") })
		}), "file_damaged", "row 7 of person"},
		{"rapport_state.timeline", "body", read(func(tx store.Tx) error {
			body, err := tx.Profile().Pack(1)
			if err != nil {
				return err
			}
			return whole(t, body, "what they did")
		}), "file_damaged", "row 1 of timeline"},
		{"rapport_state.intent", "body", read(func(tx store.Tx) error {
			m, found, err := tx.Outbox().Get(owed.ID)
			if err == nil && (!found || m.Template != "welcome" || m.Key != "k1" || m.Person != 7 || !m.Due.Equal(due)) {
				t.Errorf("a mail was served damaged: %+v", m.Intent)
			}
			return err
		}), "file_damaged", "of intent"},
		{"rapport_log.frame", "body", func() error { return readFrames(t, address, records) }, "log_damaged", "keep a copy of the database (its schema rapport_log)"},
	} {
		everyByte(t, address, d)
	}
}

// fill appends records to the log of a database.
func fill(t *testing.T, address string, records [][]byte) {
	t.Helper()
	l, err := pgstore.OpenLog(t.Context(), pgstore.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	log, err := eventlog.Open(eventlog.Config{Store: l, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx) }()
	if _, _, err := log.Append(ctx, eventlog.Live, records); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// readFrames reads the log as a process does that has just begun.
func readFrames(t *testing.T, address string, records [][]byte) error {
	t.Helper()
	l, err := pgstore.OpenLog(t.Context(), pgstore.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	log, err := eventlog.Open(eventlog.Config{Store: l, Now: time.Now})
	if err != nil {
		return err
	}
	got, err := log.Read(t.Context(), eventlog.Live, 1, 1<<20)
	if err != nil {
		return err
	}
	if len(got) != len(records) {
		t.Errorf("%d records were served, want %d", len(got), len(records))
	}
	for i := range got {
		if !bytes.Equal(got[i].Body, records[i]) {
			t.Errorf("record %d was served damaged: %q", i+1, got[i].Body)
		}
	}
	return nil
}

func whole(t *testing.T, body []byte, want string) error {
	t.Helper()
	if string(body) != want {
		t.Errorf("%q was served, want %q", body, want)
	}
	return nil
}

// everyByte changes each byte of a body in turn, and cuts its last one off.
func everyByte(t *testing.T, address string, d damageable) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	var body []byte
	if err := c.QueryRow(t.Context(), fmt.Sprintf("SELECT %s FROM %s", d.column, d.table)).Scan(&body); err != nil {
		t.Fatal(d.table, err)
	}
	write := func(raw []byte) {
		t.Helper()
		tag, err := c.Exec(t.Context(), fmt.Sprintf("UPDATE %s SET %s = $1", d.table, d.column), raw)
		if err != nil || tag.RowsAffected() != 1 {
			t.Fatal(d.table, tag, err)
		}
	}
	check := func(what string) {
		t.Helper()
		err := d.read()
		if err == nil || fault.CodeOf(err) != d.codes || !strings.Contains(err.Error(), d.names) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: %s: got %v, want %s that names %q and says what to do", d.table, what, err, d.codes, d.names)
		}
	}
	for i := range body {
		harmed := bytes.Clone(body)
		harmed[i] ^= 1 << (i % 8)
		write(harmed)
		check(fmt.Sprintf("byte %d of %d", i, len(body)))
	}
	write(body[:len(body)-1])
	check("a byte too few")
	write([]byte{})
	check("nothing")
	write(body)
	if err := d.read(); err != nil {
		t.Errorf("%s: put right it gives %v", d.table, err)
	}
}
