package app_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/event"
	"rapport/internal/eventlog"
)

// TestADroppedRejectLeavesItsNameToNobody: where the newest reject is dropped its
// number may be given again, and what then has that number is another event.
func TestADroppedRejectLeavesItsNameToNobody(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink, clock := taking(t, nil), app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), nil))
		for _, who := range []string{"u1", "u2"} {
			if w := l.ask("POST", "/v1/track", `{"userId":"`+who+`"}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			id := l.newest()
			if w := l.ask("POST", "/v1/rejected/"+id+"/resend", `{"userId":"`+who+`","event":"Seen"}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
			l.settle()
			if n := len(l.timeline(who)); n != 1 {
				t.Errorf("%s has %d events, want 1", who, n)
			}
			if w := l.ask("DELETE", "/v1/rejected/"+id, ""); w.Code != http.StatusNoContent {
				t.Fatal(w.Code, w.Body)
			}
			clock.Set(clock.Now().Add(time.Minute))
		}
	})
}

// newest is the number of the newest reject.
func (l *lived) newest() string {
	l.t.Helper()
	var list struct{ Rejected []struct{ ID json.Number } }
	l.get("/v1/rejected?limit=1", &list)
	if len(list.Rejected) != 1 {
		l.t.Fatal("nothing was rejected")
	}
	return list.Rejected[0].ID.String()
}

// TestRejectsGoBackToTheirLane: what an import brought goes to the bulk lane when
// it is sent again, where it holds up nobody; what an SDK brought by a path of
// almost the same name goes to the live one.
func TestRejectsGoBackToTheirLane(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink, clock := taking(t, nil), app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), nil))
		sdk := "Basic " + base64.StdEncoding.EncodeToString([]byte(l.key+":"))
		for who, row := range map[string]struct {
			path, key string
			lane      eventlog.Lane
			flags     event.Flag
		}{
			"u1": {"/v1/import/shop", "Bearer " + l.manage, eventlog.Bulk, event.Bulk},
			"u2": {"/v1/import", sdk, eventlog.Live, 0},
			"u3": {"/v1/batch", sdk, eventlog.Live, 0},
		} {
			body := `{"batch":[{"type":"track","messageId":"` + who + `","userId":"` + who + `"}]}`
			if w := l.ask("POST", row.path, body, "Authorization", row.key); w.Code != http.StatusOK {
				t.Fatal(row.path, w.Code, w.Body)
			}
			mended := strings.Replace(body, `"track"`, `"track","event":"Seen"`, 1)
			if w := l.ask("POST", "/v1/rejected/"+l.newest()+"/resend", mended); w.Code != http.StatusOK {
				t.Fatal(row.path, w.Code, w.Body)
			}
			if got, n := l.last(t, row.lane, who); n != 1 || got.Flags != row.flags {
				t.Errorf("%s: %d in the %s lane, with the flags %d; want 1 and %d", row.path, n, row.lane, got.Flags, row.flags)
			}
		}
	})
}
