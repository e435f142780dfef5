package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/audit"
	"rapport/internal/explain"
	"rapport/internal/privacy"
)

// TestExportHoldsEverything: all that two who became one did is in the export,
// each thing once, with where traits come from, mails with what was in them, and
// who looked; and a page tells the same.
func TestExportHoldsEverything(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		clock := app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), shopping))
		want := map[string]int{}
		send := func(id, body string) {
			t.Helper()
			want[id]++
			if w := l.ask(http.MethodPost, "/v1/batch", `{"batch":[{"messageId":"`+id+`",`+body+`}]}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
		}
		send("ann", `"type":"identify","userId":"ann","traits":{"email":"ann@people.example","plan":"pro"}`)
		for i := range 700 { // more than two pages, in two strands
			who := []string{`"userId":"ann"`, `"anonymousId":"device"`}[i%2]
			send(fmt.Sprint("e", i), fmt.Sprintf(`"type":"track","event":"Product Viewed",%s,"properties":{"i":%d}`, who, i))
		}
		send("joins", `"type":"identify","userId":"ann","anonymousId":"device","traits":{"plan":"team"}`)
		for i := range 650 {
			send(fmt.Sprint("l", i), fmt.Sprintf(`"type":"track","event":"Product Viewed","userId":"ann","properties":{"i":%d}`, i))
		}
		send("mail", `"type":"track","event":"Trigger","userId":"ann","properties":{"ref":"first"}`)
		l.told()
		if w := l.ask("POST", "/v1/consent", `{"subject":"user_id:ann","purpose":"marketing.newsletter","state":"objected"}`); w.Code > 299 {
			t.Fatal(w.Code, w.Body)
		}
		var got struct {
			Person      struct{ ID string }
			Identifiers []explain.Identifier
			Traits      []explain.Trait
			Segments    []explain.InSegment
			Said        []explain.Said `json:"permission_history"`
			Events      []explain.Event
			Messages    []explain.MailStory
			Recipients  []privacy.Recipient
			Trail       []audit.Entry
		}
		w := l.ask("GET", "/v1/people/user_id:ann/export", "")
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
			t.Fatal(w.Code, err)
		}
		for _, e := range got.Events {
			if e.Source == "shop" {
				want[e.MessageID]--
			}
		}
		for id, n := range want {
			if n != 0 {
				t.Errorf("%s is missing %d times", id, n)
			}
		}
		traits := map[string]string{}
		for _, x := range got.Traits {
			traits[x.Name] = string(x.Value) + " of " + x.Source
		}
		if traits["plan"] != `"team" of shop` || traits["email"] != `"ann@people.example" of shop` {
			t.Errorf("traits: %v", traits)
		}
		if len(got.Identifiers) != 3 || len(got.Segments) == 0 || got.Segments[0].Rule == "" {
			t.Errorf("identifiers %+v, segments %+v", got.Identifiers, got.Segments)
		}
		if len(got.Said) == 0 || got.Said[0].State != "objected" {
			t.Errorf("permission was said: %+v", got.Said)
		}
		if len(got.Messages) != 1 || got.Messages[0].Parts == nil || !strings.Contains(got.Messages[0].Parts.Subject, "first") || len(got.Recipients) != 2 || got.Recipients[1].Mails != 1 || got.Recipients[1].Name != "sink" {
			t.Errorf("messages %+v, recipients %+v", got.Messages, got.Recipients)
		}
		found := false
		for _, e := range got.Trail {
			found = found || e.What == "person.exported"
		}
		if !found {
			t.Error("the export itself is not in the trail")
		}
		if r := got.Recipients[0]; r.Kind != "key" || !strings.HasPrefix(r.Name, "key/") || r.Copies != 1 {
			t.Errorf("who took the copy that nobody had asked for is %+v", r)
		}
		page := l.ask("GET", "/v1/people/user_id:ann/export", "", "Accept", "text/html").Body.String()
		for _, text := range []string{"Everything faults holds about you", "ann@people.example", "News first", "Product Viewed", "person.exported", "2 copies of everything", "</html>"} {
			if !strings.Contains(page, text) {
				t.Errorf("the page lacks %q", text)
			}
		}
		if told := l.ask("GET", "/v1/people/user_id:ann/trail", "", "Accept", "text/html").Body.String(); strings.Count(told, "A copy of everything that is held about them was written.") != 2 {
			t.Errorf("the page of what happened to her data lacks the two copies:\n%s", told)
		}
		if n := strings.Count(page, "<summary>"); n != len(got.Events)+1 {
			t.Errorf("the page has %d entries, want %d", n, len(got.Events)+1)
		}
		if w := l.ask("GET", "/v1/people/user_id:nobody/export", ""); w.Code != http.StatusNotFound {
			t.Errorf("of nobody: %d", w.Code)
		}
	})
}
