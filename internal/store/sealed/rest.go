package sealed

import (
	"encoding/binary"

	"rapport/internal/audit"
	"rapport/internal/eventlog"
	"rapport/internal/ingest"
	"rapport/internal/processor"
)

// walk seals records that wait for the log, or were set aside.
type walk struct {
	processor.Store
	t *tx
}

var (
	relayLabel  = []byte("relay")
	rejectLabel = []byte("reject")
	trailLabel  = []byte("trail")
)

func asideLabel(lane eventlog.Lane, pos int64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte("aside/"), byte(lane)), uint64(pos))
}

func (w *walk) AppendRelay(body []byte) error {
	body, err := w.t.house(relayLabel, body)
	if err != nil {
		return err
	}
	return w.Store.AppendRelay(body)
}

func (w *walk) Relay(after int64, limit int) ([]processor.RelayRow, error) {
	list, err := w.Store.Relay(after, limit)
	for i := range list {
		if list[i].Body, err = w.t.open(relayLabel, list[i].Body); err != nil {
			return nil, err
		}
	}
	return list, err
}

func (w *walk) SetAside(a processor.Aside) (err error) {
	if a.Body, err = w.t.record(asideLabel(a.Lane, a.Pos), a.Body); err != nil {
		return err
	}
	return w.Store.SetAside(a)
}

func (w *walk) Asides(lane eventlog.Lane, behind int64, limit int) ([]processor.Aside, error) {
	list, err := w.Store.Asides(lane, behind, limit)
	for i := range list {
		if list[i].Body, err = w.t.openKept(asideLabel(list[i].Lane, list[i].Pos), list[i].Body); err != nil {
			return nil, err
		}
	}
	return list, err
}

func (w *walk) Aside(lane eventlog.Lane, pos int64) (processor.Aside, bool, error) {
	a, found, err := w.Store.Aside(lane, pos)
	if err == nil && found {
		a.Body, err = w.t.openKept(asideLabel(lane, pos), a.Body)
	}
	return a, found, err
}

func (w *walk) EndAside(lane eventlog.Lane, pos int64, drop bool) (bool, error) {
	if drop {
		a, _, err := w.Store.Aside(lane, pos)
		if err != nil {
			return false, err
		}
		w.t.doom(a.Body)
	}
	return w.Store.EndAside(lane, pos, drop)
}

// rejects seals what could not be taken.
type rejects struct {
	ingest.Store
	t *tx
}

func (r *rejects) AppendReject(x ingest.Reject) (n int64, err error) {
	if x.Payload, err = r.t.record(rejectLabel, x.Payload); err != nil {
		return 0, err
	}
	return r.Store.AppendReject(x)
}

func (r *rejects) Rejects(q ingest.RejectQuery) ([]ingest.Reject, error) {
	list, err := r.Store.Rejects(q)
	for i := range list {
		if list[i].Payload, err = r.t.openKept(rejectLabel, list[i].Payload); err != nil {
			return nil, err
		}
	}
	return list, err
}

func (r *rejects) Reject(n int64) (ingest.Reject, bool, error) {
	x, found, err := r.Store.Reject(n)
	if err == nil && found {
		x.Payload, err = r.t.openKept(rejectLabel, x.Payload)
	}
	return x, found, err
}

func (r *rejects) DropReject(n int64) (bool, error) {
	x, _, err := r.Store.Reject(n)
	if err != nil {
		return false, err
	}
	r.t.doom(x.Payload)
	return r.Store.DropReject(n)
}

func (r *rejects) DropRejects(keep int) ([][]byte, error) {
	gone, err := r.Store.DropRejects(keep)
	for _, payload := range gone {
		r.t.doom(payload)
	}
	return gone, err
}

// trail seals what a row of the trail commits to.
type trail struct {
	audit.Store
	t *tx
}

func (a *trail) Append(r audit.Row) (n int64, err error) {
	if r.Opening, err = a.t.house(trailLabel, r.Opening); err != nil {
		return 0, err
	}
	return a.Store.Append(r)
}

func (a *trail) opened(list []audit.Row, err error) ([]audit.Row, error) {
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Opening, err = a.t.open(trailLabel, list[i].Opening); err != nil {
			return nil, err
		}
	}
	return list, err
}

func (a *trail) Rows(from int64, limit int) ([]audit.Row, error) {
	return a.opened(a.Store.Rows(from, limit))
}

func (a *trail) Search(q audit.Query) ([]audit.Row, error) { return a.opened(a.Store.Search(q)) }
