package sealed_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/ingest"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/processor"
	"rapport/internal/seal"
	"rapport/internal/store"
	"rapport/internal/store/sealed"
	"rapport/internal/store/sqlitestore"
)

// kept opens a state that seals, and gives what lies beneath it too.
func kept(t *testing.T) (*sealed.State, store.State) {
	t.Helper()
	files, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	must(t, err)
	t.Cleanup(func() { must(t, files.Close()) })
	return &sealed.State{State: files, Ring: ring(t)}, files
}

// TestARecordTakesItsKeyAlong when it is taken away, and not when that is undone.
func TestARecordTakesItsKeyAlong(t *testing.T) {
	t.Parallel()
	s, beneath := kept(t)
	var one, two int64
	var payload []byte
	must(t, s.Write(t.Context(), opts, func(tx store.Tx) (err error) {
		x := ingest.Reject{At: noon, Source: "shop", Path: "/v1/track", Code: "c", Payload: []byte(marker)}
		one, err = tx.Ingest().AppendReject(x)
		if err == nil {
			two, err = tx.Ingest().AppendReject(x)
		}
		return err
	}))
	must(t, beneath.Read(t.Context(), func(tx store.Tx) error {
		r, _, err := tx.Ingest().Reject(one)
		payload = r.Payload // as a copy has it
		return err
	}))
	opens := func() bool {
		t.Helper()
		_, err := s.Ring.Open(nil, []byte("reject"), payload)
		if err != nil && fault.CodeOf(err) != seal.CodeDestroyed {
			t.Fatal(err)
		}
		return err == nil
	}
	undone := errors.New("undone")
	drop := func(and error) error {
		return s.Write(t.Context(), opts, func(tx store.Tx) error {
			_, err := tx.Ingest().DropReject(one)
			return errors.Join(err, and)
		})
	}
	if err := drop(undone); !errors.Is(err, undone) || !opens() {
		t.Errorf("undone: %v, and the record opens: %t", err, opens())
	}
	must(t, drop(nil))
	if opens() {
		t.Error("a copy of the record still opens")
	}
	must(t, s.Read(t.Context(), func(tx store.Tx) error {
		r, _, err := tx.Ingest().Reject(two)
		if string(r.Payload) != marker {
			t.Errorf("the other record holds %q", r.Payload)
		}
		return err
	}))
}

// busy refuses to drop keys a few times.
type busy struct {
	seal.Store
	left int
}

func (b *busy) Drop(keys [][]byte) error {
	if len(keys) > 0 && b.left > 0 {
		b.left--
		return errors.New("the disk is full")
	}
	return b.Store.Drop(keys)
}

// TestAKeyThatCouldNotBeDestroyed: what is committed has not failed, and the key goes
// with the next write.
func TestAKeyThatCouldNotBeDestroyed(t *testing.T) {
	t.Parallel()
	s, beneath := kept(t)
	s.Ring = ringOver(t, func(x seal.Store) seal.Store { return &busy{x, 2} })
	a := processor.Aside{Pos: 7, Body: []byte(marker), Code: "c", At: noon}
	must(t, s.Write(t.Context(), opts, func(tx store.Tx) error { return tx.Processor().SetAside(a) }))
	var body []byte
	must(t, beneath.Read(t.Context(), func(tx store.Tx) error {
		x, _, err := tx.Processor().Aside(a.Lane, a.Pos)
		body = x.Body
		return err
	}))
	k, ok := seal.RecordOf(body)
	if !ok {
		t.Fatal("it has no key of its own")
	}
	for n, want := range []bool{true, true, false} {
		must(t, s.Write(t.Context(), opts, func(tx store.Tx) error {
			_, err := tx.Processor().EndAside(a.Lane, a.Pos, true)
			return err
		}))
		if there := s.Ring.Load(k) == nil && opensAside(s.Ring, body); there != want {
			t.Errorf("after write %d it opens: %t", n, there)
		}
	}
}

