package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

func mail(key string, who id.Person, due time.Time) message.Intent {
	return message.Intent{
		ID: id.NewMessage(due, key), Key: key, Person: who, Template: "welcome", Purpose: "marketing",
		Class: message.Triggered, Journey: "j", Step: "s", Place: "p", Version: 3, Cause: "event-1",
		Data: []byte(`{"a":1}`), Decided: due, Due: due, ValidUntil: due.Add(24 * time.Hour),
	}
}

func insert(t *testing.T, s store.State, mails ...message.Intent) {
	t.Helper()
	write(t, s, func(tx store.Tx) error {
		for _, in := range mails {
			got, added, err := tx.Outbox().Insert(in, noon)
			if err != nil {
				return err
			}
			if !added || got != in.ID {
				t.Errorf("insert %s: %s, added %v", in.Key, got, added)
			}
		}
		return nil
	})
}

// A key is taken within the transaction that takes it.
func testMailTwin(t *testing.T, s store.State) {
	twin := mail("k1", 8, noon)
	var got id.Message
	var added bool
	write(t, s, func(tx store.Tx) error {
		_, _, err := tx.Outbox().Insert(twin, noon)
		if err != nil {
			return err
		}
		got, added, err = tx.Outbox().Insert(mail("k1", 8, noon.Add(time.Hour)), noon)
		return err
	})
	if added || got != twin.ID {
		t.Errorf("twice in one transaction: %s, added %v", got, added)
	}
}

func testMailInsert(t *testing.T, s store.State) {
	in := mail("k1", 7, noon)
	bare := message.Intent{ID: id.NewMessage(noon, "k2"), Key: "k2", Class: message.Transactional, To: "reader@example.test"}
	insert(t, s, in, bare)
	for range 2 {
		var got, twin id.Message
		var added, twice bool
		write(t, s, func(tx store.Tx) (err error) {
			again := mail("k1", 8, noon.Add(time.Hour))
			if got, added, err = tx.Outbox().Insert(again, noon.Add(time.Hour)); err != nil {
				return err
			}
			twin, twice, err = tx.Outbox().Insert(again, noon.Add(time.Hour))
			return err
		})
		if added || twice || got != in.ID || twin != in.ID { // What holds is what the run said that was committed.
			t.Errorf("the same key again: %s and %s, added %v and %v", got, twin, added, twice)
		}
	}
	write(t, s, func(tx store.Tx) error {
		if _, _, err := tx.Outbox().Insert(message.Intent{ID: in.ID, Key: "x"}, noon); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a mail without a class: %v", err)
		}
		return nil
	})
	read(t, s, func(tx store.Tx) error {
		got, found, err := tx.Outbox().Get(in.ID)
		same(t, "found", found, true)
		same(t, "mail", got, outbox.Mail{Intent: in, State: message.Pending, NotBefore: noon})
		if err != nil {
			return err
		}
		got, _, err = tx.Outbox().Get(bare.ID)
		same(t, "bare mail", got, outbox.Mail{Intent: bare, State: message.Pending})
		if err != nil {
			return err
		}
		m, found, err := tx.Outbox().ByKey("k1")
		same(t, "by key", m, in.ID)
		same(t, "found by key", found, true)
		if err != nil {
			return err
		}
		_, found, err = tx.Outbox().ByKey("k3")
		same(t, "unknown key", found, false)
		want := []id.Hash{outbox.KeyHash(in.Key), outbox.KeyHash(bare.Key)}
		slices.SortFunc(want, func(a, b id.Hash) int { return bytes.Compare(a[:], b[:]) })
		keys, keysErr := tx.Outbox().Keys(id.Hash{}, 10)
		same(t, "keys", keys, want)
		keys, afterErr := tx.Outbox().Keys(want[0], 1)
		same(t, "keys after the first", keys, want[1:])
		_, found, getErr := tx.Outbox().Get(id.Message{1})
		same(t, "unknown mail", found, false)
		named, namedErr := tx.Outbox().Named([]id.Message{bare.ID, {1}, in.ID})
		same(t, "by their names", named, []outbox.Mail{{Intent: bare, State: message.Pending}, {Intent: in, State: message.Pending, NotBefore: noon}})
		none, noneErr := tx.Outbox().Named(nil)
		same(t, "by no name", none, nil)
		counts, countErr := tx.Outbox().Counts()
		same(t, "counts", counts, map[message.State]int64{message.Pending: 2})
		return errors.Join(err, keysErr, afterErr, getErr, namedErr, noneErr, countErr)
	})
}

