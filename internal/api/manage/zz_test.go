package manage_test

import (
	"fmt"
	"testing"
	"time"

	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/store"
)

func TestZZ(t *testing.T) {
	h := setup(t)
	t0 := time.Now()
	for first := 0; first < 100_000; first += 10_000 {
		h.must(h.state.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error {
			for i := first; i < first+10_000; i++ {
				key := fmt.Sprintf("api/old-%d", i)
				in := message.Intent{ID: id.NewMessage(start, key), Key: key, Person: 1, Template: "receipt", Purpose: "service", Class: message.Transactional, Decided: start}
				if _, _, err := tx.Outbox().Insert(in, start); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	t.Log("insert", time.Since(t0))
	for round := range 12 {
		t1 := time.Now()
		var worst time.Duration
		for i := range 2000 {
			t2 := time.Now()
			_, _, err := h.reader.ByKey(t.Context(), fmt.Sprintf("api/new-%d-%d", round, i))
			h.must(err)
			worst = max(worst, time.Since(t2))
		}
		t.Log(time.Since(t1)/2000, worst)
	}
}
