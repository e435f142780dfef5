package manage

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rapport/internal/access"
	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/purpose"
	"rapport/internal/rights"
)

// Rights takes down what people ask of their data.
type Rights interface {
	Open(ctx context.Context, r rights.Request) (rights.Request, error)
	Close(ctx context.Context, name, outcome, note string) (rights.Request, error)
	Change(ctx context.Context, name string, fn func(*rights.Request) error) (rights.Request, error)
	Request(ctx context.Context, name string) (rights.Request, error)
	Requests(ctx context.Context, q rights.Query) ([]rights.Request, error)
}

var _ Rights = (*rights.Desk)(nil)

// request is one as the API tells it.
type request struct {
	ID           string                `json:"id"`
	Kind         rights.Kind           `json:"kind"`
	Law          rights.Law            `json:"law"`
	Person       string                `json:"person,omitempty"`
	Received     time.Time             `json:"received_at"`
	Due          time.Time             `json:"due_at"`
	Closed       time.Time             `json:"closed_at,omitzero"`
	Outcome      string                `json:"outcome,omitempty"`
	Overdue      bool                  `json:"overdue"`
	Unproven     bool                  `json:"unproven,omitempty"` // nobody has proven that it is theirs
	ProofUntil   time.Time             `json:"proof_until,omitzero"`
	Result       json.RawMessage       `json:"result,omitempty"`
	Destinations []destination.Reached `json:"destinations,omitempty"`
}

func (h *Handler) told(r *rights.Request) request {
	out := request{
		ID: r.ID, Kind: r.Kind, Law: r.Law, Received: r.Received, Due: r.Answer(), Closed: r.Closed, Outcome: r.Outcome,
		Overdue: r.Open() && h.Now().After(r.Due), Result: r.Body,
	}
	if r.Awaited() {
		out.Outcome, out.Unproven, out.ProofUntil = "", true, r.Due
	}
	if r.Person != 0 {
		out.Person = r.Person.String()
	}
	return out
}

// asking is what a caller says of a request.
type asking struct {
	Request  string     `json:"request"` // an open one that this answers
	Law      rights.Law `json:"law"`
	Received time.Time  `json:"received_at"`
	Note     string     `json:"note"`

	Purposes []purpose.Purpose `json:"purposes"` // to which somebody objects; none: all
}

func (a *asking) check(now time.Time) error {
	switch {
	case a.Law != "" && !a.Law.Valid():
		return wrong("/law", "bad_request_law", "the clock of a request is gdpr (one month) or ccpa (45 days)")
	case len(a.Note) > rights.MaxNote:
		return wrong("/note", "note_too_long", "a note has at most %d bytes", rights.MaxNote)
	case a.Received.After(now):
		return wrong("/received_at", "bad_received", "a request cannot have come in the future")
	}
	if a.Law == "" {
		a.Law = rights.GDPR
	}
	if a.Received.IsZero() {
		a.Received = now
	}
	return nil
}

// postErase erases somebody. The answer comes when it is done; under one
// idempotency key, or for one open request, it is done once.
func (h *Handler) postErase(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "dry_run")
	dry := q.flag("dry_run")
	if q.err != nil {
		return q.err
	}
	var in asking
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	now := h.Now().UTC().Truncate(time.Millisecond)
	if err := in.check(now); err != nil {
		return err
	}
	name, who, fresh, err := h.answers(w, r, &in, rights.Erase)
	if err != nil || !fresh {
		return err
	}
	if dry {
		out, err := h.Reader.Erasing(r.Context(), who)
		if err != nil {
			return err
		}
		return h.answer(w, r, http.StatusOK, out)
	}
	e, err := processor.EraseEvent(name, who, now, processor.EraseRequest{Law: in.Law, Received: in.Received.UnixMilli(), Note: in.Note})
	if err != nil {
		return err
	}
	if err := h.carryOut(r.Context(), e); err != nil {
		return err
	}
	x, err := h.Rights.Request(r.Context(), name)
	if err != nil || x.Outcome != rights.Done {
		return fault.New(fault.Conflict, "not_erased", "the person could not be erased: the record was set aside or the person is gone; `rapport mend` lists what was set aside")
	}
	return h.answerRequest(w, r, &x)
}

