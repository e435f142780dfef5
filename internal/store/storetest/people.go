package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"rapport/internal/consent"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/segment"
	"rapport/internal/store"
	"rapport/internal/timer"
)

func testIdentity(t *testing.T, s store.State) {
	look := func(tx store.Tx) []id.Person {
		out := []id.Person{9, 9, 9}
		if err := tx.Identity().Lookup([]id.Hash{hash("a"), hash("b"), hash("c")}, out); err != nil {
			t.Error(err)
		}
		return out
	}
	write(t, s, func(tx store.Tx) error {
		last, err := tx.Identity().LastPerson()
		same(t, "last of none", last, 0)
		return errors.Join(err, tx.Persons().Insert(7, []byte("x")),
			tx.Identity().Bind(hash("a"), 7), tx.Identity().Bind(hash("b"), 8))
	})
	read(t, s, func(tx store.Tx) error {
		same(t, "bound", look(tx), []id.Person{7, 8, 0})
		last, err := tx.Identity().LastPerson()
		same(t, "last", last, 7)
		return err
	})
	write(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Identity().Bind(hash("b"), 7), tx.Identity().Unbind(hash("a")), tx.Identity().Unbind(hash("zzz")))
	})
	read(t, s, func(tx store.Tx) error {
		same(t, "bound again", look(tx), []id.Person{0, 7, 0})
		return nil
	})
}

func testMerges(t *testing.T, s store.State) {
	rows := []identity.Merge{
		{Into: 1, From: 2, At: noon, Cause: "m1", Rule: "alias", Moved: []byte{1, 2}},
		{Into: 1, From: 3, At: noon.Add(time.Second), Cause: "m2", Rule: "email"},
		{Into: 4, From: 1, At: noon.Add(2 * time.Second), Cause: "m3", Rule: "anonymous", Moved: []byte{3}},
	}
	write(t, s, func(tx store.Tx) error {
		for _, r := range rows {
			if err := tx.Identity().AppendMerge(r); err != nil {
				return err
			}
		}
		return nil
	})
	read(t, s, func(tx store.Tx) error {
		for who, want := range map[id.Person][]identity.Merge{1: rows, 2: rows[:1], 4: rows[2:], 9: nil} {
			got, err := tx.Identity().Merges(who)
			if err != nil {
				return err
			}
			same(t, "merges of "+who.String(), got, want)
		}
		return nil
	})
}

func testPacks(t *testing.T, s store.State) {
	large := bytes.Repeat([]byte("history "), 5000)
	write(t, s, func(tx store.Tx) error {
		last, err := tx.Profile().LastPack()
		same(t, "last of none", last, 0)
		return errors.Join(err, tx.Profile().AppendPack(1, []byte("one")), tx.Profile().AppendPack(5, large))
	})
	read(t, s, func(tx store.Tx) error {
		last, err := tx.Profile().LastPack()
		same(t, "last", last, 5)
		if err != nil {
			return err
		}
		for pack, want := range map[int64][]byte{1: []byte("one"), 5: large, 3: nil} {
			got, err := tx.Profile().Pack(pack)
			if err != nil {
				return err
			}
			if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Errorf("pack %d holds %d bytes, want %d", pack, len(got), len(want))
			}
		}
		return nil
	})
}

func testSegmentCounts(t *testing.T, s store.State) {
	for _, delta := range []map[string]int64{{"a": 3, "b": 1}, {"a": -2, "c": 4}, nil} {
		write(t, s, func(tx store.Tx) error { return tx.Segment().AddCounts(delta) })
	}
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Segment().Counts()
		same(t, "counts", got, map[string]int64{"a": 1, "b": 1, "c": 4})
		return err
	})
}

func testBackfill(t *testing.T, s store.State) {
	read(t, s, func(tx store.Tx) error {
		_, found, err := tx.Segment().Backfill()
		same(t, "found before", found, false)
		return err
	})
	for _, want := range []segment.Backfill{{Version: 1, Next: 0, Last: 10}, {Version: 1, Next: 10, Last: 10, Done: true}, {Version: 2, Last: 12}} {
		write(t, s, func(tx store.Tx) error { return tx.Segment().SaveBackfill(want) })
		read(t, s, func(tx store.Tx) error {
			got, found, err := tx.Segment().Backfill()
			same(t, "found", found, true)
			same(t, "backfill", got, want)
			return err
		})
	}
}

