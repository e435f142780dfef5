package manage

import (
	"net/http"
	"time"

	"rapport/internal/access"
	"rapport/internal/ingest"
)

// violationView is a violation as it is shown.
type violationView struct {
	Source   string    `json:"source"`
	Event    string    `json:"event"`
	Property string    `json:"property,omitempty"`
	Code     string    `json:"code"`
	Detail   string    `json:"detail"`
	Count    int64     `json:"count"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// getViolations lists what was taken although it is not as the spec has it. The
// spec and the configuration bound how many there can be, so there are no pages.
func (h *Handler) getViolations(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "source", "event", "code")
	ask := ingest.ViolationQuery{Source: q.text("source"), Event: q.text("event"), Code: q.text("code")}
	if q.err != nil {
		return q.err
	}
	list, err := h.Rejects.Violations(r.Context(), ask)
	if err != nil {
		return err
	}
	out := struct {
		Violations []violationView `json:"violations"`
	}{Violations: []violationView{}}
	for _, v := range list {
		out.Violations = append(out.Violations, violationView(v))
	}
	return h.answer(w, r, http.StatusOK, out)
}
