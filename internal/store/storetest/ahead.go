package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"rapport/internal/id"
	"rapport/internal/store"
)

// testAhead: whatever was read ahead, and whenever, a transaction finds names and rows
// as those before it left them, and as it leaves them itself.
func testAhead(t *testing.T, s store.State) {
	const names, persons, rounds = 12, 6, 150
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	hashes := make([]id.Hash, names)
	for i := range hashes {
		hashes[i] = hash(fmt.Sprint("n", i))
	}
	var readers sync.WaitGroup
	ahead := func(seed uint64) {
		rnd := dice(seed)
		for ctx.Err() == nil {
			from := rnd.upTo(names)
			if _, err := s.Ahead(ctx, hashes[from:], []id.Person{id.Person(1 + rnd.upTo(persons))}); err != nil && ctx.Err() == nil {
				t.Errorf("read ahead: %v", err)
				return
			}
		}
	}
	for i := range 2 {
		readers.Go(func() { ahead(uint64(i + 1)) })
	}

	h := house{t: t, hashes: hashes, names: map[id.Hash]id.Person{}, rows: map[id.Person]string{}}
	rnd := dice(7)
	for round := range rounds {
		next := h.clone()
		err := s.Write(t.Context(), normal, func(tx store.Tx) error {
			next = h.clone()
			next.check(tx, "before")
			for range 1 + rnd.upTo(3) {
				next.change(tx, &rnd, round)
			}
			next.check(tx, "within")
			if rnd.upTo(4) == 0 {
				return errPlanned
			}
			return nil
		})
		switch {
		case err == nil:
			h = next
		case !errors.Is(err, errPlanned):
			t.Fatal(err)
		}
		if t.Failed() {
			break
		}
	}
	stop()
	readers.Wait()
}

// dice falls the same way each time: xorshift64, which any start but zero keeps going.
type dice uint64

func (d *dice) upTo(n int) int {
	*d ^= *d << 13
	*d ^= *d >> 7
	*d ^= *d << 17
	return int(*d>>33) % n
}

// house is what a store ought to hold.
type house struct {
	t      *testing.T
	hashes []id.Hash
	names  map[id.Hash]id.Person
	rows   map[id.Person]string
}

func (h house) clone() house {
	out := house{t: h.t, hashes: h.hashes, names: map[id.Hash]id.Person{}, rows: map[id.Person]string{}}
	for k, v := range h.names {
		out.names[k] = v
	}
	for k, v := range h.rows {
		out.rows[k] = v
	}
	return out
}

func (h house) change(tx store.Tx, rnd *dice, round int) {
	h.t.Helper()
	who := id.Person(1 + rnd.upTo(6))
	body := fmt.Sprintf("row of %d in round %d", who, round)
	save := tx.Persons().Update
	if _, there := h.rows[who]; !there {
		save = tx.Persons().Insert
	}
	name := h.hashes[rnd.upTo(len(h.hashes))]
	h.rows[who] = body
	err := save(who, []byte(body))
	if h.names[name] != 0 && rnd.upTo(3) == 0 {
		delete(h.names, name)
		err = errors.Join(err, tx.Identity().Unbind(name))
	} else {
		h.names[name] = who
		err = errors.Join(err, tx.Identity().Bind(name, who))
	}
	if err != nil {
		h.t.Error(err)
	}
}

func (h house) check(tx store.Tx, when string) {
	h.t.Helper()
	found := make([]id.Person, len(h.hashes))
	if err := tx.Identity().Lookup(h.hashes, found); err != nil {
		h.t.Error(err)
	}
	for i, name := range h.hashes {
		same(h.t, fmt.Sprintf("%s: whose name %d is", when, i), found[i], h.names[name])
	}
	rows := map[id.Person]string{}
	err := tx.Persons().Load([]id.Person{1, 2, 3, 4, 5, 6}, func(who id.Person, body []byte) error {
		rows[who] = string(body)
		return nil
	})
	if err != nil {
		h.t.Error(err)
	}
	same(h.t, when+": rows", rows, h.rows)
}
