package schema

// script is a file of `rapport journey test`; a test of the room that reads it
// holds the keys against it.
var script = keys(
	otherwise("config", text, "the nearest folder above with a rapport.yaml", "the configuration folder, relative to the file"),
	key("start", text, "the instant at which each scenario begins, RFC 3339"),
	must(key("scenarios", list(keys(
		must(key("name", text, "what is shown")),
		otherwise("start", text, "the script's", "the instant at which it begins"),
		otherwise("until", text, "60 days after its last step", "the instant at which it ends, or so long after the start: +90d"),
		must(key("steps", list(scriptStep), "what happens, in order")),
		must(key("expect", keys(must(key("mails", list(expected), "every mail that must leave"))), "what must come of it")),
	)), "each runs in a house of its own")),
)

var scriptStep = keys(
	otherwise("at", text, "at once after the step before", "an instant, or so long after the start: +2h"),
	key("after", duration, "so long after the step before"),
	key("person", text, "user_id:…, email:… or anonymous_id:…"),
	otherwise("source", text, "one of kind server", "whose key the event comes with"),
	key("event", happened, "the person does this"),
	key("properties", anything, "of the event, or of the trigger"),
	key("identify", anything, "traits of the person"),
	key("group", text, "a group call: the person belongs to this group"),
	key("traits", anything, "of the group"),
	key("consent", keys(
		must(key("purpose", text, "what for")),
		must(key("state", word("granted", "refused", "withdrawn", "objected"), "what the person says")),
	), "the person says yes or no"),
	key("unsubscribe", text, "an address: its reader follows the link of the last mail"),
	key("bounce", text, "an address: from now on its mailbox does not exist"),
	key("trigger", text, "somebody asks for this journey"),
	key("apply", text, "a configuration folder takes effect"),
)

var expected = keys(
	must(key("at", text, "an instant, or so long after the start: +2h")),
	must(key("to", text, "the address")),
	key("template", text, "its template"),
	key("journey", text, "the journey that decided it"),
	key("step", text, "the step that decided it"),
	key("subject", text, "its subject"),
	key("text", oneOrMore(text), "what must stand in the text part"),
	key("html", oneOrMore(text), "what must stand in the HTML part"),
	key("without", oneOrMore(text), "what may stand in neither"),
)
