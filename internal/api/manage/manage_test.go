package manage_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"rapport/internal/access"
	"rapport/internal/api/manage"
	"rapport/internal/consent"
	"rapport/internal/eventlog"
	"rapport/internal/ingest"
)

// scenario is one request with what its answer must and must not hold.
type scenario struct {
	name   string
	method string // GET when empty
	path   string
	body   string
	header []string
	status int
	has    []string
	hasNot []string
	then   func(t *testing.T, h *house)
}

// secrets are what no problem may ever hold.
var secrets = []string{"ann@", "shop.example", "device-1", "12.5"}

func (s *scenario) run(t *testing.T, h *house) {
	t.Helper()
	if s.method == "" {
		s.method = http.MethodGet
	}
	w := h.ask(s.method, s.path, s.body, s.header...)
	body := w.Body.String()
	if w.Code != s.status {
		t.Fatalf("got status %d, want %d; body %s", w.Code, s.status, body)
	}
	for _, want := range s.has {
		if !strings.Contains(body, want) {
			t.Errorf("the answer lacks %q: %s", want, body)
		}
	}
	for _, not := range s.hasNot {
		if strings.Contains(body, not) {
			t.Errorf("the answer holds %q: %s", not, body)
		}
	}
	switch ct := w.Header().Get("Content-Type"); {
	case w.Code >= 400:
		if ct != "application/problem+json" {
			t.Errorf("got Content-Type %q, want application/problem+json", ct)
		}
		for _, want := range []string{`"instance":"req_`, `"status":`, `"code":"`} {
			if !strings.Contains(body, want) {
				t.Errorf("the problem lacks %s: %s", want, body)
			}
		}
		for _, not := range secrets {
			if strings.Contains(body, not) {
				t.Errorf("the problem tells %q: %s", not, body)
			}
		}
	case w.Code != http.StatusNoContent && ct != "application/json":
		t.Errorf("got Content-Type %q, want application/json", ct)
	}
	if cc := w.Header().Get("Cache-Control"); cc != "no-store" && w.Code != http.StatusNoContent {
		t.Errorf("got Cache-Control %q, want no-store", cc)
	}
	if s.then != nil {
		s.then(t, h)
	}
}

// together runs scenarios in order before one house in which Ann is known.
func together(t *testing.T, list []scenario) {
	t.Helper()
	h := setup(t)
	h.ann()
	for _, s := range list {
		t.Run(s.name, func(t *testing.T) { s.run(t, h) })
	}
}

func TestWhoMayKnock(t *testing.T) {
	t.Parallel()
	h := setup(t)
	write, _, err := h.keys.Create(t.Context(), access.Request{Kind: access.Ingest, Source: "shop"})
	h.must(err)
	browser, _, err := h.keys.Create(t.Context(), access.Request{Kind: access.Browser, Source: "shop"})
	h.must(err)
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(h.secret+":"))
	for _, s := range []scenario{
		{name: "no key", path: "/v1/status", header: []string{"Authorization: "}, status: 401, has: []string{"key_required"}},
		{name: "no such key", path: "/v1/status", header: []string{"Authorization: Bearer rpm_nobody"}, status: 401, hasNot: []string{"rpm_nobody"}},
		{name: "an ingest key", path: "/v1/status", header: []string{"Authorization: Bearer " + write}, status: 403, has: []string{"key_not_allowed"}},
		{name: "a browser key", method: "POST", path: "/v1/send", header: []string{"Authorization: Bearer " + browser}, status: 403},
		{name: "Basic", path: "/v1/status", header: []string{basic}, status: 200, has: []string{`"version":1`}},
		{name: "a foreign page with remembered Basic", method: "POST", path: "/v1/keys", body: `{"kind":"manage"}`, header: []string{basic, "Sec-Fetch-Site: cross-site"}, status: 403, has: []string{"foreign_page"}},
		{name: "no such path", path: "/v1/nothing", status: 404, has: []string{"no_such_path"}},
		{name: "no such path, no key", path: "/v1/nothing", header: []string{"Authorization: "}, status: 404},
		{name: "another method", method: "PUT", path: "/v1/config", status: 405, has: []string{"GET, POST"}},
		{name: "unknown parameter", path: "/v1/status?verbose=1", status: 400, has: []string{"unknown_parameter"}},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, h) })
	}
	if got := h.ask("PUT", "/v1/config", "").Header().Get("Allow"); got != "GET, POST" {
		t.Errorf("got Allow %q", got)
	}
	if got := h.ask("GET", "/v1/status", "", "Authorization: ").Header().Get("Www-Authenticate"); got == "" {
		t.Error("401 without WWW-Authenticate")
	}
}

