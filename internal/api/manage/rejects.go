package manage

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"rapport/internal/access"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// maxMended is the most that a mended body may have: a batch.
const maxMended = 500 << 10

// rejectView is a reject as it is shown; the payload only when one is asked for.
type rejectView struct {
	ID      int64           `json:"id"`
	At      time.Time       `json:"at"`
	Source  string          `json:"source"`
	Path    string          `json:"path"`
	Code    string          `json:"code"`
	Detail  string          `json:"detail"`
	Sent    bool            `json:"sent"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func viewOfReject(r ingest.Reject) rejectView {
	return rejectView{ID: r.ID, At: r.At.UTC(), Source: r.Source, Path: r.Path, Code: r.Code, Detail: r.Detail, Sent: r.Sent}
}

func (h *Handler) getRejects(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "code", "source", "since", "until", "limit", "cursor")
	ask := ingest.RejectQuery{
		Code: q.text("code"), Source: q.text("source"), Since: q.instant("since"), Until: q.instant("until"),
		Limit: int(q.number("limit", defaultPage, maxPage)), Before: q.number("cursor", 0, math.MaxInt64),
	}
	if q.err != nil {
		return q.err
	}
	list, err := h.Rejects.Rejects(r.Context(), ask)
	if err != nil {
		return err
	}
	counts, err := h.Rejects.RejectCounts(r.Context())
	if err != nil {
		return err
	}
	out := struct {
		Rejected []rejectView     `json:"rejected"`
		Counts   map[string]int64 `json:"counts"`
		Cursor   string           `json:"cursor"`
	}{Rejected: []rejectView{}, Counts: counts}
	if counts == nil {
		out.Counts = map[string]int64{}
	}
	for _, x := range list {
		out.Rejected = append(out.Rejected, viewOfReject(x))
	}
	if len(list) == ask.Limit {
		out.Cursor = strconv.FormatInt(list[len(list)-1].ID, 10)
	}
	return h.answer(w, r, http.StatusOK, out)
}

func rejectID(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.Invalid, "bad_reject", "a reject's id is a number")
	}
	return n, nil
}

func (h *Handler) getReject(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	n, err := rejectID(r)
	if err != nil {
		return err
	}
	x, err := h.Rejects.Reject(r.Context(), n)
	if err != nil {
		return err
	}
	out := viewOfReject(x)
	if out.Payload = x.Payload; !json.Valid(x.Payload) {
		if out.Payload, err = json.Marshal(string(x.Payload)); err != nil {
			return err
		}
	}
	return h.answer(w, r, http.StatusOK, out)
}

// resend takes a reject again, as it was kept or with the body of the request;
// with dry_run it only says what would become of it.
func (h *Handler) resend(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	n, err := rejectID(r)
	if err != nil {
		return err
	}
	return h.again(w, r, n, func(mended []byte, dry bool) (ingest.Receipt, error) {
		return h.Rejects.Resend(r.Context(), n, mended, dry)
	})
}

// again answers what became of something that is taken again.
func (h *Handler) again(w http.ResponseWriter, r *http.Request, what any, take func(mended []byte, dry bool) (ingest.Receipt, error)) error {
	q := queryOf(r, "dry_run")
	dry := q.flag("dry_run")
	if q.err != nil {
		return q.err
	}
	s := scratches.Get().(*scratch)
	defer s.free()
	if err := s.read(r, maxMended); err != nil {
		return err
	}
	var mended []byte
	if len(s.body) > 0 {
		mended = s.body
	}
	receipt, err := take(mended, dry)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, struct {
		ID       any   `json:"id"`
		Sent     bool  `json:"sent"`
		DryRun   bool  `json:"dry_run,omitempty"`
		Accepted int   `json:"accepted"`
		Denied   int   `json:"denied"`
		Position int64 `json:"position,omitempty"`
	}{what, !dry, dry, receipt.Accepted, receipt.Denied, receipt.Last})
}

// dropReject forgets a reject.
func (h *Handler) dropReject(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	n, err := rejectID(r)
	if err == nil {
		err = h.Rejects.DropReject(r.Context(), n)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