func testAlarms(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error {
		_, found, err := tx.Timer().Next()
		same(t, "next of none", found, false)
		for _, a := range []timer.Alarm{{Who: 5, Due: 200}, {Who: 2, Due: 100}, {Who: 1, Due: 100}, {Who: 9, Due: 300}, {Who: 1, Due: 100}, {Who: 3, Due: -5}} {
			err = errors.Join(err, tx.Timer().Arm(a))
		}
		return errors.Join(err, tx.Timer().Disarm(timer.Alarm{Who: 3, Due: -5}), tx.Timer().Disarm(timer.Alarm{Who: 42, Due: 1}))
	})
	read(t, s, func(tx store.Tx) error {
		next, found, err := tx.Timer().Next()
		same(t, "next", next, timer.Alarm{Who: 1, Due: 100})
		same(t, "found", found, true)
		if err != nil {
			return err
		}
		for _, c := range []struct {
			name  string
			until int64
			after timer.Alarm
			limit int
			want  []timer.Alarm
		}{
			{"all that is due", 200, timer.Alarm{}, 10, []timer.Alarm{{Who: 1, Due: 100}, {Who: 2, Due: 100}, {Who: 5, Due: 200}}},
			{"the due instant belongs to it", 199, timer.Alarm{}, 10, []timer.Alarm{{Who: 1, Due: 100}, {Who: 2, Due: 100}}},
			{"a page", 1000, timer.Alarm{Who: 1, Due: 100}, 2, []timer.Alarm{{Who: 2, Due: 100}, {Who: 5, Due: 200}}},
			{"after the last", 1000, timer.Alarm{Who: 9, Due: 300}, 2, nil},
		} {
			got, err := tx.Timer().DueBy(c.until, c.after, c.limit)
			if err != nil {
				return err
			}
			same(t, c.name, got, c.want)
		}
		return nil
	})
}

func testLedger(t *testing.T, s store.State) {
	entries := []consent.Entry{
		{Record: "r1", Subject: hash("a"), Kind: "email", Purpose: "marketing", State: consent.Granted, Said: noon, At: noon, Method: "event", Source: "site", Evidence: []byte(`{"a":1}`), Facts: []byte(`{"v":1,"notice":{"id":"news","version":"3","language":"en"}}`), Expires: noon.Add(time.Hour)},
		{Record: "r2", Subject: hash("a"), Kind: "email", Purpose: "marketing", State: consent.Withdrawn, At: noon.Add(time.Second), Method: "link"},
		{Record: "r2", Subject: hash("a"), Kind: "email", Purpose: "profiling", State: consent.Refused, At: noon.Add(time.Second), Method: "link"},
		{Record: "r2", Subject: hash("b"), Kind: "user_id", Purpose: "marketing", State: consent.Objected, At: noon.Add(time.Second), Method: "api"},
	}
	write(t, s, func(tx store.Tx) error {
		v, err := tx.Consent().Version()
		same(t, "version of none", v, 0)
		for i := range entries {
			seq, added, appendErr := tx.Consent().Append(entries[i])
			if !added || seq != int64(i+1) {
				t.Errorf("row %d: number %d, added %v", i, seq, added)
			}
			entries[i].Seq = seq
			err = errors.Join(err, appendErr)
		}
		return err
	})
	write(t, s, func(tx store.Tx) error {
		again := entries[0]
		again.State, again.Seq = consent.Objected, 0
		seq, added, err := tx.Consent().Append(again)
		if added || seq != 1 {
			t.Errorf("the same record again: number %d, added %v", seq, added)
		}
		return err
	})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Consent().Ledger(hash("a"))
		same(t, "ledger", got, entries[:3])
		if err != nil {
			return err
		}
		held, err := tx.Consent().Standing(hash("a"))
		same(t, "standing", held, []consent.Held{
			{Purpose: "marketing", State: consent.Withdrawn, Seq: 2, Record: "r2", At: noon.Add(time.Second)},
			{Purpose: "profiling", State: consent.Refused, Seq: 3, Record: "r2", At: noon.Add(time.Second)},
		})
		if err != nil {
			return err
		}
		nothing, err := tx.Consent().Standing(hash("nobody"))
		same(t, "standing of nobody", nothing, nil)
		v, versionErr := tx.Consent().Version()
		same(t, "version", v, 4)
		return errors.Join(err, versionErr)
	})
}

