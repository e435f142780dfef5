package ingest

import (
	"strings"

	"rapport/internal/event"
	"rapport/internal/scan"
)

// RouteType gives what a path of the Segment wire says its body is: the type of
// a single event, or event.Unknown for a batch. A final slash and everything
// before the last step are the door's to judge; ok is false when the last step
// is none of the wire's.
func RouteType(path string) (t event.Type, ok bool) {
	path = strings.TrimRight(path, "/")
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "track", "t":
		return event.Track, true
	case "identify", "i":
		return event.Identify, true
	case "page", "p":
		return event.Page, true
	case "screen", "s":
		return event.Screen, true
	case "group", "g":
		return event.Group, true
	case "alias", "a":
		return event.Alias, true
	case "batch", "b", "import":
		return event.Unknown, true
	}
	return event.Unknown, false
}

// WriteKey finds the member writeKey of a body, for callers that carry their
// key there; "" when there is none.
func WriteKey(body []byte) string {
	if len(body) >= 3 && string(body[:3]) == "\ufeff" {
		body = body[3:]
	}
	raw, ok := scan.Find(body, "writeKey")
	if !ok || len(raw) > 512 {
		return ""
	}
	key, _ := text(raw)
	return key
}