func TestEachKeyHasItsLimit(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for range 10_000 {
		h.config.Limits.Charge(h.keys.List()[0].ID, 1)
	}
	w := h.ask("GET", "/v1/status", "")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "too_many_requests") {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	other, _, err := h.keys.Create(t.Context(), access.Request{Kind: access.Manage})
	h.must(err)
	if w := h.ask("GET", "/v1/status", "", "Authorization: Bearer "+other); w.Code != 200 {
		t.Errorf("another key: got %d", w.Code)
	}
}

func TestPeople(t *testing.T) {
	t.Parallel()
	together(t, []scenario{
		{name: "by address", path: "/v1/people/email:Ann@shop.example", status: 200, has: []string{`"id":"per_1"`, `"first_name":"Ann"`, `"kind":"anonymous_id"`, `"name":"buyers"`, `"allowed":true`, `"purpose":"marketing.newsletter"`}},
		{name: "by user id", path: "/v1/people/user_id:42", status: 200, has: []string{`"id":"per_1"`}},
		{name: "by device", path: "/v1/people/anonymous_id:device-1", status: 200, has: []string{`"id":"per_1"`}},
		{name: "by their own id", path: "/v1/people/id:per_1", status: 200, has: []string{`"id":"per_1"`}},
		{name: "by an id of another system", path: "/v1/people/shopify_id:a%2Fb%20c", status: 200, has: []string{`"id":"per_1"`}},
		{name: "who waits in a journey", path: "/v1/people/user_id:42", status: 200, has: []string{`"journeys":[{"journey":"later","step":"nudge","entered":"2026-03-01T12:00:00Z"`}},
		{name: "nobody", path: "/v1/people/email:ann@else.example", status: 404, has: []string{"no_such_person"}},
		{name: "nobody by number", path: "/v1/people/id:per_99", status: 404},
		{name: "no kind", path: "/v1/people/ann@shop.example", status: 400, has: []string{"bad_person"}},
		{name: "no number", path: "/v1/people/id:ann@shop.example", status: 400, has: []string{"bad_person"}},
		{name: "walked already", path: "/v1/people/user_id:42?min_position=1", status: 200},
		{name: "no position", path: "/v1/people/user_id:42?min_position=ann@", status: 400, has: []string{"bad_min_position"}},
		{name: "events", path: "/v1/people/user_id:42/events", status: 200, has: []string{`"event":"Order Completed"`, `"value":12.5`, `"cursor":""`}},
		{name: "a page of events", path: "/v1/people/user_id:42/events?limit=1", status: 200, has: []string{"ann-1"}, hasNot: []string{`"message_id":"ann-0"`, `"cursor":""`}},
		{name: "a foreign cursor", path: "/v1/people/user_id:42/events?cursor=%21ann@", status: 400, has: []string{"bad_cursor"}},
		{name: "a page of none", path: "/v1/people/user_id:42/events?limit=0", status: 400, has: []string{"bad_limit"}},
		{name: "segments", path: "/v1/segments", status: 200, has: []string{`"segments":[{"name":"buyers","people":1`}},
		{name: "why in a segment", path: "/v1/segments/buyers/explain?person=user_id:42", status: 200, has: []string{`"member":true`, `"person":"per_1"`, `"changes":"2026-03-02T12:00:00Z"`, `"rule":{"text":"did: Order Completed, within: 24h","truth":true`, `"valid_until":"2026-03-02T12:00:00Z"`}, hasNot: []string{`"until"`}},
		{name: "whom", path: "/v1/segments/buyers/explain", status: 400, has: []string{"person_required"}},
		{name: "no such segment", path: "/v1/segments/nothing/explain?person=user_id:42", status: 404, has: []string{"no_such_segment"}},
		{name: "an address for a segment", path: "/v1/segments/ann@shop.example/explain?person=user_id:42", status: 404, has: []string{"no_such_name"}},
		{name: "an address for a journey", path: "/v1/journeys/ann@shop.example/explain?person=user_id:42", status: 404, has: []string{"no_such_name"}},
		{name: "journeys", path: "/v1/journeys", status: 200, has: []string{`"name":"thanks"`, `"purpose":"service"`}},
		{name: "why mailed", path: "/v1/journeys/thanks/explain?person=email:ann@shop.example", status: 200, has: []string{`"journey":"thanks"`, `"inside":false`, `"why":{`, `"text":"`, `"mails":[{"id":"msg_`, `"at":"`}},
		{name: "no such journey", path: "/v1/journeys/nothing/explain?person=user_id:42", status: 404, has: []string{"no_such_journey"}},
		{name: "mails of a person", path: "/v1/messages?person=user_id:42", status: 200, has: []string{`"template":"thanks"`, `"state":"pending"`, `"cursor":""`}},
		{name: "mails of a person in a state", path: "/v1/messages?person=user_id:42&state=failed", status: 200, has: []string{`"messages":[]`}},
		{name: "mails in a state", path: "/v1/messages?state=pending&limit=1", status: 200, has: []string{`"template":"thanks"`, `"cursor":"msg_`}},
		{name: "no such state", path: "/v1/messages?state=lost", status: 400, has: []string{"bad_state"}},
		{name: "all mails", path: "/v1/messages", status: 200, has: []string{`"template":"thanks"`, `"cursor":""`}},
		{name: "mails below a cursor", path: "/v1/messages?cursor=msg_00000000000000000000000004", status: 200, has: []string{`"messages":[]`, `"cursor":""`}},
		{name: "a foreign cursor of mails", path: "/v1/messages?cursor=ann@", status: 400, has: []string{"bad_cursor"}},
		{name: "no mail's id", path: "/v1/messages/ann@shop.example", status: 400, has: []string{"bad_message"}},
		{name: "no such mail", path: "/v1/messages/msg_00000000000000000000000000", status: 404, has: []string{"no_such_message"}},
		{name: "status", path: "/v1/status", status: 200, has: []string{`"build":"1.2.3-test"`, `"live":{"appended":3,"walked":3,"lag":0}`, `"mails":{"pending":1`, `"unknown":0`, `"rejects":{}`, `"records":3`, `"ready":true`}},
	})
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	together(t, []scenario{
		{name: "read", path: "/v1/config", status: 200, has: []string{`"version":1`, `"digest":"d1"`, `"files":["rapport.yaml"]`}},
		{name: "plan", method: "POST", path: "/v1/config?dry_run=true", body: `{"files":{"a.yaml":"YQ=="}}`, status: 200, has: []string{`"dry_run":true`}, then: func(t *testing.T, h *house) {
			if len(h.applied) != 0 {
				t.Error("a plan was applied")
			}
		}},
		{name: "apply", method: "POST", path: "/v1/config", body: `{"files":{"a.yaml":"YQ=="}}`, header: []string{`If-Match: "1"`}, status: 200, has: []string{`"version":2`}, then: func(t *testing.T, h *house) {
			if len(h.applied) != 1 || string(h.applied[0]["a.yaml"]) != "a" {
				t.Errorf("got %v", h.applied)
			}
		}},
		{name: "another version was seen", method: "POST", path: "/v1/config?dry_run=false", body: `{"files":{"a.yaml":"YQ=="}}`, header: []string{`If-Match: "7"`}, status: 409, has: []string{"version_moved"}},
		{name: "no version", method: "POST", path: "/v1/config", body: `{"files":{"a.yaml":"YQ=="}}`, header: []string{`If-Match: "new"`}, status: 400, has: []string{"bad_if_match"}},
		{name: "no files", method: "POST", path: "/v1/config", body: `{"files":{}}`, status: 400, has: []string{"bad_files"}},
		{name: "a way out of the folder", method: "POST", path: "/v1/config", body: `{"files":{"../a.yaml":"YQ=="}}`, status: 400, has: []string{"bad_path"}},
		{name: "no base64", method: "POST", path: "/v1/config", body: `{"files":{"a.yaml":"?"}}`, status: 400, has: []string{"wrong_type"}},
		{name: "unknown field", method: "POST", path: "/v1/config", body: `{"folder":{}}`, status: 400, has: []string{"unknown_field", "/folder"}},
		{name: "an address as a field", method: "POST", path: "/v1/config", body: `{"ann@shop.example":{}}`, status: 400, has: []string{"unknown_field"}},
		{name: "no JSON", method: "POST", path: "/v1/config", body: `{"files":ann@`, status: 400, has: []string{"bad_json", "byte 9"}},
		{name: "packed", method: "POST", path: "/v1/config", body: "x", header: []string{"Content-Encoding: gzip"}, status: 415},
	})
}

