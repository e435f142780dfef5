package schema

// looked is an event, a rule, or any of several of them.
var looked = oneOf(eventLooked, keys(must(key("any", list(oneOf(eventLooked, rule)), "one of these"))), rule)

var eventLooked = keys(
	must(key("event", text, "the name of an event")),
	key("where", where, "only with such properties"),
	key("same", text, "only with the same value of this property as the trigger"),
)

var weekdays = oneOrMore(word("mon", "tue", "wed", "thu", "fri", "sat", "sun"))

var window = keys(
	must(key("from", text, "when it opens, such as \"09:00\", on the person's clock")),
	must(key("to", text, "when it closes; before from: on the next day")),
	otherwise("days", weekdays, "every day", "the days on which it opens"),
)

var steps = (&Type{Kind: List}).as("steps")

var (
	stepID    = otherwise("id", text, "the template's name, else the place in the list", "its name in keys and explanations")
	onFailure = otherwise("on_failure", word("continue", "stop"), "continue; of a wait: stop", "what happens when the step fails")
	then      = key("then", steps, "what follows where it holds")
	orElse    = key("else", steps, "what follows where it does not")
	onTimeout = key("on_timeout", steps, "what follows when the time is over")
)

var classTwo = word("triggered", "transactional")

var sendStep = keys(
	must(key("send", text, "a template: its mail is sent")),
	stepID,
	otherwise("purpose", text, "the journey's", "what permits the mail"),
	otherwise("class", classes, "the journey's", "the class of the mail"),
	otherwise("provider", text, "the journey's", "the way out"),
	otherwise("valid_for", duration, "the journey's", "after so long the mail is not worth sending any more"),
	key("window", window, "the hours in which it may leave"),
	onFailure,
).as("send")

var waitStep = keys(
	must(key("wait", oneOf(duration, keys(
		key("until", oneOf(anything, until), "a day or an instant, the date in a trait or property, or a time of day"),
		key("window", window, "until such hours: there is no wait inside them"),
	)), "a while, or until a date")),
	stepID, onFailure,
).as("wait")

var until = keys(
	key("trait", text, "the trait with the date"),
	key("property", text, "the property of the trigger with the date"),
	key("before", duration, "so long before it"),
	key("after", duration, "so long after it"),
	key("time", text, "the next time the person's clock shows it, such as \"07:30\""),
	otherwise("days", weekdays, "every day", "with time: the days that count"),
)

var waitForStep = keys(
	must(key("wait_for", waitFor, "an event or a rule, and how long at most")),
	stepID, then, orElse, onTimeout,
).as("wait_for")

var waitFor = keys(
	key("event", text, "the name of an event"),
	key("where", where, "only with such properties"),
	key("same", text, "only with the same value of this property as the trigger"),
	key("rule", rule, "what must hold"),
	key("any", list(oneOf(eventLooked, rule)), "one of these"),
	must(key("timeout", duration, "nobody waits longer")),
	then, orElse, onTimeout,
)

var ifStep = keys(
	must(key("if", oneOf(rule, list(keys(
		must(key("when", rule, "what must hold")),
		must(key("then", steps, "what follows where it holds")),
	))), "a rule, or a list of branches of which the first that holds is taken")),
	stepID, then, orElse,
).as("if")

var setStep = keys(
	must(key("set", named(anything), "traits and their new values; texts are Liquid")),
	stepID, onFailure,
).as("set")

var stopStep = keys(
	must(key("stop", anything, "the journey ends here, for a reason if one is written")),
	stepID,
).as("stop")

func init() { // Steps contain steps.
	steps.Item = oneOf(word("stop"), sendStep, waitStep, waitForStep, ifStep, setStep, stopStep)
}

var dated = keys(
	must(key("trait", text, "the trait with the date")),
	key("before", duration, "so long before it"),
	key("after", duration, "so long after it"),
	key("at", text, "at this time of day, such as \"09:00\", on the person's clock"),
	otherwise("yearly", truth, "false", "every year again"),
)

var journey = keys(
	key("description", text, "what a colleague should know"),
	must(key("trigger", keys(
		key("event", text, "an event of this name"),
		key("where", where, "only with such properties"),
		key("enters", text, "the person comes into this segment"),
		key("leaves", text, "the person goes out of this segment"),
		key("date", dated, "the date in a trait comes"),
		key("api", truth, "true: somebody asks for it"),
		key("if", rule, "what must hold at that moment"),
	), "what begins it: one of event, enters, leaves, date, api")),
	must(key("purpose", text, "nobody enters without permission for it")),
	otherwise("class", classTwo, "triggered", "triggered (marketing), or transactional, which no mail can be that people may say no to"),
	key("valid_for", duration, "after so long a mail is not worth sending any more"),
	otherwise("provider", text, "the workspace's", "the way out"),
	otherwise("status", word("running", "stopped"), "running", "stopped: nobody enters, and who is inside ends"),
	otherwise("reentry", oneOf(word("once", "always"), keys(must(key("every", duration, "when the last entry is at least so long ago")))), "once", "who may enter again"),
	key("key", text, "a property of the trigger that makes several places at a time, such as order_id"),
	otherwise("include_existing", truth, "false", "whoever is in the segment already enters too"),
	otherwise("max_trigger_age", duration, "1h", "an older trigger begins nothing"),
	key("exit_when", looked, "an event, a rule, or any of several: looked for at any moment"),
	otherwise("on_change", word("stay", "move", "exit"), "stay", "what a new version means for whoever is inside"),
	must(key("steps", steps, "what happens, in order")),
)
