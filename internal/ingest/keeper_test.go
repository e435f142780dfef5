package ingest_test

import (
	"context"
	"slices"
	"sync"

	"rapport/internal/ingest"
)

// keeper holds rejects in memory.
type keeper struct {
	mu   sync.Mutex
	rows []ingest.Reject
	kept []ingest.Violation
	next int64
	fail error
}

func newKeeper() *keeper { return &keeper{} }

func (k *keeper) Write(_ context.Context, fn func(ingest.Store) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	rows, next := slices.Clone(k.rows), k.next
	if err := fn(k); err != nil {
		k.rows, k.next = rows, next
		return err
	}
	return nil
}

func (k *keeper) Read(_ context.Context, fn func(ingest.Store) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fn(k)
}

func (k *keeper) AppendReject(r ingest.Reject) (int64, error) {
	k.next++
	r.ID = k.next
	k.rows = append(k.rows, r)
	return r.ID, nil
}

func (k *keeper) Rejects(q ingest.RejectQuery) ([]ingest.Reject, error) {
	var out []ingest.Reject
	for _, r := range slices.Backward(k.rows) {
		if (q.Code == "" || r.Code == q.Code) && (q.Source == "" || r.Source == q.Source) && (q.Before == 0 || r.ID < q.Before) && len(out) < q.Limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (k *keeper) Reject(id int64) (ingest.Reject, bool, error) {
	for _, r := range k.rows {
		if r.ID == id {
			return r, true, nil
		}
	}
	return ingest.Reject{}, false, nil
}

func (k *keeper) DropReject(int64) (bool, error) { return false, nil }

func (k *keeper) MarkResent(id int64) error {
	for i := range k.rows {
		if k.rows[i].ID == id {
			k.rows[i].Sent = true
		}
	}
	return nil
}

func (k *keeper) RejectCounts() (map[string]int64, error) {
	out := map[string]int64{}
	for _, r := range k.rows {
		out[r.Code]++
	}
	return out, nil
}

func (k *keeper) DropRejects(keep int) (gone [][]byte, err error) {
	for len(k.rows) > keep {
		gone = append(gone, k.rows[0].Payload)
		k.rows = k.rows[1:]
	}
	return gone, nil
}

func (k *keeper) AddViolations(list []ingest.Violation) error {
	for _, v := range list {
		i := slices.IndexFunc(k.kept, func(x ingest.Violation) bool {
			return x.Source == v.Source && x.Event == v.Event && x.Property == v.Property && x.Code == v.Code
		})
		if i < 0 {
			k.kept = append(k.kept, v)
			continue
		}
		k.kept[i].Count += v.Count
		k.kept[i].Last = v.Last
	}
	return nil
}

func (k *keeper) Violations() ([]ingest.Violation, error) { return slices.Clone(k.kept), nil }