func TestKeysAreMadeShownAndRevoked(t *testing.T) {
	t.Parallel()
	h := setup(t)
	made := h.answerOf(201, h.ask("POST", "/v1/keys", `{"kind":"ingest","source":"shop","name":"till","expires":"2026-04-01T00:00:00Z"}`))
	secret, _ := made["key"].(string)
	if k, ok := h.keys.Find(secret); !ok || k.Source != "shop" {
		t.Fatalf("the new key is not known: %v", made)
	}
	for _, s := range []scenario{
		{name: "list", path: "/v1/keys", status: 200, has: []string{`"source":"shop"`, `"expires":"2026-04-01T00:00:00Z"`, `"kind":"manage"`}, hasNot: []string{secret, hashOf(secret), "revoked"}},
		{name: "no such source", method: "POST", path: "/v1/keys", body: `{"kind":"ingest","source":"nowhere"}`, status: 400, has: []string{"no_such_source"}},
		{name: "no source", method: "POST", path: "/v1/keys", body: `{"kind":"ingest"}`, status: 400, has: []string{"source_required"}},
		{name: "no such kind", method: "POST", path: "/v1/keys", body: `{"kind":"all"}`, status: 400, has: []string{"unknown_key_kind"}},
		{name: "expired already", method: "POST", path: "/v1/keys", body: `{"kind":"manage","expires":"2020-01-01T00:00:00Z"}`, status: 400, has: []string{"expires_in_the_past"}},
		{name: "revoke", method: "DELETE", path: "/v1/keys/" + made["id"].(string), status: 204, then: func(t *testing.T, h *house) {
			if _, ok := h.keys.Find(secret); ok {
				t.Error("a revoked key is still found")
			}
		}},
		{name: "revoked in the list", path: "/v1/keys", status: 200, has: []string{`"revoked":"2026-03-01T12:00:00Z"`}},
		{name: "revoke an address", method: "DELETE", path: "/v1/keys/ann@shop.example", status: 404, has: []string{"no_such_name"}},
		{name: "revoke nothing", method: "DELETE", path: "/v1/keys/key_none", status: 404, has: []string{"no_such_key"}},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, h) })
	}
}

