package manage

import (
	"encoding/json"
	"net/http"
	"strings"

	"rapport/internal/access"
	"rapport/internal/audit"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/privacy"
)

// rowsOf are the requests that have a row in the trail, by method and path: those
// that read personal data, and those by which an operator changes something. Those
// on permission note whom they name themselves, once they have read it. A request
// for one mail has none: its mail's own row tells of it.
var rowsOf = map[string]string{
	"GET /v1/people/{ref}":                        "person.read",
	"GET /v1/people/{ref}/events":                 "person.events_read",
	"GET /v1/people/{ref}/export":                 privacy.ExportedAct,
	"GET /v1/people/{ref}/trail":                  "person.trail_read",
	"POST /v1/people/{ref}/unmerge":               "person.unmerge_asked",
	"POST /v1/people/{ref}/erase":                 "person.erase_asked",
	"POST /v1/people/{ref}/correct":               "person.correct_asked",
	"POST /v1/people/{ref}/restrict":              "person.restrict_asked",
	"POST /v1/people/{ref}/lift":                  "person.lift_asked",
	"POST /v1/people/{ref}/object":                "person.object_asked",
	"GET /v1/backup":                              "backup.taken",
	"GET /v1/requests":                            "requests.read",
	"GET /v1/requests/{id}":                       "request.read",
	"POST /v1/requests":                           "request.open_asked",
	"POST /v1/requests/{id}/close":                "request.close_asked",
	"GET /v1/requests/{id}/certificate":           "request.certified",
	"GET /v1/breaches":                            "breaches.read",
	"GET /v1/breaches/{id}":                       "breach.read",
	"POST /v1/breaches":                           "breach.open_asked",
	"POST /v1/breaches/{id}":                      "breach.change_asked",
	"POST /v1/breaches/{id}/close":                "breach.close_asked",
	"GET /v1/breaches/{id}/people":                "breach.people_read",
	"GET /v1/breaches/{id}/report":                "breach.reported",
	"GET /v1/segments/{name}/explain":             "person.segment_read",
	"GET /v1/journeys/{name}/explain":             "person.journey_read",
	"POST /v1/journeys/{name}/trigger":            "journey.trigger_asked",
	"GET /v1/messages":                            "messages.read",
	"GET /v1/messages/{id}":                       "message.read",
	"GET /v1/rejected/{id}":                       "rejected.read",
	"POST /v1/rejected/{id}/resend":               "rejected.resend_asked",
	"DELETE /v1/rejected/{id}":                    "rejected.drop_asked",
	"GET /v1/set-aside/{lane}/{position}":         "record.read",
	"POST /v1/set-aside/{lane}/{position}/resend": "record.resend_asked",
	"DELETE /v1/set-aside/{lane}/{position}":      "record.drop_asked",
	"POST /v1/import/{source}":                    "import.asked",
	"POST /v1/import/{source}/consent":            "import.asked",
	"POST /v1/destinations/{name}/test":           "destination.test_asked",
	"POST /v1/destinations/{name}/enable":         "destination.enable_asked",
	"GET /v1/destinations/{name}/dead":            "destination.dead_read",
	"POST /v1/destinations/{name}/redrive":        "destination.redrive_asked",
	"POST /v1/config":                             "configuration.asked",
	"POST /v1/keys":                               "key.create_asked",
	"DELETE /v1/keys/{id}":                        "key.revoke_asked",
	"POST /v1/keyring/rotation":                   "keyring.rotate_asked",
	"GET /v1/audit":                               "trail.searched",
	"GET /v1/audit/bundle":                        "trail.exported",
}

// noted writes down who asks for what, before it is done: what cannot be written
// down is not done.
func (h *Handler) noted(r *http.Request, pattern string, key access.Key) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	what, ok := rowsOf[method+" "+pattern]
	if !ok {
		return nil
	}
	a := audit.Act{At: h.Now(), Actor: "key/" + key.ID, What: what}
	for _, name := range [...]string{"id", "name", "source", "lane", "position"} {
		if v := r.PathValue(name); v != "" && len(v) <= maxSendName {
			a.Object = strings.TrimPrefix(a.Object+"/"+v, "/")
		}
	}
	ref := r.PathValue("ref")
	if ref == "" && method == http.MethodGet {
		ref = r.URL.Query().Get("person")
	}
	a.Subject, a.Object = h.subjectOf(ref, a.Object)
	return h.record(r, a)
}

// note writes down what a key asks for, with what it says of it, which stands
// behind a commitment.
func (h *Handler) note(r *http.Request, key access.Key, what string, subject id.Hash, object string, detail map[string]string) error {
	raw, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	return h.record(r, audit.Act{At: h.Now(), Actor: "key/" + key.ID, What: what, Object: object, Subject: subject, Detail: raw})
}

func (h *Handler) record(r *http.Request, a audit.Act) error {
	err := h.Trail.Record(r.Context(), a)
	if err == nil || fault.KindOf(err) == fault.Unavailable {
		return err // It says what is the matter: a disk that is full, a database that is away.
	}
	return fault.Wrap(err, fault.Unavailable, "not_noted", "the request could not be written into the trail, so it was not carried out; try again")
}

// subjectOf gives the keyed hash of whom a reference names; an identifier itself
// is never written into the trail, a number of the house is.
func (h *Handler) subjectOf(ref, object string) (id.Hash, string) {
	kind, value, err := splitRef(ref)
	if err != nil {
		return id.Hash{}, object // It names nobody, and is answered so.
	}
	if kind != "id" {
		return h.Hash(kind, value), object
	}
	who, err := id.ParsePerson(value)
	if err != nil {
		return id.Hash{}, object
	}
	return h.Hash(audit.PersonKind, who.String()), who.String()
}
