package app_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/plan/survey"
)

// TestSourcesAreReported asks what sources have sent: live, by import, and what
// was not taken.
func TestSourcesAreReported(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink, clock := taking(t, nil), app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), nil))
		for i := range 3 {
			body := fmt.Sprintf(`{"userId":"u%d","event":"Bought","properties":{"total":%d,"note":"ann@shop.example"},"context":{"consent":{"categoryPreferences":{"ads":%v}}}}`, i, i, i == 0)
			if w := l.ask("POST", "/v1/track", body); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
		}
		clock.Set(clock.Now().Add(time.Hour))
		if w := l.ask("POST", "/v1/track", `{"userId":"u1"}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		if w := l.ask("POST", "/v1/import/shop", `{"batch":[{"type":"track","event":"Bought","anonymousId":"a","properties":{"total":"x"}}]}`, "Authorization", "Bearer "+l.manage); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		var all struct{ Sources []survey.Source }
		l.get("/v1/sources/report", &all)
		if len(all.Sources) != 1 {
			t.Fatalf("%+v", all)
		}
		s := all.Sources[0]
		if s.Source != "shop" || s.Events != 4 || s.Identifiers["user_id"] != 0.75 || s.Consent.Stated != 0.75 || s.Consent.Granted["ads"] != 0.3333 || s.Rejected["event_not_defined"] != 1 {
			t.Errorf("%+v", s)
		}
		if len(s.Kinds) != 1 || len(s.Kinds[0].Fields) != 2 || !s.Kinds[0].Fields[1].Drift || s.Kinds[0].Fields[0].Filled != 0.75 || s.Kinds[0].Fields[0].Personal != "email" {
			t.Errorf("%+v", s.Kinds)
		}
		l.get("/v1/sources/report?source=shop&since=2026-03-01T12:30:00Z", &all)
		if len(all.Sources) != 1 || all.Sources[0].Events != 1 {
			t.Errorf("of the last half hour: %+v", all)
		}
		if w := l.ask("GET", "/v1/sources/report", ""); strings.Contains(w.Body.String(), "ann@") {
			t.Errorf("the report holds an address: %s", w.Body)
		}
		for path, want := range map[string]int{
			"/v1/sources/report?source=nobody": http.StatusNotFound, "/v1/sources/report?limit=0": http.StatusBadRequest, "/v1/sources/report?since=now": http.StatusBadRequest,
		} {
			if w := l.ask("GET", path, ""); w.Code != want {
				t.Errorf("%s: %d, want %d", path, w.Code, want)
			}
		}
		if w := l.ask("GET", "/v1/sources/report", "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(l.key+":"))); w.Code != http.StatusForbidden {
			t.Errorf("with a key that writes: %d", w.Code)
		}
	})
}
