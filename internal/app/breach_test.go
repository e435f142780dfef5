package app_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport/internal/alert"
	"rapport/internal/app"
	"rapport/internal/breach"
	"rapport/internal/project"
)

// A breach finds whom a key, a source, a destination or a stolen disk concerns, and with
// data of which class; its clock raises an alert until the authority was told.
func TestABreachFindsWhomItConcerns(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		away := receiving(t, whsec("SECRET_ONE"))
		sink := taking(t, func(string) bool { return false })
		clock := app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)
		o := app.Options{Data: t.TempDir(), Database: database, Clock: clock, Secrets: project.Secrets{Env: secrets}}
		l := live(t, o, small(t, sink.Addr(), map[string]string{
			"plan/all.yaml":         "violations: count\nevents:\n  Seen: {properties: {diagnosis: {type: string, class: sensitive}, page: string}}\ntraits:\n  blood: {type: string, class: sensitive}\n  plan: {type: string, class: internal}\n",
			"destinations/crm.yaml": hook(away, "events: [Seen]\n"),
			"sources/till.yaml":     "kind: server\npurpose: profiling\nbasis: legitimate_interest\n",
		}))
		send := func(body string) {
			t.Helper()
			if w := l.ask(http.MethodPost, "/v1/batch", `{"batch":[`+body+`]}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			l.settle()
		}
		send(`{"type":"identify","messageId":"1","userId":"ann","traits":{"email":"ann@people.example","blood":"B","plan":"pro","note":"n"}}`)
		send(`{"type":"identify","messageId":"2","userId":"bob","traits":{"email":"bob@people.example","plan":"free"}}`)
		send(`{"type":"identify","messageId":"3","userId":"cid","traits":{"plan":"free"}}`)
		send(`{"type":"identify","messageId":"4","userId":"dee","traits":{"plan":"free"}}`)
		clock.Set(clock.Now().Add(time.Hour))
		from := clock.Now().Format(time.RFC3339)
		send(`{"type":"track","messageId":"5","userId":"ann","event":"Seen","properties":{"diagnosis":"d"}},{"type":"track","messageId":"6","userId":"ann","event":"Bought"},` +
			`{"type":"track","messageId":"7","userId":"bob","event":"Bought"}`)
		clock.Set(clock.Now().Add(time.Hour))
		until := clock.Now().Format(time.RFC3339)
		send(`{"type":"track","messageId":"8","userId":"cid","event":"Seen"}`)

		look := func(scope string) (out breach.Affected) {
			t.Helper()
			w := l.ask(http.MethodPost, "/v1/breaches?dry_run=true", `{"scope":{"from":"`+from+`",`+scope+`}}`)
			var a struct{ Affected breach.Affected }
			if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			return a.Affected
		}
		count := func(what string, list []breach.Count, name string, people, records int64) {
			t.Helper()
			i := slices.IndexFunc(list, func(c breach.Count) bool { return c.Name == name })
			if i < 0 && people+records == 0 {
				return
			}
			if i < 0 || list[i].People != people || list[i].Records != records {
				t.Errorf("%s: %s are not %d people, %d records in %+v", what, name, people, records, list)
			}
		}
		until = `"until":"` + until + `",`
		bySource := look(until + `"sources":["shop"]`)
		if bySource.People != 2 || bySource.AtMost {
			t.Errorf("by a source within the hour: %+v", bySource)
		}
		count("a source", bySource.Kinds, "events", 2, 3)
		count("a source", bySource.Classes, "sensitive", 1, 1)
		count("a source", bySource.Kinds, "mails", 0, 0)
		if other := look(until + `"sources":["till"]`); other.People != 0 {
			t.Errorf("by a source that brought nothing: %+v", other)
		}
		byDestination := look(until + `"destinations":["crm"]`)
		if byDestination.People != 1 || !byDestination.AtMost {
			t.Errorf("by a destination: %+v", byDestination)
		}
		count("a destination", byDestination.Kinds, "events", 1, 1)
		all := look(`"everything":true`)
		if all.People != 4 {
			t.Errorf("everything: %+v", all)
		}
		count("everything", all.Classes, "sensitive", 1, 3) // her trait, and two events that tell of it
		count("everything", all.Classes, "internal", 4, 6)
		count("everything", all.Attributes, "blood", 1, 0)
		count("everything", all.Attributes, "identifier user_id", 4, 0)

		var key struct{ ID, Key string }
		if w := l.ask(http.MethodPost, "/v1/keys", `{"kind":"manage","name":"lost"}`); json.Unmarshal(w.Body.Bytes(), &key) != nil || key.ID == "" {
			t.Fatal(w.Code, w.Body)
		}
		byKey := `"keys":["` + key.ID + `"]`
		if none := look(byKey); none.People != 0 || len(none.Acts) != 0 {
			t.Errorf("by a key that did nothing: %+v", none)
		}
		for _, path := range []string{
			"/v1/people/user_id:ann", "/v1/people/email:bob@people.example/events", "/v1/people/user_id:dee", "/v1/people/user_id:nobody", "/v1/messages", "/v1/rejected/1",
		} {
			l.ask(http.MethodGet, path, "", "Authorization", "Bearer "+key.Key)
		}
		l.ask(http.MethodPost, "/v1/people/user_id:dee/erase", "{}", "Idempotency-Key", "e")
		read := look(byKey)
		if read.People != 2 || read.Gone != 2 || read.AtMost { // dee was erased, nobody never was.
			t.Errorf("by a key: %+v", read)
		}
		count("a key", read.Kinds, "traits", 1, 0)
		count("a key", read.Kinds, "identifiers", 2, 0)
		count("a key", read.Kinds, "events", 1, 2)
		count("a key", read.Classes, "sensitive", 1, 1)
		count("a key", read.Acts, "person.read", 0, 3)
		count("a key", read.Nameless, "messages.read", 0, 1)
		count("a key", read.Nameless, "rejected.read", 0, 1)
		l.ask(http.MethodGet, "/v1/backup", "", "Authorization", "Bearer "+key.Key)
		if whole := look(byKey); whole.People != 3 {
			t.Errorf("by a key that took a backup: %+v", whole)
		}

		w := l.ask(http.MethodPost, "/v1/breaches", `{"scope":{"from":"`+from+`","everything":true},"nature":"A disk was stolen."}`)
		var b breach.Breach
		if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil || w.Code != http.StatusCreated || b.Affected.People != 3 {
			t.Fatal(w.Code, w.Body)
		}
		due := func() (out []alert.Alert) {
			t.Helper()
			open, err := l.house.Alert(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return slices.DeleteFunc(open, func(a alert.Alert) bool { return a.Name != "breach_due" })
		}
		if open := due(); len(open) != 1 || open[0].Severity != alert.Warning || open[0].About != b.ID {
			t.Errorf("told is %+v", open)
		}
		l.end()
		clock.Set(clock.Now().Add(60 * time.Hour))
		l = live(t, o, nil)
		if open := due(); len(open) != 1 || open[0].Severity != alert.Danger {
			t.Errorf("with 12 hours left told is %+v", open)
		}
		people := l.ask(http.MethodGet, "/v1/breaches/"+b.ID+"/people", "").Body.String()
		if strings.Count(people, "\n") != 3 || !strings.Contains(people, `"email":"ann@people.example"`) {
			t.Errorf("the people are\n%s", people)
		}
		report := l.ask(http.MethodGet, "/v1/breaches/"+b.ID+"/report", "").Body.String()
		for _, text := range []string{"A disk was stolen.", "**3**", "| sensitive | 1 | 3 |", "Art. 33(3)(d)", "*[to be written]*"} {
			if !strings.Contains(report, text) {
				t.Errorf("the report lacks %q:\n%s", text, report)
			}
		}
		if w := l.ask(http.MethodPost, "/v1/breaches/"+b.ID, `{"authority_told_at":"`+clock.Now().Format(time.RFC3339)+`"}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		if open := due(); len(open) != 0 {
			t.Errorf("after the authority was told, told is %+v", open)
		}
		var rows struct{ Rows []struct{ Act string } }
		l.get("/v1/audit?act=breach.&limit=100", &rows)
		for _, act := range []string{"breach.open_asked", "breach.people_read", "breach.reported", "breach.change_asked"} {
			if !slices.ContainsFunc(rows.Rows, func(r struct{ Act string }) bool { return r.Act == act }) {
				t.Errorf("the trail lacks %s: %+v", act, rows)
			}
		}
	})
}
