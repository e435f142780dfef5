package manage

import (
	"context"
	"net/http"

	"rapport/internal/access"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// Importer takes a batch of events into the bulk lane.
type Importer func(ctx context.Context, source string, body []byte) (ingest.Receipt, error)

// maxImport bounds the body of one request: ingest's own limit of a batch.
const maxImport = 500 << 10

// postImport takes a batch in Segment's shape for a source of the
// configuration. Its events never delay live ones, and the segment entries they
// cause start no journey that does not include people who are there already.
func (h *Handler) postImport(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if h.Import == nil {
		return fault.New(fault.Unavailable, "no_import", "this server takes no imports")
	}
	name, err := named(r, "source")
	if err != nil {
		return err
	}
	if !h.Sources(name) {
		return fault.New(fault.NotFound, "no_such_source", "the configuration in effect has no source %q", name)
	}
	s := scratches.Get().(*scratch)
	defer s.free()
	if err := s.read(r, maxImport); err != nil {
		return err
	}
	receipt, err := h.Import(r.Context(), name, s.body)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, map[string]any{
		"accepted": receipt.Accepted, "denied": receipt.Denied, "rejected": len(receipt.Rejected), "position": receipt.Last,
	})
}
