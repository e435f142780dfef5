package sealed

import (
	"fmt"

	"rapport/internal/fault"
	"rapport/internal/rights"
	"rapport/internal/seal"
)

// requests seals what is noted of what people ask under the key of who asks: it may
// say anything about them.
type requests struct {
	rights.Store
	t *tx
}

func requestLabel(name string) []byte { return append([]byte("request/"), name...) }

// requestKey gives the key of a request. What an erasure came to is read when the
// key of who was erased is gone.
func requestKey(r *rights.Request) seal.ID {
	if r.Person == 0 || r.Kind == rights.Erase && r.Outcome == rights.Done {
		return seal.House()
	}
	return seal.Person(r.Person)
}

// Put writes nothing of what is noted of somebody who was erased.
func (s *requests) Put(r rights.Request) error {
	if len(r.Body) > 0 {
		k := requestKey(&r)
		if err := s.t.ring.Mint(k); err != nil {
			return err
		}
		body, err := s.t.ring.Seal(nil, k, requestLabel(r.ID), r.Body)
		if fault.CodeOf(err) == seal.CodeDestroyed {
			body, err = nil, nil
		}
		if err != nil {
			return fmt.Errorf("seal what is noted of a request: %w", err)
		}
		r.Body = body
	}
	return s.Store.Put(r)
}

func (s *requests) Request(name string) (rights.Request, bool, error) {
	r, found, err := s.Store.Request(name)
	if err == nil && found {
		r.Body, err = s.t.openKept(requestLabel(r.ID), r.Body)
	}
	return r, found, err
}

func (s *requests) Requests(q rights.Query) ([]rights.Request, error) {
	list, err := s.Store.Requests(q)
	if err != nil {
		return nil, err
	}
	keys := make([]seal.ID, len(list))
	for i := range list {
		keys[i] = requestKey(&list[i])
	}
	if err := s.t.ring.Load(keys...); err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Body, err = s.t.openKept(requestLabel(list[i].ID), list[i].Body); err != nil {
			return nil, err
		}
	}
	return list, nil
}
