package app_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
)

// TestWhatIsSentAgainKeepsWhatItCameWith: an event that was set aside is taken
// again with its own id, context, times and marks, as it is or mended.
func TestWhatIsSentAgainKeepsWhatItCameWith(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, nil)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(at, 0)}, small(t, sink.Addr(), lamps))
		for _, id := range []string{"1", "2", "3", "4"} {
			r := httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(`{"messageId":"spark-`+id+`","userId":"u`+id+`","event":"Spark",
				"timestamp":"2026-03-01T10:59:00Z","sentAt":"2026-03-01T11:00:00Z","integrations":{"All":false},"context":{"page":{"path":"/lamps"}}}`))
			r.SetBasicAuth(l.key, "")
			r.Header.Set("Sec-GPC", "1")
			w := httptest.NewRecorder()
			if l.house.Handler().ServeHTTP(w, r); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
		}
		l.settle()
		ids := l.aside(t)
		mended := small(t, sink.Addr(), map[string]string{"journeys/begin.yaml": lamps["journeys/begin.yaml"]})
		if _, err := l.house.Apply(t.Context(), mended.Files, 0); err != nil {
			t.Fatal(err)
		}
		shown := func(id string) map[string]any {
			var a struct{ Payload map[string]any }
			l.get("/v1/set-aside/"+id, &a)
			return a.Payload
		}
		again := func(id string, change func(p map[string]any), want int) string {
			t.Helper()
			body := ""
			if change != nil {
				p := shown(id)
				change(p)
				raw, err := json.Marshal(p)
				if err != nil {
					t.Fatal(err)
				}
				body = string(raw)
			}
			w := l.ask("POST", "/v1/set-aside/"+id+"/resend", body)
			if w.Code != want {
				t.Errorf("sending %s again: %d %s, want %d", id, w.Code, w.Body, want)
			}
			l.settle()
			return w.Body.String()
		}
		if said := again(ids["u1"], func(p map[string]any) { p["messageId"] = "another" }, http.StatusBadRequest); !strings.Contains(said, "other_message_id") {
			t.Errorf("another id: %s", said)
		}
		again(ids["u1"], nil, http.StatusOK)
		noID := func(p map[string]any) { delete(p, "messageId") }
		again(ids["u2"], noID, http.StatusOK)
		again(ids["u3"], noID, http.StatusOK)
		again(ids["u4"], func(p map[string]any) { p["event"] = "Flame" }, http.StatusOK)
		for i, name := range []string{"Spark", "Spark", "Spark", "Flame"} {
			n := string(rune('1' + i))
			var page struct {
				Events []struct {
					Event, Source string
					MessageID     string `json:"message_id"`
					Timestamp     time.Time
				}
			}
			l.get("/v1/people/user_id:u"+n+"/events", &page)
			found := false
			for _, e := range page.Events {
				if e.Source == "shop" {
					found = true
					if e.Event != name || e.MessageID != "spark-"+n || !e.Timestamp.Equal(at.Add(-time.Minute)) {
						t.Errorf("u%s has %+v", n, e)
					}
				}
			}
			if !found {
				t.Errorf("u%s has no event of the shop", n)
			}
		}
		records, err := app.Records(t.Context(), l.house)
		if err != nil {
			t.Fatal(err)
		}
		came := 0
		for i := range records {
			e := &records[i]
			if e.Source != "shop" {
				continue
			}
			came++
			if string(e.Integrations) != `{"All":false}` || !strings.Contains(string(e.Context), `"/lamps"`) || e.Flags == 0 ||
				e.Original.Format(time.RFC3339) != "2026-03-01T10:59:00Z" {
				t.Errorf("%s came again as %+v", e.MessageID, e)
			}
		}
		if came != 8 {
			t.Errorf("%d records of the shop, want 8", came)
		}
	})
}
