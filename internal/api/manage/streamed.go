package manage

import (
	"net/http"
	"time"
)

// standstill is how long whoever reads a streamed answer may take nothing of it.
const standstill = 2 * time.Minute

// streamed is an answer of any size. It may take longer than others, as long as whoever
// reads it goes on reading.
type streamed struct {
	http.ResponseWriter
	machine func() time.Time
	conn    *http.ResponseController
	until   time.Time
	wrote   bool // anything was answered yet
}

// streamed begins one. The deadline of the server is that of answers that are soon there.
func (h *Handler) streamed(w http.ResponseWriter) *streamed {
	return &streamed{ResponseWriter: w, machine: h.Machine, conn: http.NewResponseController(w)}
}

func (s *streamed) Write(p []byte) (int, error) {
	s.wrote = true
	if now := s.machine(); s.until.Sub(now) < standstill/2 {
		s.until = now.Add(standstill)
		_ = s.conn.SetWriteDeadline(s.until) // A writer without deadlines has nothing to end it.
	}
	return s.ResponseWriter.Write(p)
}

// unhurried takes away the time in which an answer must be written, for one after a
// long search.
func unhurried(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // What has no deadlines needs none taken away.
}

// cut breaks the connection of an answer that has begun and cannot be written to its
// end, so that nobody takes a part for the whole.
func cut() { panic(http.ErrAbortHandler) }
