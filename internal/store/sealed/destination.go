package sealed

import (
	"fmt"

	"rapport/internal/destination"
	"rapport/internal/id"
	"rapport/internal/seal"
)

// tellings seals what other systems are to be told under the key of whom it
// tells of.
type tellings struct {
	destination.Store
	t *tx
}

func toldLabel(it *destination.Item) []byte {
	return fmt.Appendf(nil, "told/%d/%d/%x/%s", it.Kind, it.Person, it.Subject, it.Name)
}

// keyOf gives the key of an item. That somebody was erased must be told when
// their key is gone already: it is sealed under a key of its own, which goes when it
// has been told.
func keyOf(it *destination.Item) seal.ID {
	switch {
	case it.Kind == destination.Erasure:
		if k, ok := seal.RecordOf(it.Body); ok {
			return k
		}
		return seal.House() // It is from before erasures had keys of their own.
	case it.Person != 0:
		return seal.Person(it.Person)
	case it.Subject != id.Hash{}:
		return seal.Name(it.Subject)
	default:
		return seal.House()
	}
}

func (s *tellings) Tell(it destination.Item) (_ int64, err error) {
	if it.Kind == destination.Erasure {
		if it.Body, err = s.t.record(toldLabel(&it), it.Body); err != nil {
			return 0, err
		}
		return s.Store.Tell(it)
	}
	if len(it.Body) > 0 {
		k := keyOf(&it)
		if err := s.mint(k, &it); err != nil {
			return 0, err
		}
		body, err := s.t.ring.Seal(nil, k, toldLabel(&it), it.Body)
		if err != nil {
			return 0, fmt.Errorf("seal what is to be told: %w", err)
		}
		it.Body = body
	}
	return s.Store.Tell(it)
}

func (s *tellings) mint(k seal.ID, it *destination.Item) error {
	if k == seal.Name(it.Subject) {
		return s.t.mintName(it.Subject)
	}
	return s.t.ring.Mint(k)
}

// opened opens items. Of somebody who was erased there is nothing left to tell.
func (s *tellings) opened(list []destination.Item, err error) ([]destination.Item, error) {
	if err != nil {
		return nil, err
	}
	keys := make([]seal.ID, len(list))
	for i := range list {
		keys[i] = keyOf(&list[i])
	}
	if err := s.t.ring.Load(keys...); err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Body, err = s.t.openKept(toldLabel(&list[i]), list[i].Body); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Trim takes the keys of erasures that all have been told of along.
func (s *tellings) Trim(upTo int64, limit int) (int, [][]byte, error) {
	n, erasures, err := s.Store.Trim(upTo, limit)
	for _, body := range erasures {
		s.t.doom(body)
	}
	return n, erasures, err
}

func (s *tellings) Told(after int64, limit int) ([]destination.Item, error) {
	return s.opened(s.Store.Told(after, limit))
}

func (s *tellings) Items(seqs []int64) ([]destination.Item, error) {
	return s.opened(s.Store.Items(seqs))
}
