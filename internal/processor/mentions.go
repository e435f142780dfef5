package processor

import (
	"bytes"
	"encoding/json"

	"rapport/internal/identity"
)

// longName is how many bytes an identifier must have to be searched for in what is
// no JSON: shorter ones stand in anything by chance.
const longName = 6

// mentions tells whether something that came in names somebody: one of its texts
// or numbers is an identifier of theirs, or it is no JSON and holds a long one.
func mentions(payload []byte, is func(text string) bool, names []identity.Name) bool {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	for {
		t, err := d.Token()
		if err != nil {
			break
		}
		switch v := t.(type) {
		case string:
			if is(v) {
				return true
			}
		case json.Number:
			if is(v.String()) {
				return true
			}
		}
	}
	if json.Valid(payload) {
		return false
	}
	for _, n := range names {
		if len(n.Value) >= longName && bytes.Contains(bytes.ToLower(payload), bytes.ToLower([]byte(n.Value))) {
			return true
		}
	}
	return false
}
