package sealed

import (
	"context"
	"fmt"
	"slices"

	"rapport/internal/destination"
	"rapport/internal/ingest"
	"rapport/internal/processor"
	"rapport/internal/seal"
	"rapport/internal/store"
)

// sweepPage is how many records are looked at in one go.
const sweepPage = 500

// Sweep destroys the keys of records that are gone: a crash may have come between the
// commit that took a record away and the end of its key. Nobody writes meanwhile.
func (s *State) Sweep(ctx context.Context) error {
	keys, err := s.Ring.Records()
	if err != nil || len(keys) == 0 {
		return err
	}
	used := map[seal.ID]bool{}
	err = s.State.Read(ctx, func(tx store.Tx) error {
		clear(used)
		asides, err := asideKeys(tx.Processor(), used)
		if err != nil {
			return err
		}
		counts, err := tx.Ingest().RejectCounts()
		if err != nil {
			return err
		}
		tellings, err := tellingKeys(tx.Destination(), used)
		if err != nil {
			return err
		}
		rejects := int64(0)
		for _, n := range counts {
			rejects += n
		}
		if int64(asides)+int64(tellings)+rejects == int64(len(keys)) { // Each has its own: the many need not be read.
			for _, k := range keys {
				used[k] = true
			}
			return nil
		}
		return rejectKeys(tx.Ingest(), used)
	})
	if err != nil {
		return fmt.Errorf("look for keys that are left over: %w", err)
	}
	return s.Ring.Destroy(slices.DeleteFunc(keys, func(k seal.ID) bool { return used[k] })...)
}

func tellingKeys(st destination.Store, used map[seal.ID]bool) (n int, err error) {
	list, err := st.Erasures()
	for _, body := range list {
		if k, ok := seal.RecordOf(body); ok {
			used[k] = true
			n++
		}
	}
	return n, err
}

func asideKeys(st processor.Store, used map[seal.ID]bool) (n int, err error) {
	var last processor.Aside
	for {
		list, err := st.Asides(last.Lane, last.Pos, sweepPage)
		if err != nil {
			return n, err
		}
		for i := range list {
			if k, ok := seal.RecordOf(list[i].Body); ok {
				used[k] = true
			}
		}
		if n += len(list); len(list) < sweepPage {
			return n, nil
		}
		last = list[len(list)-1]
	}
}

func rejectKeys(st ingest.Store, used map[seal.ID]bool) error {
	for before := int64(0); ; {
		list, err := st.Rejects(ingest.RejectQuery{Before: before, Limit: sweepPage})
		if err != nil {
			return err
		}
		for i := range list {
			before = list[i].ID
			if k, ok := seal.RecordOf(list[i].Payload); ok {
				used[k] = true
			}
		}
		if len(list) < sweepPage {
			return nil
		}
	}
}
