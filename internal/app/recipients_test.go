package app_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/privacy"
	"rapport/internal/project"
)

// TestACopySaysWhoMayHaveBeenTold: a person's copy names each destination that is told
// of people, and each that once was, with its purpose, what it is told and from when
// until when; of its address the host alone, and whether they permit it today. It is
// the same after a start, and the copy that they take themselves has it too.
func TestACopySaysWhoMayHaveBeenTold(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		with := func(more map[string]string) *project.Config { return small(t, sink.Addr(), more) }
		const head = "kind: webhook\nsecrets: env:SECRET_ONE\npurpose: marketing.newsletter\n"
		crm := head + "url: https://crm.example/hooks/their-token\nevents: [Trigger]\nidentifiers: [user_id, email]\n"
		clock := handClock()
		o := app.Options{Data: t.TempDir(), Database: database, Clock: clock, Secrets: project.Secrets{Env: secrets}}
		l := live(t, o, with(map[string]string{"destinations/crm.yaml": crm, "destinations/old.yaml": head + "title: Old house\nurl: https://old.example/in\nsegments: all\n"}))
		l.says(`{"type":"identify","messageId":"i","userId":"ann","traits":{"email":"ann@people.example"}}`)
		apply := func(more map[string]string) {
			t.Helper()
			if _, err := l.house.Apply(t.Context(), with(more).Files, 0); err != nil {
				t.Fatal(err)
			}
		}
		copyOf := func() (out struct {
			Recipients []privacy.Recipient
			Told       []privacy.Told `json:"may_have_been_told"`
		}) {
			t.Helper()
			w := l.ask("GET", "/v1/people/user_id:ann/export", "")
			if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
				t.Fatal(w.Code, err, w.Body)
			}
			return out
		}
		begun := clock.Now()
		if got := copyOf().Told; len(got) != 2 || got[0].Name != "crm" || got[1].Name != "old" || got[1].Until != nil || got[0].Permitted == nil || !*got[0].Permitted {
			t.Fatalf("at first: %+v", got)
		}
		goOn(t, l.house, begun.AddDate(0, 0, 2))
		moved := clock.Now()
		apply(map[string]string{"destinations/crm.yaml": strings.Replace(crm, "[Trigger]", "all", 1)})
		if w := l.ask("POST", "/v1/consent", `{"subject":"user_id:ann","purpose":"marketing.newsletter","state":"objected"}`); w.Code > 299 {
			t.Fatal(w.Code, w.Body)
		}
		holds := func(when string) {
			t.Helper()
			got := copyOf().Told
			if len(got) != 3 {
				t.Fatalf("%s: %+v", when, got)
			}
			for i, want := range []struct {
				name, gets   string
				since, until time.Time
			}{
				{"crm", "the events Trigger; that somebody was erased", begun, moved},
				{"old", "who enters and leaves any segment; that somebody was erased", begun, moved},
				{"crm", "all events; that somebody was erased", moved, time.Time{}},
			} {
				is := got[i]
				if is.Name != want.name || is.Kind != "webhook" || is.Purpose != "marketing.newsletter" || strings.Join(is.Gets, "; ") != want.gets ||
					is.Host != is.Name+".example" || is.Since == nil || is.Since.Before(want.since) || is.Since.After(want.since.Add(time.Hour)) {
					t.Errorf("%s: %+v, want %+v", when, is, want)
				}
				if want.until.IsZero() != (is.Until == nil) || is.Until != nil && is.Until.Sub(want.until).Abs() > time.Hour {
					t.Errorf("%s: %s ended at %v, want %s", when, is.Name, is.Until, want.until)
				}
			}
			if p := got[2].Permitted; p == nil || *p || got[1].Permitted != nil {
				t.Errorf("%s: permission of today is %v and %v", when, p, got[1].Permitted)
			}
		}
		holds("once one is gone and one has changed")
		page := l.ask("GET", "/v1/people/user_id:ann/export", "", "Accept", "text/html").Body.String()
		for _, text := range []string{"may also have been given", "Old house", "crm.example", "you do not permit this today", "user_id, email", "until 3 March 2026", "What each was told is not kept"} {
			if !strings.Contains(page, text) {
				t.Errorf("the page lacks %q", text)
			}
		}
		if strings.Contains(page, "their-token") {
			t.Error("the page tells a secret address")
		}
		l.end()
		l = live(t, o, with(map[string]string{"destinations/crm.yaml": strings.Replace(crm, "[Trigger]", "all", 1)}))
		holds("after a start")
	})
}
