package manage

import (
	"net/http"
	"time"

	"rapport/internal/access"
)

const maxSmallBody = 16 << 10

// keyView is a key as it is shown; the secret only once.
type keyView struct {
	ID      string      `json:"id"`
	Kind    access.Kind `json:"kind"`
	Source  string      `json:"source,omitempty"`
	Name    string      `json:"name,omitempty"`
	Created time.Time   `json:"created,omitzero"`
	Expires time.Time   `json:"expires,omitzero"`
	Revoked time.Time   `json:"revoked,omitzero"`
	Key     string      `json:"key,omitempty"`
}

func viewOf(k access.Key, secret string) keyView {
	return keyView{ID: k.ID, Kind: k.Kind, Source: k.Source, Name: k.Name, Created: k.Created, Expires: k.Expires, Revoked: k.Revoked, Key: secret}
}

func (h *Handler) getKeys(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	out := []keyView{}
	for _, k := range h.Keys.List() {
		out = append(out, viewOf(k, ""))
	}
	return h.answer(w, r, http.StatusOK, map[string]any{"keys": out})
}

func (h *Handler) postKey(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	var in struct {
		Kind    access.Kind `json:"kind"`
		Source  string      `json:"source"`
		Name    string      `json:"name"`
		Expires time.Time   `json:"expires"`
	}
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	switch {
	case in.Source != "" && !h.Sources(in.Source):
		return wrong("/source", "no_such_source", "the configuration in effect has no such source")
	case !in.Expires.IsZero() && !in.Expires.After(h.Machine()):
		return wrong("/expires", "expires_in_the_past", "a key expires in the future, or never")
	}
	secret, key, err := h.Keys.Create(r.Context(), access.Request{Kind: in.Kind, Source: in.Source, Name: in.Name, Expires: in.Expires.UTC()})
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusCreated, viewOf(key, secret))
}

func (h *Handler) deleteKey(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	name, err := named(r, "id")
	if err != nil {
		return err
	}
	if err := h.Keys.Revoke(r.Context(), name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
