package manage

import (
	"net/http"

	"rapport/internal/access"
	"rapport/internal/fault"
)

// getBackup writes a copy of log and state, while the house goes on. What fails before
// its first byte is an error like any other; later the connection is broken off, so that
// nobody takes half of it for a whole.
func (h *Handler) getBackup(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	if r.Method == http.MethodHead {
		return fault.New(fault.Invalid, "no_backup", "a backup is taken with GET")
	}
	out := h.streamed(w)
	head := w.Header()
	head["Content-Type"], head["Cache-Control"] = []string{"application/x-tar"}, noStore
	err := h.Backup(r.Context(), out)
	if err != nil && out.wrote {
		h.Logger.Error("a backup was not written to its end", "code", fault.CodeOf(err))
		cut()
	}
	return err
}
