package rule

import "encoding/json"

// Explanation says why a rule holds or does not: the same tree as the rule, each
// condition with its answer, what was seen, and when the answer may change.
type Explanation struct {
	Text       string          // the condition in the language's own words
	Truth      bool            // whether it holds
	Seen       json.RawMessage // the value it was decided by; nil for all, any and not, and for what is missing
	ValidUntil int64           // when it may change merely because time passes, or Never
	Children   []Explanation
}

// Explain answers the rule as Eval does and says why.
func (r *Rule) Explain(s Subject, at At) Explanation {
	truth, until := r.Eval(s, at)
	return Explanation{Text: r.text, Truth: truth, ValidUntil: until}
}
