package public

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // The style sheet and the pages.
	"encoding/base64"
	"html/template"
	"net/http"
	"time"

	"rapport/internal/consent"
	"rapport/internal/feedback"
	"rapport/internal/wording"
)

//go:embed page.css
var style string

//go:embed page.html
var pages string

var shown = template.Must(template.New("").Parse(pages))

// look is how the pages of a workspace look: the style sheet, and the policy that
// lets a page show it and send its own forms, and nothing else.
type look struct {
	book   *wording.Book
	css    template.CSS
	policy string
}

func lookOf(b *wording.Book) *look {
	css := style + b.Theme.CSS()
	sum := sha256.Sum256([]byte(css))
	return &look{
		book: b, css: template.CSS(css), //nolint:gosec // The house's own sheet, and colours that were checked.
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	}
}

// look gives the looks of the configuration in effect.
func (d *Door) look() *look {
	b, l := d.book(), d.made.Load()
	if l == nil || l.book != b {
		l = lookOf(b)
		d.made.Store(l)
	}
	return l
}

// page is what the pages show.
type page struct {
	Language  string
	Languages []language // others that there are
	Style     template.CSS
	Sender    string
	Title     string
	Text      string
	Done      bool
	GPC       bool // the browser itself sends the signal, and it is honoured here
	Leaving   feedback.Leaving
	Choices   []feedback.Choice
	Said      []line
	Receipts  string // where they are
	Data      string // where a reader asks for their data; "": nowhere
	Claim     feedback.Claiming

	Restricted bool // all use of the reader's data is

	Wish     wish
	Confirm  feedback.Confirming
	Purposes []described
	Body     template.HTML

	texts wording.Texts
}

// language is one that a reader may choose.
type language struct{ Code, Name, Link string }

// line is one statement in a reader's history.
type line struct{ At, What, Of string }

// described is a purpose in the reader's language.
type described struct {
	Name, Title, Description string
	On                       bool
	Notice                   *consent.Notice
}

// wish is what a reader put into the form, to be shown again.
type wish struct{ Email, Trouble, TroubleOf string }

// Say gives a text in the reader's language; the title of what is left is put in
// where it is asked for.
func (p page) Say(key string, pairs ...string) string { return p.texts.Say(key, pairs...) }

// Left names what an unsubscribe link leaves.
func (p page) Left() string {
	if p.Leaving.Title == "" {
		return p.Say("all_mails")
	}
	return p.Leaving.Title
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

// NoticeLink gives what the link to a notice says.
func (p page) NoticeLink(n *consent.Notice) string {
	return p.Say("notice_link", "title", headline(n), "version", n.Version)
}

// With gives a choice together with its page, for the template that shows it.
func (p page) With(c feedback.Choice) struct {
	feedback.Choice
	Page page
} {
	return struct {
		feedback.Choice
		Page page
	}{c, p}
}

// describe writes purposes in a language.
func (p page) describe(policy *consent.Policy, list []*consent.Definition) (out []described) {
	for _, def := range list {
		title, about := def.In(p.Language)
		out = append(out, described{Name: string(def.Name), Title: title, Description: about, Notice: policy.Shown(def, p.Language)})
	}
	return out
}

// day writes a date as readers of a language do.
func day(t time.Time, language string) string {
	switch language {
	case "en":
		return t.Format("2 January 2006")
	case "de":
		return t.Format("02.01.2006")
	}
	return t.Format(time.DateOnly)
}

// start begins a page in the reader's language.
func (d *Door) start(r *http.Request, chosen string) page {
	if q := r.URL.Query().Get("lang"); q != "" {
		chosen = q
	}
	l := d.look()
	p := page{Language: l.book.Pick(chosen, r.Header.Get("Accept-Language")), Style: l.css, Sender: d.name()}
	p.texts = l.book.Texts(p.Language)
	for _, code := range l.book.Languages() {
		if code != p.Language {
			p.Languages = append(p.Languages, language{code, l.book.Texts(code).Say("language"), "?lang=" + code})
		}
	}
	return p
}

// say shows a page of a few words.
func (d *Door) say(w http.ResponseWriter, r *http.Request, status int, key string) {
	p := d.start(r, "")
	p.Title, p.Text = p.Say(key+"_title"), p.Say(key)
	d.show(w, r, status, "message", p)
}

func (d *Door) show(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	var b bytes.Buffer
	if err := shown.ExecuteTemplate(&b, name, p); err != nil {
		d.logger.Error("a page could not be made", "page", name, "error", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", d.look().policy)
	h.Set("Content-Language", p.Language)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Add("Vary", "Accept-Language, Sec-GPC")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // The reader has gone.
	}
}
