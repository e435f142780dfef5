package sealed_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/message"
	"rapport/internal/person"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/seal"
	"rapport/internal/store"
	"rapport/internal/store/sealed"
	"rapport/internal/store/sqlitestore"
)

// marker is what somebody would look for in the files.
const marker = "ann@shop.example"

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ann  = id.Hash{0xA}
	opts = store.WriteOptions{Durable: true}
)

// fill writes the marker wherever personal data is kept, for person 1, and gives
// the mail's id.
func fill(tx store.Tx) (mail id.Message, err error) {
	text := []byte(`{"a":"` + marker + `"}`)
	mail, at := id.Message{1}, profile.Pointer(1<<16)
	var entry []byte
	for _, act := range []func() error{
		func() error { return tx.Persons().Insert(1, text) },
		func() (err error) {
			entry, err = tx.Profile().(profile.Sealer).SealEntry(nil, 1, at, text)
			return err
		},
		func() error { return tx.Profile().AppendPack(1, entry) },
		func() error {
			return tx.Identity().AppendMerge(identity.Merge{Into: 1, From: 2, At: noon, Cause: "m", Rule: "email", Moved: text})
		},
		func() error { return tx.Group().SaveGroup(ann, text) },
		func() error {
			_, _, err := tx.Consent().Append(consent.Entry{
				Record: "r", Subject: ann, Kind: "email", Purpose: "news", State: consent.Granted, Said: noon, At: noon, Method: "event",
				Source: "web", Evidence: text, Facts: text,
			})
			return err
		},
		func() error {
			return tx.Consent().PutOptIn(consent.OptIn{ID: mail, Address: ann, At: noon, Expires: noon, Body: text})
		},
		func() error {
			_, _, err := tx.Outbox().Insert(message.Intent{ID: mail, Key: "k", Person: 1, To: marker, Template: "t", Purpose: "news", Class: message.Broadcast, Data: text, Decided: noon, Due: noon}, noon)
			return err
		},
		func() error { return tx.Outbox().SaveParts(mail, text) },
		func() error { return tx.Processor().AppendRelay(text) },
		func() error {
			return tx.Processor().SetAside(processor.Aside{Lane: eventlog.Live, Pos: 7, At: noon, Code: "c", Error: "e", Body: text})
		},
		func() error {
			_, err := tx.Ingest().AppendReject(ingest.Reject{At: noon, Source: "web", Path: "/", Code: "c", Payload: text})
			return err
		},
		func() error {
			_, err := tx.Audit().Append(audit.Row{At: noon, Actor: "a", What: "w", Leaf: []byte("leaf"), Opening: text})
			return err
		},
		func() error { return tell(tx, destination.Item{Kind: destination.Event, Person: 1, Body: text}) },
		func() error { return tell(tx, destination.Item{Kind: destination.Consent, Subject: ann, Body: text}) },
		func() error { return tell(tx, destination.Item{Kind: destination.Erasure, Person: 1, Body: text}) },
		func() error { return tell(tx, destination.Item{Kind: destination.Alert, Body: text}) },
	} {
		if err := act(); err != nil {
			return mail, err
		}
	}
	return mail, nil
}

func tell(tx store.Tx, it destination.Item) error {
	it.At = noon
	_, err := tx.Destination().Tell(it)
	return err
}

// found lists where the marker is read, or what says that it is gone.
func found(t *testing.T, s store.State, mail id.Message) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	note := func(where string, body []byte, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
		out[where] = bytes.Contains(body, []byte(marker))
	}
	must(t, s.Read(t.Context(), func(tx store.Tx) error {
		pack, err := tx.Profile().Pack(1)
		must(t, err)
		body, err := tx.Profile().(profile.Sealer).OpenEntry(profile.Pointer(1<<16), pack)
		note("history", body, err)
		merges, err := tx.Identity().Merges(1)
		note("merge", merges[0].Moved, err)
		body, err = tx.Group().Group(ann)
		note("group", body, err)
		entries, err := tx.Consent().Ledger(ann)
		note("evidence", entries[0].Evidence, err)
		note("facts", entries[0].Facts, err)
		o, _, err := tx.Consent().OptIn(mail)
		note("opt-in", o.Body, err)
		m, _, err := tx.Outbox().Get(mail)
		note("mail to", []byte(m.To), err)
		note("mail data", m.Data, err)
		body, err = tx.Outbox().Parts(mail)
		note("parts", body, err)
		relay, err := tx.Processor().Relay(0, 9)
		note("relay", relay[0].Body, err)
		aside, _, err := tx.Processor().Aside(eventlog.Live, 7)
		note("aside", aside.Body, err)
		rejects, err := tx.Ingest().Rejects(ingest.RejectQuery{Limit: 9})
		note("reject", rejects[0].Payload, err)
		trail, err := tx.Audit().Rows(0, 9)
		note("trail", trail[0].Opening, err)
		items, err := tx.Destination().Told(0, 9)
		for i, what := range []string{"told event", "told consent", "told erasure", "told alert"} {
			note(what, items[i].Body, err)
		}
		return nil
	}))
	return out
}

// TestNothingIsReadable in the files, everything through the ring; and when the
// keys of somebody are destroyed, nothing of theirs.
func TestNothingIsReadable(t *testing.T) {
	t.Parallel()
	dir, ring := t.TempDir(), ring(t)
	files, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(dir, "state.db")})
	must(t, err)
	log, err := sqlitestore.OpenLog(sqlitestore.LogConfig{Path: filepath.Join(dir, "log.db")})
	must(t, err)
	s := &sealed.State{State: files, Ring: ring}
	var mail id.Message
	must(t, s.Write(t.Context(), opts, func(tx store.Tx) (err error) {
		mail, err = fill(tx)
		return err
	}))
	must(t, (&sealed.Log{Log: log, Ring: ring}).Append(t.Context(), []eventlog.Frame{{Lane: eventlog.Live, First: 1, Count: 1, At: noon, Body: []byte(marker)}}))
	for where, readable := range found(t, s, mail) {
		if !readable {
			t.Errorf("%s does not come back", where)
		}
	}
	if names := holds(t, dir, marker); len(names) > 0 {
		t.Errorf("the marker is readable in %s", strings.Join(names, ", "))
	}
	must(t, ring.Destroy(seal.Person(1), seal.Person(2), seal.Name(ann)))
	left := []string{"group", "relay", "aside", "reject", "trail", "told erasure", "told alert"}
	got := found(t, s, mail)
	for _, where := range left {
		if !got[where] {
			t.Errorf("%s is gone with somebody's keys", where)
		}
		delete(got, where)
	}
	for where, readable := range got {
		if readable {
			t.Errorf("%s is still readable", where)
		}
	}
	err = s.Read(context.Background(), func(tx store.Tx) error {
		return tx.Persons().Load([]id.Person{1}, func(who id.Person, body []byte) error {
			row, err := person.Decode(who, body)
			if err == nil && (row.Erased == 0 || row.Identity != nil) {
				t.Error("the row of somebody who was erased opens")
			}
			return err
		})
	})
	must(t, err)
	must(t, s.Close())
	must(t, log.Close())
	if names := holds(t, dir, marker); len(names) > 0 {
		t.Errorf("the marker is readable in %s", strings.Join(names, ", "))
	}
	if _, err := os.Stat(filepath.Join(dir, "state.db")); err != nil {
		t.Fatal(err)
	}
}
