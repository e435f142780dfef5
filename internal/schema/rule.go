package schema

import language "rapport/internal/rule"

// rule is a condition, or a list of conditions of which all must hold.
var rule = (&Type{Kind: Choice}).as("rule")

// operators gives the keys of a group of the rule language, from its own table.
func operators(group string) (out []Key) {
	for _, o := range language.Operators() {
		if o.Group == group {
			out = append(out, key(o.Name, shapeOf(o.Value), o.Note))
		}
	}
	return out
}

// shapeOf gives the type of what the rule language says is written.
func shapeOf(value string) *Type {
	switch value {
	case "true", "true or false":
		return truth
	case "text", "domain", "regular expression (RE2)":
		return text
	case "duration":
		return duration
	case "list of values", "list of domains", "[least, most]":
		return list(anything)
	case "comparisons as in where":
		return where
	}
	return anything
}

// where is filled in below: comparisons of lists hold further ones.
var where = (&Type{Kind: Mapping}).as("where")

// comparisons are the words that compare a value.
var comparisons = operators("comparison")

var comparison = keys(comparisons...).as("comparison")

var did = keys(append([]Key{
	must(key("did", text, "the name of an event: it happened")),
	otherwise("count", oneOf(integer, count), "1", "how often: a number, which is the least, or min, max, exactly"),
	key("within", duration, "only in the last so long"),
	key("before", duration, "only what lies at least so far back"),
	key("since", word("trigger"), "only since the journey began (in journeys)"),
	key("where", where, "only with such properties"),
}, measures()...)...).as("did")

// measures compare a property over all the events.
func measures() []Key {
	of := keys(append([]Key{must(key("property", text, "the path of a property of these events"))}, comparisons...)...).as("measure")
	list := operators("measure")
	for i := range list {
		list[i].Type = of
	}
	return list
}

var count = keys(
	key("min", integer, "at least so often"),
	key("max", integer, "at most so often"),
	key("exactly", integer, "exactly so often"),
)

var trait = keys(append([]Key{must(key("trait", text, "the path of a trait, compared by a word beside it"))}, comparisons...)...).as("trait")

var property = keys(append([]Key{must(key("property", text, "the path of a property of the triggering event (in journeys)"))}, comparisons...)...).as("property")

func init() { // A rule contains rules, and comparisons contain comparisons.
	where.Others = oneOf(text, list(anything), comparison)
	rule.OneOf = []*Type{
		list(rule),
		keys(must(key("all", list(rule), "every one of these holds"))),
		keys(must(key("any", list(rule), "at least one of these holds"))),
		keys(must(key("not", rule, "this does not hold"))),
		did, trait, property,
		keys(must(key("in_segment", text, "the person is in this segment"))),
	}
}
