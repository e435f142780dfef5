package manage

import (
	"net/http"

	"rapport/internal/access"
	"rapport/internal/backup"
	"rapport/internal/fault"
)

// getBackup writes a part of what the house holds, while it goes on. What fails on
// the way breaks the connection.
func (h *Handler) getBackup(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "part")
	part := backup.Part(q.text("part"))
	if q.err != nil {
		return q.err
	}
	if part == "" {
		part = backup.Data
	}
	if part != backup.Data && part != backup.Keys {
		return wrong("/part", "bad_part", "a backup is of data or of keys")
	}
	unhurried(w)
	out := &begun{ResponseWriter: w}
	err := h.Backup(r.Context(), part, out)
	if err != nil && out.wrote {
		h.Logger.Warn("a backup was not written to its end", "code", fault.CodeOf(err))
		cut()
	}
	return err
}

// begun knows whether anything was answered yet.
type begun struct {
	http.ResponseWriter
	wrote bool
}

func (b *begun) Write(p []byte) (int, error) {
	if !b.wrote {
		b.wrote = true
		b.Header()["Content-Type"] = []string{"application/x-tar"}
		b.Header()["Cache-Control"] = noStore
	}
	return b.ResponseWriter.Write(p)
}
