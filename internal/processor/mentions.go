package processor

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"

	"rapport/internal/identity"
)

// longName is how many bytes an identifier must have to be searched for in what is
// no JSON: shorter ones stand in anything by chance.
const longName = 6

// mentions tells whether something that came in names somebody: one of its texts
// or numbers is an identifier of theirs, or it is no JSON and holds a long one.
func mentions(payload []byte, is func(text string) bool, names []identity.Name) bool {
	for text := range Texts(payload) {
		if is(text) {
			return true
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

// Texts gives whatever in a payload may be an identifier: its texts and numbers, and
// of what is no JSON also each run of bytes without blanks, quotes, brackets, commas,
// colons and what separates the fields of a form.
func Texts(payload []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		d := json.NewDecoder(bytes.NewReader(payload))
		d.UseNumber()
		for {
			t, err := d.Token()
			if err != nil {
				break
			}
			text := ""
			switch v := t.(type) {
			case string:
				text = v
			case json.Number:
				text = v.String()
			}
			if text != "" && !yield(text) {
				return
			}
		}
		if json.Valid(payload) {
			return
		}
		for text := range strings.FieldsFuncSeq(string(payload), func(r rune) bool { return r <= ' ' || strings.ContainsRune(`"'\{}[](),:;=&<>`, r) }) {
			if !yield(text) {
				return
			}
		}
	}
}
