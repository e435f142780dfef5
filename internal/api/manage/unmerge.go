package manage

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"rapport/internal/access"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/processor"
)

// maxReason bounds what an operator writes about a parting.
const maxReason = 500

// postUnmerge parts somebody who was joined by mistake. The answer comes when it
// is done; with dry_run it only says what would come of it. Under one idempotency
// key it is done once.
func (h *Handler) postUnmerge(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "dry_run")
	dry := q.flag("dry_run")
	if q.err != nil {
		return q.err
	}
	var in processor.UnmergeRequest
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	if len(in.Reason) > maxReason {
		return wrong("/reason", "reason_too_long", "a reason has at most %d bytes", maxReason)
	}
	who, err := h.find(r.Context(), r.PathValue("ref"))
	if err != nil {
		return err
	}
	if dry {
		out, _, err := h.Reader.Parting(r.Context(), who, in.Identifiers)
		if err != nil {
			return err
		}
		return h.answer(w, r, http.StatusOK, out)
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	keyed := digestOf([]byte(key))
	request := "unmerge/" + hex.EncodeToString(keyed[:])
	if done, err := h.parted(w, r, who, request, &in); done || err != nil {
		return err
	}
	_, living, err := h.Reader.Parting(r.Context(), who, in.Identifiers)
	if err != nil {
		return err
	}
	now := h.Now().UTC().Truncate(time.Millisecond)
	e := event.Event{Type: event.Unmerge, Source: house, MessageID: request, Person: int64(living), Time: now, Received: now}
	if e.Properties, err = json.Marshal(in); err != nil {
		return err
	}
	pos, _, err := h.Log.Append(r.Context(), eventlog.Live, [][]byte{e.Append(nil)})
	if err != nil {
		return err
	}
	if err := h.walked(r.Context(), pos, durableNotWalked+": ask again under the same Idempotency-Key to see what came of it"); err != nil {
		return err
	}
	done, err := h.parted(w, r, living, request, &in)
	if done || err != nil {
		return err
	}
	switch aside, err := h.Reader.Aside(r.Context(), eventlog.Live, pos); {
	case err == nil:
		return fault.New(fault.Conflict, aside.Code, "the person has changed meanwhile: %s; the request was set aside at position %d", aside.Error, pos)
	case fault.KindOf(err) != fault.NotFound:
		return err
	}
	return fault.New(fault.Conflict, "not_parted", "the Idempotency-Key was used for somebody else; ask again under a new key")
}

// parted answers with what came of a request that was carried out.
func (h *Handler) parted(w http.ResponseWriter, r *http.Request, who id.Person, request string, in *processor.UnmergeRequest) (bool, error) {
	out, same, found, err := h.Reader.PartedBy(r.Context(), who, request, in.Identifiers)
	switch {
	case err != nil || !found:
		return false, err
	case !same:
		return true, unprocessable("idempotency_key_reused", "other identifiers left under this Idempotency-Key; take a new key for another parting")
	}
	return true, h.answer(w, r, http.StatusOK, out)
}