// answers finds the id of the request that a call answers, and who it is about. One
// that was answered already is told again, and is not fresh.
func (h *Handler) answers(w http.ResponseWriter, r *http.Request, in *asking, kind rights.Kind) (name string, who id.Person, fresh bool, err error) {
	if len(in.Purposes) > 0 && kind != rights.Object {
		return "", 0, false, wrong("/purposes", "bad_purposes", "to %s concerns all purposes", kind)
	}
	if name = in.Request; name == "" {
		key, err := idempotencyKey(r.Header)
		if err != nil {
			return "", 0, false, err
		}
		keyed := digestOf([]byte(string(kind) + " " + key))
		name = string(kind) + "-" + hex.EncodeToString(keyed[:16])
	}
	x, err := h.Rights.Request(r.Context(), name)
	switch {
	case fault.KindOf(err) == fault.NotFound && in.Request == "": // It is the request itself.
	case err != nil:
		return "", 0, false, err
	case x.Kind != kind:
		return "", 0, false, unprocessable("other_request", "the request asks to %s", x.Kind)
	case x.Awaited():
		return "", 0, false, x.MayBeAnswered()
	case !x.Open():
		return "", 0, false, h.answerRequest(w, r, &x)
	default:
		in.Law, in.Received = x.Law, x.Received
	}
	who, err = h.whom(r.Context(), r.PathValue("ref"), x.Person)
	return name, who, err == nil, err
}

// whom finds who a call is about. What answers a request is about whoever asked: with
// another's request nobody is erased.
func (h *Handler) whom(ctx context.Context, ref string, asked id.Person) (id.Person, error) {
	who, err := h.find(ctx, ref)
	if err != nil || asked == 0 {
		return who, err
	}
	if asked, err = h.Reader.Living(ctx, asked); err != nil {
		return 0, err
	}
	if asked != who {
		return 0, unprocessable("other_person", "the request is %s's, and the call is about %s: name who asked, or another request", asked, who)
	}
	return who, nil
}

const durableNotWalked = "the request is durable and not walked yet"

// carryOut has a record walked.
func (h *Handler) carryOut(ctx context.Context, e *event.Event) error {
	pos, _, err := h.Log.Append(ctx, eventlog.Live, [][]byte{e.Append(nil)})
	if err != nil {
		return err
	}
	return h.walked(ctx, pos, durableNotWalked)
}

func (h *Handler) answerRequest(w http.ResponseWriter, r *http.Request, x *rights.Request) error {
	out := h.told(x)
	if x.Told != 0 {
		var err error
		if out.Destinations, err = h.Destinations.Where(r.Context(), x.Told); err != nil {
			return err
		}
	}
	return h.answer(w, r, http.StatusOK, out)
}

// postAdmit lets events under an identifier of somebody who was erased be kept again.
func (h *Handler) postAdmit(w http.ResponseWriter, r *http.Request, caller access.Key) error {
	var in identity.Name
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	if in.Kind == "" || in.Value == "" {
		return wrong("", "bad_identifier", `name the identifier that comes back: {"kind": "email", "value": "…"}`)
	}
	if in.Kind == identity.Email {
		in.Value = strings.ToLower(strings.TrimSpace(in.Value))
	}
	subject := h.Hash(in.Kind, in.Value)
	if err := h.note(r, caller, "person.admit_asked", subject, "", map[string]string{"kind": in.Kind}); err != nil {
		return err
	}
	if !h.Barred(subject) {
		return fault.New(fault.NotFound, "not_erased", "nobody who was erased had this identifier: its events are kept")
	}
	props, err := json.Marshal(processor.AdmitRequest{Subject: hex.EncodeToString(subject[:])})
	if err != nil {
		return err
	}
	now := h.Now().UTC().Truncate(time.Millisecond)
	e := &event.Event{
		Type: event.Rights, Name: processor.AdmitRecord, Source: house, MessageID: "admit-" + h.random.name(), Time: now, Received: now, Properties: props,
	}
	if err := h.carryOut(r.Context(), e); err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, map[string]bool{"admitted": true})
}

// getRequests lists what people asked for.
func (h *Handler) getRequests(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "open", "unproven", "kind", "limit")
	x := rights.Query{Open: q.flag("open"), Awaited: q.flag("unproven"), Kind: rights.Kind(q.text("kind")), Limit: int(q.number("limit", 100, rights.MaxListed))}
	if q.err != nil {
		return q.err
	}
	if x.Kind != "" && !x.Kind.Valid() {
		return wrong("/kind", "bad_request_kind", "a request is one of export, correct, erase, restrict, lift and object")
	}
	list, err := h.Rights.Requests(r.Context(), x)
	if err != nil {
		return err
	}
	out := struct {
		Requests []request `json:"requests"`
	}{[]request{}}
	for i := range list {
		out.Requests = append(out.Requests, h.told(&list[i]))
	}
	return h.answer(w, r, http.StatusOK, out)
}

