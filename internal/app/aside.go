package app

import (
	"context"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/processor"
	"rapport/internal/store"
)

// asides sends what was set aside through the house again.
type asides struct{ h *House }

// ResendAside takes a record again that could not be walked: an event of a
// source through the gates of today, as it is or mended, a record of the house's
// own as it is, whoever's words it holds. It keeps its message id, so that it is applied once however
// often it is sent.
func (a asides) ResendAside(ctx context.Context, lane eventlog.Lane, position int64, mended []byte, dry bool) (out ingest.Receipt, err error) {
	kept, err := a.find(ctx, lane, position)
	if err != nil {
		return out, err
	}
	if kept.Sent {
		return out, fault.New(fault.Conflict, "already_sent", "what was set aside at position %d of the %s lane has been sent again and taken", position, lane)
	}
	var e event.Event
	unread := e.Decode(kept.Body)
	switch own := unread != nil || e.Source == house || e.Type > event.Alias; {
	case own && mended != nil:
		return out, fault.New(fault.Invalid, "not_mendable", "this record is no event of a source: it can be sent again as it is, or dropped")
	case own && dry:
		return ingest.Receipt{Lane: lane, Accepted: 1}, nil
	case own:
		out.Lane, out.Accepted = lane, 1
		if out.First, out.At, err = a.h.log.Append(ctx, lane, [][]byte{kept.Body}); err != nil {
			return out, err
		}
		out.Last = out.First
	default:
		out, err = a.h.ingest.TakeKept(ctx, ingest.Kept{Event: &e, Bulk: lane == eventlog.Bulk, Mended: mended, DryRun: dry})
		if err != nil || dry {
			return out, err
		}
	}
	return out, a.end(ctx, lane, position, false)
}

// DropAside forgets a record that could not be walked.
func (a asides) DropAside(ctx context.Context, lane eventlog.Lane, position int64) error {
	return a.end(ctx, lane, position, true)
}

func (a asides) find(ctx context.Context, lane eventlog.Lane, position int64) (out processor.Aside, err error) {
	found := false
	err = a.h.state.Read(ctx, func(tx store.Tx) (err error) {
		out, found, err = tx.Processor().Aside(lane, position)
		return err
	})
	if err == nil && !found {
		err = notAside(lane, position)
	}
	return out, err
}

func (a asides) end(ctx context.Context, lane eventlog.Lane, position int64, drop bool) error {
	found := false
	err := a.h.state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) (err error) {
		found, err = tx.Processor().EndAside(lane, position, drop)
		return err
	})
	if err == nil && !found {
		err = notAside(lane, position)
	}
	return err
}

func notAside(lane eventlog.Lane, position int64) error {
	return fault.New(fault.NotFound, "not_set_aside", "no record at position %d of the %s lane was set aside", position, lane)
}
