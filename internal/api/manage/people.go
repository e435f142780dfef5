package manage

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"rapport/internal/access"
	"rapport/internal/explain"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/message"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// Sizes of pages.
const (
	defaultPage = 50
	maxPage     = 500
)

// splitRef takes kind:value apart; an address is given its one form.
func splitRef(ref string) (kind, value string, err error) {
	kind, value, ok := strings.Cut(ref, ":")
	switch {
	case !ok || kind == "" || value == "":
		return "", "", fault.New(fault.Invalid, "bad_person", "a person is named by kind:value, for example user_id:42, email:…, anonymous_id:… or id:per_1")
	case len(value) > maxRefValue || len(kind) > maxSendName:
		return "", "", fault.New(fault.Invalid, "bad_person", "an identifier has at most %d bytes", maxRefValue)
	}
	if kind == identity.Email {
		if address, ok := ingest.NormalizeAddress(value); ok {
			value = address
		}
	}
	return kind, value, nil
}

// find gives the person of kind:value.
func (h *Handler) find(ctx context.Context, ref string) (id.Person, error) {
	kind, value, err := splitRef(ref)
	if err != nil {
		return 0, err
	}
	return h.Reader.Find(ctx, kind, value)
}

// await waits until the live lane is walked up to what the caller has seen.
func (h *Handler) await(r *http.Request, q *query) error {
	pos := q.number("min_position", 0, math.MaxInt64)
	if q.err != nil || pos == 0 {
		return q.err
	}
	return h.walked(r.Context(), pos, "the position is not walked yet")
}

func (h *Handler) getPerson(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "purpose", "min_position")
	why := q.purpose()
	if err := h.await(r, q); err != nil {
		return err
	}
	who, err := h.find(r.Context(), r.PathValue("ref"))
	if err != nil {
		return err
	}
	p, err := h.Reader.Person(r.Context(), who, why)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, p)
}

func (h *Handler) getEvents(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "limit", "cursor", "purpose", "min_position")
	why := q.purpose()
	limit := q.number("limit", defaultPage, maxPage)
	if err := h.await(r, q); err != nil {
		return err
	}
	who, err := h.find(r.Context(), r.PathValue("ref"))
	if err != nil {
		return err
	}
	events, cursor, err := h.Reader.Events(r.Context(), who, why, q.text("cursor"), int(limit))
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, struct {
		Events []explain.Event `json:"events"`
		Cursor string          `json:"cursor"`
	}{events, cursor})
}

func (h *Handler) getSegments(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	list, err := h.Reader.Segments(r.Context())
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, map[string]any{"segments": list})
}

// purpose reads for which purpose somebody is read; none is the operator.
func (q *query) purpose() purpose.Purpose {
	p := q.text("purpose")
	if _, there := q.values["purpose"]; there && (p == "" || len(p) > maxSendName) {
		q.fault("purpose", "no_such_purpose", "a purpose is a name from purposes.yaml; leave the parameter out to read as the operator")
	}
	return purpose.Purpose(p)
}

// asks reads whom an explanation is about, which thing of theirs, and for which purpose.
func (h *Handler) asks(r *http.Request) (who id.Person, name string, why purpose.Purpose, err error) {
	q := queryOf(r, "person", "purpose", "min_position")
	why = q.purpose()
	if q.text("person") == "" {
		q.fault("person", "person_required", "say whom it is about: person=kind:value")
	}
	if err := h.await(r, q); err != nil {
		return 0, "", "", err
	}
	if who, err = h.find(r.Context(), q.text("person")); err != nil {
		return 0, "", "", err
	}
	name, err = named(r, "name")
	return who, name, why, err
}

func (h *Handler) explainSegment(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	who, name, why, err := h.asks(r)
	if err != nil {
		return err
	}
	s, err := h.Reader.Segment(r.Context(), name, who, why)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, struct {
		*explain.Segment
		Rule condition `json:"rule"` // in place of the embedded one
	}{s, conditionOf(&s.Why)})
}

