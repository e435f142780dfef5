package public

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rapport/internal/feedback"
	"rapport/internal/rights"
	"rapport/internal/wording"
)

// claim sends the link with which a reader uses a right.
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
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		c, err := d.desk.Claiming(r.Context(), token)
		if err != nil {
			d.refuse(w, r, err)
			return
		}
		c.Localise(wording.DecimalComma(d.start(r, c.Language).Language))
		d.showClaim(w, r, &c, false)
	case http.MethodPost:
		d.press(w, r, token)
	default:
		d.wrongMethod(w, r, "GET, HEAD, POST")
	}
}

// maxCorrection bounds the form of a correction: twice what each field may hold, and
// the text, as a browser writes them.
const maxCorrection = 256 << 10

// press does what a link is about. Who it is for is looked at before a form of any
// size is read.
func (d *Door) press(w http.ResponseWriter, r *http.Request, token string) {
	c, err := d.desk.Claiming(r.Context(), token)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	most := int64(maxForm)
	if c.Kind == rights.Correct {
		most = maxCorrection
	}
	f, err := formOf(w, r, most)
	if err != nil {
		d.say(w, r, http.StatusBadRequest, "bad_request")
		return
	}
	deed, begun := deedOf(f), false
	deed.Comma = wording.DecimalComma(d.start(r, c.Language).Language)
	c, err = d.desk.Fulfil(r.Context(), token, deed, w, func() {
		begun = true
		beginDownload(w, deed.Page)
	})
	switch {
	case begun && err != nil:
		d.logger.Warn("a reader's copy was not written to its end", "error", err)
		panic(http.ErrAbortHandler) // Nobody is to take a part for the whole.
	case begun:
	case err != nil:
		d.refuse(w, r, err)
	default:
		d.showClaim(w, r, &c, c.Stage == feedback.Open && c.Trouble == "")
	}
}

// deedOf reads the form of a link's page.
func deedOf(f url.Values) *feedback.Deed {
	out := &feedback.Deed{Page: f.Get("as") == "page", Text: f.Get("words"), Was: map[string]string{}, Want: map[string]string{}}
	for field, values := range f {
		if name, ok := strings.CutPrefix(field, "was."); ok {
			out.Was[name] = values[0]
		} else if name, ok := strings.CutPrefix(field, "want."); ok {
			out.Want[name] = values[0]
		}
	}
	return out
}

// doneTexts say what was done.
var doneTexts = map[rights.Kind]string{rights.Erase: "claim_erased", rights.Restrict: "claim_restricted", rights.Lift: "claim_lifted", rights.Correct: "claim_corrected"}

// showClaim shows what a link is about, or what was done by it.
func (d *Door) showClaim(w http.ResponseWriter, r *http.Request, c *feedback.Claiming, done bool) {
	p := d.start(r, c.Language)
	p.Claim, p.Done = *c, done
	status, key := http.StatusOK, "claim_"+string(c.Kind)
	switch {
	case done && c.Waits:
		p.Title, p.Text = p.Say("claim_taken_title"), p.Say("claim_taken", "until", day(c.Due, p.Language))
		d.show(w, r, status, "claim", p)
		return
	case done:
		key = doneTexts[c.Kind]
	case c.Stage == feedback.Used:
		key = "claim_used"
	case c.Stage == feedback.Declined:
		key = "claim_declined"
	case c.Stage == feedback.Over:
		status, key = http.StatusGone, "claim_over"
	case c.Trouble != "":
		status = http.StatusUnprocessableEntity
	}
	p.Title, p.Text = p.Say(key+"_title"), p.Say(key)
	d.show(w, r, status, "claim", p)
}

// MoreHeld says how much more is held than the page shows.
func (p page) MoreHeld() string {
	return p.Say("claim_correct_more", "count", strconv.Itoa(p.Claim.More))
}

// Label names a trait as people read it.
func (p page) Label(trait string) string { return strings.ReplaceAll(trait, "_", " ") }

// purposesOfFields are the words by which a browser knows what a field is for (WCAG 2.2,
// 1.3.5), by the reserved traits of Segment's spec.
var purposesOfFields = map[string]string{
	"first_name": "given-name", "last_name": "family-name", "name": "name", "phone": "tel", "birthday": "bday", "gender": "sex",
	"title": "organization-title", "username": "username", "website": "url",
}

// Fills gives such a word for a trait, "off" where there is none.
func (p page) Fills(trait string) string {
	if word, ok := purposesOfFields[trait]; ok {
		return word
	}
	return "off"
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