func TestRejectsAreReadAndSentAgain(t *testing.T) {
	t.Parallel()
	h := setup(t)
	take := func(body string) {
		_, _ = h.ingest.Take(t.Context(), ingest.Call{ // That it is malformed is meant.
			Source: ingest.Source{Name: "shop"}, Path: "/v1/batch", Body: []byte(body),
		})
	}
	take(`{"batch":[{"type":"track","event":"Bought","properties":{"value":12.5}}]}`)
	take(`{"batch":[{"type":"nonsense","userId":"42"}]}`)
	list := h.answerOf(200, h.ask("GET", "/v1/rejected?limit=1", ""))
	newest := list["rejected"].([]any)[0].(map[string]any)
	if len(list["counts"].(map[string]any)) != 2 || newest["id"].(float64) != 2 || list["cursor"] != "2" || newest["payload"] != nil {
		t.Fatalf("got %v", list)
	}
	code := newest["code"].(string)
	for _, s := range []scenario{
		{name: "the next page", path: "/v1/rejected?cursor=2", status: 200, has: []string{`"id":1`, `"cursor":""`}, hasNot: []string{`"id":2`}},
		{name: "by code", path: "/v1/rejected?code=" + code, status: 200, has: []string{`"id":2`}, hasNot: []string{`"id":1`}},
		{name: "of another source", path: "/v1/rejected?source=till", status: 200, has: []string{`"rejected":[]`}},
		{name: "whole", path: "/v1/rejected/1", status: 200, has: []string{`"payload":{`, `"value":12.5`, `"source":"shop"`}},
		{name: "none", path: "/v1/rejected/99", status: 404, has: []string{"no_such_reject"}},
		{name: "no number", path: "/v1/rejected/ann@", status: 400, has: []string{"bad_reject"}},
		{name: "as it was", method: "POST", path: "/v1/rejected/1/resend", status: 400},
		{name: "mended", method: "POST", path: "/v1/rejected/1/resend", body: `{"batch":[{"type":"track","event":"Bought","userId":"42","messageId":"m1"}]}`, status: 200, has: []string{`"sent":true`, `"accepted":1`, `"position":2`}},
		{name: "again", method: "POST", path: "/v1/rejected/1/resend", status: 409, has: []string{"already_sent"}},
		{name: "applied", path: "/v1/people/user_id:42/events?min_position=2", status: 200, has: []string{`"message_id":"m1"`}},
		{name: "marked", path: "/v1/rejected/1", status: 200, has: []string{`"sent":true`}},
		{name: "counted", path: "/v1/status", status: 200, has: []string{`"` + code + `":1`}},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, h) })
	}
}

