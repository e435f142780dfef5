package schema

import "rapport/internal/purpose"

var (
	onViolation     = word("allow", "quarantine", "refuse")
	unplannedEvents = word("allow", "quarantine", "refuse")
	unplannedFields = word("allow", "strip", "quarantine", "refuse")
	personalActs    = word("report", "mask", "hash", "drop", "ignore")
	jsonType        = word("string", "number", "integer", "boolean", "object", "array", "null")
)

const (
	docClass     = "how much harm it does in the wrong hands; personal and sensitive say that personal data is right here"
	docPurposes  = "why it may be used, names of purposes.yaml; a rule or a mail that reads it inherits them"
	docRetention = "how long it is kept"
)

// planRules are the keys that say what becomes of what is not as planned.
func planRules(without string, keys ...string) (out []Key) {
	for _, k := range keys {
		switch k {
		case "on_violation":
			out = append(out, otherwise(k, onViolation, without, "a planned field is missing, or of another type or value: allow (taken, told), quarantine (kept aside), refuse"))
		case "unplanned_events":
			out = append(out, otherwise(k, unplannedEvents, without, "an event that is not in the plan: allow, quarantine, refuse"))
		case "unplanned_fields":
			out = append(out, otherwise(k, unplannedFields, without, "a field that is not in the plan: allow, strip (the event is taken without it), quarantine, refuse"))
		}
	}
	return out
}

// field is a planned property or trait. It contains itself.
var field = func() *Type {
	full := keys().as("field")
	either := oneOf(jsonType, list(jsonType), full)
	full.Keys = []Key{
		otherwise("type", oneOrMore(jsonType), "any", "its type, or several; written alone it is all that is said of the field"),
		otherwise("required", truth, "false", "the event needs it"),
		key("description", text, "what it means, for readers"),
		key("enum", list(anything), "the values that it may have"),
		key("format", text, "email, uri, date, date-time, uuid, … of JSON Schema; it is checked"),
		key("pattern", text, "a regular expression that it matches"),
		key("minimum", number, "the least that it may be"),
		key("maximum", number, "the most that it may be"),
		key("items", either, "array: what each item is"),
		key("properties", named(either), "object: its fields"),
		key("class", word(purpose.Classes()...), docClass),
		otherwise("purposes", oneOrMore(text), "those of the event, else whatever its source is for", docPurposes),
		otherwise("retention", duration, "that of the event", docRetention),
		key("schema", anything, "whatever else is asked of it, in JSON Schema 2020-12"),
	}
	return full
}()

var fieldOrType = oneOf(jsonType, list(jsonType), field)

var plannedVersion = keys(
	key("description", text, "what it is, for readers"),
	key("properties", named(fieldOrType), "its fields"),
	key("schema", anything, "whatever else is asked of the properties, in JSON Schema"),
)

var plannedEvent = keys(append([]Key{
	key("description", text, "when it is sent, for readers"),
	key("class", word(purpose.Classes()...), docClass),
	key("purposes", oneOrMore(text), docPurposes),
	key("retention", duration, docRetention),
	key("properties", named(fieldOrType), "its fields"),
	key("schema", anything, "whatever else is asked of the properties, in JSON Schema; \"$schema\" names an older draft"),
	key("versions", named(plannedVersion), "instead, several forms by number; context.protocols.event_version names one, and without it the oldest holds"),
}, planRules("the source's", "on_violation", "unplanned_fields")...)...).as("event")

var planSource = keys(planRules("the plan's", "on_violation", "unplanned_events", "unplanned_fields")...)

var personalData = keys(
	otherwise("default", personalActs, "report", "for the kinds that are not named: report (kept, told), mask ([email] stands in its place), hash (a keyed digest), drop (the field goes), ignore"),
	key("email", personalActs, "mail addresses"),
	key("phone", personalActs, "phone numbers: E.164 anywhere, others by the field's name"),
	key("card", personalActs, "payment cards, by range and Luhn digit"),
	key("iban", personalActs, "bank accounts, by country and check digits"),
	key("national_id", personalActs, "national ids, by form and check digits, or by the field's name"),
	key("ip", personalActs, "addresses of the network, but for context.ip"),
	key("secret", personalActs, "passwords and security codes, by the field's name"),
	key("places", oneOrMore(text), "where personal data may be, such as properties.contact_email; traits.email and its like always may hold it"),
	otherwise("client_ip", word("keep", "truncate", "drop"), "keep", "context.ip: truncate keeps 24 bits of IPv4 and 48 of IPv6"),
	otherwise("user_agent", word("keep", "reduce", "drop"), "keep", "context.userAgent: reduce keeps browser, system and first numbers"),
)

var plan = keys(append([]Key{
	otherwise("title", text, "the name", "its name for readers"),
	key("description", text, "what it is for"),
	otherwise("sources", oneOf(text, list(text), named(planSource)), "all that no other plan names", "the sources that follow it: names, or names with rules of their own"),
	otherwise("violations", word("event", "count"), "event", "event (they are counted, and told by events Violation Generated) or count"),
	key("events", named(plannedEvent), "tracks, by name"),
	key("pages", named(plannedEvent), "pages, by name; \"*\" for all others"),
	key("screens", named(plannedEvent), "screens, by name; \"*\" for all others"),
	key("traits", named(fieldOrType), "traits of people"),
	key("group_traits", named(fieldOrType), "traits of groups"),
	key("context", named(fieldOrType), "what every event's context is held against"),
	key("personal_data", personalData, "what is done about personal data where it should not be; without it nothing is looked for"),
}, planRules("allow", "on_violation", "unplanned_events", "unplanned_fields")...)...)
