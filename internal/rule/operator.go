package rule

// operator is one way to compare a value. The numbers order comparisons in
// canonical text, from which tallies take their ids: new ones go to the end.
type operator uint8

const (
	opExists operator = iota
	opIs
	opIsNot
	opIn
	opNotIn
	opGt
	opGte
	opLt
	opLte
	opContains
	opStarts
	opEnds
	opBetween
	opNotContains
	opNotStarts
	opNotEnds
	opMatches
	opAnyOf
	opAllOf
	opNoneOf
	opIsEmpty
	opIsEmail
	opDomain
	opDomainIn
	opAnyItem
	opAllItems
	opNoItem
	opOlder
	opNewer
	opInLast
	opInNext
)

// Operator is one word of the language, for people and for the references that
// are made from it.
type Operator struct {
	Name  string
	Group string // condition, did, measure or comparison
	Value string // the shape of what is written behind it
	Note  string // what it says, in one line
}

// comparisons describes every comparison, in the order of their numbers.
var comparisons = [...]Operator{
	opExists:      {"exists", "comparison", "true or false", "the value is there, or is missing; null is missing"},
	opIs:          {"is", "comparison", "text, number, true or false", "the value is this one"},
	opIsNot:       {"is_not", "comparison", "text, number, true or false", "the value is not this one, or is missing"},
	opIn:          {"in", "comparison", "list of values", "the value is one of these"},
	opNotIn:       {"not_in", "comparison", "list of values", "the value is none of these, or is missing"},
	opGt:          {"gt", "comparison", "number, date or text", "the value is more"},
	opGte:         {"gte", "comparison", "number, date or text", "the value is at least this"},
	opLt:          {"lt", "comparison", "number, date or text", "the value is less"},
	opLte:         {"lte", "comparison", "number, date or text", "the value is at most this"},
	opContains:    {"contains", "comparison", "text, number, true or false", "the text has this in it, or the list has this element"},
	opStarts:      {"starts_with", "comparison", "text", "the text begins so"},
	opEnds:        {"ends_with", "comparison", "text", "the text ends so"},
	opBetween:     {"between", "comparison", "[least, most]", "the number, date or text is at least the first and at most the second"},
	opNotContains: {"not_contains", "comparison", "text, number, true or false", "the opposite of contains; holds for what is missing"},
	opNotStarts:   {"not_starts_with", "comparison", "text", "the opposite of starts_with; holds for what is missing"},
	opNotEnds:     {"not_ends_with", "comparison", "text", "the opposite of ends_with; holds for what is missing"},
	opMatches:     {"matches", "comparison", "regular expression (RE2)", "the expression is found in the text"},
	opAnyOf:       {"any_of", "comparison", "list of values", "at least one element of the list is among these"},
	opAllOf:       {"all_of", "comparison", "list of values", "every one of these is an element of the list"},
	opNoneOf:      {"none_of", "comparison", "list of values", "the opposite of any_of; holds for what is missing"},
	opIsEmpty:     {"is_empty", "comparison", "true or false", "the value is missing, an empty text, an empty list or an empty object, or is not"},
	opIsEmail:     {"is_email", "comparison", "true or false", "the value is a text in the form of an email address, or is not"},
	opDomain:      {"domain", "comparison", "domain", "the value is an email address at this domain, or the domain itself"},
	opDomainIn:    {"domain_in", "comparison", "list of domains", "the value is an email address at one of these domains, or one of them itself"},
	opAnyItem:     {"any_item", "comparison", "comparisons as in where", "at least one object of the list compares as asked"},
	opAllItems:    {"all_items", "comparison", "comparisons as in where", "the list is not empty and each of its objects compares as asked"},
	opNoItem:      {"no_item", "comparison", "comparisons as in where", "the opposite of any_item; holds for what is missing"},
	opOlder:       {"older_than", "comparison", "duration", "the date lies at least so far back"},
	opNewer:       {"newer_than", "comparison", "duration", "the date lies less far back, or in the future"},
	opInLast:      {"in_last", "comparison", "duration", "the date has come, and lies less far back"},
	opInNext:      {"in_next", "comparison", "duration", "the date is yet to come, and is at most so far away"},
}

// ignoreCase stands among comparisons and changes those of texts.
const ignoreCase = "ignore_case"

// operatorNames are the words of all comparisons, by number.
var operatorNames = func() []string {
	names := make([]string, len(comparisons))
	for i := range comparisons {
		names[i] = comparisons[i].Name
	}
	return names
}()

// comparisonWords are all words that may stand where comparisons stand.
var comparisonWords = append(operatorNames[:len(operatorNames):len(operatorNames)], ignoreCase)

// conditions describes what a condition begins with.
var conditions = [...]Operator{
	{"all", "condition", "list of conditions", "every condition of the list is true; a list alone means the same"},
	{"any", "condition", "list of conditions", "at least one condition of the list is true"},
	{"not", "condition", "condition", "the condition is not true"},
	{"did", "condition", "name of an event", "the person did it, as often, as lately and with such properties as is asked beside it"},
	{"trait", "condition", "path", "the trait compares as asked beside it"},
	{"property", "condition", "path", "the property of the triggering event compares as asked; only in journeys"},
	{"in_segment", "condition", "name of a segment", "the person is in the segment"},
}

// besideDid describes what may stand beside did.
var besideDid = [...]Operator{
	{"count", "did", "number, or min, max, exactly", "how often; at least once when it is left out"},
	{"within", "did", "duration", "only events of the last so long"},
	{"before", "did", "duration", "only events that lie at least so far back"},
	{"since", "did", "trigger", "only events later than the trigger; only in journeys"},
	{"where", "did", "properties with comparisons", "only events whose properties compare as asked"},
	{"sum", "measure", "property with comparisons of numbers", "the sum of the property over these events"},
	{"avg", "measure", "property with comparisons of numbers", "the mean of the property over these events"},
	{"min", "measure", "property with comparisons of numbers", "the least value of the property among these events"},
	{"max", "measure", "property with comparisons of numbers", "the greatest value of the property among these events"},
	{"first", "measure", "property with comparisons", "the property of the earliest of these events compares as asked"},
	{"last", "measure", "property with comparisons", "the property of the latest of these events compares as asked"},
}

// mainWords make a condition; didWords may stand beside did.
var (
	mainWords = namesOf(conditions[:])
	didWords  = namesOf(besideDid[:])
)

func namesOf(list []Operator) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	return names
}

// Operators gives every word of the language: conditions, what stands beside
// did, and comparisons.
func Operators() []Operator {
	var all []Operator
	all = append(all, conditions[:]...)
	all = append(all, besideDid[:]...)
	all = append(all, comparisons[:]...)
	return append(all, Operator{ignoreCase, "comparison", "true", "compares texts beside it without regard to upper and lower case"})
}