// condition is one condition of a rule with what it saw.
type condition struct {
	Text       string          `json:"text"`
	Truth      bool            `json:"truth"`
	Seen       json.RawMessage `json:"seen,omitempty"`
	Note       string          `json:"note,omitempty"`
	ValidUntil time.Time       `json:"valid_until,omitzero"`
	Children   []condition     `json:"children,omitempty"`
}

func conditionOf(e *rule.Explanation) condition {
	c := condition{Text: e.Text, Truth: e.Truth, Seen: e.Seen, Note: e.Note}
	// Beyond the year 9999 there is no RFC 3339, and nobody waits for it.
	if at := time.UnixMilli(e.ValidUntil).UTC(); e.ValidUntil != rule.Never && at.Year() <= 9999 {
		c.ValidUntil = at
	}
	for i := range e.Children {
		c.Children = append(c.Children, conditionOf(&e.Children[i]))
	}
	return c
}

func (h *Handler) getJourneys(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if q := queryOf(r); q.err != nil {
		return q.err
	}
	return h.answer(w, r, http.StatusOK, map[string]any{"journeys": h.Reader.Journeys()})
}

func (h *Handler) explainJourney(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	who, name, why, err := h.asks(r)
	if err != nil {
		return err
	}
	j, err := h.Reader.Journey(r.Context(), name, who, why)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, j)
}

func (h *Handler) getMessage(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "purpose", "min_position")
	why := q.purpose()
	if err := h.await(r, q); err != nil {
		return err
	}
	m, err := id.ParseMessage(r.PathValue("id"))
	if err != nil {
		return fault.New(fault.Invalid, "bad_message", "a mail's id is msg_ and 26 characters")
	}
	story, err := h.Reader.Message(r.Context(), m, why)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, story)
}

// getMessages lists mails, newest first: all, or those of a person, or those in
// a state.
func (h *Handler) getMessages(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	q := queryOf(r, "person", "state", "limit", "cursor", "purpose", "min_position")
	why := q.purpose()
	limit := int(q.number("limit", defaultPage, maxPage))
	state, known := parseState(q.text("state"))
	ref, cursor := q.text("person"), q.text("cursor")
	var before id.Message
	switch {
	case q.text("state") != "" && !known:
		q.fault("state", "bad_state", "a mail is pending, claimed, handing_over, accepted, deferred, failed, skipped, unknown or resolved")
	case ref == "" && why != "":
		q.fault("person", "person_required", "mails are read for a purpose of one person: person=kind:value")
	case ref != "" && cursor != "":
		q.fault("cursor", "bad_cursor", "the mails of one person come as one list, without a cursor")
	case cursor != "":
		var err error
		if before, err = id.ParseMessage(cursor); err != nil {
			q.fault("cursor", "bad_cursor", "the cursor is not one that this server gave")
		}
	}
	if err := h.await(r, q); err != nil {
		return err
	}
	list, next, err := h.mails(r.Context(), ref, why, state, before, limit)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, struct {
		Messages []explain.Mail `json:"messages"`
		Cursor   string         `json:"cursor"`
	}{list, next})
}

func (h *Handler) mails(ctx context.Context, ref string, why purpose.Purpose, state message.State, before id.Message, limit int) (list []explain.Mail, next string, err error) {
	if ref == "" {
		list, err = h.Reader.Newest(ctx, state, before, limit)
		if len(list) == limit {
			next = list[limit-1].ID
		}
		return list, next, err
	}
	who, err := h.find(ctx, ref)
	if err != nil {
		return nil, "", err
	}
	if who, err = h.Reader.Living(ctx, who); err != nil {
		return nil, "", err
	}
	all, err := h.Reader.Mails(ctx, who, why, maxPage)
	list = []explain.Mail{}
	for _, m := range all {
		if (state == 0 || m.State == state.String()) && len(list) < limit {
			list = append(list, m)
		}
	}
	return list, "", err
}

func parseState(s string) (message.State, bool) {
	for state := message.Pending; state <= message.Resolved; state++ {
		if state.String() == s {
			return state, true
		}
	}
	return 0, false
}
