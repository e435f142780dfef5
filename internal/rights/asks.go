package rights

import "encoding/json"

// Asks is what somebody says is wrong of what is held about them, in the body of a
// request that asks to correct it.
type Asks struct {
	Traits map[string]json.RawMessage `json:"traits,omitempty"` // the right value by name; null takes it away
	Text   string                     `json:"text,omitempty"`   // in their own words
	Done   []string                   `json:"done,omitempty"`   // the names of what was put right at once
	// Decided tells that somebody has looked at the traits, and only the words wait.
	Decided bool `json:"decided,omitempty"`
}

// Decide notes that the traits are decided and the words wait.
func (r *Request) Decide() error {
	a := r.Asked()
	if a == nil {
		return nil
	}
	a.Decided = true
	return r.say("asks", a)
}

// Asked reads it from the body of a request; nil where none stands in it.
func (r *Request) Asked() *Asks {
	var body struct{ Asks *Asks }
	if r.Kind != Correct || len(r.Body) == 0 || json.Unmarshal(r.Body, &body) != nil {
		return nil
	}
	return body.Asks
}
