package storetest

import (
	"errors"
	"testing"
	"time"

	"rapport/internal/breach"
	"rapport/internal/store"
)

func testBreaches(t *testing.T, s store.State) {
	made := func(id string, day int) breach.Breach {
		aware := noon.AddDate(0, 0, day)
		return breach.Breach{
			ID: id, Aware: aware, Due: aware.Add(breach.Term), Scope: breach.Scope{From: noon, Sources: []string{"shop"}},
			Texts: breach.Texts{Nature: "A key was in a public repository."}, Affected: breach.Affected{People: 7, Kinds: []breach.Count{{Name: "events", People: 7, Records: 9}}},
		}
	}
	a, b, c := made("a", 2), made("b", 1), made("c", 0)
	write(t, s, func(tx store.Tx) error {
		r := tx.Breach()
		err := errors.Join(r.Put(a), r.Put(b), r.Put(c))
		c.Closed, c.Outcome, c.Authority = noon.Add(time.Hour), breach.Told, noon.Add(time.Minute)
		return errors.Join(err, r.Put(c))
	})
	ids := func(open bool, limit int) (out []string) {
		t.Helper()
		read(t, s, func(tx store.Tx) error {
			list, err := tx.Breach().Breaches(open, limit)
			for _, x := range list {
				out = append(out, x.ID)
			}
			return err
		})
		return out
	}
	same(t, "newest first", ids(false, 10), []string{"a", "b", "c"})
	same(t, "the first", ids(false, 1), []string{"a"})
	same(t, "what is open, the first due first", ids(true, 10), []string{"b", "a"})
	read(t, s, func(tx store.Tx) error {
		got, found, err := tx.Breach().Breach("c")
		same(t, "one is found", found, true)
		same(t, "as it was written last", got, c)
		_, found, noneErr := tx.Breach().Breach("d")
		same(t, "none is found", found, false)
		return errors.Join(err, noneErr)
	})
}
