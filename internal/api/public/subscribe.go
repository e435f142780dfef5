package public

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"rapport/internal/feedback"
	"rapport/internal/ingest"
	"rapport/internal/purpose"
)

// subscribe shows the form, and sends the mail that asks an address to confirm.
// The answer is the same whether or not a mail was sent: it tells nobody who is
// known here.
func (d *Door) subscribe(w http.ResponseWriter, r *http.Request) {
	p := d.start(r, "")
	can := d.desk.Confirmable()
	if len(can) == 0 {
		d.say(w, r, http.StatusNotFound, "bad_link")
		return
	}
	p.Title, p.Purposes = p.Say("subscribe_title"), p.describe(d.desk.Permission.Policy(), can)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		chosen := r.URL.Query()["purpose"] // A site may link to the form with what it is about.
		for i := range p.Purposes {
			p.Purposes[i].On = len(can) == 1 || slices.Contains(chosen, p.Purposes[i].Name)
		}
		d.show(w, r, http.StatusOK, "subscribe", p)
	case http.MethodPost:
		d.ask(w, r, p)
	default:
		d.wrongMethod(w, r, "GET, HEAD, POST")
	}
}

func (d *Door) ask(w http.ResponseWriter, r *http.Request, p page) {
	f, err := form(w, r)
	if err != nil {
		d.say(w, r, http.StatusBadRequest, "bad_request")
		return
	}
	want := feedback.Wish{Language: p.Language, Form: f.Get("form"), URL: r.Referer()}
	if want.Form == "" {
		want.Form = "subscribe"
	}
	for i := range p.Purposes {
		if p.Purposes[i].On = slices.Contains(f["purpose"], p.Purposes[i].Name); p.Purposes[i].On {
			want.Purposes = append(want.Purposes, purpose.Purpose(p.Purposes[i].Name))
		}
	}
	p.Wish.Email = f.Get("email")
	var ok bool
	switch want.Email, ok = ingest.NormalizeAddress(p.Wish.Email); {
	case len(want.Purposes) == 0:
		p.Wish.Trouble, p.Wish.TroubleOf = p.Say("subscribe_none"), "purpose"
	case !ok:
		p.Wish.Trouble, p.Wish.TroubleOf = p.Say("subscribe_bad_address"), "email"
	}
	if p.Wish.TroubleOf != "" {
		d.show(w, r, http.StatusUnprocessableEntity, "subscribe", p)
		return
	}
	asked, err := d.desk.Ask(r.Context(), want, feedback.VisitOf(r))
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	if asked.Why != "" {
		d.logger.Warn("an address was not asked to confirm", "reason", asked.Why)
	}
	p.Title, p.Text = p.Say("subscribe_sent_title"), p.Say("subscribe_sent", "until", day(asked.Until, p.Language))
	d.show(w, r, http.StatusOK, "message", p)
}

// confirm shows what is to be confirmed to those who look, and confirms it for
// those who press the button: gateways follow links.
func (d *Door) confirm(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	var c feedback.Confirming
	var err error
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		c, err = d.desk.Confirming(r.Context(), token)
	case http.MethodPost:
		c, err = d.desk.Confirm(r.Context(), token, feedback.VisitOf(r))
	default:
		d.wrongMethod(w, r, "GET, HEAD, POST")
		return
	}
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	p := d.start(r, c.Language)
	p.Confirm, p.Purposes = c, p.describe(d.desk.Permission.Policy(), c.Purposes)
	status, key := http.StatusOK, "confirm"
	switch c.Stage {
	case feedback.Open:
		p.Title, p.Text = p.Say("confirm_title"), p.Say("confirm_lead")
	case feedback.Used:
		key = "confirm_used"
	case feedback.Over:
		status, key = http.StatusGone, "confirm_over"
	case feedback.Gone:
		status, key = http.StatusGone, "confirm_gone"
	}
	if r.Method == http.MethodPost && c.Stage == feedback.Open {
		p.Done, key = true, "confirm_done"
	}
	if key != "confirm" {
		p.Title, p.Text = p.Say(key+"_title"), p.Say(key)
	}
	d.show(w, r, status, "confirm", p)
}

// receipts gives the person signed receipts of all they said.
func (d *Door) receipts(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		d.wrongMethod(w, r, "GET, HEAD")
		return
	}
	out, err := d.desk.Receipts(r.Context(), r.PathValue("token"))
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="receipts.json"`)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	if r.Method == http.MethodHead {
		return
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(out) // The reader has gone.
}

// signal shows whether the browser's privacy signal is honoured and what is off by
// it, as a page, or as JSON for a site that shows it itself (CCPA Regs. § 7025).
func (d *Door) signal(w http.ResponseWriter, r *http.Request) {
	visit, list := feedback.VisitOf(r), d.desk.Signalled()
	if r.Header.Get("Accept") == "application/json" {
		names := []purpose.Purpose{}
		for _, def := range list {
			names = append(names, def.Name)
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cache-Control", "no-store")
		h.Set("Vary", "Sec-GPC")
		_ = json.NewEncoder(w).Encode(map[string]any{"signal": visit.GPC, "honoured": visit.GPC && len(names) > 0, "purposes": names}) // The caller has gone.
		return
	}
	p := d.start(r, "")
	p.GPC = visit.GPC && len(list) > 0
	key := "signal_off"
	if p.GPC {
		key = "signal_on"
	}
	p.Title, p.Text, p.Purposes = p.Say("signal_title"), p.Say(key), p.describe(d.desk.Permission.Policy(), list)
	d.show(w, r, http.StatusOK, "signal", p)
}

// gpc tells whether the signal is honoured here, after the GPC specification.
func (d *Door) gpc(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // The caller has gone.
		GPC  bool   `json:"gpc"`
		Last string `json:"lastUpdate"`
	}{len(d.desk.Signalled()) > 0, d.since().UTC().Format(time.DateOnly)})
}
