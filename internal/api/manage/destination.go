package manage

import (
	"context"
	"net/http"
	"strconv"

	"rapport/internal/access"
	"rapport/internal/destination"
	"rapport/internal/fault"
)

// Destinations is who else is told what happens.
type Destinations interface {
	Where(ctx context.Context, seq int64) ([]destination.Reached, error)
	Lines(ctx context.Context) ([]destination.Line, error)
	Line(ctx context.Context, name string) (destination.Line, error)
	Try(ctx context.Context, name string) (destination.Trial, error)
	Enable(ctx context.Context, name string) error
	Dead(ctx context.Context, name string, behind int64, limit int) ([]destination.Letter, error)
	Redrive(ctx context.Context, name string, seqs []int64) (int64, error)
}

var _ Destinations = (*destination.Office)(nil)

// getDestinations lists them.
func (h *Handler) getDestinations(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	list, err := h.Destinations.Lines(r.Context())
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, struct {
		Destinations []destination.Line `json:"destinations"`
	}{list})
}

// getDestination tells how one does.
func (h *Handler) getDestination(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	line, err := h.Destinations.Line(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, line)
}

// testDestination sends one a message that says nothing.
func (h *Handler) testDestination(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	t, err := h.Destinations.Try(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, t)
}

// enableDestination lets one go on.
func (h *Handler) enableDestination(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	name := r.PathValue("name")
	if err := h.Destinations.Enable(r.Context(), name); err != nil {
		return err
	}
	line, err := h.Destinations.Line(r.Context(), name)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, line)
}

// getDead lists the dead letters of one.
func (h *Handler) getDead(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "limit", "cursor")
	limit := int(q.number("limit", defaultPage, maxPage))
	behind := q.number("cursor", 0, 1<<62)
	if q.err != nil {
		return q.err
	}
	list, err := h.Destinations.Dead(r.Context(), r.PathValue("name"), behind, limit)
	if err != nil {
		return err
	}
	cursor := ""
	if len(list) == limit {
		cursor = strconv.FormatInt(list[limit-1].Seq, 10)
	}
	return h.answer(w, r, http.StatusOK, struct {
		Dead   []destination.Letter `json:"dead"`
		Cursor string               `json:"cursor"`
	}{list, cursor})
}

// maxRedriven is how many dead letters one request may name.
const maxRedriven = 1000

// postRedrive has dead letters told again.
func (h *Handler) postRedrive(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	var in struct {
		Seqs []int64 `json:"seqs"`
		All  bool    `json:"all"`
	}
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	if in.All == (len(in.Seqs) > 0) {
		return fault.New(fault.Invalid, "bad_redrive", `say which: {"seqs": [17, 18]} or {"all": true}`)
	}
	if len(in.Seqs) > maxRedriven {
		return wrong("/seqs", "too_many", "at most %d are named at a time; {\"all\": true} takes every one", maxRedriven)
	}
	n, err := h.Destinations.Redrive(r.Context(), r.PathValue("name"), in.Seqs)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, struct {
		Redriven int64 `json:"redriven"`
	}{n})
}
