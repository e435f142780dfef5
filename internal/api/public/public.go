// Package public is the door for readers of mails: unsubscribe, preferences,
// open pixels and links. What comes in are requests with a signed token; what
// goes out are plain pages, a picture, a redirect. Every token that is not ours
// gets the same answer; a GET or HEAD of a page never changes what a person has
// said. It needs no login, no cookie and no script.
package public

import (
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"rapport/internal/api"
	"rapport/internal/consent"
	"rapport/internal/fault"
	"rapport/internal/feedback"
	"rapport/internal/purpose"
	"rapport/internal/wording"
)

// Config is what a Door is made of. Desk and Logger are required.
type Config struct {
	Desk   *feedback.Desk
	Name   func() string        // the sender's name as of now, shown on the pages; nil shows none
	Book   func() *wording.Book // what the pages say as of now, and how they look; nil: as they are shipped
	Since  func() time.Time     // when the purposes in effect took effect, for gpc.json; nil: not known
	Logger *slog.Logger
}

// Door serves readers. It is safe for concurrent use.
type Door struct {
	desk   *feedback.Desk
	name   func() string
	book   func() *wording.Book
	since  func() time.Time
	made   atomic.Pointer[look]
	logger *slog.Logger
}

// New makes a Door.
func New(c Config) (*Door, error) {
	if c.Desk == nil || c.Logger == nil {
		return nil, errors.New("public: Config needs Desk and Logger")
	}
	d := &Door{desk: c.Desk, name: c.Name, book: c.Book, since: c.Since, logger: c.Logger}
	if d.name == nil {
		d.name = func() string { return "" }
	}
	if d.book == nil {
		shipped := wording.New(nil, "", wording.Theme{Corner: -1})
		d.book = func() *wording.Book { return shipped }
	}
	if d.since == nil {
		d.since = func() time.Time { return time.Unix(0, 0) }
	}
	return d, nil
}

// Register puts the door's routes on a mux.
func (d *Door) Register(mux *http.ServeMux) {
	mux.HandleFunc("/u/{token}", d.unsubscribe)
	mux.HandleFunc("/p/{token}", d.preferences)
	mux.HandleFunc("/o/{token}", d.open)
	mux.HandleFunc("/c/{token}", d.click)
	mux.HandleFunc("/p/{token}/receipts", d.receipts)
	mux.HandleFunc("/p/{token}/data", d.claim)
	mux.HandleFunc("/r/{token}", d.fulfil)
	mux.HandleFunc("/s/{token}", d.confirm)
	mux.HandleFunc("/subscribe", d.subscribe)
	mux.HandleFunc("/notices/{id}/{version}/{language}", d.notice)
	mux.HandleFunc("GET /privacy-signal", d.signal)
	mux.HandleFunc("GET /.well-known/gpc.json", d.gpc)
}

// maxForm bounds the body of a form: ours have a few dozen short fields.
const maxForm = 16 << 10

// unsubscribe shows a page to those who look, and acts for those who post
// (RFC 8058).
func (d *Door) unsubscribe(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	p := d.start(r, "")
	leaving, err := d.desk.Leaving(token, p.Language)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	p.Leaving, p.Title = leaving, p.Say("unsubscribe_title")
	if !leaving.Possible {
		p.Title = p.Say("unsubscribe_service_title")
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		d.show(w, r, http.StatusOK, "unsubscribe", p)
	case http.MethodPost:
		f, err := form(w, r)
		if err != nil || f.Get("List-Unsubscribe") != "One-Click" {
			d.say(w, r, http.StatusBadRequest, "bad_request")
			return
		}
		visit := feedback.VisitOf(r)
		visit.Language = p.Language
		if err := d.desk.Unsubscribe(r.Context(), token, visit); err != nil {
			d.refuse(w, r, err)
			return
		}
		if leaving.Possible {
			p.Done, p.Title = true, p.Say("unsubscribe_done_title")
		}
		d.show(w, r, http.StatusOK, "unsubscribe", p)
	default:
		d.wrongMethod(w, r, "GET, HEAD, POST")
	}
}

func (d *Door) preferences(w http.ResponseWriter, r *http.Request) {
	token, visit := r.PathValue("token"), feedback.VisitOf(r)
	p := d.start(r, "")
	p.Title, p.GPC = p.Say("preferences_title"), visit.GPC && len(d.desk.Signalled()) > 0
	visit.Language = p.Language
	var err error
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		p.Choices, err = d.desk.Preferences(r.Context(), token, visit)
	case http.MethodPost:
		var f url.Values
		if f, err = form(w, r); err != nil {
			d.say(w, r, http.StatusBadRequest, "bad_request")
			return
		}
		p.Done = true
		if f.Has("all") {
			p.Choices, err = d.desk.LeaveAll(r.Context(), token, visit)
			break
		}
		was, want := map[purpose.Purpose]bool{}, map[purpose.Purpose]bool{}
		for field, values := range f {
			if name, ok := strings.CutPrefix(field, "was."); ok {
				was[purpose.Purpose(name)] = values[0] == "on"
				want[purpose.Purpose(name)] = f.Get("want."+name) == "on"
			}
		}
		p.Choices, err = d.desk.Save(r.Context(), token, was, want, visit)
	default:
		d.wrongMethod(w, r, "GET, HEAD, POST")
		return
	}
	if err == nil {
		err = d.more(r, token, &p)
	}
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	d.show(w, r, http.StatusOK, "preferences", p)
}

