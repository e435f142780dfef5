package manage

import (
	"context"
	"net/http"
	"strings"

	"rapport/internal/access"
	"rapport/internal/audit"
	"rapport/internal/privacy"
)

// getExport writes everything that is held about a person, as JSON or, for a
// browser, as a page. What fails on the way breaks the connection.
func (h *Handler) getExport(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	who, subjects, err := h.trailOf(r.Context(), r.PathValue("ref"))
	if err != nil {
		return err
	}
	x := privacy.Export{
		Reader: h.Reader, House: h.House(), Now: h.Now(), Told: h.Told,
		Rows: func(ctx context.Context, act string, below int64, limit int) ([]audit.Entry, error) {
			return h.Trail.Search(ctx, audit.Query{Subjects: subjects, What: act, Before: below, Limit: limit})
		},
	}
	head := w.Header()
	head["Cache-Control"] = noStore
	write := x.JSON
	head["Content-Type"] = jsonType
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		write = x.HTML
		head["Content-Type"] = []string{"text/html; charset=utf-8"}
		head["Content-Security-Policy"] = []string{"default-src 'none'; style-src 'unsafe-inline'"}
	}
	if err := write(r.Context(), who, h.streamed(w)); err != nil {
		h.Logger.Warn("an export was not written to its end", "error", err)
		cut()
	}
	return nil
}
