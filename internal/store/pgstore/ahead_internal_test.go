package pgstore

import (
	"errors"
	"testing"

	"rapport/internal/id"
	"rapport/internal/store"
)

// A copy of the database that lags behind, or one that another process has taken,
// answers with what it knows: nothing of that is kept.
func TestAnAnswerThatLagsIsNotKept(t *testing.T) {
	t.Parallel()
	s, address := openHere(t)
	h := id.Hash{1}
	bind := func(tx store.Tx) error {
		return errors.Join(tx.Persons().Insert(1, []byte("row")), tx.Identity().Bind(h, 1))
	}
	if err := s.Write(t.Context(), store.WriteOptions{}, bind); err != nil {
		t.Fatal(err)
	}
	ahead := func() ([]id.Person, error) { return s.Ahead(t.Context(), []id.Hash{h}, nil) }
	if who, err := ahead(); err != nil || len(who) != 1 || len(s.ahead.slips) != 1 {
		t.Fatalf("read ahead %v, %d answers kept (%v), want one of person 1", who, len(s.ahead.slips), err)
	}
	s.ahead.clear()
	s.ahead.commits++ // as if the database that answers had not heard of the last
	if _, err := ahead(); !errors.Is(err, errStale) || len(s.ahead.slips) != 0 {
		t.Errorf("%d answers of before the last commit kept (%v)", len(s.ahead.slips), err)
	}
	s.ahead.commits--
	other, err := OpenState(t.Context(), Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if _, err := ahead(); !errors.Is(err, errStale) || len(s.ahead.slips) != 0 {
		t.Errorf("%d answers of another's database kept (%v)", len(s.ahead.slips), err)
	}
}
