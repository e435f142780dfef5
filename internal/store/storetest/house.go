package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport/internal/access"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/processor"
	"rapport/internal/project"
	"rapport/internal/store"
)

func testLogID(t *testing.T, s store.State) {
	write(t, s, func(tx store.Tx) error {
		got, err := tx.Processor().LogID()
		same(t, "of a new state", got, "")
		return errors.Join(err, tx.Processor().SetLogID("one"), tx.Processor().SetLogID("one"))
	})
	write(t, s, func(tx store.Tx) error {
		if err := tx.Processor().SetLogID("two"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a second log: %v, want a conflict", err)
		}
		return nil
	})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Processor().LogID()
		same(t, "log id", got, "one")
		return err
	})
}

func testPosition(t *testing.T, s store.State) {
	for _, c := range []struct {
		name     string
		lane     eventlog.Lane
		from, to int64
		want     error
		then     int64
	}{
		{"the first step", eventlog.Live, 0, 10, nil, 10},
		{"the next", eventlog.Live, 10, 25, nil, 25},
		{"from an old place", eventlog.Live, 10, 30, processor.ErrMoved, 25},
		{"from the beginning again", eventlog.Live, 0, 30, processor.ErrMoved, 25},
		{"another lane", eventlog.Bulk, 0, 3, nil, 3},
		{"another lane from a place it never had", eventlog.Bulk, 7, 9, processor.ErrMoved, 3},
	} {
		err := s.Write(t.Context(), normal, func(tx store.Tx) error { return tx.Processor().Advance(c.lane, c.from, c.to) })
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		read(t, s, func(tx store.Tx) error {
			got, err := tx.Processor().Position(c.lane)
			same(t, c.name, got, c.then)
			return err
		})
	}
}

func testSeen(t *testing.T, s store.State) {
	row := func(n byte) []byte { return append(make([]byte, 31), n) }
	for i := range 5 {
		write(t, s, func(tx store.Tx) error {
			return tx.Processor().AppendSeen(noon.Add(time.Duration(i)*time.Minute), row(byte(i)))
		})
	}
	since := func(at time.Time) (got []byte) {
		read(t, s, func(tx store.Tx) error {
			return tx.Processor().EachSeen(at, func(at time.Time, hashes []byte) error {
				if len(hashes) != 32 || !at.Equal(noon.Add(time.Duration(hashes[31])*time.Minute)) {
					t.Errorf("row at %v with %x", at, hashes)
				}
				got = append(got, hashes[31])
				return nil
			})
		})
		return got
	}
	same(t, "all, oldest first", since(noon.Add(-time.Hour)), []byte{0, 1, 2, 3, 4})
	same(t, "the instant belongs to it", since(noon.Add(2*time.Minute)), []byte{2, 3, 4})
	write(t, s, func(tx store.Tx) error { return tx.Processor().DropSeen(noon.Add(3 * time.Minute)) })
	same(t, "after dropping", since(noon.Add(-time.Hour)), []byte{3, 4})
	read(t, s, func(tx store.Tx) error {
		err := tx.Processor().EachSeen(noon, func(time.Time, []byte) error { return errPlanned })
		if !errors.Is(err, errPlanned) {
			t.Errorf("the callback's error comes out as %v", err)
		}
		return nil
	})
}

func testAsides(t *testing.T, s store.State) {
	rows := []processor.Aside{
		{Lane: eventlog.Live, Pos: 10, At: noon, Code: "loop", Error: "a loop", Body: []byte("event 1")},
		{Lane: eventlog.Bulk, Pos: 10, At: noon, Code: "poison", Error: "a defect"},
		{Lane: eventlog.Live, Pos: 11, At: noon.Add(time.Minute), Code: "loop", Error: "another", Body: []byte("event 2")},
		{Lane: eventlog.Live, Pos: 9, At: noon, Code: "loop", Error: "the first", Body: []byte("event 0")},
	}
	write(t, s, func(tx store.Tx) error {
		var err error
		for _, r := range rows {
			err = errors.Join(err, tx.Processor().SetAside(r))
		}
		return errors.Join(err, tx.Processor().SetAside(rows[0])) // Once more changes nothing.
	})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Processor().Asides(eventlog.Live, 0, 10)
		same(t, "newest first", got, []processor.Aside{rows[2], rows[1], rows[0], rows[3]})
		page, pageErr := tx.Processor().Asides(eventlog.Live, 0, 1)
		same(t, "a page", page, rows[2:3])
		next, nextErr := tx.Processor().Asides(eventlog.Live, 11, 1)
		same(t, "the next page", next, rows[1:2])
		rest, restErr := tx.Processor().Asides(eventlog.Bulk, 10, 10)
		same(t, "those of the same instant, behind it", rest, []processor.Aside{rows[0], rows[3]})
		one, found, oneErr := tx.Processor().Aside(eventlog.Bulk, 10)
		same(t, "one", one, rows[1])
		same(t, "found", found, true)
		_, found, noneErr := tx.Processor().Aside(eventlog.Bulk, 11)
		same(t, "none", found, false)
		return errors.Join(err, pageErr, nextErr, restErr, oneErr, noneErr)
	})
	write(t, s, func(tx store.Tx) error {
		found, err := tx.Processor().EndAside(eventlog.Live, 10, false)
		same(t, "one was sent again", found, true)
		found, dropErr := tx.Processor().EndAside(eventlog.Bulk, 10, true)
		same(t, "one was dropped", found, true)
		found, noneErr := tx.Processor().EndAside(eventlog.Bulk, 10, true)
		same(t, "it is dropped once", found, false)
		return errors.Join(err, dropErr, noneErr)
	})
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Processor().Asides(eventlog.Live, 0, 10)
		sent := rows[0]
		sent.Sent = true
		same(t, "what is left", got, []processor.Aside{rows[2], sent, rows[3]})
		return err
	})
}

