package event

import "rapport/internal/scan"

// Integrations is the JSON object with which a sender says to which
// destinations an event may go, as it came. Nil says nothing.
type Integrations []byte

// OptIn is the destination that gets only what names it: Segment has it so,
// because its calls are few and dear.
const OptIn = "Salesforce"

// everywhere is the key that speaks for every destination that has none of its own.
const everywhere = "All"

// Allows tells whether an event may go to a destination, and with which
// options, a JSON object or nil. It is Segment's rule to the letter: names are
// case-sensitive; what stands under the destination's own name decides, where
// only false forbids and an object is a yes with options; else "All" decides;
// and where nothing decides, it may go, but for OptIn. A null is as if it were
// not there. It never stops an event from being taken here, and it never
// permits what consent forbids: whoever sends asks permission first.
func (i Integrations) Allows(destination string) (ok bool, options []byte) {
	ok = destination != OptIn
	for m := scan.MembersOf(i); ; {
		key, value, more := m.Next()
		switch {
		case !more:
			return ok, nil
		case len(value) == 0 || value[0] == 'n':
		case string(key) == destination && destination != everywhere:
			if value[0] == '{' {
				return true, value
			}
			return value[0] != 'f', nil
		case string(key) == everywhere && value[0] == 'f':
			ok = false
		}
	}
}
