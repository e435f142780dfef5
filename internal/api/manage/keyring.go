package manage

import (
	"net/http"

	"rapport/internal/access"
)

// getKeyring tells which keys there are. It counts them, which takes a while
// where there are millions.
func (h *Handler) getKeyring(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	s, err := h.Keyring.Status(r.Context())
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, s)
}

// getRotation tells how far a rotation is.
func (h *Handler) getRotation(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	s, err := h.Keyring.Rotation()
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, s)
}

// postRotation begins a rotation.
func (h *Handler) postRotation(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	var in struct {
		Root bool `json:"root"`
	}
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	s, err := h.Keyring.Rotate(in.Root)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusAccepted, s)
}
