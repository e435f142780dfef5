package collect

import (
	"net/http"

	"rapport/internal/access"
	"rapport/internal/api"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// rudderSource is what RudderStack's SDKs in browsers and on phones read before
// they send anything. They go on if there is an id, a config, a list of
// destinations and enabled; everything is sent to us, so the list is empty.
type rudderSource struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	WriteKey     string         `json:"writeKey"`
	Enabled      bool           `json:"enabled"`
	Config       map[string]any `json:"config"`
	Destinations []struct{}     `json:"destinations"`
	Connections  []struct{}     `json:"connections"`
}

// sourceConfig serves RudderStack's settings. The key comes as Basic or in the
// query.
func (h *Handler) sourceConfig(w http.ResponseWriter, r *http.Request, _ string, _ route) {
	asked := r.URL.Query().Get("writeKey")
	key, ok := h.keyOf(r, asked)
	if !ok || key.Kind == access.Manage {
		h.fail(w, r, http.StatusUnauthorized, fault.New(fault.Denied, ingest.CodeUnknownSource, "the write key is missing or belongs to no source"))
		return
	}
	if secret := api.Secret(r.Header); asked == "" {
		asked = secret
	}
	off := map[string]any{"enabled": false}
	w.Header()["Cache-Control"] = settingsAge
	h.write(w, http.StatusOK, map[string]any{"source": rudderSource{
		ID: key.ID, Name: key.Source, WriteKey: asked, Enabled: true,
		// The SDK's own measurements would go to its maker.
		Config:       map[string]any{"statsCollection": map[string]any{"errors": off, "metrics": off}},
		Destinations: []struct{}{}, Connections: []struct{}{},
	}})
}

// clusterInfo tells RudderStack's SDK for Go that there is one address to send to.
func (h *Handler) clusterInfo(w http.ResponseWriter, _ *http.Request, _ string, _ route) {
	h.write(w, http.StatusOK, map[string]int{"nodeCount": 1})
}