// A yes that ends by its own words says so, and under which notice it was given.
func testGrantsOfTheirOwn(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error {
		_, _, err := tx.Consent().Append(consent.Entry{
			Record: "r", Subject: hash("a"), Purpose: "p", State: consent.Granted, At: noon, Expires: noon.Add(time.Hour), Facts: []byte(`{"v":1,"notice":{"id":"news","version":"3"}}`),
		})
		return err
	})
	read(t, s, func(tx store.Tx) error {
		held, err := tx.Consent().Standing(hash("a"))
		same(t, "standing", held, []consent.Held{{Purpose: "p", State: consent.Granted, Seq: 1, Record: "r", At: noon, Expires: noon.Add(time.Hour), Notice: "news/3/"}})
		return err
	})
}

func testNotices(t *testing.T, s store.State) {
	list := []consent.Notice{
		{ID: "news", Language: "de", Version: "1", Digest: "d1", Text: "eins", At: noon},
		{ID: "news", Language: "en", Version: "2", Digest: "e2", Text: "two", At: noon},
		{ID: "news", Language: "en", Version: "1", Digest: "e1", Text: "one", At: noon.Add(time.Second)},
	}
	write(t, s, func(tx store.Tx) (err error) {
		for _, n := range list {
			added, putErr := tx.Consent().PutNotice(n)
			if !added {
				t.Errorf("%s was not added", n.Text)
			}
			err = errors.Join(err, putErr)
		}
		return err
	})
	write(t, s, func(tx store.Tx) error {
		again := list[0]
		again.Text, again.Digest = "zwei", "d2"
		added, err := tx.Consent().PutNotice(again)
		if added {
			t.Error("a text was replaced")
		}
		return err
	})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Consent().Notices()
		same(t, "notices", got, list)
		return err
	})
}

func testOptIns(t *testing.T, s store.State) {
	ask := func(n byte, address, network string, after time.Duration) consent.OptIn {
		return consent.OptIn{ID: id.Message{n}, Address: hash(address), Network: network, At: noon.Add(after), Expires: noon.Add(after + time.Hour), Body: []byte("b")}
	}
	list := []consent.OptIn{ask(1, "a", "n1", 0), ask(2, "a", "n2", time.Minute), ask(3, "b", "n1", time.Minute), ask(4, "c", "", 0)}
	write(t, s, func(tx store.Tx) (err error) {
		for _, o := range list {
			err = errors.Join(err, tx.Consent().PutOptIn(o))
		}
		return err
	})
	count := func(address, network string, since time.Duration, wantAddress, wantNetwork int) {
		t.Helper()
		read(t, s, func(tx store.Tx) error {
			a, n, err := tx.Consent().CountOptIns(hash(address), network, noon.Add(since))
			if a != wantAddress || n != wantNetwork {
				t.Errorf("%s from %q since %s: %d and %d, want %d and %d", address, network, since, a, n, wantAddress, wantNetwork)
			}
			return err
		})
	}
	count("a", "n1", -time.Hour, 2, 2)
	count("a", "n1", 0, 1, 1)
	count("c", "", -time.Hour, 1, 0)
	write(t, s, func(tx store.Tx) error {
		first, err := tx.Consent().ConfirmOptIn(id.Message{1}, noon.Add(time.Minute))
		if !first {
			t.Error("the first confirmation did not count")
		}
		return err
	})
	write(t, s, func(tx store.Tx) error {
		again, err := tx.Consent().ConfirmOptIn(id.Message{1}, noon.Add(time.Hour))
		nobody, nobodyErr := tx.Consent().ConfirmOptIn(id.Message{9}, noon)
		if again || nobody {
			t.Error("a confirmation counted that must not")
		}
		return errors.Join(err, nobodyErr)
	})
	list[0].Confirmed = noon.Add(time.Minute)
	read(t, s, func(tx store.Tx) error {
		got, found, err := tx.Consent().OptIn(id.Message{1})
		if !found {
			t.Error("it is not there")
		}
		same(t, "one", got, list[0])
		_, found, missingErr := tx.Consent().OptIn(id.Message{9})
		if found {
			t.Error("one that is not there was found")
		}
		all, allErr := tx.Consent().OptIns(hash("a"))
		same(t, "of an address", all, list[:2])
		return errors.Join(err, missingErr, allErr)
	})
}

