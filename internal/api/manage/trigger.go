package manage

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/access"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/identity"
	"rapport/internal/journey"
)

// postTrigger takes a request that a journey begins for a person. The answer
// comes when the request is durable; whether the person enters is decided by the
// walk, with every gate, and `journey explain` tells it. Under one idempotency
// key there is one request within the duplicate window.
func (h *Handler) postTrigger(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	name := r.PathValue("name")
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	var in struct {
		Person     subjectRef     `json:"person"`
		Properties jsontext.Value `json:"properties"`
	}
	if err := h.decode(r, journey.MaxTriggerData+maxSmallBody, &in); err != nil {
		return err
	}
	switch {
	case len(in.Properties) == 0 || in.Properties.Kind() == 'n':
		in.Properties = nil
	case in.Properties.Kind() != '{':
		return wrong("/properties", "wrong_type", "properties are a JSON object")
	case len(in.Properties) > journey.MaxTriggerData:
		return wrong("/properties", "trigger_too_large", "properties have at most %d bytes (MaxTriggerData)", journey.MaxTriggerData)
	case !shallow(in.Properties, maxSendDepth):
		return wrong("/properties", "too_deep", "properties may nest at most %d deep", maxSendDepth)
	}
	if known, takes := h.Reader.TakesRequests(name); !known {
		return fault.New(fault.NotFound, "no_such_journey", "the configuration in effect has no such journey")
	} else if !takes {
		return unprocessable("not_triggered_by_api", "the journey is begun by something else; write trigger: {api: true} into it")
	}
	req := sendRequest{kind: in.Person.kind, value: in.Person.value}
	if !personKind(req.kind) {
		return errPersonKind
	}
	if err := req.identifier(); err != nil {
		return err
	}
	if req.who != 0 {
		if _, err = h.Reader.Living(r.Context(), req.who); err != nil { // The walk finds who that is by then.
			return err
		}
	}
	keyed := digestOf([]byte(key))
	now := h.Now().UTC().Truncate(time.Millisecond)
	e := event.Event{
		Type: event.Trigger, Source: house, Name: name, MessageID: strings.Join([]string{"trigger", name, hex.EncodeToString(keyed[:])}, "/"),
		Person: int64(req.who), Time: now, Received: now, Properties: in.Properties,
	}
	setPerson(&e, req.kind, req.value)
	pos, _, err := h.Log.Append(r.Context(), eventlog.Live, [][]byte{e.Append(nil)})
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusAccepted, struct {
		Request  string `json:"request"`
		Position int64  `json:"position"` // whether the person entered is known once that is walked
	}{house + "/" + e.MessageID, pos})
}

// setPerson names in a record whom it is about.
func setPerson(e *event.Event, kind, value string) {
	switch kind {
	case identity.UserID:
		e.UserID = value
	case identity.Anonymous:
		e.Anonymous = value
	case identity.Email:
		e.Email = value
	}
}
