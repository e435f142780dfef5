// Package event is the first item that walks through the house: one thing that
// somebody did or that was decided, in the shape of Segment's spec and in the
// canonical binary form in which the log keeps it. Types and their encoding
// only; validation lives in package ingest.
package event

import "time"

// Type says what sort of record it is. The first six are Segment's; the rest
// are the house's own: what was decided outside the walk and must be replayed
// in order with everything else.
type Type uint8

// The record types. Their numbers are kept for ever: the log holds them.
const (
	Unknown  Type = 0
	Track    Type = 1
	Identify Type = 2
	Page     Type = 3
	Screen   Type = 4
	Group    Type = 5
	Alias    Type = 6

	Alarm        Type = 16 // a person's armed time has come; Person and Due are set
	Consent      Type = 17 // permission changed through an API, a link or a signal; Properties hold a consent.Change
	Config       Type = 18 // a configuration version takes effect; Name holds its number
	Send         Type = 19 // somebody asked for one mail; Properties hold the request
	Trigger      Type = 21 // somebody asked for a journey to begin; Name is the journey's, Properties are what its mails read
	Unmerge      Type = 22 // an operator parts somebody who was joined by mistake; Person is set, Properties say which identifiers leave
	GroupChanged Type = 23 // traits of a group have changed and members must hear of it; Properties say which
	Rights       Type = 24 // an operator carries out what somebody asked of their data; Name says which right, Properties hold the request
	Outcome      Type = 20 // what became of a mail; Name is the event's name ("Email Sent"), Properties tell
)

var typeNames = map[Type]string{
	Track: "track", Identify: "identify", Page: "page", Screen: "screen", Group: "group", Alias: "alias",
	Alarm: "alarm", Consent: "consent", Config: "config", Send: "send", Outcome: "outcome", Trigger: "trigger", Unmerge: "unmerge", GroupChanged: "group changed", Rights: "rights",
}

// String gives the wire name.
func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return "unknown"
}

// ParseType reads a wire name of Segment's six; the house's own types cannot be
// sent in from outside.
func ParseType(s string) (Type, bool) {
	for t := Track; t <= Alias; t++ {
		if typeNames[t] == s {
			return t, true
		}
	}
	return Unknown, false
}

// ExternalID is an identifier of another system, context.externalIds.
type ExternalID struct {
	Type  string // for example "shopify_customer_id"
	Value string
}

// Flag is a mark that the door put on a record.
type Flag uint8

// The marks.
const (
	FromBrowser Flag = 1 << iota // came with a public browser key: may not change identifiers or address of a known person, nor widen permission for an address
	Verified                     // came with a signed user hash, which lifts the limits of a browser key
	Bulk                         // came by import or backfill: entries it causes are initial
	MachineMade                  // an open or a click that a machine is suspected of
	GPC                          // the request bore Sec-GPC: 1
)

// Event is one record. Times are UTC with millisecond precision or finer. Raw
// fields hold JSON objects as they came, or nil.
type Event struct {
	Type       Type
	Flags      Flag
	MessageID  string // the sender's id of this event, or one made at the door
	Source     string // the source's name, as configured
	Name       string // track: the event's name; page and screen: the page's name
	UserID     string
	Anonymous  string // anonymousId
	Previous   string // previousId, for alias
	GroupID    string
	External   []ExternalID
	Email      string    // a normalised address that the event itself says belongs to the person, or ""
	Person     int64     // for the house's own records that already know whom they concern, else 0
	Time       time.Time // event time: corrected, never later than Received
	Original   time.Time // the client's own timestamp, as it came
	Received   time.Time // business time at our door
	Due        time.Time // for Alarm: the instant that was armed
	Properties []byte
	Traits     []byte // identify's or group's traits, else context.traits
	Context    []byte
	// Integrations says to which destinations it may go; nil says nothing.
	Integrations Integrations
}
