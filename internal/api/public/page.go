package public

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // The style sheet and the pages.
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"

	"rapport/internal/feedback"
)

//go:embed page.css
var style string

//go:embed page.html
var pages string

var (
	shown = template.Must(template.New("").Parse(strings.ReplaceAll(pages, "/*style*/", style)))
	// policy lets the page show its own style and send its own forms, and nothing else.
	policy = "default-src 'none'; style-src 'sha256-" + digest(style) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// page is what the pages show.
type page struct {
	Sender  string
	Done    bool
	GPC     bool // the browser itself sends the signal
	Leaving feedback.Leaving
	Choices []feedback.Choice
	Title   string
	Text    string
}

// Mailings gives the choices about mail that can be made.
func (p page) Mailings() []feedback.Choice { return p.choices(true, false) }

// Others gives the choices that are not about mail.
func (p page) Others() []feedback.Choice { return p.choices(false, false) }

// Fixed gives what is sent in any case.
func (p page) Fixed() []feedback.Choice {
	return append(p.choices(true, true), p.choices(false, true)...)
}

func (p page) choices(mail, fixed bool) []feedback.Choice {
	var out []feedback.Choice
	for _, c := range p.Choices {
		if c.Mail == mail && c.Fixed == fixed {
			out = append(out, c)
		}
	}
	return out
}

// Any tells whether any mail that one can leave is switched on.
func (p page) Any() bool {
	for _, c := range p.Mailings() {
		if c.On {
			return true
		}
	}
	return false
}

func (d *Door) say(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	d.show(w, r, status, "message", page{Title: title, Text: text})
}

func (d *Door) show(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.Sender = d.name()
	var b bytes.Buffer
	if err := shown.ExecuteTemplate(&b, name, p); err != nil {
		d.logger.Error("a page could not be made", "page", name, "error", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // The reader has gone.
	}
}