func TestImportsGoToTheBulkLane(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for _, s := range []scenario{
		{name: "a batch", method: "POST", path: "/v1/import/shop", body: `{"batch":[{"type":"track","event":"Bought","userId":"7","messageId":"m1"},{"type":"nonsense"}]}`, status: 200, has: []string{`"accepted":1`, `"rejected":1`, `"position":1`}},
		{name: "no such source", method: "POST", path: "/v1/import/till", body: `{}`, status: 404, has: []string{"no_such_source"}},
		{name: "an address for a source", method: "POST", path: "/v1/import/ann@shop.example", body: `{}`, status: 404, has: []string{"no_such_name"}},
		{name: "no JSON", method: "POST", path: "/v1/import/shop", body: `ann@`, status: 400},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, h) })
	}
	h.must(h.walker.Wait(t.Context(), eventlog.Bulk, 1))
	if tail, _ := h.log.Tail(eventlog.Live); tail != 1 {
		t.Errorf("the live lane ends at %d, want the configuration alone", tail)
	}
	h.answerOf(200, h.ask("GET", "/v1/people/user_id:7", ""))
	h.config.Import = nil
	h.knock()
	(&scenario{method: "POST", path: "/v1/import/shop", body: `{}`, status: 503, has: []string{"no_import"}}).run(t, h)
}

func TestImportedConsentNeedsProof(t *testing.T) {
	t.Parallel()
	h := setup(t)
	var taken []manage.ImportedConsent
	h.config.ImportConsent = func(_ context.Context, _ string, said []manage.ImportedConsent) (int64, error) {
		taken = said
		return 7, nil
	}
	h.knock()
	const path, whole = "/v1/import/shop/consent", `"subjects":["email:ann@shop.example","user_id:7"],"purpose":"marketing.newsletter"`
	good := `{"id":"a",` + whole + `,"granted":true,"said":"2026-01-05T10:00:00Z","evidence":{"form":"f3"}}`
	for _, s := range []scenario{
		{name: "a grant and a no", method: "POST", path: path, body: `{"records":[` + good + `,{"id":"b",` + whole + `,"granted":false}]}`, status: 200, has: []string{`"accepted":2`, `"rejected":0`, `"position":7`}, hasNot: []string{"errors"}},
		{name: "no time", method: "POST", path: path, body: `{"records":[` + good + `,{"id":"c",` + whole + `,"granted":true,"evidence":{"form":"f3"}}]}`, status: 200, has: []string{`"accepted":1`, `"index":1`, "no_time"}},
		{name: "no evidence", method: "POST", path: path, body: `{"records":[{"id":"c",` + whole + `,"granted":true,"said":"2026-01-05T10:00:00Z","evidence":{}}]}`, status: 200, has: []string{`"accepted":0`, "no_evidence"}},
		{name: "from the future", method: "POST", path: path, body: `{"records":[{"id":"c",` + whole + `,"granted":false,"said":"2027-01-05T10:00:00Z"}]}`, status: 200, has: []string{"not_yet_said"}},
		{name: "nobody", method: "POST", path: path, body: `{"records":[{"id":"c","subjects":[],"purpose":"marketing.newsletter"}]}`, status: 200, has: []string{"bad_subject"}},
		{name: "a person's own id", method: "POST", path: path, body: `{"records":[{"id":"c","subjects":["id:per_1"],"purpose":"marketing.newsletter"}]}`, status: 200, has: []string{"bad_subject"}},
		{name: "no id", method: "POST", path: path, body: `{"records":[{` + whole + `}]}`, status: 200, has: []string{"bad_id"}},
		{name: "no such purpose", method: "POST", path: path, body: `{"records":[{"id":"c","subjects":["user_id:7"],"purpose":"nonsense"}]}`, status: 200, has: []string{"no_such_purpose"}},
		{name: "no such source", method: "POST", path: "/v1/import/till/consent", body: `{}`, status: 404, has: []string{"no_such_source"}},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, h) })
		if s.name == "a grant and a no" {
			if len(taken) != 2 || len(taken[0].Entries) != 2 || taken[0].Entries[0].State != consent.Granted || taken[1].Entries[1].State != consent.Refused || taken[0].Entries[0].Method != consent.ByImport {
				t.Errorf("taken: %+v", taken)
			}
		}
	}
	h.config.ImportConsent = nil
	h.knock()
	(&scenario{method: "POST", path: path, body: `{}`, status: 503, has: []string{"no_import"}}).run(t, h)
}
