package manage

import (
	"net/http"

	"rapport/internal/access"
	"rapport/internal/fault"
)

// How many records of each lane are looked through, newest first.
const (
	surveyed     = 200_000
	mostSurveyed = 2_000_000
)

// getSources tells what sources have sent, out of the log.
func (h *Handler) getSources(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "source", "since", "limit")
	source, since, most := q.text("source"), q.instant("since"), q.number("limit", surveyed, mostSurveyed)
	if q.err != nil {
		return q.err
	}
	if source != "" && !h.Sources(source) {
		return fault.New(fault.NotFound, "no_such_source", "the configuration in effect has no source %q", source)
	}
	report, err := h.Survey(r.Context(), source, since, most)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, map[string]any{"sources": report})
}
