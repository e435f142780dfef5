package storetest

import (
	"errors"
	"testing"
	"time"

	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/rights"
	"rapport/internal/store"
)

func testRequests(t *testing.T, s store.State) {
	ask := func(name string, kind rights.Kind, day int) rights.Request {
		came := noon.AddDate(0, 0, day)
		return rights.Request{ID: name, Kind: kind, Law: rights.GDPR, Person: 7, Subject: hash(name), Received: came, Due: rights.GDPR.Due(came)}
	}
	a, b, c := ask("a", rights.Erase, 2), ask("b", rights.Export, 1), ask("c", rights.Erase, 0)
	write(t, s, func(tx store.Tx) error {
		r := tx.Rights()
		err := errors.Join(r.Put(a), r.Put(b), r.Put(c))
		c.Closed, c.Outcome, c.Told, c.Body = noon.Add(time.Hour), "done", 9, []byte(`{"events":3}`)
		return errors.Join(err, r.Put(c))
	})
	names := func(q rights.Query) (out []string) {
		t.Helper()
		if q.Limit == 0 {
			q.Limit = 10
		}
		read(t, s, func(tx store.Tx) error {
			list, err := tx.Rights().Requests(q)
			for _, x := range list {
				out = append(out, x.ID)
			}
			return err
		})
		return out
	}
	same(t, "newest first", names(rights.Query{}), []string{"a", "b", "c"})
	same(t, "the first", names(rights.Query{Limit: 1}), []string{"a"})
	same(t, "what is open, the first due first", names(rights.Query{Open: true}), []string{"b", "a"})
	d, e := ask("d", rights.Export, 1), ask("e", rights.Export, 0)
	d.Outcome, e.Outcome = rights.Unproven, rights.Unproven
	f := ask("f", rights.Export, 1) // due with b
	write(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Rights().Put(d), tx.Rights().Put(e), tx.Rights().Put(f))
	})
	same(t, "what is open, without what is not proven", names(rights.Query{Open: true}), []string{"b", "f", "a"})
	same(t, "what is not proven", names(rights.Query{Awaited: true}), []string{"e", "d"})
	for name, q := range map[string]rights.Query{"newest": {}, "open": {Open: true}, "not proven": {Awaited: true}} {
		var all []string
		read(t, s, func(tx store.Tx) error {
			all = nil
			for q.Limit = 1; ; {
				list, err := tx.Rights().Requests(q)
				if err != nil || len(list) == 0 {
					return err
				}
				all, q.After = append(all, list[0].ID), q.Mark(&list[0])
			}
		})
		q.After = rights.Mark{}
		q.Limit = 10
		same(t, name+", one after the other", all, names(q))
	}
	same(t, "of a kind", names(rights.Query{Kind: rights.Erase}), []string{"a", "c"})
	same(t, "somebody's", names(rights.Query{Subject: hash("b")}), []string{"b"})
	read(t, s, func(tx store.Tx) error {
		got, found, err := tx.Rights().Request("c")
		same(t, "one is found", found, true)
		same(t, "as it was written last", got, c)
		_, found, noneErr := tx.Rights().Request("none")
		same(t, "none is found", found, false)
		return errors.Join(err, noneErr)
	})
}

// testForgetRequests: what was noted of somebody's requests goes, the requests stay,
// those that waited as ended, and so does what an erasure came to.
func testForgetRequests(t *testing.T, s store.State) {
	put := func(name string, who id.Person, kind rights.Kind, outcome string) rights.Request {
		r := rights.Request{
			ID: name, Kind: kind, Law: rights.GDPR, Person: who, Subject: hash(name), Received: noon, Due: noon.Add(time.Hour), Outcome: outcome, Body: []byte(`{"note":"x"}`),
		}
		if outcome != "" && outcome != rights.Unproven {
			r.Closed = noon.Add(time.Minute)
		}
		write(t, s, func(tx store.Tx) error { return tx.Rights().Put(r) })
		return r
	}
	all := []rights.Request{
		put("one", 1, rights.Restrict, "done"), put("two", 2, rights.Export, ""), put("refused", 1, rights.Erase, "refused"), put("asked", 1, rights.Erase, ""),
		put("awaited", 2, rights.Export, rights.Unproven), put("erased", 1, rights.Erase, "done"), put("another", 3, rights.Restrict, "done"), put("waits", 3, rights.Erase, ""),
	}
	at := noon.Add(2 * time.Hour)
	write(t, s, func(tx store.Tx) error { return tx.Rights().Forget([]id.Person{1, 2}, at) })
	for i := range all {
		want := all[i]
		if i < 5 {
			want.Body = nil
		}
		if i < 5 && want.Closed.IsZero() {
			want.Closed, want.Outcome = at, rights.Erased
		}
		read(t, s, func(tx store.Tx) error {
			got, _, err := tx.Rights().Request(want.ID)
			same(t, want.ID, got, want)
			return err
		})
	}
}

