package manage

import (
	"net/http"
	"strconv"

	"rapport/internal/access"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// getAsides lists the records that could not be walked.
func (h *Handler) getAsides(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "limit", "cursor")
	limit := int(q.number("limit", defaultPage, maxPage))
	if q.err != nil {
		return q.err
	}
	list, cursor, err := h.Reader.Asides(r.Context(), q.text("cursor"), limit)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, struct {
		SetAside []explain.Aside `json:"set_aside"`
		Cursor   string          `json:"cursor"`
	}{list, cursor})
}

// asideAt reads which one is meant.
func asideAt(r *http.Request) (lane eventlog.Lane, position int64, err error) {
	lane, ok := explain.LaneOf(r.PathValue("lane"))
	if !ok {
		return 0, 0, fault.New(fault.Invalid, "bad_lane", "a lane is live or bulk")
	}
	position, err = strconv.ParseInt(r.PathValue("position"), 10, 64)
	if err != nil || position < 1 {
		return 0, 0, fault.New(fault.Invalid, "bad_position", "a position is a whole number from 1 on")
	}
	return lane, position, nil
}

// getAside shows one of them with its event.
func (h *Handler) getAside(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	lane, position, err := asideAt(r)
	if err != nil {
		return err
	}
	a, err := h.Reader.Aside(r.Context(), lane, position)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, a)
}

// resendAside takes one again, as it is or with the body of the request.
func (h *Handler) resendAside(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	lane, position, err := asideAt(r)
	if err != nil {
		return err
	}
	return h.again(w, r, lane.String()+"/"+strconv.FormatInt(position, 10), func(mended []byte, dry bool) (ingest.Receipt, error) {
		return h.Asides.ResendAside(r.Context(), lane, position, mended, dry)
	})
}

// dropAside forgets one.
func (h *Handler) dropAside(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	lane, position, err := asideAt(r)
	if err == nil {
		err = h.Asides.DropAside(r.Context(), lane, position)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
