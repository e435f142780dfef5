package collect

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"rapport/internal/access"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// settingsKey reads the key out of the path of served settings.
func settingsKey(path string) (string, bool) {
	path = strings.TrimPrefix(path, "/v1")
	rest, ok := strings.CutPrefix(path, "/projects/")
	if !ok {
		return "", false
	}
	key, ok := strings.CutSuffix(rest, "/settings")
	return key, ok && !strings.Contains(key, "/")
}

type enabled struct {
	Enabled bool `json:"enabled"`
}

type plan struct {
	Default enabled `json:"__default"`
}

type versionSettings struct {
	Version        string   `json:"version"`
	ComponentTypes []string `json:"componentTypes"`
}

type integration struct {
	APIKey          string          `json:"apiKey"`
	APIHost         string          `json:"apiHost"`
	Protocol        string          `json:"protocol"`
	VersionSettings versionSettings `json:"versionSettings"`
}

// settingsAnswer is what analytics.js reads before it sends anything: where to
// send to, and that every event is wanted.
type settingsAnswer struct {
	Integrations         map[string]integration `json:"integrations"`
	Plan                 map[string]plan        `json:"plan"`
	AnalyticsNextEnabled bool                   `json:"analyticsNextEnabled"`
}

// settings serves what analytics.js asks for at its start.
func (h *Handler) settings(w http.ResponseWriter, r *http.Request, path string, _ route) {
	secret, _ := settingsKey(path)
	key, ok := h.keys.Find(secret)
	if !ok || key.Kind == access.Manage {
		h.fail(w, r, http.StatusNotFound, fault.New(fault.NotFound, ingest.CodeUnknownSource, "the write key belongs to no source"))
		return
	}
	scheme, host := h.reachedAt(r)
	on := plan{Default: enabled{Enabled: true}}
	w.Header()["Cache-Control"] = settingsAge
	h.write(w, http.StatusOK, settingsAnswer{
		Integrations: map[string]integration{"Segment.io": {
			APIKey: secret, APIHost: host + "/v1", Protocol: scheme,
			VersionSettings: versionSettings{Version: "4.4.7", ComponentTypes: []string{"browser"}},
		}},
		Plan:                 map[string]plan{"track": on, "identify": on, "group": on},
		AnalyticsNextEnabled: true,
	})
}

// reachedAt gives scheme and host under which the caller reaches us.
func (h *Handler) reachedAt(r *http.Request) (scheme, host string) {
	if u, err := url.Parse(h.public); err == nil && u.Host != "" {
		return u.Scheme, u.Host + u.Path
	}
	scheme = "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && h.trusted(peer.Addr().Unmap()) {
		if p := header(r.Header, "X-Forwarded-Proto"); p == "http" || p == "https" {
			scheme = p
		}
	}
	return scheme, r.Host
}
