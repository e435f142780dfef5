package ingest

import (
	"strings"

	"rapport/internal/event"
	"rapport/internal/scan"
)

// RouteType gives what a path of the Segment wire says its body is: the type of
// a single event, or event.Unknown for a batch. A final slash and everything
// before the last step are the door's to judge; ok is false when the last step
// is none of the wire's. The path of an import is that of a batch.
func RouteType(path string) (t event.Type, ok bool) {
	path = strings.TrimRight(path, "/")
	if imported(path) {
		return event.Unknown, true
	}
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

// imports is where imports come in, each under the name of its source. The path
// without a name is Segment's, by which some SDKs send what happens now.
const imports = "/v1/import/"

// ImportPath gives the path by which an import for a source comes.
func ImportPath(source string) string { return imports + source }

// imported tells whether what came by a path came by import, and belongs into
// the bulk lane.
func imported(path string) bool { return len(path) > len(imports) && strings.HasPrefix(path, imports) }

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