func testBarred(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error {
		r := tx.Rights()
		return errors.Join(r.Bar("one", []id.Hash{{1}, {2}}), r.Bar("two", []id.Hash{{2}, {3}}), r.Bar("none", nil))
	})
	all := func() map[id.Hash]string {
		out := map[id.Hash]string{}
		read(t, s, func(tx store.Tx) error {
			return tx.Rights().EachBarred(func(h id.Hash, request string) error {
				out[h] = request
				return nil
			})
		})
		return out
	}
	same(t, "the first request that barred each", all(), map[id.Hash]string{{1}: "one", {2}: "one", {3}: "two"})
	write(t, s, func(tx store.Tx) error {
		was, err := tx.Rights().Unbar(id.Hash{2})
		same(t, "it was barred", was, true)
		was, againErr := tx.Rights().Unbar(id.Hash{2})
		same(t, "it is not any more", was, false)
		return errors.Join(err, againErr)
	})
	same(t, "the rest", all(), map[id.Hash]string{{1}: "one", {3}: "two"})
}

// testForget: what each room keeps of somebody goes, what is another's stays.
func testForget(t *testing.T, s store.State) {
	own, shared, others := mail("own", 1, noon), mail("shared", 1, noon.Add(time.Second)), mail("others", 2, noon.Add(2*time.Second))
	insert(t, s, own, shared, others)
	ann, bob := hash("ann"), hash("bob")
	moved := []byte("ann and bob")
	write(t, s, func(tx store.Tx) error {
		said := func(who id.Hash, record string, state consent.State) consent.Entry {
			return consent.Entry{
				Record: record, Subject: who, Kind: "email", Purpose: consent.Restriction, State: state, Said: noon, At: noon, Method: "api", Source: "shop",
				Evidence: []byte(`{"a":1}`), Facts: []byte(`{"v":1}`),
			}
		}
		_, _, err := tx.Consent().Append(said(ann, "yes", consent.Granted))
		_, _, err2 := tx.Consent().Append(said(ann, "no", consent.Objected))
		_, _, err3 := tx.Consent().Append(said(bob, "yes", consent.Granted))
		optIn := consent.OptIn{ID: own.ID, Address: ann, At: noon, Expires: noon.Add(time.Hour), Body: []byte("{}")}
		err = errors.Join(err, err2, err3, tx.Consent().PutOptIn(optIn))
		for _, who := range []id.Hash{ann, bob} {
			_, rowErr := tx.Audit().Append(audit.Row{At: noon, Actor: "x", What: "y", Subject: who, Leaf: []byte("leaf"), Opening: []byte("opening")})
			err = errors.Join(err, rowErr)
		}
		for who := range id.Person(3) {
			_, tellErr := tx.Destination().Tell(destination.Item{Kind: destination.Event, Name: "n", At: noon, Person: who, Body: []byte("b")})
			err = errors.Join(err, tellErr)
		}
		_, tellErr := tx.Destination().Tell(destination.Item{Kind: destination.Erasure, Name: "n", At: noon, Person: 1, Body: []byte("b")})
		return errors.Join(
			err, tellErr, tx.Outbox().Share(shared.ID, 2), tx.Outbox().SaveParts(own.ID, []byte("parts")), tx.Outbox().Reserve(1, shared.ID, noon),
			tx.Outbox().Note(own.ID, outbox.Step{State: message.Pending, At: noon, Detail: []byte(`{"x":1}`)}),
			tx.Identity().AppendMerge(identity.Merge{Into: 1, From: 2, At: noon, Cause: "anns own", Rule: "email", Moved: moved}),
			tx.Profile().AppendPack(1, []byte("first")), tx.Destination().Begin("crm", 0), tx.Destination().Hold("crm", destination.Held{Seq: 2, Due: noon}),
		)
	})
	write(t, s, func(tx store.Tx) error {
		return errors.Join(
			tx.Outbox().Forget(own.ID, 1, true), tx.Outbox().Forget(shared.ID, 1, false), tx.Outbox().Forget(others.ID, 1, false),
			tx.Consent().Forget(ann), tx.Audit().Forget(ann), tx.Destination().ForgetPeople([]id.Person{1}, []id.Hash{ann}),
			tx.Identity().Remake(identity.Merge{Into: 1, From: 2, Cause: "anns own"}, identity.Merge{Moved: []byte("bob")}),
			tx.Profile().RewritePack(1, []byte("other")),
		)
	})
	read(t, s, func(tx store.Tx) error {
		m, _, err := tx.Outbox().Get(own.ID)
		same(t, "whose the mail is", m.Person, 0)
		same(t, "what is left of it", m.Intent, message.Intent{
			ID: own.ID, Template: own.Template, Purpose: own.Purpose, Class: own.Class, Version: own.Version, Journey: own.Journey, Decided: own.Decided, Due: own.Due,
		})
		parts, partsErr := tx.Outbox().Parts(own.ID)
		same(t, "parts", parts, []byte(nil))
		story, storyErr := tx.Outbox().Story(own.ID)
		for _, x := range story {
			same(t, "a detail of its story", x.Detail, []byte(nil))
		}
		m, _, sharedErr := tx.Outbox().Get(shared.ID)
		same(t, "a shared mail goes to whom it is shared with", m.Person, 2)
		same(t, "with what it says", m.Data, shared.Data)
		used, usedErr := tx.Outbox().Used(2, noon.Add(-time.Second))
		same(t, "and its use of caps", used, 1)
		m, _, othersErr := tx.Outbox().Get(others.ID)
		same(t, "another's stays theirs", m.Person, 2)
		list, listErr := tx.Outbox().OfPerson(1, 10)
		same(t, "mails of who was forgotten", len(list), 0)
		_, keyKnown, keyErr := tx.Outbox().ByKey("own")
		same(t, "its key is known", keyKnown, true)
		return errors.Join(err, partsErr, storyErr, sharedErr, usedErr, othersErr, listErr, keyErr)
	})
	read(t, s, func(tx store.Tx) error {
		ledger, err := tx.Consent().Ledger(ann)
		same(t, "a no stays", len(ledger), 1)
		for _, e := range ledger {
			same(t, "its state", e.State, consent.Objected)
			same(t, "what it rests on", len(e.Evidence)+len(e.Facts), 0)
		}
		optIns, optErr := tx.Consent().OptIns(ann)
		same(t, "confirmations", len(optIns), 0)
		kept, keptErr := tx.Consent().Standing(bob)
		same(t, "another's permission", len(kept), 1)
		rows, rowsErr := tx.Audit().Rows(0, 10)
		for _, r := range rows {
			same(t, "the leaf", string(r.Leaf), "leaf")
			same(t, "the opening", r.Opening == nil, r.Subject == ann)
		}
		items, itemsErr := tx.Destination().Told(0, 10)
		var kinds []destination.Kind
		for _, it := range items {
			kinds = append(kinds, it.Kind)
		}
		same(t, "what is told", kinds, []destination.Kind{destination.Event, destination.Event, destination.Erasure})
		held, _, heldErr := tx.Destination().CountHeld("crm")
		same(t, "what is held", held, 0)
		merges, mergeErr := tx.Identity().Merges(1)
		same(t, "what moved", string(merges[0].Moved)+merges[0].Cause, "bob")
		pack, packErr := tx.Profile().Pack(1)
		same(t, "the pack", string(pack), "other")
		return errors.Join(err, optErr, keptErr, rowsErr, itemsErr, heldErr, mergeErr, packErr)
	})
}
