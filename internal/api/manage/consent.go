package manage

import (
	"context"
	"net/http"
	"time"

	"rapport/internal/access"
	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/fault"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/purpose"
)

// Desk asks addresses to confirm.
type Desk interface {
	Ask(ctx context.Context, w feedback.Wish, v feedback.Visit) (feedback.Asked, error)
}

var _ Desk = (*feedback.Desk)(nil)

// circumstances is what a caller may say of how something was said (ISO/IEC TS 27560).
type circumstances struct {
	Notice       *consent.NoticeRef `json:"notice"`
	Jurisdiction string             `json:"jurisdiction"`
	Expires      time.Time          `json:"expires"`
	Form         string             `json:"form"`
	URL          string             `json:"url"`
	IP           string             `json:"ip"`
	Agent        string             `json:"user_agent"`
}

// facts holds what was told against what the ledger keeps.
func (h *Handler) facts(t *circumstances, state consent.State) (facts []byte, expires time.Time, err error) {
	f := consent.Facts{
		Jurisdiction: consent.Cut(t.Jurisdiction), Form: consent.Cut(t.Form), URL: consent.BareURL(consent.Cut(t.URL)),
		IP: consent.Network(t.IP), Agent: consent.Cut(t.Agent),
	}
	if t.IP != "" && f.IP == "" {
		return nil, expires, wrong("/ip", "bad_ip", "this is no IP address; only its network is kept")
	}
	if t.Notice != nil {
		if t.Notice.ID == "" || len(t.Notice.Name()) > maxSendName {
			return nil, expires, wrong("/notice", "bad_notice", `a notice is {"id": "newsletter", "version": "3", "language": "en"}`)
		}
		ref := *t.Notice
		ref.Digest = ""
		f.Notice, _ = h.Consent.Notice(ref)
	}
	if !t.Expires.IsZero() {
		if state != consent.Granted || !t.Expires.After(h.Now()) {
			return nil, expires, wrong("/expires", "bad_expires", "only a yes ends, and not before it was said")
		}
		expires = t.Expires.UTC().Truncate(time.Millisecond)
	}
	return f.JSON(), expires, nil
}

// postConfirm asks an address whether it is its owner's.
func (h *Handler) postConfirm(w http.ResponseWriter, r *http.Request, caller access.Key) error {
	var in struct {
		Email    string            `json:"email"`
		Purposes []purpose.Purpose `json:"purposes"`
		Language string            `json:"language"`
		Form     string            `json:"form"`
		URL      string            `json:"url"`
		IP       string            `json:"ip"`
		Agent    string            `json:"user_agent"`
	}
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	email, ok := ingest.NormalizeAddress(in.Email)
	switch {
	case !ok:
		return wrong("/email", "bad_address", "this is no address that mail can be sent to")
	case in.Language != "" && !consent.Language(in.Language):
		return wrong("/language", "bad_language", "a language is written en, de or pt-br")
	case in.IP != "" && consent.Network(in.IP) == "":
		return wrong("/ip", "bad_ip", "this is no IP address; only its network is kept")
	}
	if err := h.note(r, caller, "confirmation.requested", h.Hash(identity.Email, email), "", map[string]string{"form": consent.Cut(in.Form)}); err != nil {
		return err
	}
	asked, err := h.Desk.Ask(r.Context(), feedback.Wish{
		Email: email, Purposes: in.Purposes, Language: in.Language, Form: in.Form, URL: in.URL, Network: consent.Network(in.IP),
	}, feedback.Visit{Agent: in.Agent})
	if err != nil {
		return err
	}
	switch asked.Why {
	case consent.TooManyForAddress, consent.TooManyForNetwork:
		e := fault.New(fault.Limited, asked.Why, "so many confirmation mails were asked for already (consent.asks_per_address, asks_per_network)")
		e.RetryAfter = time.Hour
		return e
	case feedback.OfErased:
		return errErased
	case consent.Unwanted:
		return unprocessable("address_suppressed", "the address complained or is dead: it is not asked")
	}
	return h.answer(w, r, http.StatusAccepted, struct {
		Mail  id.Message `json:"mail"`
		Until time.Time  `json:"until"` // the link works until then
	}{asked.Mail, asked.Until})
}

// spoken gives the identifiers under which words of somebody are kept: all of the
// person who answers to a reference, or the one that it names where nobody does.
func (h *Handler) spoken(r *http.Request, caller access.Key) ([]id.Hash, error) {
	q := queryOf(r, "subject")
	ref := q.text("subject")
	if q.err != nil {
		return nil, q.err
	}
	kind, value, err := splitRef(ref)
	if err != nil {
		return nil, wrong("/subject", "bad_subject", `a subject is "email:…", "user_id:…" or "id:per_…"`)
	}
	subject, object := h.subjectOf(ref, "")
	if err := h.record(r, audit.Act{At: h.Now(), Actor: "key/" + caller.ID, What: "permission.read", Object: object, Subject: subject}); err != nil {
		return nil, err
	}
	who, err := h.Reader.Find(r.Context(), kind, value)
	if fault.KindOf(err) == fault.NotFound && kind != personsOwn {
		return []id.Hash{h.Hash(kind, value)}, nil // Words are kept also of addresses that are nobody's yet.
	}
	if err != nil {
		return nil, err
	}
	p, err := h.Reader.Person(r.Context(), who, "")
	if err != nil {
		return nil, err
	}
	var out []id.Hash
	for _, x := range p.Identifiers {
		out = append(out, h.Hash(x.Kind, x.Value))
	}
	return out, nil
}

// getConsent lists the records of what somebody said, and what they are to confirm.
func (h *Handler) getConsent(w http.ResponseWriter, r *http.Request, caller access.Key) error {
	subjects, err := h.spoken(r, caller)
	if err != nil {
		return err
	}
	out, err := h.Consent.Records(r.Context(), subjects...)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, out)
}

// getReceipts gives signed receipts of what somebody said.
func (h *Handler) getReceipts(w http.ResponseWriter, r *http.Request, caller access.Key) error {
	subjects, err := h.spoken(r, caller)
	if err != nil {
		return err
	}
	all, err := h.Consent.Records(r.Context(), subjects...)
	if err != nil {
		return err
	}
	out, err := h.Trail.Receipts(r.Context(), consent.ChangedAct, subjects, consent.Bytes(all.Records))
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, out)
}

// getNotices lists every text that was ever shown with a choice.
func (h *Handler) getNotices(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	list, err := h.Consent.AllNotices(r.Context())
	if err != nil {
		return err
	}
	type line struct {
		ID       string    `json:"id"`
		Version  string    `json:"version"`
		Language string    `json:"language"`
		Digest   string    `json:"sha256"`
		Since    time.Time `json:"since"`
		InEffect bool      `json:"in_effect"`
		Text     string    `json:"text"`
	}
	out := []line{}
	now := h.Consent.Policy().Notices()
	for _, n := range list {
		l := line{n.ID, n.Version, n.Language, n.Digest, n.At, false, n.Text}
		for i := range now {
			l.InEffect = l.InEffect || now[i].Ref().Name() == n.Ref().Name()
		}
		out = append(out, l)
	}
	return h.answer(w, r, http.StatusOK, map[string]any{"notices": out})
}
