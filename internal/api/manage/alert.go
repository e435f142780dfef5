package manage

import (
	"net/http"

	"rapport/internal/access"
	"rapport/internal/alert"
)

// getAlerts lists what is wrong with the house.
func (h *Handler) getAlerts(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	list, err := h.Alerts(r.Context())
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, struct {
		Alerts []alert.Alert `json:"alerts"`
	}{list})
}