// TestKeysThatAreLeftOver by a crash go at the next start, and no others.
func TestKeysThatAreLeftOver(t *testing.T) {
	t.Parallel()
	s, beneath := kept(t)
	s.Ring = ringOver(t, func(x seal.Store) seal.Store { return &busy{x, 1} })
	var bodies [][]byte // of two rejects and an aside
	must(t, s.Write(t.Context(), opts, func(tx store.Tx) error {
		for range 2 {
			if _, err := tx.Ingest().AppendReject(ingest.Reject{At: noon, Source: "shop", Path: "/v1/track", Code: "c", Payload: []byte(marker)}); err != nil {
				return err
			}
		}
		return tx.Processor().SetAside(processor.Aside{Pos: 7, Body: []byte(marker), Code: "c", At: noon})
	}))
	must(t, beneath.Read(t.Context(), func(tx store.Tx) error {
		list, err := tx.Ingest().Rejects(ingest.RejectQuery{Limit: 10})
		for _, x := range list {
			bodies = append(bodies, x.Payload)
		}
		a, _, asideErr := tx.Processor().Aside(0, 7)
		bodies = append(bodies, a.Body)
		return errors.Join(err, asideErr)
	}))
	there := func() (out [3]bool) {
		for i, body := range bodies {
			k, _ := seal.RecordOf(body)
			all, err := s.Ring.Records()
			must(t, err)
			out[i] = slices.Contains(all, k)
		}
		return out
	}
	must(t, s.Sweep(t.Context()))
	if got := there(); got != [3]bool{true, true, true} {
		t.Fatalf("all are in use, and there are %v", got)
	}
	must(t, s.Write(t.Context(), opts, func(tx store.Tx) error {
		_, err := tx.Ingest().DropReject(2)
		return err
	}))
	if got := there(); got != [3]bool{true, true, true} {
		t.Fatalf("the key of what is gone was destroyed: %v", got)
	}
	again := &sealed.State{State: beneath, Ring: s.Ring} // The process died.
	must(t, again.Sweep(t.Context()))
	if got := there(); got != [3]bool{false, true, true} {
		t.Errorf("after a start there are %v", got)
	}
}

// opensAside tells whether a body that was set aside opens.
func opensAside(r *seal.Ring, body []byte) bool {
	_, err := r.Open(nil, append([]byte("aside/"), 0, 0, 0, 0, 0, 0, 0, 0, 7), body)
	return err == nil
}

// TestAMailGoesOnWithWhomItIsShared: it is sealed for them before the keys of whoever
// leaves are destroyed, and nobody else's keys open what goes to another.
func TestAMailGoesOnWithWhomItIsShared(t *testing.T) {
	t.Parallel()
	s, _ := kept(t)
	m := id.Message{1}
	must(t, s.Write(t.Context(), opts, func(tx store.Tx) error {
		_, _, err := tx.Outbox().Insert(message.Intent{ID: m, Key: "k", Person: 1, To: marker, Template: "note", Class: message.Transactional, Data: []byte(`{"a":1}`), Decided: noon, Due: noon}, noon)
		return errors.Join(err, tx.Outbox().SaveParts(m, []byte("parts")), tx.Outbox().Share(m, 2))
	}))
	got := func() (out outbox.Mail, parts []byte) {
		t.Helper()
		must(t, s.Read(t.Context(), func(tx store.Tx) (err error) {
			if out, _, err = tx.Outbox().Get(m); err == nil {
				parts, err = tx.Outbox().Parts(m)
			}
			return err
		}))
		return out, parts
	}
	must(t, s.Write(t.Context(), opts, func(tx store.Tx) error {
		return errors.Join(tx.Outbox().Forget(m, 1, false), tx.Outbox().Entrust(m, []id.Person{1}, 2))
	}))
	must(t, s.Ring.Destroy(seal.Person(1)))
	if mail, parts := got(); mail.Person != 2 || mail.To != marker || string(mail.Data) != `{"a":1}` || string(parts) != "parts" {
		t.Errorf("shared: %+v %q", mail, parts)
	}
	must(t, s.Write(t.Context(), opts, func(tx store.Tx) error { return errors.Join(tx.Outbox().Give(m, 2, 3), tx.Outbox().Entrust(m, nil, 3)) }))
	must(t, s.Ring.Destroy(seal.Person(2)))
	if mail, parts := got(); mail.Person != 3 || mail.To != marker || string(parts) != "parts" {
		t.Errorf("given: %+v %q", mail, parts)
	}
	must(t, s.Ring.Destroy(seal.Person(3)))
	if mail, parts := got(); mail.To != "" || mail.Data != nil || parts != nil {
		t.Errorf("of whom there is no key: %+v %q", mail, parts)
	}
}
