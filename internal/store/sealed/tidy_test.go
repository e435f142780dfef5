package sealed_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/profile"
	"rapport/internal/seal"
	"rapport/internal/store"
	"rapport/internal/store/sealed"
	"rapport/internal/store/sqlitestore"
)

// TestAShorterEntryGoesWithItsPerson: an entry that lost a part is sealed under the
// key that it was sealed under, so that it is gone with it.
func TestAShorterEntryGoesWithItsPerson(t *testing.T) {
	t.Parallel()
	inner, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	must(t, err)
	t.Cleanup(func() { must(t, inner.Close()) })
	s := &sealed.State{State: inner, Ring: ring(t)}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	heads := map[id.Person]profile.Pointer{}
	must(t, s.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error {
		p, err := profile.NewPacker(tx.Profile())
		if err != nil {
			return err
		}
		for _, who := range []id.Person{1, 2, 1} {
			e := &event.Event{Type: event.Track, MessageID: who.String(), Name: "Looked", Time: at, Received: at, Properties: []byte(`{"a":1,"b":2}`)}
			if heads[who], err = p.Add(who, e, heads[who]); err != nil {
				return err
			}
		}
		return p.Flush()
	}))
	history := func(who id.Person) (out []string) {
		must(t, s.Read(t.Context(), func(tx store.Tx) error {
			out = nil
			return profile.History(tx.Profile(), []profile.Pointer{heads[who]}, func(_ profile.Pointer, e *event.Event) (bool, error) {
				out = append(out, string(e.Properties))
				return true, nil
			})
		}))
		return out
	}
	must(t, s.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error {
		out, err := profile.Tidy(tx.Profile(), 0, 10, at, func(e *event.Event) profile.Fate {
			e.Properties = []byte(`{"b":2}`)
			return profile.Shorter
		})
		if out != (profile.Tidied{Next: 2, Shorter: 3}) {
			t.Errorf("it did %+v", out)
		}
		return err
	}))
	want := map[id.Person][]string{1: {`{"b":2}`, `{"b":2}`}, 2: {`{"b":2}`}}
	for who := range want {
		if got := history(who); !slices.Equal(got, want[who]) {
			t.Errorf("of %s there is %q, want %q", who, got, want[who])
		}
	}
	must(t, s.Ring.Destroy(seal.Person(1)))
	if got := history(1); got != nil {
		t.Errorf("without their key there is %q of the first", got)
	}
	if got := history(2); !slices.Equal(got, want[2]) {
		t.Errorf("of the second there is %q, want %q", got, want[2])
	}
}
