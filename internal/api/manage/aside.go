package manage

import (
	"net/http"
	"strconv"

	"rapport/internal/access"
	"rapport/internal/explain"
	"rapport/internal/fault"
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

// getAside shows one of them with its event.
func (h *Handler) getAside(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	lane, ok := explain.LaneOf(r.PathValue("lane"))
	if !ok {
		return fault.New(fault.Invalid, "bad_lane", "a lane is live or bulk")
	}
	position, err := strconv.ParseInt(r.PathValue("position"), 10, 64)
	if err != nil || position < 1 {
		return fault.New(fault.Invalid, "bad_position", "a position is a whole number from 1 on")
	}
	a, err := h.Reader.Aside(r.Context(), lane, position)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, a)
}
