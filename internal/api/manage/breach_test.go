package manage_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestBreaches: a breach is taken down with whom it concerns, its clock runs, it is
// changed, reported and closed; what makes no sense is refused with a code.
func TestBreaches(t *testing.T) {
	t.Parallel()
	h := setup(t)
	const from = `"from":"2026-02-01T00:00:00Z"`
	ask := func(method, path, body string, status int, want ...string) string {
		t.Helper()
		w := h.ask(method, path, body)
		for _, text := range want {
			if !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s %s: %d %s lacks %s", method, path, w.Code, w.Body, text)
			}
		}
		if w.Code != status {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	for body, code := range map[string]string{
		`{}`:                       "bad_from",
		`{"scope":{` + from + `}}`: "nothing_open",
		`{"scope":{"from":"2030-01-01T00:00:00Z"}}`:                                               "bad_until",
		`{"scope":{` + from + `,"until":"2026-01-01T00:00:00Z","everything":true}}`:               "bad_until",
		`{"scope":{` + from + `,"keys":["key_none"]}}`:                                            "no_such_key",
		`{"scope":{` + from + `,"sources":["none"]}}`:                                             "no_such_source",
		`{"scope":{` + from + `,"destinations":["none"]}}`:                                        "no_such_destination",
		`{"scope":{` + from + `,"everything":true},"aware_at":"2030-01-01T00:00:00Z"}`:            "bad_aware",
		`{"scope":{` + from + `,"everything":true},"nature":"` + strings.Repeat("a", 4001) + `"}`: "text_too_long",
		`{"scope":{` + from + `,"sources":[` + strings.Repeat(`"shop",`, 100) + `"shop"]}}`:       "too_many_named",
	} {
		ask(http.MethodPost, "/v1/breaches", body, 400, code)
	}
	ask(http.MethodPost, "/v1/breaches?dry_run=true", `{"scope":{`+from+`,"destinations":["crm"]}}`, 200, `"people":1`)
	ask(http.MethodGet, "/v1/breaches", "", 200, `{"breaches":[]}`)
	ingest := field(t, ask(http.MethodPost, "/v1/keys", `{"kind":"ingest","source":"shop","name":"x"}`, 201), "id")
	id := field(t, ask(http.MethodPost, "/v1/breaches", `{"scope":{`+from+`,"keys":["`+ingest+`"]},"nature":"A key was lost.","aware_at":"2026-02-27T12:00:00Z"}`, 201,
		`"due_at":"2026-03-02T12:00:00Z"`, `"overdue":false`, `"records":2`), "id")
	if h.searched != "[] [shop] false" { // What a key that writes may have brought is its source's.
		t.Errorf("searched was for %s", h.searched)
	}
	ask(http.MethodPost, "/v1/breaches/"+id+"/close", `{"outcome":"told"}`, 409, "authority_not_told")
	ask(http.MethodPost, "/v1/breaches/"+id+"/close", `{"outcome":"not_required"}`, 400, "reason_required")
	ask(http.MethodPost, "/v1/breaches/"+id+"/close", `{"outcome":"gone"}`, 400, "bad_outcome")
	ask(http.MethodPost, "/v1/breaches/"+id, `{"authority_told_at":"2026-01-01T00:00:00Z"}`, 400, "bad_told")
	ask(http.MethodPost, "/v1/breaches/none", `{}`, 404, "no_such_breach")
	h.clock.Move(48 * time.Hour)
	ask(http.MethodGet, "/v1/breaches?open=true", "", 200, `"overdue":true`)
	ask(http.MethodGet, "/v1/breaches/"+id+"/report", "", 200, "reasons for the delay (Art. 33(1)) | *[to be written]*", "A key was lost.", "| events | 1 | 2 |", "told | not yet")
	ask(http.MethodPost, "/v1/breaches/"+id, `{"authority_told_at":"2026-03-03T11:00:00Z","delay":"Weekend.","scope":{`+from+`,"everything":true}}`, 200,
		`"nature":"A key was lost."`, `"everything":true`, `"overdue":false`)
	if h.searched != "[] [] true" {
		t.Errorf("searched was for %s", h.searched)
	}
	report := ask(http.MethodGet, "/v1/breaches/"+id+"/report", "", 200, "| Weekend. |", "everything that is stored", "2026-03-03 11:00 UTC")
	if strings.Contains(report, ingest) {
		t.Errorf("the report is of the former scope: %s", report)
	}
	if got := ask(http.MethodGet, "/v1/breaches/"+id+"/people", "", 200); got != `{"person":"per_1","email":"ann@people.example","kinds":["events"]}`+"\n" {
		t.Errorf("the people: %s", got)
	}
	ask(http.MethodPost, "/v1/breaches/"+id+"/close", `{"outcome":"told"}`, 200, `"outcome":"told"`)
	ask(http.MethodPost, "/v1/breaches/"+id+"/close", `{"outcome":"told"}`, 409, "breach_closed")
	ask(http.MethodGet, "/v1/breaches?open=true", "", 200, `{"breaches":[]}`)
}

// field reads a text of an answer.
func field(t *testing.T, answer, name string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(answer), &m); err != nil {
		t.Fatal(err)
	}
	text, _ := m[name].(string)
	if text == "" {
		t.Fatalf("no %s in %s", name, answer)
	}
	return text
}
