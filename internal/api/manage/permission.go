package manage

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/access"
	"rapport/internal/consent"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/purpose"
)

const maxEvidence = 4 << 10

// subjectRef is whom a change of permission is about: {"kind", "value"} or
// "kind:value".
type subjectRef struct{ kind, value string }

// UnmarshalJSON implements json.Unmarshaler.
func (s *subjectRef) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		s.kind, s.value, _ = strings.Cut(text, ":")
		return nil
	}
	var parts struct {
		Kind  string `json:"kind"`
		Value string `json:"value"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(&parts)
	s.kind, s.value = parts.Kind, parts.Value
	return err
}

// postConsent records what somebody said. It answers once that is durable; what
// narrows holds by then.
func (h *Handler) postConsent(w http.ResponseWriter, r *http.Request, caller access.Key) error {
	var in struct {
		Subject  subjectRef      `json:"subject"`
		Purpose  purpose.Purpose `json:"purpose"`
		State    string          `json:"state"`
		Evidence jsontext.Value  `json:"evidence"`
		circumstances
	}
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	state, ok := consent.ParseState(in.State)
	if !ok {
		return wrong("/state", "bad_state", "what was said is granted, refused, withdrawn or objected")
	}
	if err := h.mayBeSaid(in.Purpose, state); err != nil {
		return err
	}
	if err := evidence(in.Evidence); err != nil {
		return err
	}
	facts, expires, err := h.facts(&in.circumstances, state)
	if err != nil {
		return err
	}
	record := "consent/" + h.random.name()
	if len(r.Header["Idempotency-Key"]) > 0 {
		key, err := idempotencyKey(r.Header)
		if err != nil {
			return err
		}
		record = "consent/key/" + key
	}
	subjects, err := h.subjects(r.Context(), in.Subject)
	if err != nil {
		return err
	}
	entries := make([]consent.Entry, 0, len(subjects))
	for _, s := range subjects {
		e := consent.Entry{Subject: h.Hash(s.kind, s.value), Kind: s.kind, Purpose: in.Purpose, State: state, Method: consent.ByAPI, Facts: facts, Expires: expires}
		if len(in.Evidence) > 0 {
			e.Evidence = in.Evidence
		}
		if err := h.ofErased(&e); err != nil {
			return err
		}
		entries = append(entries, e)
		detail := map[string]string{"record": house + "/" + record, "state": in.State}
		if err := h.note(r, caller, "permission.asked", e.Subject, string(in.Purpose), detail); err != nil {
			return err
		}
	}
	if err := h.Consent.Submit(r.Context(), record, house, entries); err != nil {
		return err
	}
	position, _ := h.Log.Tail(eventlog.Live)
	return h.answer(w, r, http.StatusOK, struct {
		Record   string          `json:"record"`
		Purpose  purpose.Purpose `json:"purpose"`
		State    string          `json:"state"`
		Subjects int             `json:"subjects"` // identifiers under which it is kept
		Position int64           `json:"position"` // what widens holds once that is walked
	}{house + "/" + record, in.Purpose, in.State, len(entries), position})
}

// mayBeSaid tells whether a purpose is one that people can speak of.
func (h *Handler) mayBeSaid(p purpose.Purpose, state consent.State) error {
	known, objectable := false, false
	for _, d := range h.Consent.Policy().Purposes() {
		if d.Name.Of(p) {
			known, objectable = true, objectable || d.Objectable()
		}
	}
	switch {
	case p == "" || !known:
		return wrong("/purpose", "no_such_purpose", "the configuration in effect declares no such purpose")
	case state > consent.Granted && !objectable:
		return unprocessable("purpose_not_objectable", "the purpose %s rests on a basis that nobody can say no to; to stop all mail to an address, suppress it", p)
	}
	return nil
}

// evidence holds what came as evidence against what the ledger may keep.
func evidence(v []byte) error {
	switch {
	case len(v) == 0:
		return nil
	case v[0] != '{':
		return wrong("/evidence", "wrong_type", "evidence is a JSON object")
	case len(v) > maxEvidence:
		return wrong("/evidence", "evidence_too_large", "evidence has at most %d bytes", maxEvidence)
	case bytes.ContainsRune(v, '@') || bytes.Contains(v, []byte(`\u0040`)):
		return wrong("/evidence", "evidence_names_somebody", "evidence is kept for ever and must hold no address")
	}
	return nil
}

var errErased = fault.New(fault.NotFound, feedback.OfErased, "whoever had this identifier was erased, so nothing is permitted under it; rapport person admit has it kept again")

// ofErased refuses a grant under an identifier of somebody who was erased. A no is
// kept, without what it rests on.
func (h *Handler) ofErased(e *consent.Entry) error {
	if !h.Barred(e.Subject) {
		return nil
	}
	if e.State == consent.Granted {
		return errErased
	}
	e.Evidence, e.Facts = nil, nil
	return nil
}

// subjects gives the identifiers under which a change is kept: the one that was
// named, or all of the person whose own id was.
func (h *Handler) subjects(ctx context.Context, s subjectRef) ([]subjectRef, error) {
	switch {
	case s.kind == "" || s.value == "":
		return nil, wrong("/subject", "bad_subject", `a subject is {"kind": "email", "value": …} or "email:…"`)
	case len(s.value) > maxRefValue || len(s.kind) > maxSendName:
		return nil, wrong("/subject", "bad_subject", "an identifier has at most %d bytes", maxRefValue)
	case s.kind == identity.Email:
		address, ok := ingest.NormalizeAddress(s.value)
		if !ok {
			return nil, wrong("/subject", "bad_address", "this is no address that mail can be sent to")
		}
		return []subjectRef{{s.kind, address}}, nil
	case s.kind != personsOwn:
		if identity.Blocked(s.value) {
			return nil, wrong("/subject", "bad_subject", "the identifier is one that broken programs send for everybody")
		}
		return []subjectRef{s}, nil
	}
	who, err := h.Reader.Find(ctx, s.kind, s.value)
	if err != nil {
		return nil, err
	}
	p, err := h.Reader.Person(ctx, who, "")
	if err != nil {
		return nil, err
	}
	var out []subjectRef
	for _, x := range p.Identifiers {
		out = append(out, subjectRef{x.Kind, x.Value})
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Conflict, "no_identifiers", "the person has no identifier under which permission could be kept")
	}
	return out, nil
}

// suppression is what a request says of an address.
type suppression struct {
	Email   string          `json:"email"`
	Reason  consent.Reason  `json:"reason"`
	Purpose purpose.Purpose `json:"purpose"`
}

func (h *Handler) suppression(r *http.Request) (in suppression, address id.Hash, err error) {
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return in, address, err
	}
	if in.Reason == "" {
		in.Reason = consent.Manual
	}
	email, ok := ingest.NormalizeAddress(in.Email)
	if !ok {
		return in, address, wrong("/email", "bad_address", "this is no address that mail can be sent to")
	}
	return in, h.Hash(identity.Email, email), nil
}

// everything stands for all purposes, service included.
const everything purpose.Purpose = "*"

// postSuppression stops mail to an address.
func (h *Handler) postSuppression(w http.ResponseWriter, r *http.Request, caller access.Key) error {
	in, address, err := h.suppression(r)
	switch {
	case err != nil:
		return err
	case in.Reason != consent.Manual:
		return wrong("/reason", "bad_reason", "an operator suppresses for the reason manual; the others are found out")
	}
	if in.Purpose != "" && in.Purpose != everything {
		if err := h.mayBeSaid(in.Purpose, consent.Granted); err != nil {
			return err
		}
	}
	s := consent.Suppression{Address: address, Purpose: in.Purpose, Reason: in.Reason, At: h.Now(), Source: consent.ByAPI}
	if err := h.note(r, caller, "suppression.asked", address, string(in.Purpose), map[string]string{"reason": string(in.Reason)}); err != nil {
		return err
	}
	if err := h.Consent.Suppress(r.Context(), s); err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, struct {
		Suppressed bool            `json:"suppressed"`
		Reason     consent.Reason  `json:"reason"`
		Purpose    purpose.Purpose `json:"purpose"`
	}{true, in.Reason, in.Purpose})
}

// deleteSuppression takes back what an operator or a bounce put against an
// address. What a person said stays: only they can take it back.
func (h *Handler) deleteSuppression(w http.ResponseWriter, r *http.Request, caller access.Key) error {
	in, address, err := h.suppression(r)
	switch {
	case err != nil:
		return err
	case in.Purpose != "":
		return wrong("/purpose", "unknown_field", "a suppression is taken back with its reason, for all purposes")
	case in.Reason == consent.Complaint || in.Reason == consent.Unsubscribed:
		return unprocessable("not_yours_to_lift", "what a person said of their mail holds until they say otherwise; record a grant when they did")
	case in.Reason != consent.Manual && in.Reason != consent.HardBounce:
		return wrong("/reason", "bad_reason", "manual and hard_bounce can be taken back")
	}
	if err := h.note(r, caller, "suppression.lift_asked", address, "", map[string]string{"reason": string(in.Reason)}); err != nil {
		return err
	}
	if err := h.Consent.Lift(r.Context(), address, in.Reason); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
