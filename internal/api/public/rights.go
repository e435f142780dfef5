package public

import (
	"net/http"
	"time"

	"rapport/internal/feedback"
	"rapport/internal/rights"
)

// claim sends the link with which a reader gets a copy of their data, or is erased.
func (d *Door) claim(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		d.wrongMethod(w, r, "POST")
		return
	}
	f, err := form(w, r)
	if err != nil {
		d.say(w, r, http.StatusBadRequest, "bad_request")
		return
	}
	p := d.start(r, "")
	visit := feedback.VisitOf(r)
	visit.Language = p.Language
	until, many, err := d.desk.Claim(r.Context(), r.PathValue("token"), rights.Kind(f.Get("do")), visit)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	status, key := http.StatusOK, "claim_sent"
	if many {
		status, key = http.StatusTooManyRequests, "claim_many"
	}
	p.Title, p.Text = p.Say(key+"_title"), p.Say(key, "until", day(until, p.Language))
	d.show(w, r, status, "message", p)
}

// fulfil shows what a link is about to those who look, and does it for those who
// press the button.
func (d *Door) fulfil(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	var c feedback.Claiming
	var err error
	begun := false
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		c, err = d.desk.Claiming(r.Context(), token)
	case http.MethodPost:
		f, formErr := form(w, r)
		if formErr != nil {
			d.say(w, r, http.StatusBadRequest, "bad_request")
			return
		}
		page := f.Get("as") == "page"
		c, err = d.desk.Fulfil(r.Context(), token, page, w, func() {
			begun = true
			beginDownload(w, page)
		})
	default:
		d.wrongMethod(w, r, "GET, HEAD, POST")
		return
	}
	switch {
	case begun && err != nil:
		d.logger.Warn("a reader's copy was not written to its end", "error", err)
		panic(http.ErrAbortHandler) // Nobody is to take a part for the whole.
	case begun:
		return
	case err != nil:
		d.refuse(w, r, err)
		return
	}
	p := d.start(r, c.Language)
	p.Claim = c
	status, key := http.StatusOK, "claim_"+string(c.Kind)
	switch {
	case c.Stage == feedback.Used:
		key = "claim_used"
	case c.Stage == feedback.Over:
		status, key = http.StatusGone, "claim_over"
	case r.Method == http.MethodPost:
		p.Done, key = true, "claim_erased"
	}
	p.Title, p.Text = p.Say(key+"_title"), p.Say(key)
	d.show(w, r, status, "claim", p)
}

// beginDownload writes the head of a copy.
func beginDownload(w http.ResponseWriter, page bool) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // It may be of any size; the link to it works once.
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="my-data.json"`)
	if page {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="my-data.html"`)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex, nofollow")
}