func testRelay(t *testing.T, s store.State) {
	add := func(bodies ...string) {
		write(t, s, func(tx store.Tx) error {
			var err error
			for _, b := range bodies {
				err = errors.Join(err, tx.Processor().AppendRelay([]byte(b)))
			}
			return err
		})
	}
	rows := func(after int64, limit int) (out []processor.RelayRow) {
		read(t, s, func(tx store.Tx) error {
			var err error
			out, err = tx.Processor().Relay(after, limit)
			return err
		})
		return out
	}
	add("a", "b", "c")
	all := rows(0, 10)
	if len(all) != 3 || all[0].Seq <= 0 || all[0].Seq >= all[1].Seq || all[1].Seq >= all[2].Seq {
		t.Fatalf("rows %v", all)
	}
	same(t, "bodies", string(all[0].Body)+string(all[1].Body)+string(all[2].Body), "abc")
	same(t, "a page", rows(all[0].Seq, 1), all[1:2])
	write(t, s, func(tx store.Tx) error { return tx.Processor().DropRelay(all[2].Seq) })
	same(t, "after dropping", rows(0, 10), nil)
	add("d")
	if got := rows(all[2].Seq, 10); len(got) != 1 || string(got[0].Body) != "d" {
		t.Errorf("a row after all were dropped is not behind them: %v", got)
	}
}

func testKeys(t *testing.T, s store.State) {
	k := []access.Key{
		{ID: "k1", Kind: access.Ingest, Source: "site", Name: "one", Hash: [32]byte{1}, Created: noon},
		{ID: "k2", Kind: access.Manage, Hash: [32]byte{2}, Created: noon.Add(time.Second), Expires: noon.Add(time.Hour)},
	}
	write(t, s, func(tx store.Tx) error {
		if err := errors.Join(tx.Access().InsertKey(k[0]), tx.Access().InsertKey(k[1])); err != nil {
			return err
		}
		if err := tx.Access().InsertKey(k[0]); err == nil {
			t.Error("the same key twice succeeds")
		}
		return nil
	})
	write(t, s, func(tx store.Tx) error {
		for i, want := range []bool{true, false} {
			got, err := tx.Access().RevokeKey("k1", noon.Add(time.Duration(i+1)*time.Minute))
			if err != nil {
				return err
			}
			same(t, fmt.Sprintf("revoke %d", i), got, want)
		}
		got, err := tx.Access().RevokeKey("k9", noon)
		same(t, "revoke an unknown key", got, false)
		return err
	})
	k[0].Revoked = noon.Add(time.Minute)
	read(t, s, func(tx store.Tx) error {
		got, err := tx.Access().Keys()
		same(t, "keys", got, k)
		return err
	})
}

