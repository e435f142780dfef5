package storetest

import (
	"errors"
	"testing"

	"rapport/internal/id"
	"rapport/internal/store"
)

func testGroups(t *testing.T, s store.State) {
	firm, club := id.Hash{1, 2}, id.Hash{1, 3}
	write(t, s, func(tx store.Tx) error {
		g := tx.Group()
		none, err := g.Group(firm)
		same(t, "nothing is known yet", none, []byte(nil))
		err = errors.Join(err, g.SaveGroup(firm, []byte("first")), g.SaveGroup(firm, []byte("second")))
		for _, who := range []id.Person{9, 3, 3, 7} {
			err = errors.Join(err, g.Join(firm, who))
		}
		own, ownErr := g.Group(firm)
		same(t, "one reads what one wrote", own, []byte("second"))
		return errors.Join(err, ownErr, g.Join(club, 4))
	})
	read(t, s, func(tx store.Tx) error {
		g := tx.Group()
		body, err := g.Group(firm)
		same(t, "the last written", body, []byte("second"))
		first, firstErr := g.Members(firm, 0, 2)
		same(t, "members in order", first, []id.Person{3, 7})
		rest, restErr := g.Members(firm, 7, 2)
		same(t, "the rest", rest, []id.Person{9})
		none, noneErr := g.Members(firm, 9, 2)
		same(t, "none behind the last", none, []id.Person(nil))
		return errors.Join(err, firstErr, restErr, noneErr)
	})
	write(t, s, func(tx store.Tx) error {
		g := tx.Group()
		err := errors.Join(g.Leave(firm, 7), g.Leave(firm, 8), g.Leave(firm, 7))
		left, leftErr := g.Members(firm, 0, 9)
		same(t, "one has left", left, []id.Person{3, 9})
		return errors.Join(err, leftErr)
	})
}
