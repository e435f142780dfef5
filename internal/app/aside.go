package app

import (
	"bytes"
	"context"
	"encoding/json"

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
// own as it is. It keeps its message id, so that it is applied once however
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
	switch own := unread != nil || e.Source == house; {
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
	case mended == nil:
		if out, err = a.h.ingest.TakeWhole(ctx, &e, lane == eventlog.Bulk, dry); err != nil || dry {
			return out, err
		}
	default:
		if err := mayReplace(mended, &e); err != nil {
			return out, err
		}
		out, err = a.h.ingest.TakeAgain(ctx, ingest.Again{
			Source: e.Source, Path: "/v1/batch", Body: append(append([]byte(`{"batch":[`), mended...), "]}"...),
			Arrived: kept.At, Bulk: lane == eventlog.Bulk, Kept: &e, DryRun: dry,
		})
		if err != nil || dry {
			return out, err
		}
	}
	return out, a.end(ctx, lane, position, false)
}

// mayReplace tells whether a mended event may take another's place: it is the same
// event, by its id, so that it is applied once whichever of the two is sent.
func mayReplace(mended []byte, e *event.Event) error {
	var is struct {
		MessageID *string `json:"messageId"`
	}
	if trimmed := bytes.TrimSpace(mended); !json.Valid(mended) || trimmed[0] != '{' || json.Unmarshal(mended, &is) != nil {
		return fault.New(fault.Invalid, "bad_event", "what is sent in its place is one event, a JSON object")
	}
	if is.MessageID != nil && *is.MessageID != "" && *is.MessageID != e.MessageID {
		return fault.New(fault.Invalid, "other_message_id", "what is sent in its place keeps the messageId of what was set aside; leave it as it is, or out")
	}
	return nil
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