func testRejects(t *testing.T, s store.State) {
	var want []ingest.Reject
	write(t, s, func(tx store.Tx) error {
		for i, c := range []struct{ code, source string }{{"a", "x"}, {"b", "x"}, {"a", "y"}, {"a", "x"}} {
			r := ingest.Reject{
				At: noon.Add(time.Duration(i) * time.Second), Source: c.source, Path: "/v1/track", Code: c.code,
				Detail: "what was wrong", Payload: fmt.Appendf(nil, "payload %d", i),
			}
			number, err := tx.Ingest().AppendReject(r)
			if err != nil {
				return err
			}
			r.ID = number
			want = append(want, r)
		}
		return nil
	})
	list := func(q ingest.RejectQuery) (got []ingest.Reject) {
		read(t, s, func(tx store.Tx) error {
			var err error
			got, err = tx.Ingest().Rejects(q)
			return err
		})
		return got
	}
	same(t, "all", list(ingest.RejectQuery{Limit: 10}), []ingest.Reject{want[3], want[2], want[1], want[0]})
	same(t, "by code", list(ingest.RejectQuery{Code: "b", Limit: 10}), want[1:2])
	same(t, "by code and source", list(ingest.RejectQuery{Code: "a", Source: "x", Limit: 10}), []ingest.Reject{want[3], want[0]})
	same(t, "a page", list(ingest.RejectQuery{Before: want[3].ID, Limit: 2}), []ingest.Reject{want[2], want[1]})
	since, until := want[1].At, want[3].At
	same(t, "since", list(ingest.RejectQuery{Since: since, Limit: 10}), []ingest.Reject{want[3], want[2], want[1]})
	same(t, "until", list(ingest.RejectQuery{Until: until, Limit: 10}), []ingest.Reject{want[2], want[1], want[0]})
	same(t, "between", list(ingest.RejectQuery{Code: "a", Since: since, Until: until, Before: want[3].ID, Limit: 10}), want[2:3])
	same(t, "between a millisecond", list(ingest.RejectQuery{Since: since.Add(1), Until: since.Add(time.Millisecond), Limit: 10}), []ingest.Reject(nil))
	same(t, "at an instant", list(ingest.RejectQuery{Since: since, Until: since.Add(1), Limit: 10}), want[1:2])
	write(t, s, func(tx store.Tx) error {
		if err := tx.Ingest().MarkResent(999); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown number: %v", err)
		}
		return tx.Ingest().MarkResent(want[2].ID)
	})
	want[2].Sent = true
	read(t, s, func(tx store.Tx) error {
		got, found, err := tx.Ingest().Reject(want[2].ID)
		same(t, "one", got, want[2])
		same(t, "found", found, true)
		_, found, noneErr := tx.Ingest().Reject(999)
		same(t, "none", found, false)
		counts, countErr := tx.Ingest().RejectCounts()
		same(t, "counts", counts, map[string]int64{"a": 3, "b": 1})
		return errors.Join(err, noneErr, countErr)
	})
	write(t, s, func(tx store.Tx) error {
		none, err := tx.Ingest().DropRejects(10)
		same(t, "nothing is beyond", len(none), 0)
		gone, goneErr := tx.Ingest().DropRejects(2)
		same(t, "what is beyond", len(gone), 2)
		return errors.Join(err, goneErr)
	})
	same(t, "after dropping", list(ingest.RejectQuery{Limit: 10}), []ingest.Reject{want[3], want[2]})
}

func testViolations(t *testing.T, s store.State) {
	v := func(source, property string, n int64, first, last time.Duration) ingest.Violation {
		return ingest.Violation{
			Source: source, Event: "Order Completed", Property: property, Code: "property_wrong_type", Detail: "what differs", Count: n,
			First: noon.Add(first), Last: noon.Add(last),
		}
	}
	add := func(list ...ingest.Violation) {
		write(t, s, func(tx store.Tx) error { return tx.Ingest().AddViolations(list) })
	}
	want := func(list ...ingest.Violation) {
		t.Helper()
		read(t, s, func(tx store.Tx) error {
			got, err := tx.Ingest().Violations()
			slices.SortFunc(got, func(a, b ingest.Violation) int {
				return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Property, b.Property))
			})
			same(t, "violations", got, list)
			return err
		})
	}
	want()
	add(v("x", "", 2, 0, time.Second), v("x", "total", 1, time.Hour, time.Hour), v("y", "total", 5, 0, 0))
	want(v("x", "", 2, 0, time.Second), v("x", "total", 1, time.Hour, time.Hour), v("y", "total", 5, 0, 0))
	add()
	add(v("x", "total", 3, 2*time.Hour, 2*time.Hour), v("x", "total", 1, time.Minute, time.Minute))
	want(v("x", "", 2, 0, time.Second), v("x", "total", 5, time.Minute, 2*time.Hour), v("y", "total", 5, 0, 0))
}

func testVersions(t *testing.T, s store.State) {
	read(t, s, func(tx store.Tx) error {
		_, found, err := tx.Project().LatestVersion()
		same(t, "latest of none", found, false)
		return err
	})
	v := []project.Version{
		{Number: 1, Applied: noon, Digest: "d1", Files: map[string][]byte{"rapport.yaml": []byte("a: 1"), "segments/x.yaml": {}}},
		{Number: 2, Applied: noon.Add(time.Hour), Digest: "d2", Files: map[string][]byte{"rapport.yaml": []byte("a: 2")}},
	}
	write(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Project().InsertVersion(v[0]), tx.Project().InsertVersion(v[1]))
	})
	if err := s.Write(t.Context(), normal, func(tx store.Tx) error { return tx.Project().InsertVersion(v[0]) }); err == nil {
		t.Error("the same version twice succeeds")
	}
	read(t, s, func(tx store.Tx) error {
		one, found, err := tx.Project().Version(1)
		same(t, "one", one, v[0])
		same(t, "found", found, true)
		latest, _, latestErr := tx.Project().LatestVersion()
		same(t, "latest", latest, v[1])
		_, found, noneErr := tx.Project().Version(3)
		same(t, "none", found, false)
		return errors.Join(err, latestErr, noneErr)
	})
}
