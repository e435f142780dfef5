package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"rapport/internal/event"
	"rapport/internal/plan/pii"
	"rapport/internal/scan"
)

// english writes the messages of the schema library.
var english = message.NewPrinter(language.English)

// The codes under which events are set apart: what Segment's delivery overview
// calls events that are filtered at the source.
const (
	CodeUnplanned       = "unplanned"
	CodeSchema          = "schema_violation"
	CodeUnplannedSchema = "unplanned_and_schema_violation"
	CodeCommonSchema    = "common_schema_violation"
)

// Codes lists them.
func Codes() []string {
	return []string{CodeUnplanned, CodeSchema, CodeUnplannedSchema, CodeCommonSchema}
}

// CodePersonal is the code under which personal data where it should not be is
// counted. It sets no event apart by itself.
const CodePersonal = "personal_data"

// The kinds of violations, in the words of Segment's violationType.
const (
	Required          = "Required"
	InvalidType       = "Invalid Type"
	InvalidValue      = "Invalid Value"
	UnplannedEvent    = "Unplanned Event"
	UnplannedProperty = "Unplanned Property"
	PersonalData      = "Personal Data"
)

// Violation is one way in which an event is not as planned. It holds no value.
type Violation struct {
	Kind        string
	Code        string
	Field       string // "properties.products.0.price"; "event" for the event as a whole
	Description string
}

// mostViolations is how many are told of one event.
const mostViolations = 16

// explain turns what the library found into violations. where is what the schema
// is about: "properties", "traits" or "context".
func explain(err *jsonschema.ValidationError, where, code string, out []Violation) []Violation {
	if len(out) >= mostViolations {
		return out
	}
	switch k := err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range err.Causes {
			out = explain(cause, where, code, out)
		}
		return out
	case *kind.Required:
		for _, name := range k.Missing {
			if field := place(where, append(err.InstanceLocation[:len(err.InstanceLocation):len(err.InstanceLocation)], name)); len(out) < mostViolations {
				out = append(out, Violation{Required, code, field, field + " is required"})
			}
		}
		return out
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			if field := place(where, append(err.InstanceLocation[:len(err.InstanceLocation):len(err.InstanceLocation)], name)); len(out) < mostViolations {
				out = append(out, Violation{UnplannedProperty, code, field, field + " is not in the plan"})
			}
		}
		return out
	case *kind.Type:
		field := place(where, err.InstanceLocation)
		return append(out, Violation{InvalidType, code, field, fmt.Sprintf("%s is %s, not %s", field, k.Got, strings.Join(k.Want, " or "))})
	}
	field := place(where, err.InstanceLocation)
	return append(out, Violation{InvalidValue, code, field, field + " " + fault(err.ErrorKind)})
}

// fault says what a value lacks, never what it is.
func fault(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Enum:
		return "is none of the values of the plan"
	case *kind.Const:
		return "is not the value of the plan"
	case *kind.Pattern:
		return "does not match the pattern " + k.Want
	case *kind.Format:
		return "is not of the format " + k.Want
	case *kind.Minimum:
		return "is less than " + k.Want.RatString()
	case *kind.Maximum:
		return "is more than " + k.Want.RatString()
	case *kind.MinLength:
		return fmt.Sprintf("is shorter than %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("is longer than %d characters", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has fewer than %d items", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has more than %d items", k.Want)
	}
	return "breaks the keyword " + join(k.KeywordPath(), "/")
}

// place writes where something stands as Segment does: properties.products.0.price.
func place(where string, steps []string) string {
	var b strings.Builder
	b.WriteString(where)
	for _, s := range steps {
		b.WriteByte('.')
		b.WriteString(safeName(s))
	}
	return b.String()
}

func join(steps []string, between string) string { return strings.Join(steps, between) }

// longestField is how many bytes of a field's name are told.
const longestField = 100

// safeName gives a name as it may be told: names of fields and events come from
// senders, and some put an address there.
func safeName(name string) string {
	cut := name
	if len(cut) > longestField {
		cut = cut[:longestField]
		for !utf8.ValidString(cut) {
			cut = cut[:len(cut)-1]
		}
		cut += "…"
	}
	found := pii.Find(nil, name)
	if len(found) == 0 && !strings.ContainsFunc(cut, func(r rune) bool { return r < ' ' }) {
		return cut
	}
	if len(found) > 0 {
		return "[" + found[0].Kind.String() + "]"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return '�'
		}
		return r
	}, cut)
}

// SafeName gives a name as it may be told and counted: short, and without
// personal data.
func SafeName(name string) string { return safeName(name) }

// teller is whose events tell of violations in Segment's Protocols.
const teller = "schema-violations"

// Tell makes the event that tells of a violation, in the shape of Segment's
// "Violation Generated" (segment.com/docs/protocols/validate/forward-violations).
// n is its number among those of the event that it is about; its id follows from
// that event's, so that what is sent twice is told once.
func (p *Plan) Tell(v Violation, about *event.Event, n int) event.Event {
	b := []byte{'{'}
	text := func(key, value string) {
		b = member(b, []byte(key))
		b, _ = jsontext.AppendQuote(b, value) // Names that were made safe, and words of ours.
	}
	text("appVersion", appVersion(about.Context))
	text("eventMessageID", safeName(about.MessageID))
	text("eventName", safeName(about.Name))
	text("eventTimestamp", about.Time.UTC().Format(time.RFC3339Nano))
	text("eventType", about.Type.String())
	text("sourceID", about.Source)
	text("sourceName", about.Source)
	text("sourceSlug", about.Source)
	text("trackingPlanID", p.Name())
	text("trackingPlanName", p.Title())
	text("violationCode", v.Code)
	text("violationDescription", v.Description)
	text("violationField", v.Field)
	text("violationType", v.Kind)
	b = append(b, '}')
	return event.Event{
		Type: event.Track, Name: Generated, MessageID: "violation/" + strconv.Itoa(n) + "/" + about.MessageID, Source: about.Source, UserID: teller,
		Time: about.Received, Received: about.Received, Properties: b,
	}
}

// Knows tells whether an event is planned, so that its name is the plan's.
func (p *Plan) Knows(e *event.Event) bool { return p.find(e.Type, e.Name) != nil }

// appVersion reads context.app.version.
func appVersion(context []byte) string {
	app, _ := scan.Find(context, "app")
	raw, _ := scan.Find(app, "version")
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	v, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return ""
	}
	return safeName(string(v))
}