// mostSaid bounds how much of their history a page shows; the receipts have all.
const mostSaid = 50

// more adds what a person may have of what is known of their words.
func (d *Door) more(r *http.Request, token string, p *page) error {
	said, err := d.desk.Said(r.Context(), token)
	if err != nil {
		return err
	}
	for i, s := range said {
		if i == mostSaid {
			break
		}
		title, said := string(s.Purposes[0]), s.Type
		if def, ok := d.desk.Permission.Policy().Purpose(s.Purposes[0]); ok {
			title, _ = def.In(p.Language)
		}
		if s.State == "expired" {
			said = "ended"
		}
		if s.Purposes[0] == consent.Restriction {
			title, said = p.Say("said_restriction"), "lifted"
			if s.State == consent.Objected.String() {
				said = "restricted"
			}
		}
		p.Said = append(p.Said, line{At: day(s.Time, p.Language), What: p.Say("said_" + said), Of: title})
	}
	if d.desk.Claimable() {
		p.Data = "/p/" + token + "/data"
	}
	if p.Restricted, err = d.desk.Restricted(r.Context(), token); err != nil {
		return err
	}
	if len(said) > 0 && d.desk.Prove != nil {
		p.Receipts = "/p/" + token + "/receipts"
	}
	return nil
}

// open gives the picture to everybody, whatever becomes of noticing it.
func (d *Door) open(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		d.wrongMethod(w, r, "GET, HEAD")
		return
	}
	if token, ok := strings.CutSuffix(r.PathValue("token"), ".gif"); ok {
		if _, err := d.desk.Open(r.Context(), token, feedback.VisitOf(r)); err != nil && !errors.Is(err, feedback.ErrToken) {
			d.logger.Error("an open was not noticed", "error", err)
		}
	}
	api.WritePixel(w)
}

// click leads on to where the link was signed to lead, and nowhere else.
func (d *Door) click(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		d.wrongMethod(w, r, "GET, HEAD")
		return
	}
	to := r.URL.Query().Get("u")
	t, err := d.desk.Follow(r.PathValue("token"), to)
	if err != nil || !leads(to) {
		d.refuse(w, r, feedback.ErrToken)
		return
	}
	if _, err := d.desk.Click(r.Context(), t, to, feedback.VisitOf(r)); err != nil {
		d.logger.Error("a click was not noticed", "error", err) // The reader goes on nevertheless.
	}
	h := w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusFound)
}

// leads tells whether an address may stand in a Location header.
func leads(to string) bool {
	for i := range len(to) {
		if to[i] <= ' ' || to[i] == 0x7f {
			return false
		}
	}
	u, err := url.Parse(to)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// form reads a form, however it is encoded.
func form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	return formOf(w, r, maxForm)
}

// formOf reads a form of at most so many bytes.
func formOf(w http.ResponseWriter, r *http.Request, most int64) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, most)
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && kind == "multipart/form-data" {
		return parts(multipart.NewReader(r.Body, params["boundary"]))
	}
	// Mailbox providers are told to send a form; one that forgets to say so has sent one.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(strings.TrimSpace(string(body)))
}

func parts(m *multipart.Reader) (url.Values, error) {
	out := url.Values{}
	for {
		p, err := m.NextPart()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		value, err := io.ReadAll(p)
		if err != nil {
			return nil, err
		}
		out.Add(p.FormName(), string(value))
	}
}

// refuse answers a fault. What is wrong with a link is not said.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, feedback.ErrToken):
		d.say(w, r, http.StatusNotFound, "bad_link")
	case fault.Temporary(err), fault.KindOf(err) == fault.Unavailable:
		w.Header().Set("Retry-After", "5")
		d.say(w, r, http.StatusServiceUnavailable, "later")
	default:
		d.logger.Error("a reader could not be served", "error", err)
		w.Header().Set("Retry-After", "5")
		d.say(w, r, http.StatusInternalServerError, "broken")
	}
}

func (d *Door) wrongMethod(w http.ResponseWriter, r *http.Request, allowed string) {
	w.Header().Set("Allow", allowed)
	d.say(w, r, http.StatusMethodNotAllowed, "wrong_method")
}
