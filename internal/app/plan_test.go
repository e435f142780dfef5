package app_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/eventlog"
)

const trackingPlan = `
on_violation: quarantine
unplanned_fields: strip
unplanned_events: refuse
events:
  Bought:
    properties:
      total: {type: number, required: true}
      note: string
personal_data: {default: mask, card: drop, phone: hash, client_ip: truncate}
`

// TestATrackingPlan walks an event that is not as planned from the door to the
// quarantine and, after the plan is mended, into the profile.
func TestATrackingPlan(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		dir := t.TempDir()
		sink, clock := taking(t, nil), app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)
		config := small(t, sink.Addr(), map[string]string{"plan/shop.yaml": trackingPlan})
		l := live(t, app.Options{Data: dir, Database: database, Clock: clock}, config)

		w := l.ask("POST", "/v1/track", `{"userId":"u1","event":"Bought","messageId":"m1","properties":{"note":"ann@shop.example, 4111 1111 1111 1111"}}`)
		var answer struct {
			Success  bool
			Rejected int
			Problems []struct{ Code, Detail string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK || !answer.Success || len(answer.Problems) != 1 || answer.Problems[0].Code != "schema_violation" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w := l.ask("POST", "/v1/track", `{"userId":"u1","event":"Other"}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"unplanned"`) {
			t.Errorf("an event that is refused: %d %s", w.Code, w.Body)
		}
		if w := l.ask("POST", "/v1/track", `{"userId":"u2","event":"Bought","messageId":"m2","properties":{"total":1,"extra":"x","note":"ask bob@shop.example or +49 30 1234567"},"context":{"ip":"198.51.100.7"}}`); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "rejected") {
			t.Errorf("an event that is stripped: %d %s", w.Code, w.Body)
		}
		l.settle()

		var list struct {
			Rejected []struct {
				ID      json.Number
				Code    string
				Payload json.RawMessage
			}
		}
		l.get("/v1/rejected?code=schema_violation", &list)
		if len(list.Rejected) != 1 {
			t.Fatalf("the quarantine holds %+v", list)
		}
		id := list.Rejected[0].ID.String()
		var one struct{ Payload json.RawMessage }
		l.get("/v1/rejected/"+id, &one)
		if strings.Contains(string(one.Payload), "ann@") || strings.Contains(string(one.Payload), "4111") {
			t.Errorf("what is kept aside: %s", one.Payload)
		}
		if w := l.ask("GET", "/v1/people/user_id:u1", ""); w.Code != http.StatusNotFound {
			t.Errorf("u1 is known: %d %s", w.Code, w.Body)
		}
		if got, n := l.last(t, eventlog.Live, "m2"); n != 1 || strings.Contains(string(got.Properties), "extra") || strings.Contains(string(got.Properties), "bob@") ||
			strings.Contains(string(got.Properties), "1234567") || !strings.Contains(string(got.Context), "198.51.100.0") {
			t.Errorf("%d events of u2, %s %s", n, got.Properties, got.Context)
		}
		if n := len(l.timeline("schema-violations")); n < 3 {
			t.Errorf("%d violations are told", n)
		}
		var counted struct {
			Violations []struct{ Code, Property, Event string }
		}
		l.get("/v1/violations?code=schema_violation", &counted)
		if len(counted.Violations) != 1 || counted.Violations[0].Property != "properties.total" {
			t.Errorf("counted: %+v", counted)
		}

		if w := l.ask("POST", "/v1/rejected/"+id+"/resend", ""); w.Code < 400 {
			t.Errorf("sent again under the same plan: %d %s", w.Code, w.Body)
		}
		files := map[string][]byte{}
		for p, b := range config.Files {
			files[p] = b
		}
		files["plan/shop.yaml"] = []byte(strings.Replace(trackingPlan, "required: true", "required: false", 1))
		plan, err := l.house.Apply(t.Context(), files, 0)
		if err != nil || len(plan.Changes) != 1 || plan.Changes[0].String() != "changed plan shop" {
			t.Fatalf("%+v %v", plan, err)
		}
		if w := l.ask("POST", "/v1/rejected/"+id+"/resend", ""); w.Code != http.StatusOK {
			t.Fatalf("sent again: %d %s", w.Code, w.Body)
		}
		l.settle()
		if n := len(l.timeline("u1")); n != 1 {
			t.Errorf("u1 has %d events after all", n)
		}
		l.end()
		absent(t, dir, "ann@shop.example", "bob@shop.example", "4111 1111", "30 1234567")
	})
}

// absent looks for texts in the files of a folder.
func absent(t *testing.T, dir string, texts ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		for _, s := range texts {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds %q", filepath.Base(p), s)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
