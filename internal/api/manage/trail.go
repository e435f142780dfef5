package manage

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"rapport/internal/access"
	"rapport/internal/audit"
	"rapport/internal/fault"
	"rapport/internal/id"
)

// rowsView is a page of the trail.
type rowsView struct {
	Rows   []audit.Entry `json:"rows"`
	Cursor string        `json:"cursor"`
}

// search reads a page; a cursor is the number of the last row that was seen.
func (h *Handler) search(r *http.Request, q *query, subjects []id.Hash) (rowsView, error) {
	ask := audit.Query{
		Subjects: subjects, Actor: q.text("actor"), What: q.text("act"), Walked: q.flag("walked"), Since: q.instant("since"), Until: q.instant("until"),
		Before: -1, Limit: int(q.number("limit", defaultPage, maxPage)),
	}
	if s := q.text("cursor"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			q.fault("cursor", "bad_cursor", "the cursor is not one that this server gave")
		}
		ask.Before = n
	}
	if q.err != nil {
		return rowsView{}, q.err
	}
	rows, next, err := h.page(r.Context(), ask)
	return rowsView{Rows: rows, Cursor: next}, err
}

// page reads rows, newest first, and gives the cursor of the next page. One that is
// not full is the last only where the search has looked at everything: that of
// nobody in particular looks no further than its window.
func (h *Handler) page(ctx context.Context, ask audit.Query) ([]audit.Entry, string, error) {
	size, err := h.Trail.Size(ctx)
	if err != nil {
		return nil, "", err
	}
	if ask.Before < 0 || ask.Before > size {
		ask.Before = size // So that the window does not move while it is looked at.
	}
	rows, err := h.Trail.Search(ctx, ask)
	_, least := ask.Window()
	switch {
	case err != nil:
		return nil, "", err
	case len(rows) == ask.Limit:
		return rows, strconv.FormatInt(rows[len(rows)-1].N, 10), nil
	case len(ask.Subjects) == 0 && least > 0:
		return rows, strconv.FormatInt(least, 10), nil
	}
	return rows, "", nil
}

func (h *Handler) getTrail(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "person", "actor", "act", "walked", "since", "until", "limit", "cursor")
	var subjects []id.Hash
	if ref := q.text("person"); ref != "" {
		var err error
		if _, subjects, err = h.trailOf(r.Context(), ref); err != nil {
			return err
		}
	}
	out, err := h.search(r, q, subjects)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, out)
}

// trailOf finds a person, and the hashes under which they are in the trail: their
// number, those of whom they were made of, and each of their identifiers.
func (h *Handler) trailOf(ctx context.Context, ref string) (who id.Person, out []id.Hash, err error) {
	if who, err = h.find(ctx, ref); err != nil {
		return 0, nil, err
	}
	p, err := h.Reader.Person(ctx, who, "")
	if err != nil {
		return 0, nil, err
	}
	out = []id.Hash{h.Hash(audit.PersonKind, p.ID.String())}
	for _, m := range p.Merged {
		out = append(out, h.Hash(audit.PersonKind, m))
	}
	for _, x := range p.Identifiers {
		out = append(out, h.Hash(x.Kind, x.Value))
	}
	return who, out, nil
}

// getPersonTrail tells what happened to a person's data, as JSON or, for a
// browser, as a page.
func (h *Handler) getPersonTrail(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "act", "actor", "since", "until", "limit", "cursor")
	who, subjects, err := h.trailOf(r.Context(), r.PathValue("ref"))
	if err != nil {
		return err
	}
	out, err := h.search(r, q, subjects)
	if err != nil {
		return err
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		return trailPage(w, who, h.Now(), out)
	}
	return h.answer(w, r, http.StatusOK, out)
}

func (h *Handler) getTrailKey(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	return h.answer(w, r, http.StatusOK, map[string]string{"key": h.Trail.Key()})
}

func (h *Handler) getCheckpoint(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	p, ok, err := h.Trail.Parcel(r.Context())
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.NotFound, "no_checkpoint_yet", "nothing was signed yet; POST to this path signs a checkpoint now")
	}
	return h.answer(w, r, http.StatusOK, p)
}

// postCheckpoint signs one now, if there are rows that none covers.
func (h *Handler) postCheckpoint(w http.ResponseWriter, r *http.Request, key access.Key) error {
	if err := h.Trail.CatchUp(r.Context(), true); errors.Is(err, audit.ErrStays) {
		h.Logger.Warn("a checkpoint was signed and could not leave yet", "error", err)
	} else if err != nil {
		return err
	}
	return h.getCheckpoint(w, r, key)
}

func (h *Handler) getProof(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil || n < 0 {
		return fault.New(fault.Invalid, "bad_row", "a row of the trail is a number from 0 on")
	}
	p, err := h.Trail.Prove(r.Context(), n)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, p)
}

// getBundle streams the trail; what fails on the way breaks the connection, and leaves
// a bundle that does not hold, for its head says how many rows there are.
func (h *Handler) getBundle(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "from", "details")
	from, details := int64(0), q.flag("details")
	if s := q.text("from"); s != "" {
		var err error
		if from, err = strconv.ParseInt(s, 10, 64); err != nil || from < 0 {
			q.fault("from", "bad_from", "from is the number of a row, from 0 on")
		}
	}
	if q.err != nil {
		return q.err
	}
	head := w.Header()
	head["Content-Type"] = []string{"application/x-ndjson"}
	head["Cache-Control"] = noStore
	if err := h.Trail.Export(r.Context(), h.streamed(w), from, details); err != nil {
		h.Logger.Warn("a bundle of the trail was not written to its end", "error", err)
		cut()
	}
	return nil
}