// foreseen gives subjects, and of which of them suppressions will be asked, too.
func foreseen(subjects []id.Hash, addresses ...id.Hash) iter.Seq2[id.Hash, bool] {
	return func(yield func(id.Hash, bool) bool) {
		for _, h := range subjects {
			if !yield(h, slices.Contains(addresses, h)) {
				return
			}
		}
	}
}

// Who was foreseen is read as they are, also after a change and after a look that
// found nobody.
func testForeseenPeople(t *testing.T, s store.State) {
	all := func(tx store.Tx, ids ...id.Person) string {
		out := ""
		for _, who := range ids {
			err := tx.Persons().Load([]id.Person{who}, func(who id.Person, body []byte) error {
				out += fmt.Sprintf("%d %s; ", who, body)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	write(t, s, func(tx store.Tx) error {
		p := tx.Persons()
		if err := errors.Join(p.Insert(1, []byte("a")), p.Insert(2, []byte("b")), p.Foresee([]id.Person{3, 2, 1, 2})); err != nil {
			return err
		}
		same(t, "as they are", all(tx, 1, 2, 3), "1 a; 2 b; ")
		if err := errors.Join(p.Update(2, []byte("c")), p.Insert(3, []byte("d"))); err != nil {
			return err
		}
		same(t, "after a change", all(tx, 1, 2, 3), "1 a; 2 c; 3 d; ")
		return p.Foresee(nil)
	})
	read(t, s, func(tx store.Tx) error {
		err := tx.Persons().Foresee([]id.Person{1, 4})
		same(t, "in a snapshot", all(tx, 1, 2, 4), "1 a; 2 c; ")
		return err
	})
}

// What was foreseen changes no answer, also not to what is asked after a change.
func testForeseen(t *testing.T, s store.State) {
	all := []id.Hash{hash("a"), hash("b"), hash("c")}
	said := func(tx store.Tx) string {
		c, out := tx.Consent(), ""
		for _, h := range all {
			held, err := c.Standing(h)
			against, againstErr := c.Suppressions(h)
			if err := errors.Join(err, againstErr); err != nil {
				t.Fatal(err)
			}
			out += fmt.Sprintf("%d held, %d against; ", len(held), len(against))
		}
		v, err := c.Version()
		if err != nil {
			t.Fatal(err)
		}
		return out + fmt.Sprintf("version %d", v)
	}
	var held []consent.Held
	write(t, s, func(tx store.Tx) error {
		c := tx.Consent()
		if err := c.Foresee(foreseen(all, hash("b"))); err != nil {
			return err
		}
		same(t, "nothing yet", said(tx), "0 held, 0 against; 0 held, 0 against; 0 held, 0 against; version 0")
		if _, _, err := c.Append(consent.Entry{Record: "r", Subject: hash("a"), Purpose: "p", State: consent.Granted}); err != nil {
			return err
		}
		same(t, "after an entry", said(tx), "1 held, 0 against; 0 held, 0 against; 0 held, 0 against; version 1")
		for _, e := range []consent.Entry{
			{Record: "s", Subject: hash("c"), Purpose: "z", State: consent.Granted, At: noon, Expires: noon.Add(time.Hour)},
			{Record: "s", Subject: hash("c"), Purpose: "a", State: consent.Withdrawn, At: noon.Add(time.Nanosecond)},
			{Record: "t", Subject: hash("c"), Purpose: "z", State: consent.Objected, At: noon.Add(time.Minute)},
		} {
			if _, _, err := c.Append(e); err != nil {
				return err
			}
		}
		var err error
		if held, err = c.Standing(hash("c")); err != nil {
			return err
		}
		if err := c.Foresee(foreseen(all, hash("b"))); err != nil {
			return err
		}
		if err := c.Suppress(consent.Suppression{Address: hash("b"), Reason: consent.Manual}); err != nil {
			return err
		}
		same(t, "after a suppression", said(tx), "1 held, 0 against; 0 held, 1 against; 2 held, 0 against; version 4")
		if err := c.Foresee(foreseen(all[:1], hash("b"))); err != nil {
			return err
		}
		if err := c.Unsuppress(hash("b"), consent.Manual); err != nil {
			return err
		}
		same(t, "and lifted", said(tx), "1 held, 0 against; 0 held, 0 against; 2 held, 0 against; version 4")
		return c.Foresee(foreseen(nil))
	})
	read(t, s, func(tx store.Tx) error {
		err := tx.Consent().Foresee(foreseen(all, hash("a")))
		same(t, "in a snapshot", said(tx), "1 held, 0 against; 0 held, 0 against; 2 held, 0 against; version 4")
		if err != nil {
			return err
		}
		after, err := tx.Consent().Standing(hash("c"))
		same(t, "what was said, and after the commit", held, after)
		return err
	})
}

func testNarrowing(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error {
		var err error
		for i, e := range []consent.Entry{
			{Subject: hash("a"), Purpose: "p", State: consent.Granted},
			{Subject: hash("b"), Purpose: "p", State: consent.Refused},
			{Subject: hash("b"), Purpose: "q", State: consent.Objected},
			{Subject: hash("c"), Purpose: "p", State: consent.Withdrawn},
			{Subject: hash("c"), Purpose: "p", State: consent.Granted},
		} {
			e.Record, e.At = string(rune('a'+i)), noon
			_, _, appendErr := tx.Consent().Append(e)
			err = errors.Join(err, appendErr)
		}
		return err
	})
	read(t, s, func(tx store.Tx) error {
		got := map[id.Hash][]consent.State{}
		err := tx.Consent().EachNarrowing(func(subject id.Hash, h consent.Held) error {
			got[subject] = append(got[subject], h.State)
			return nil
		})
		same(t, "narrowings", got, map[id.Hash][]consent.State{hash("b"): {consent.Refused, consent.Objected}})
		if err := tx.Consent().EachNarrowing(func(id.Hash, consent.Held) error { return errPlanned }); !errors.Is(err, errPlanned) {
			t.Errorf("the callback's error comes out as %v", err)
		}
		return err
	})
}

func testSuppressions(t *testing.T, s store.State) {
	a := []consent.Suppression{
		{Address: hash("a"), Purpose: "*", Reason: consent.HardBounce, At: noon, Source: "smtp"},
		{Address: hash("a"), Purpose: "marketing", Reason: consent.Unsubscribed, At: noon, Source: "link"},
	}
	b := consent.Suppression{Address: hash("b"), Purpose: "", Reason: consent.Complaint, At: noon}
	write(t, s, func(tx store.Tx) error {
		again := a[0]
		again.At = noon.Add(time.Hour)
		return errors.Join(tx.Consent().Suppress(a[0]), tx.Consent().Suppress(a[1]), tx.Consent().Suppress(b), tx.Consent().Suppress(again))
	})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Consent().Suppressions(hash("a"))
		same(t, "of a", got, a)
		var all []consent.Suppression
		eachErr := tx.Consent().EachSuppression(func(s consent.Suppression) error { all = append(all, s); return nil })
		same(t, "all", all, append(a, b))
		return errors.Join(err, eachErr)
	})
	write(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Consent().Unsuppress(hash("a"), consent.HardBounce), tx.Consent().Unsuppress(hash("b"), consent.Manual))
	})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Consent().Suppressions(hash("a"))
		same(t, "of a after", got, a[1:])
		rest, restErr := tx.Consent().Suppressions(hash("b"))
		same(t, "of b after", rest, []consent.Suppression{b})
		return errors.Join(err, restErr)
	})
}
