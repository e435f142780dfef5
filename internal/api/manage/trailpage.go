package manage

import (
	"bytes"
	_ "embed" // the page
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"rapport/internal/audit"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/privacy"
)

//go:embed trail.html
var trailHTML string

var trailTemplate = template.Must(template.New("trail").Parse(trailHTML))

// told are the sentences of the page, by act; %s is the object.
var told = map[string]string{
	"person.read":            "The person was looked up.",
	"person.events_read":     "Their timeline was read.",
	privacy.ExportedAct:      "A copy of everything that is held about them was written.",
	"person.erase_asked":     "An operator asked to erase them.",
	"person.correct_asked":   "An operator asked to put traits of theirs right.",
	"person.restrict_asked":  "An operator asked to keep their data and use them for nothing.",
	"person.lift_asked":      "An operator asked to end that restriction.",
	"person.object_asked":    "An operator recorded that they object.",
	"request.read":           "A request of theirs was read.",
	"person.trail_read":      "This page was read.",
	"person.segment_read":    "It was asked why they are, or are not, in the segment %s.",
	"person.journey_read":    "It was asked why they did, or did not, get mails of the journey %s.",
	"person.unmerge_asked":   "An operator asked to part them from somebody they were joined with by mistake.",
	"person.merged":          "They were joined with somebody who turned out to be the same person.",
	"person.parted":          "They were parted from somebody they had been joined with by mistake.",
	"messages.read":          "The list of their mails was read.",
	"permission.changed":     "Permission for “%s” changed.",
	"permission.read":        "It was looked up what they said, and when.",
	"confirmation.requested": "Somebody asked that their address be asked for a confirmation.",
	"confirmation.asked":     "Their address was asked for a confirmation.",
	"confirmation.given":     "Their address was confirmed.",
	"permission.asked":       "Somebody recorded what they said about “%s”.",
	"suppression.asked":      "Somebody asked that no mail goes to their address.",
	"suppression.lift_asked": "Somebody asked that mail goes to their address again.",
	"suppression.added":      "Mail to their address was stopped.",
	"suppression.lifted":     "Mail to their address was allowed again.",
	"mail.accepted":          "Mail %s was handed over to be delivered.",
	"mail.failed":            "Mail %s could not be delivered.",
	"mail.skipped":           "Mail %s was not sent.",
	"mail.unknown":           "Nobody knows whether mail %s left.",
	"mail.resolved":          "It was found out what became of mail %s.",
	"trail.searched":         "The trail was searched for them.",
}

// byThemselves are the sentences about what they did on the pages of readers.
var byThemselves = map[string]string{
	privacy.ExportedAct:     "They took a copy of everything that is held about them.",
	"person.erase_asked":    "They asked to be erased.",
	"person.correct_asked":  "They said what is wrong in their data.",
	"person.restrict_asked": "They asked that their data are kept and used for nothing.",
	"person.lift_asked":     "They asked to end that restriction.",
}

// sentence says what a row tells.
func sentence(e *audit.Entry) string {
	text, ok := told[e.What]
	if !ok {
		text = e.What
	}
	if own, ok := byThemselves[e.What]; ok && e.Actor == feedback.Actor {
		text = own
	}
	if strings.Contains(text, "%s") {
		text = fmt.Sprintf(text, e.Object)
	}
	return text
}

// pageRow is a row as the page shows it.
type pageRow struct {
	audit.Entry
	Day, Time, Text string
	Details         [][2]string // by name
}

// detailsOf takes a detail apart: an object of texts.
func detailsOf(raw json.RawMessage) (out [][2]string) {
	var m map[string]string
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, [2]string{k, m[k]})
	}
	return out
}

// trailPage writes what happened to somebody's data for people to read.
func trailPage(w http.ResponseWriter, who id.Person, now time.Time, v rowsView) error {
	data := struct {
		Person, Made string
		Rows         []pageRow
		More         bool
	}{Person: who.String(), Made: now.UTC().Format("2 January 2006, 15:04 UTC"), More: v.Cursor != ""}
	for _, e := range v.Rows {
		data.Rows = append(data.Rows, pageRow{Entry: e, Day: e.At.Format("Monday, 2 January 2006"), Time: e.At.Format("15:04:05"), Text: sentence(&e), Details: detailsOf(e.Detail)})
	}
	var b bytes.Buffer
	if err := trailTemplate.Execute(&b, data); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	head := w.Header()
	head["Content-Type"] = []string{"text/html; charset=utf-8"}
	head["Cache-Control"] = noStore
	head["Content-Security-Policy"] = []string{"default-src 'none'; style-src 'unsafe-inline'"}
	_, _ = w.Write(b.Bytes()) // The caller has gone if this fails.
	return nil
}