func testMailOwed(t *testing.T, s store.State) {
	read(t, s, func(tx store.Tx) error {
		_, found, err := tx.Outbox().NextOwed(time.Time{})
		same(t, "next of none", found, false)
		return err
	})
	var mails []message.Intent
	for i, c := range []struct {
		class message.Class
		due   time.Duration
	}{{message.Broadcast, -time.Hour}, {message.Triggered, 0}, {message.Triggered, -time.Minute}, {message.Transactional, -time.Second}, {message.Triggered, time.Hour}} {
		in := mail(fmt.Sprintf("k%d", i), 1, noon.Add(c.due))
		in.Class = c.class
		mails = append(mails, in)
	}
	insert(t, s, mails...)
	owed := func(until time.Time, limit int) (keys []string) {
		read(t, s, func(tx store.Tx) error {
			got, err := tx.Outbox().Owed(until, limit)
			for _, m := range got {
				keys = append(keys, m.Key)
			}
			return err
		})
		return keys
	}
	same(t, "by class, then time", owed(noon, 10), []string{"k3", "k2", "k1", "k0"})
	same(t, "limit", owed(noon, 2), []string{"k3", "k2"})
	same(t, "later", owed(noon.Add(time.Hour), 10), []string{"k3", "k2", "k1", "k4", "k0"})
	write(t, s, func(tx store.Tx) error { // One is deferred, one claimed, one done.
		for key, to := range map[int]message.State{3: message.Deferred, 2: message.Claimed, 0: message.Skipped} {
			m, _, err := tx.Outbox().Get(mails[key].ID)
			if err != nil {
				return err
			}
			m.State, m.NotBefore = to, noon.Add(30*time.Minute)
			if err := tx.Outbox().Move(&m, outbox.Step{State: to, At: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	same(t, "after moves", owed(noon, 10), []string{"k1"})
	same(t, "deferred comes back", owed(noon.Add(time.Hour), 10), []string{"k3", "k1", "k4"})
	read(t, s, func(tx store.Tx) error {
		next, found, err := tx.Outbox().NextOwed(time.Time{})
		same(t, "next", next, noon)
		same(t, "found", found, true)
		return err
	})
}

func testMailMove(t *testing.T, s store.State) {
	in := mail("k", 1, noon)
	insert(t, s, in)
	var held outbox.Mail
	write(t, s, func(tx store.Tx) error {
		var err error
		held, _, err = tx.Outbox().Get(in.ID)
		held.State, held.LeaseEnds, held.MessageID = message.Claimed, noon.Add(time.Minute), "<a@example.test>"
		return errors.Join(err, tx.Outbox().Move(&held, outbox.Step{State: message.Claimed, At: noon}))
	})
	same(t, "token", held.Token, 1)
	stale := held
	write(t, s, func(tx store.Tx) error { // The writer sees what it has just moved.
		named, err := tx.Outbox().Named([]id.Message{in.ID})
		same(t, "by its name", named, []outbox.Mail{held})
		return err
	})
	write(t, s, func(tx store.Tx) error { // Somebody else takes it.
		held.State, held.Attempts, held.Duplicate = message.Deferred, 1, true
		held.NotBefore, held.LeaseEnds = noon.Add(time.Hour), time.Time{}
		return tx.Outbox().Move(&held, outbox.Step{State: message.Claimed, At: noon.Add(-time.Second)},
			outbox.Step{State: message.Deferred, At: noon, Reason: "try_later", Detail: []byte(`{"code":421}`)})
	})
	write(t, s, func(tx store.Tx) error {
		stale.State = message.Accepted
		if err := tx.Outbox().Move(&stale, outbox.Step{State: message.Accepted, At: noon}); !errors.Is(err, outbox.ErrStale) {
			t.Errorf("a late result: %v, want ErrStale", err)
		}
		same(t, "stale token", stale.Token, 1)
		unknown := outbox.Mail{Intent: message.Intent{ID: id.Message{9}}}
		if err := tx.Outbox().Move(&unknown, outbox.Step{}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown mail: %v", err)
		}
		return nil
	})
	read(t, s, func(tx store.Tx) error {
		got, _, err := tx.Outbox().Get(in.ID)
		same(t, "mail", got, held)
		story, storyErr := tx.Outbox().Story(in.ID)
		same(t, "story", story, []outbox.Step{
			{Seq: 1, State: message.Pending, At: noon},
			{Seq: 2, State: message.Claimed, At: noon},
			{Seq: 3, State: message.Claimed, At: noon.Add(-time.Second)}, // one move, two steps
			{Seq: 4, State: message.Deferred, At: noon, Reason: "try_later", Detail: []byte(`{"code":421}`)},
		})
		counts, countErr := tx.Outbox().Counts()
		same(t, "counts", counts, map[message.State]int64{message.Deferred: 1})
		twice, twiceErr := tx.Outbox().Duplicates()
		same(t, "sent again", twice, int64(1))
		return errors.Join(err, storyErr, countErr, twiceErr)
	})
}

func testMailInState(t *testing.T, s store.State) {
	var mails []message.Intent
	for i := range 6 {
		mails = append(mails, mail(fmt.Sprintf("k%d", i), 1, noon.Add(time.Duration(i)*time.Second)))
	}
	insert(t, s, mails...)
	write(t, s, func(tx store.Tx) error {
		for i, to := range []message.State{message.Claimed, message.HandingOver, message.Claimed, message.Uncertain, message.Claimed, message.Accepted} {
			m, _, err := tx.Outbox().Get(mails[i].ID)
			if err != nil {
				return err
			}
			m.State = to
			if err := tx.Outbox().Move(&m, outbox.Step{State: to, At: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	read(t, s, func(tx store.Tx) error {
		for _, c := range []struct {
			name  string
			state message.State
			after id.Message
			limit int
			want  []string
		}{
			{"claimed", message.Claimed, id.Message{}, 10, []string{"k0", "k2", "k4"}},
			{"a page", message.Claimed, mails[0].ID, 1, []string{"k2"}},
			{"handing over", message.HandingOver, id.Message{}, 10, []string{"k1"}},
			{"unknown", message.Uncertain, id.Message{}, 10, []string{"k3"}},
			{"accepted", message.Accepted, id.Message{}, 10, []string{"k5"}},
			{"failed", message.Failed, id.Message{}, 10, nil},
		} {
			got, err := tx.Outbox().InState(c.state, c.after, c.limit)
			if err != nil {
				return err
			}
			var keys []string
			for _, m := range got {
				keys = append(keys, m.Key)
			}
			same(t, c.name, keys, c.want)
		}
		return nil
	})
}

func testMailStory(t *testing.T, s store.State) {
	in := mail("k", 1, noon)
	insert(t, s, in)
	write(t, s, func(tx store.Tx) error {
		if err := tx.Outbox().Note(id.Message{1}, outbox.Step{}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a note on an unknown mail: %v", err)
		}
		return errors.Join(
			tx.Outbox().Note(in.ID, outbox.Step{State: message.Pending, At: noon.Add(time.Minute), Reason: "opened"}),
			tx.Outbox().Note(in.ID, outbox.Step{State: message.Pending, At: noon.Add(time.Minute), Reason: "clicked", Detail: []byte(`{}`)}))
	})
	read(t, s, func(tx store.Tx) error {
		story, err := tx.Outbox().Story(in.ID)
		same(t, "story", story, []outbox.Step{
			{Seq: 1, State: message.Pending, At: noon},
			{Seq: 2, State: message.Pending, At: noon.Add(time.Minute), Reason: "opened"},
			{Seq: 3, State: message.Pending, At: noon.Add(time.Minute), Reason: "clicked", Detail: []byte(`{}`)},
		})
		got, _, getErr := tx.Outbox().Get(in.ID)
		same(t, "token", got.Token, 0)
		return errors.Join(err, getErr)
	})
}

func testMailReassign(t *testing.T, s store.State) {
	insert(t, s, mail("k0", 1, noon), mail("k1", 2, noon.Add(time.Second)), mail("k2", 1, noon.Add(2*time.Second)))
	write(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Outbox().Reserve(1, mail("k0", 1, noon).ID, noon), tx.Outbox().Reassign(1, 2))
	})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Outbox().OfPerson(2, 10)
		var keys []string
		for _, m := range got {
			keys = append(keys, m.Key)
			same(t, m.Key, m.Person, 2)
		}
		same(t, "newest first", keys, []string{"k2", "k1", "k0"})
		page, pageErr := tx.Outbox().OfPerson(2, 1)
		same(t, "a page", len(page), 1)
		none, noneErr := tx.Outbox().OfPerson(1, 10)
		same(t, "of the old one", len(none), 0)
		used, usedErr := tx.Outbox().Used(2, noon.Add(-time.Hour))
		same(t, "cap uses move along", used, 1)
		return errors.Join(err, pageErr, noneErr, usedErr)
	})
}

// testMailShared puts mails into the stories of two people, and hands them on.
func testMailShared(t *testing.T, s store.State) {
	at := func(i int) time.Time { return noon.Add(time.Duration(i) * time.Second) }
	insert(t, s, mail("k0", 1, noon), mail("k1", 1, at(1)), mail("k2", 1, at(2)), mail("k3", 2, at(3)))
	ids := []id.Message{mail("k0", 1, noon).ID, mail("k1", 1, at(1)).ID, mail("k2", 1, at(2)).ID}
	of := func(tx store.Tx, who id.Person, limit int) (keys []string, used int, err error) {
		list, err := tx.Outbox().OfPerson(who, limit)
		for _, m := range list {
			keys = append(keys, m.Key)
		}
		used, usedErr := tx.Outbox().Used(who, noon.Add(-time.Hour))
		return keys, used, errors.Join(err, usedErr)
	}
	check := func(what string, who id.Person, limit int, keys []string, used int) {
		t.Helper()
		read(t, s, func(tx store.Tx) error {
			gotKeys, gotUsed, err := of(tx, who, limit)
			same(t, what, gotKeys, keys)
			same(t, what+": uses of caps", gotUsed, used)
			return err
		})
	}
	write(t, s, func(tx store.Tx) error {
		o := tx.Outbox()
		err := errors.Join(o.Reserve(1, ids[0], noon), o.Reserve(1, ids[1], noon), o.Share(ids[0], 2), o.Share(ids[0], 2), o.Share(ids[2], 2), o.Give(ids[1], 1, 2))
		keys, used, ownErr := of(tx, 2, 10)
		same(t, "the writer sees it", keys, []string{"k3", "k2", "k1", "k0"})
		same(t, "and its uses", used, 2)
		return errors.Join(err, ownErr)
	})
	check("shared and given", 2, 10, []string{"k3", "k2", "k1", "k0"}, 2)
	check("a page", 2, 3, []string{"k3", "k2", "k1"}, 2)
	check("whose they were", 1, 10, []string{"k2", "k0"}, 1)
	read(t, s, func(tx store.Tx) error {
		var errs []error
		for _, row := range []struct {
			who    id.Person
			before id.Message
			limit  int
			want   []string
		}{{2, id.Message{}, 2, []string{"k3", "k2"}}, {2, ids[2], 2, []string{"k1", "k0"}}, {2, ids[1], 2, []string{"k0"}}, {1, ids[2], 9, []string{"k0"}}, {2, ids[0], 2, nil}} {
			list, err := tx.Outbox().OfPersonBefore(row.who, row.before, row.limit)
			var keys []string
			for _, m := range list {
				keys = append(keys, m.Key)
			}
			errs = append(errs, err)
			same(t, "page by page", keys, row.want)
		}
		return errors.Join(errs...)
	})
	write(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Outbox().Give(ids[0], 2, 5), tx.Outbox().Give(ids[1], 9, 5))
	})
	check("a share goes on alone", 5, 10, []string{"k0"}, 1)
	check("to one who has it no more", 2, 10, []string{"k3", "k2", "k1"}, 1)
	write(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Outbox().Share(ids[0], 2), tx.Outbox().Reassign(5, 2), tx.Outbox().Reassign(2, 1))
	})
	check("once, where both come together again", 1, 10, []string{"k3", "k2", "k1", "k0"}, 2)
	check("nothing is left", 2, 10, nil, 0)
}

func testMailNewest(t *testing.T, s store.State) {
	insert(t, s, mail("k0", 1, noon), mail("k1", 2, noon.Add(time.Second)), mail("k2", 3, noon.Add(2*time.Second)))
	write(t, s, func(tx store.Tx) error {
		m, _, err := tx.Outbox().Get(mail("k1", 2, noon.Add(time.Second)).ID)
		m.State = message.Uncertain
		return errors.Join(err, tx.Outbox().Move(&m, outbox.Step{State: m.State, At: noon}))
	})
	read(t, s, func(tx store.Tx) error {
		var errs []error
		list := func(state message.State, before id.Message, limit int) (keys []string) {
			got, err := tx.Outbox().Newest(state, before, limit)
			errs = append(errs, err)
			for _, m := range got {
				keys = append(keys, m.Key)
			}
			return keys
		}
		same(t, "all", list(0, id.Message{}, 10), []string{"k2", "k1", "k0"})
		same(t, "a page", list(0, id.Message{}, 2), []string{"k2", "k1"})
		same(t, "the next page", list(0, mail("k1", 2, noon.Add(time.Second)).ID, 2), []string{"k0"})
		same(t, "in a state", list(message.Pending, id.Message{}, 10), []string{"k2", "k0"})
		same(t, "of which nobody knows", list(message.Uncertain, id.Message{}, 10), []string{"k1"})
		return errors.Join(errs...)
	})
}

func testMailParts(t *testing.T, s store.State) {
	in := mail("k", 1, noon)
	insert(t, s, in)
	for _, parts := range []string{"first", "second"} {
		write(t, s, func(tx store.Tx) error { return tx.Outbox().SaveParts(in.ID, []byte(parts)) })
		read(t, s, func(tx store.Tx) error {
			got, err := tx.Outbox().Parts(in.ID)
			same(t, "parts", string(got), parts)
			none, noneErr := tx.Outbox().Parts(id.Message{1})
			same(t, "parts of none", none == nil, true)
			return errors.Join(err, noneErr)
		})
	}
	write(t, s, func(tx store.Tx) error {
		if err := tx.Outbox().SaveParts(id.Message{1}, []byte("x")); fault.KindOf(err) != fault.NotFound {
			t.Errorf("parts of an unknown mail: %v", err)
		}
		return nil
	})
}

// testMailRewritten writes anew what is in a mail, and gives it into other hands.
func testMailRewritten(t *testing.T, s store.State) {
	var mails []message.Intent
	for i := range 4 {
		mails = append(mails, mail(fmt.Sprintf("k%d", i), 1, noon.Add(time.Duration(i)*time.Second)))
	}
	insert(t, s, mails...)
	first := mails[0]
	older := func(after id.Message, before time.Duration, limit int) (keys []string) {
		read(t, s, func(tx store.Tx) error {
			list, err := tx.Outbox().Older(after, noon.Add(before), limit)
			for _, m := range list {
				keys = append(keys, m.Key+string(m.Data))
			}
			return err
		})
		return keys
	}
	data := string(first.Data)
	same(t, "before an instant", older(id.Message{}, 2*time.Second, 10), []string{"k0" + data, "k1" + data})
	same(t, "a page", older(id.Message{}, time.Hour, 1), []string{"k0" + data})
	same(t, "the next page", older(mails[0].ID, time.Hour, 2), []string{"k1" + data, "k2" + data})
	same(t, "none", older(id.Message{}, 0, 10), []string(nil))
	write(t, s, func(tx store.Tx) error { // One that was just written, one with parts.
		fresh := mail("k4", 1, noon.Add(time.Minute))
		_, _, err := tx.Outbox().Insert(fresh, noon)
		return errors.Join(err,
			tx.Outbox().SaveParts(first.ID, []byte("parts")), tx.Outbox().Entrust(first.ID, []id.Person{7}, 3), tx.Outbox().Entrust(first.ID, nil, 2),
			tx.Outbox().Rewrite(fresh.ID, "other@example.test", []byte(`{"b":2}`), []byte("its parts")))
	})
	got := func(what string, in message.Intent, to, data, parts string) {
		t.Helper()
		read(t, s, func(tx store.Tx) error {
			m, _, err := tx.Outbox().Get(in.ID)
			same(t, what+": to", m.To, to)
			same(t, what+": data", string(m.Data), data)
			same(t, what+": whose it is", m.Person, 1)
			p, partsErr := tx.Outbox().Parts(in.ID)
			same(t, what+": parts", string(p), parts)
			return errors.Join(err, partsErr)
		})
	}
	got("entrusted to another", first, first.To, data, "parts")
	got("rewritten", mail("k4", 1, noon.Add(time.Minute)), "other@example.test", `{"b":2}`, "its parts")
	write(t, s, func(tx store.Tx) error {
		m, _, err := tx.Outbox().Get(first.ID)
		m.State = message.Accepted
		return errors.Join(err, tx.Outbox().Move(&m, outbox.Step{State: m.State, At: noon, Detail: []byte(`{"a":1}`)}), tx.Outbox().Rewrite(first.ID, first.To, nil, nil))
	})
	got("emptied", first, first.To, "", "")
	read(t, s, func(tx store.Tx) error {
		m, _, err := tx.Outbox().Get(first.ID)
		want := first
		want.Data = nil
		same(t, "what stays", m.Intent, want)
		same(t, "where it stands", m.State, message.Accepted)
		story, storyErr := tx.Outbox().Story(first.ID)
		same(t, "its story", string(story[len(story)-1].Detail), `{"a":1}`)
		return errors.Join(err, storyErr)
	})
	write(t, s, func(tx store.Tx) error {
		if err := tx.Outbox().Rewrite(id.Message{1}, "", nil, nil); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown mail: %v", err)
		}
		return nil
	})
}

func testCaps(t *testing.T, s store.State) {
	a, b := id.NewMessage(noon, "a"), id.NewMessage(noon, "b")
	used := func(after time.Duration) (n int) {
		read(t, s, func(tx store.Tx) error {
			var err error
			n, err = tx.Outbox().Used(1, noon.Add(after))
			return err
		})
		return n
	}
	write(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Outbox().Reserve(1, a, noon), tx.Outbox().Reserve(1, b, noon.Add(time.Minute)),
			tx.Outbox().Reserve(2, id.NewMessage(noon, "c"), noon))
	})
	same(t, "both", used(-time.Second), 2)
	same(t, "after the first: the instant itself does not count", used(0), 1)
	write(t, s, func(tx store.Tx) error { return tx.Outbox().Reserve(1, a, noon.Add(time.Hour)) })
	same(t, "moved, not doubled", used(0), 2)
	same(t, "moved", used(2*time.Minute), 1)
	late := id.NewMessage(noon.Add(-time.Hour), "late") // decided before, handed over after
	write(t, s, func(tx store.Tx) error {
		err := errors.Join(tx.Outbox().Reserve(3, late, noon.Add(time.Hour)), tx.Outbox().Reserve(3, id.NewMessage(noon.Add(-time.Hour), "gone"), noon.Add(-time.Minute)),
			tx.Outbox().Reserve(3, id.NewMessage(noon.Add(-2*time.Hour), "gone too"), noon.Add(-time.Hour)))
		for _, want := range []int{1, 1, 0} {
			n, dropErr := tx.Outbox().DropUses(noon, 1)
			same(t, "uses forgotten", n, want)
			err = errors.Join(err, dropErr)
		}
		n, usedErr := tx.Outbox().Used(3, noon.Add(-24*time.Hour))
		same(t, "uses kept", n, 1)
		return errors.Join(err, usedErr, tx.Outbox().Release(late))
	})
	same(t, "those of others", used(0), 2)
	write(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Outbox().Release(a), tx.Outbox().Release(a), tx.Outbox().Release(id.Message{7}))
	})
	same(t, "released", used(-time.Second), 1)
}
