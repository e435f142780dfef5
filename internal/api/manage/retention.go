package manage

import (
	"net/http"

	"rapport/internal/access"
)

// getRetention tells what is kept for a term only, and what was taken so far.
func (h *Handler) getRetention(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	out, err := h.Retention(r.Context())
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, out)
}
