package schema

// rule is a condition, or a list of conditions of which all must hold.
var rule = (&Type{Kind: Choice}).as("rule")

// Comparisons are the words that compare a value.
var comparisons = []Key{
	key("is", anything, "the value is this one"),
	key("is_not", anything, "the value is not this one, or is missing"),
	key("in", list(anything), "the value is one of these"),
	key("not_in", list(anything), "the value is none of these, or is missing"),
	key("gt", anything, "the value is more"),
	key("gte", anything, "the value is at least this"),
	key("lt", anything, "the value is less"),
	key("lte", anything, "the value is at most this"),
	key("contains", anything, "the text has this in it, or the list has this element"),
	key("starts_with", text, "the text begins so"),
	key("ends_with", text, "the text ends so"),
	key("exists", truth, "the value is there, or is missing"),
}

var comparison = keys(comparisons...).as("comparison")

var where = named(oneOf(text, list(anything), comparison)).as("where")

var did = keys(
	must(key("did", text, "the name of an event: it happened")),
	otherwise("count", oneOf(integer, count), "1", "how often: a number, which is the least, or min, max, exactly"),
	key("within", duration, "only in the last so long"),
	key("before", duration, "only what lies at least so far back"),
	key("since", word("trigger"), "only since the journey began (in journeys)"),
	key("where", where, "only with such properties"),
).as("did")

var count = keys(
	key("min", integer, "at least so often"),
	key("max", integer, "at most so often"),
	key("exactly", integer, "exactly so often"),
)

var trait = keys(append([]Key{must(key("trait", text, "the path of a trait, compared by a word beside it"))}, comparisons...)...).as("trait")

var property = keys(append([]Key{must(key("property", text, "the path of a property of the triggering event (in journeys)"))}, comparisons...)...).as("property")

func init() { // A rule contains rules.
	rule.OneOf = []*Type{
		list(rule),
		keys(must(key("all", list(rule), "every one of these holds"))),
		keys(must(key("any", list(rule), "at least one of these holds"))),
		keys(must(key("not", rule, "this does not hold"))),
		did, trait, property,
		keys(must(key("in_segment", text, "the person is in this segment"))),
	}
}