// postRequest takes one down that cannot be answered at once: its clock runs.
func (h *Handler) postRequest(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	var in struct {
		Kind   rights.Kind `json:"kind"`
		Person string      `json:"person"`
		asking
	}
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	now := h.Now().UTC().Truncate(time.Millisecond)
	if err := in.check(now); err != nil {
		return err
	}
	if !in.Kind.Valid() {
		return wrong("/kind", "bad_request_kind", "a request is one of export, correct, erase, restrict, lift and object")
	}
	who, err := h.find(r.Context(), in.Person)
	if err != nil {
		return err
	}
	x := rights.Request{
		ID: "req-" + h.random.name(), Kind: in.Kind, Law: in.Law, Person: who, Subject: h.Hash(audit.PersonKind, who.String()),
		Received: in.Received.UTC().Truncate(time.Millisecond),
	}
	if err := x.Note(in.Note); err != nil {
		return err
	}
	if x, err = h.Rights.Open(r.Context(), x); err != nil {
		return err
	}
	return h.answer(w, r, http.StatusCreated, h.told(&x))
}

// getRequest tells of one; with a person it must be that person's.
func (h *Handler) getRequest(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "person")
	ref := q.text("person")
	if q.err != nil {
		return q.err
	}
	x, err := h.Rights.Request(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if ref != "" {
		if _, err := h.whom(r.Context(), ref, x.Person); err != nil {
			return err
		}
	}
	return h.answerRequest(w, r, &x)
}

// postClose notes what became of one.
func (h *Handler) postClose(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	var in struct {
		Outcome string `json:"outcome"`
		Note    string `json:"note"`
	}
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	if len(in.Note) > rights.MaxNote {
		return wrong("/note", "note_too_long", "a note has at most %d bytes", rights.MaxNote)
	}
	x, err := h.Rights.Close(r.Context(), r.PathValue("id"), in.Outcome, in.Note)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, h.told(&x))
}

