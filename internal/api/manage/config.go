package manage

import (
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"rapport/internal/access"
)

// Limits of a configuration folder that is sent in.
const (
	maxConfigBody  = 32 << 20
	maxConfigFiles = 5000
)

func (h *Handler) getConfig(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	c := h.Configuration()
	if c.Files == nil {
		c.Files = []string{}
	}
	w.Header().Set("ETag", strconv.Quote(strconv.Itoa(c.Version)))
	return h.answer(w, r, http.StatusOK, c)
}

// postConfig plans or applies a whole folder.
func (h *Handler) postConfig(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "dry_run")
	dry := q.flag("dry_run")
	if q.err != nil {
		return q.err
	}
	expect, err := ifMatch(r.Header)
	if err != nil {
		return err
	}
	var in struct {
		Files map[string][]byte `json:"files"`
	}
	if err := h.decode(r, maxConfigBody, &in); err != nil {
		return err
	}
	if len(in.Files) == 0 || len(in.Files) > maxConfigFiles {
		return wrong("/files", "bad_files", "files holds the whole folder: 1 to %d files by their paths, each in base64", maxConfigFiles)
	}
	for path := range in.Files {
		if !fs.ValidPath(path) || strings.Contains(path, `\`) {
			return wrong("/files", "bad_path", "a file's path is relative to the folder, with forward slashes and without ..")
		}
	}
	var out any
	if dry {
		out, err = h.Plan(r.Context(), in.Files)
	} else {
		out, err = h.Apply(r.Context(), in.Files, expect)
	}
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, out)
}

// ifMatch reads the version that the caller has seen, 0 when they say none.
func ifMatch(head http.Header) (int, error) {
	v := head.Get("If-Match")
	if v == "" || v == "*" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.Trim(v, `"`))
	if err != nil || n <= 0 {
		return 0, wrong("", "bad_if_match", `If-Match holds a configuration's version in quotes, for example "7"`)
	}
	return n, nil
}
