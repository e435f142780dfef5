package collect

import (
	"net/http"
	"strings"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// route is what one path is for.
type route struct {
	kind  event.Type // what the path says each body is; event.Unknown: a batch
	get   bool       // it is read with GET; else events are sent with POST
	serve func(w http.ResponseWriter, r *http.Request, path string, to route)
}

// Steps of the paths that take events: the types in full for senders of the HTTP
// API, by their first letter for analytics.js, and the names that batches have.
var (
	types   = []string{"track", "identify", "page", "screen", "group", "alias"}
	letters = []string{"t", "i", "p", "s", "g", "a"}
	batches = []string{"batch", "import", "b"}
)

// table gives every path of the door, without a slash at the end.
func (h *Handler) table() map[string]route {
	out := map[string]route{
		"/v1/m":         {serve: h.measurements},
		"/sourceConfig": {get: true, serve: h.sourceConfig},
		"/cluster-info": {get: true, serve: h.clusterInfo},
	}
	events := func(root string, steps ...string) {
		for _, step := range steps {
			kind, _ := ingest.RouteType(step)
			out[root+step] = route{kind: kind, serve: h.take}
		}
	}
	events("/v1/", types...)
	events("/v1/", letters...)
	events("/v1/", batches...)
	events("/", "import", "b")     // mobile SDKs whose apiHost is a host and no more
	events("/beacon/v1/", "batch") // RudderStack in a browser that leaves the page
	events(jitsu, append(types, "batch")...)
	events(jitsuServer, append(types, "batch")...)
	for _, step := range types {
		kind, _ := ingest.RouteType(step)
		out["/v1/pixel/"+step] = route{kind: kind, get: true, serve: h.pixel}
		out["/pixel/v1/"+step] = route{kind: kind, get: true, serve: h.pixel} // as RudderStack calls it
	}
	return out
}

// Register puts the door's paths on a mux, each with and without a slash at the
// end.
func (h *Handler) Register(mux *http.ServeMux) {
	for p := range h.routes {
		mux.Handle(p, h)
		mux.Handle(p+"/{$}", h)
	}
	for _, p := range []string{"/v1/projects/{key}/settings", "/projects/{key}/settings"} {
		mux.Handle(p, h)
		mux.Handle(p+"/{$}", h)
	}
}

// ServeHTTP implements http.Handler for all of the door's paths.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	for len(path) > 1 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	allowOrigin(w.Header(), r)
	if r.Method == http.MethodOptions {
		preflight(w)
		return
	}
	to, known := h.routes[path]
	if !known {
		if _, ok := settingsKey(path); !ok {
			h.fail(w, r, http.StatusNotFound, fault.New(fault.NotFound, "no_such_path", "this path takes no events"))
			return
		}
		to = route{get: true, serve: h.settings}
	}
	switch {
	case to.get && r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header()["Allow"] = []string{"GET, HEAD, OPTIONS"}
		h.fail(w, r, http.StatusMethodNotAllowed, fault.New(fault.Invalid, "method_not_allowed", "this path is read with GET"))
	case !to.get && r.Method != http.MethodPost:
		w.Header()["Allow"] = []string{"POST, OPTIONS"}
		h.fail(w, r, http.StatusMethodNotAllowed, fault.New(fault.Invalid, "method_not_allowed", "events are sent with POST"))
	default:
		to.serve(w, r, path, to)
	}
}

// measurements takes what an SDK measures of itself, and drops it: it concerns
// the SDK's maker, not us.
func (h *Handler) measurements(w http.ResponseWriter, r *http.Request, _ string, _ route) {
	h.succeed(w, r)
}

// Roots of Jitsu's paths: those for browsers, and those for servers.
const (
	jitsu       = "/api/s/"
	jitsuServer = "/api/s/s2s/"
)

// ofJitsu tells whether Jitsu's SDK asks, and whether it is in a browser. It
// reads "ok" where Segment's read "success"; in a browser it is told of an
// error that will not go away in the body alone.
func ofJitsu(r *http.Request) (asks, browser bool) {
	asks = strings.HasPrefix(r.URL.Path, jitsu)
	return asks, asks && !strings.HasPrefix(r.URL.Path, jitsuServer)
}