// getCertificate signs what an erasure came to and how far each destination is.
func (h *Handler) getCertificate(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	x, err := h.Rights.Request(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	var done processor.Erased
	if x.Kind == rights.Erase && x.Outcome == rights.Done && len(x.Body) > 0 {
		if err := json.Unmarshal(x.Body, &done); err != nil {
			return fmt.Errorf("read what an erasure came to: %w", err)
		}
	}
	if done.Person == "" { // Somebody may have closed it without erasing.
		return fault.New(fault.Conflict, "not_erased", "only of an erasure that was carried out there is a certificate")
	}
	lines := []string{
		"erasure " + x.ID, "of " + x.Person.String(), "received " + stamp(x.Received), "due " + stamp(x.Due), "done " + stamp(x.Closed),
		fmt.Sprintf("identifiers %d, events %d, mails %d of which withdrawn %d, rejected %d, set aside %d",
			done.Identifiers, done.Events, done.Mails, done.Withdrawn, done.Rejects, done.Asides),
	}
	if x.Told != 0 {
		where, err := h.Destinations.Where(r.Context(), x.Told)
		if err != nil {
			return err
		}
		for _, d := range where {
			lines = append(lines, "destination "+d.Destination+" "+d.State)
		}
	}
	lines = append(lines, "signed "+stamp(h.Now()))
	text, err := h.Trail.Certify(lines)
	if err != nil {
		return err
	}
	w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	w.Header()["Cache-Control"] = noStore
	_, err = w.Write([]byte(text))
	return err
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// postCorrect puts traits of somebody right.
func (h *Handler) postCorrect(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	var in struct {
		Traits   map[string]json.RawMessage `json:"traits"`
		Answered bool                       `json:"words_answered"` // what they wrote in their own words is dealt with
		asking
	}
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	now := h.Now().UTC().Truncate(time.Millisecond)
	if err := in.check(now); err != nil {
		return err
	}
	name, who, fresh, err := h.answers(w, r, &in.asking, rights.Correct)
	if err != nil || !fresh {
		return err
	}
	asked, err := h.askedIn(r.Context(), in.Request)
	if err != nil {
		return err
	}
	words := asked.Text != "" && !in.Answered && in.Note == ""
	if in.Traits == nil && !asked.Decided {
		in.Traits = asked.Traits
	}
	if in.Traits != nil || asked.Text == "" || words {
		traits, err := rightTraits(in.Traits)
		if err != nil {
			return err
		}
		e := &event.Event{
			Type: event.Identify, Source: house, MessageID: correctionID(name, in.Request, traits), Person: int64(who), Time: now, Received: now, Traits: traits,
		}
		if err := h.carryOut(r.Context(), e); err != nil {
			return err
		}
	}
	if words {
		x, err := h.Rights.Change(r.Context(), name, (*rights.Request).Decide)
		if err != nil {
			return err
		}
		return h.answerRequest(w, r, &x)
	}
	return h.closed(w, r, name, rights.Correct, who, &in.asking)
}

// correctionID names the record of a correction: for one request there may be several.
func correctionID(name, request string, traits []byte) string {
	if request == "" {
		return name
	}
	d := digestOf(traits)
	return name + "-" + hex.EncodeToString(d[:8])
}

// askedIn gives what somebody wrote on the page of a request, so that an operator who
// has looked at it need not write it again.
func (h *Handler) askedIn(ctx context.Context, request string) (rights.Asks, error) {
	if request == "" {
		return rights.Asks{}, nil
	}
	x, err := h.Rights.Request(ctx, request)
	if err != nil {
		return rights.Asks{}, err
	}
	if asked := x.Asked(); asked != nil {
		return *asked, nil
	}
	return rights.Asks{}, nil
}

// rightTraits gives what is right as an identify says it.
func rightTraits(named map[string]json.RawMessage) (json.RawMessage, error) {
	if len(named) == 0 {
		return nil, wrong("/traits", "nothing_corrected", "name at least one trait with its right value; null takes it away")
	}
	for name := range named {
		if name == profile.GroupTrait || name == profile.GroupsTrait || name == "" {
			return nil, wrong("/traits", "bad_trait", "a trait has a name, and the house writes $group and $groups itself")
		}
	}
	raw, err := json.Marshal(named)
	if err != nil {
		return nil, err
	}
	good, ok := ingest.Sound(raw)
	if !ok {
		return nil, wrong("/traits", "bad_trait", "a value cannot be kept, by the limits of every event: a number is too large for a float64, it is nested too deep, or has too many keys")
	}
	return good, nil
}

// closed takes down what was carried out, or closes the request that it answers: what
// somebody wrote in that stays.
func (h *Handler) closed(w http.ResponseWriter, r *http.Request, name string, kind rights.Kind, who id.Person, in *asking) error {
	if in.Request == "" {
		x := rights.Request{ID: name, Kind: kind, Law: in.Law, Person: who, Subject: h.Hash(audit.PersonKind, who.String()), Received: in.Received.UTC()}
		if _, err := h.Rights.Open(r.Context(), x); err != nil {
			return err
		}
	}
	x, err := h.Rights.Close(r.Context(), name, rights.Done, in.Note)
	if err != nil {
		return err
	}
	return h.answerRequest(w, r, &x)
}

// postRestrict has somebody's data kept and not used, postLift ends that.
func (h *Handler) postRestrict(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	return h.say(w, r, rights.Restrict, consent.Objected, func(*asking) ([]purpose.Purpose, error) { return []purpose.Purpose{consent.Restriction}, nil })
}

func (h *Handler) postLift(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	return h.say(w, r, rights.Lift, consent.Granted, func(*asking) ([]purpose.Purpose, error) { return []purpose.Purpose{consent.Restriction}, nil })
}

// postObject has somebody's data not used for some purposes, or for all to which
// one may object.
func (h *Handler) postObject(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	return h.say(w, r, rights.Object, consent.Objected, func(in *asking) ([]purpose.Purpose, error) {
		for _, p := range in.Purposes {
			if err := h.mayBeSaid(p, consent.Objected); err != nil {
				return nil, err
			}
		}
		if len(in.Purposes) > 0 {
			return in.Purposes, nil
		}
		var all []purpose.Purpose
		for _, d := range h.Consent.Policy().Purposes() {
			if d.Objectable() {
				all = append(all, d.Name)
			}
		}
		if len(all) == 0 {
			return nil, unprocessable("nothing_objectable", "the configuration has no purpose to which one may object")
		}
		return all, nil
	})
}

// say writes a word of somebody under each of their identifiers and takes the
// request down that asked for it.
func (h *Handler) say(w http.ResponseWriter, r *http.Request, kind rights.Kind, state consent.State, about func(*asking) ([]purpose.Purpose, error)) error {
	var in asking
	if err := h.decode(r, maxSmallBody, &in); err != nil {
		return err
	}
	if err := in.check(h.Now().UTC().Truncate(time.Millisecond)); err != nil {
		return err
	}
	purposes, err := about(&in)
	if err != nil {
		return err
	}
	name, who, fresh, err := h.answers(w, r, &in, kind)
	if err != nil || !fresh {
		return err
	}
	p, err := h.Reader.Person(r.Context(), who, "")
	if err != nil {
		return err
	}
	var entries []consent.Entry
	for _, x := range p.Identifiers {
		for _, why := range purposes {
			entries = append(entries, consent.Entry{Subject: h.Hash(x.Kind, x.Value), Kind: x.Kind, Purpose: why, State: state, Method: consent.ByAPI})
		}
	}
	if err := h.Consent.Submit(r.Context(), name, house, entries); err != nil {
		return err
	}
	if state == consent.Granted { // What widens holds once it is walked.
		tail, _ := h.Log.Tail(eventlog.Live)
		if err := h.walked(r.Context(), tail, durableNotWalked); err != nil {
			return err
		}
	}
	return h.closed(w, r, name, kind, p.ID, &in)
}
