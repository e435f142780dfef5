package outbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"rapport/internal/event"
	"rapport/internal/message"
	"rapport/internal/purpose"
)

// Source is the source of the events that tell how mails ended.
const Source = "delivery"

// The names of those events.
const (
	EventSent    = "Email Sent"
	EventBounced = "Email Bounced"
	EventSkipped = "Email Skipped"
)

// Parted is the reason of a mail that an unmerge has withdrawn. In a step beside
// the state that the mail was in, it says that the mail must not be tried again.
const Parted = "parted"

// Erased is the reason of a mail that was withdrawn because its person was erased.
const Erased = "erased"

// subjectOf is the property of such an event that holds the mail's subject.
const subjectOf = "email_subject"

// About is what an event says of the mail it tells of, under Segment's names and ours.
type About struct {
	Message  string          `json:"message_id"`
	Email    string          `json:"email_id"`
	Subject  string          `json:"email_subject,omitempty"`
	Campaign string          `json:"campaign_id,omitempty"`
	Named    string          `json:"campaign_name,omitempty"`
	Template string          `json:"template,omitempty"`
	Purpose  string          `json:"purpose,omitempty"`
	Class    string          `json:"class"`
	Journey  string          `json:"journey,omitempty"`
	Step     string          `json:"step,omitempty"`
	Place    string          `json:"place,omitempty"` // which stay in the journey decided it
	Reason   string          `json:"reason,omitempty"`
	Detail   json.RawMessage `json:"detail,omitempty"`
}

// AboutMail says what is known of a mail itself.
func AboutMail(m *Mail, reason string) About {
	campaign := cmp.Or(m.Journey, m.Template) // It is known by name alone.
	return About{
		Message: m.ID.String(), Email: m.ID.String(), Campaign: campaign, Named: campaign, Template: m.Template,
		Purpose: string(m.Purpose), Class: m.Class.String(), Journey: m.Journey, Step: m.Step, Place: m.Place, Reason: reason,
	}
}

// Ended makes the event of a mail that is in its last state. Its id derives from
// the mail and the state, so that it is once. properties begin with an About.
func Ended(m *Mail, name string, properties any, at time.Time) (event.Event, error) {
	props, err := json.Marshal(properties)
	if err != nil {
		return event.Event{}, fmt.Errorf("encode the event of %s: %w", m.ID, err)
	}
	return event.Event{
		Type: event.Outcome, MessageID: m.ID.String() + "/" + m.State.String(), Source: Source, Name: name,
		Person: int64(m.Person), Time: at, Received: at, Properties: props,
	}, nil
}

// MailOf gives the id of the mail that an event tells of, "" where it names none.
func MailOf(e *event.Event) string {
	var p struct {
		Mail string `json:"message_id"`
	}
	if json.Unmarshal(e.Properties, &p) != nil {
		return ""
	}
	return p.Mail
}

// PurposeOf gives for what a mail was that an event tells of, "" where it does not say.
func PurposeOf(e *event.Event) purpose.Purpose {
	var p struct {
		Purpose purpose.Purpose `json:"purpose"`
	}
	if json.Unmarshal(e.Properties, &p) != nil {
		return ""
	}
	return p.Purpose
}

// Unnamed takes the mail's subject out of an event that tells of it, and tells whether
// there was one. Nothing of the event's own bytes is written to.
func Unnamed(e *event.Event) bool {
	var about map[string]json.RawMessage
	if json.Unmarshal(e.Properties, &about) != nil || about[subjectOf] == nil {
		return false
	}
	delete(about, subjectOf)
	e.Properties, _ = json.Marshal(about) // It was JSON before.
	return true
}

// WasParted tells whether an unmerge has forbidden that a mail is tried again.
func WasParted(story []Step) bool {
	for _, s := range story {
		if s.Reason == Parted && s.State != message.Skipped {
			return true
		}
	}
	return false
}
