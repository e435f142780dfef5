package devinbox

import (
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"join": func(s []string) string { return strings.Join(s, ", ") },
	"size": func(n int) string {
		if n < 1024 {
			return strconv.Itoa(n) + " B"
		}
		return strconv.FormatFloat(float64(n)/1024, 'f', 1, 64) + " kB"
	},
}).ParseFS(files, "page/*.html"))

// listMost is how many mails a page lists.
const listMost = 200

// Handler shows the inbox. All its links are relative, so that it can stand
// under any path that ends in a slash (with http.StripPrefix).
func (i *Inbox) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", i.list)
	mux.HandleFunc("GET /messages.json", i.listJSON)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "page/style.css")
	})
	mux.HandleFunc("GET /m/{id}", i.mail("mail.html"))
	mux.HandleFunc("GET /m/{id}/html", i.html)
	mux.HandleFunc("GET /m/{id}/text", i.plain(func(m *Mail) []byte { return []byte(read(m.Raw).Text) }))
	mux.HandleFunc("GET /m/{id}/raw", i.plain(func(m *Mail) []byte { return m.Raw }))
	mux.HandleFunc("GET /m/{id}/json", i.mailJSON)
	mux.HandleFunc("POST /clear", func(w http.ResponseWriter, r *http.Request) {
		i.Clear()
		http.Redirect(w, r, "./", http.StatusSeeOther)
	})
	return http.NewCrossOriginProtection().Handler(guard(mux))
}

// guard lets pages load nothing but their own style and frame.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (i *Inbox) list(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("to")
	mails, total := i.List(to, listMost)
	render(w, "list.html", map[string]any{"Mails": mails, "Total": total, "To": to, "Most": listMost})
}

func (i *Inbox) listJSON(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit <= 0 || limit > i.cfg.Mails {
		limit = listMost
	}
	mails, total := i.List(r.URL.Query().Get("to"), limit)
	if mails == nil {
		mails = []*Mail{}
	}
	writeJSON(w, map[string]any{"total": total, "messages": mails})
}

// find gives the mail that a request names, or answers that there is none.
func (i *Inbox) find(w http.ResponseWriter, r *http.Request) (*Mail, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err == nil {
		if m, ok := i.Get(id); ok {
			return m, true
		}
	}
	http.Error(w, "There is no such mail here; perhaps newer ones took its place.", http.StatusNotFound)
	return nil, false
}

func (i *Inbox) mail(page string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m, ok := i.find(w, r)
		if !ok {
			return
		}
		view := r.URL.Query().Get("view")
		c := read(m.Raw)
		switch {
		case view == "text" || view == "headers" || view == "source":
		case c.HTML == "":
			view = "text"
		default:
			view = "html"
		}
		data := map[string]any{"Mail": m, "Content": c, "View": view}
		if view == "source" {
			data["Source"] = strings.ToValidUTF8(string(m.Raw), "\uFFFD")
		}
		render(w, page, data)
	}
}

// html shows the HTML part by itself, in a sandbox: no script, no forms, no
// access to this page; pictures load as they would in a mail reader and links
// open beside it.
func (i *Inbox) html(w http.ResponseWriter, r *http.Request) {
	m, ok := i.find(w, r)
	if !ok {
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src * data:; style-src 'unsafe-inline'; font-src *; frame-ancestors 'self'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(`<base target="_blank">` + read(m.Raw).HTML)) // Whoever asked has gone.
}

func (i *Inbox) plain(part func(*Mail) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if m, ok := i.find(w, r); ok {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write(part(m)) // Whoever asked has gone.
		}
	}
}

func (i *Inbox) mailJSON(w http.ResponseWriter, r *http.Request) {
	if m, ok := i.find(w, r); ok {
		c := read(m.Raw)
		writeJSON(w, struct {
			*Mail
			Headers [][2]string `json:"headers"`
			Text    string      `json:"text"`
			HTML    string      `json:"html"`
		}{m, c.Headers, c.Text, c.HTML})
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // Whoever asked has gone.
}

func render(w http.ResponseWriter, page string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pages.ExecuteTemplate(w, page, data) // Whoever asked has gone.
}
