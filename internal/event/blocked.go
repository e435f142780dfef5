package event

import "strings"

// Blocked tells whether an identifier is one that broken clients send for
// everybody: only zeros and dashes, "-1", "null", "anonymous" (Segment's
// defaults). Nobody is known by it. An empty one is blocked.
func Blocked(value string) bool {
	switch len(value) {
	case 2, 4, 9:
		if value == "-1" || strings.EqualFold(value, "null") || strings.EqualFold(value, "none") ||
			strings.EqualFold(value, "anonymous") || strings.EqualFold(value, "undefined") {
			return true
		}
	}
	return strings.Trim(value, "0-") == ""
}

// Nameless tells whether an event carries no identifier by which anybody could
// be known.
func (e *Event) Nameless() bool {
	if !Blocked(e.UserID) || !Blocked(e.Anonymous) || e.Email != "" || e.Type == Alias && !Blocked(e.Previous) {
		return false
	}
	for i := range e.External {
		if !Blocked(e.External[i].Value) {
			return false
		}
	}
	return true
}
