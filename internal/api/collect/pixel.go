package collect

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rapport/internal/access"
	"rapport/internal/api"
	"rapport/internal/fault"
	"rapport/internal/ingest"
)

// pixel takes one event that a picture's address carries, as mails and pages
// without scripts send it. The answer is a picture whatever became of the event:
// what is refused is counted and kept like any other.
func (h *Handler) pixel(w http.ResponseWriter, r *http.Request, path string, to route) {
	if r.Method == http.MethodGet { // HEAD asks whether there is a picture, and saw none.
		if code := h.takePixel(r, path, to); code == "" {
			h.ok.Inc()
		} else {
			h.answers.WithLabelValues(code).Inc()
		}
	}
	api.WritePixel(w)
}

func (h *Handler) takePixel(r *http.Request, path string, to route) (code string) {
	q := r.URL.Query()
	body := pixelBody(q)
	key, known := h.keyOf(r, q.Get("writeKey"))
	if !known {
		if key, known = h.keys.Find(ingest.WriteKey(body)); !known {
			return ingest.CodeUnknownSource
		}
	}
	src, err := h.admit(r, key)
	if err != nil {
		return fault.CodeOf(err)
	}
	got, err := h.ingest.Take(r.Context(), ingest.Call{
		Source: src, Browser: key.Kind == access.Browser, Path: path, Type: to.kind, Body: body,
		GPC: header(r.Header, "Sec-Gpc") == "1", Remote: h.remote(r), Agent: header(r.Header, "User-Agent"),
	})
	switch {
	case err != nil:
		h.logger.WarnContext(r.Context(), "an event of a picture was not taken", "code", fault.CodeOf(err))
		return fault.CodeOf(err)
	case len(got.Rejected) > 0:
		return got.Rejected[0].Code
	}
	return ""
}

// Bounds of what a picture's address may say in parameters of their own.
const (
	pixelParams = 300
	pixelDepth  = 8
)

// pixelBody gives the body of the event in a picture's address: the JSON in
// data, base64 in either alphabet and with or without its padding; else the
// parameters, whose dots lead into objects: properties.subject=Hello.
func pixelBody(q url.Values) []byte {
	if data := q.Get("data"); data != "" {
		data = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(data), "=")
		body, err := base64.RawStdEncoding.DecodeString(data)
		if err != nil {
			return []byte(data) // It is no event, and is kept as what it is.
		}
		return body
	}
	root, names := map[string]any{}, slices.Sorted(maps.Keys(q))
	for _, name := range names[:min(len(names), pixelParams)] {
		if name != "writeKey" {
			put(root, strings.Split(name, "."), said(name, q.Get(name)))
		}
	}
	body, _ := json.Marshal(root) // Maps of texts always encode.
	return body
}

// said gives what a parameter says: a text, but where a destination is allowed
// or forbidden a truth, for any text there would be a yes.
func said(name, text string) any {
	if strings.HasPrefix(name, "integrations.") && (text == "true" || text == "false") {
		return text == "true"
	}
	return text
}

// put sets a member below a path. Where a text and an object would stand at one
// place the object stays.
func put(at map[string]any, path []string, value any) {
	if len(path) > pixelDepth {
		return
	}
	for ; len(path) > 1; path = path[1:] {
		next, ok := at[path[0]].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[path[0]] = next
		}
		at = next
	}
	if _, object := at[path[0]].(map[string]any); !object {
		at[path[0]] = value
	}
}
