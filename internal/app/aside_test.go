package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
)

// lamps are two journeys and a segment that set each other off for ever, for
// whoever strikes a spark.
var lamps = map[string]string{
	"segments/lit.yaml":   "rule: {trait: lamp, is: \"on\"}\n",
	"journeys/begin.yaml": "purpose: service\ntrigger: {event: Spark}\nreentry: always\nsteps: [{set: {lamp: \"on\"}}]\n",
	"journeys/light.yaml": "purpose: service\ntrigger: {leaves: lit}\nreentry: always\nsteps: [{set: {lamp: \"on\"}}]\n",
	"journeys/dark.yaml":  "purpose: service\ntrigger: {enters: lit}\nreentry: always\nsteps: [{set: {lamp: \"off\"}}]\n",
}

// TestWhatWasSetAsideIsSentAgain: a mistake in the configuration keeps an event
// from being walked; once that is mended the event is sent again, mended or as it
// is, through the gates of today, and is applied once.
func TestWhatWasSetAsideIsSentAgain(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, nil)
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)}, small(t, sink.Addr(), lamps))
		for who, id := range map[string]string{"u1": "spark-1", "u2": "spark-2", "u3": "spark-3"} {
			if code := l.track("Spark", who, id); code != http.StatusOK {
				t.Fatal(code)
			}
		}
		l.settle()
		ids := l.aside(t)
		if len(ids) != 3 {
			t.Fatalf("set aside: %v", ids)
		}
		again := func(id, query, body string, want int) string {
			t.Helper()
			w := l.ask("POST", "/v1/set-aside/"+id+"/resend"+query, body)
			if w.Code != want {
				t.Errorf("sending %s again: %d %s, want %d", id, w.Code, w.Body, want)
			}
			l.settle()
			return w.Body.String()
		}
		// As long as the mistake stands it is set aside once more.
		again(ids["u1"], "", "", http.StatusOK)
		if n := len(l.aside(t)); n != 3 { // the first is marked, the new one is there
			t.Fatalf("%d are open after it was sent into the same mistake", n)
		}
		mended := small(t, sink.Addr(), map[string]string{"journeys/begin.yaml": lamps["journeys/begin.yaml"]})
		if _, err := l.house.Apply(t.Context(), mended.Files, 0); err != nil {
			t.Fatal(err)
		}
		ids = l.aside(t)
		if said := again(ids["u1"], "?dry_run=true", "", http.StatusOK); !strings.Contains(said, `"accepted":1`) || len(l.aside(t)) != 3 {
			t.Errorf("the dry run says %s", said)
		}
		again(ids["u1"], "", "", http.StatusOK)
		again(ids["u1"], "", "", http.StatusConflict)
		var shown struct {
			Payload map[string]any
			Sent    bool
		}
		l.get("/v1/set-aside/"+ids["u2"], &shown)
		shown.Payload["userId"] = "u4"
		body, err := json.Marshal(shown.Payload)
		if err != nil {
			t.Fatal(err)
		}
		again(ids["u2"], "", `{"type":"track"}`, http.StatusBadRequest)
		again(ids["u2"], "", string(body)+","+string(body), http.StatusBadRequest)
		again(ids["u2"], "", string(body), http.StatusOK)
		if w := l.ask("DELETE", "/v1/set-aside/"+ids["u3"], ""); w.Code != http.StatusNoContent {
			t.Errorf("drop: %d %s", w.Code, w.Body)
		}
		if w := l.ask("DELETE", "/v1/set-aside/"+ids["u3"], ""); w.Code != http.StatusNotFound {
			t.Errorf("drop twice: %d %s", w.Code, w.Body)
		}
		if left := l.aside(t); len(left) != 0 {
			t.Errorf("%v are open in the end", left)
		}
		for who, want := range map[string]bool{"u1": true, "u2": false, "u3": false, "u4": true} {
			w := l.ask("GET", "/v1/people/user_id:"+who, "")
			if got := w.Code == http.StatusOK && strings.Contains(w.Body.String(), `"lamp":"on"`); got != want {
				t.Errorf("%s has a lamp: %v, want %v: %s", who, got, want, w.Body)
			}
		}
	})
}

// aside lists what is set aside and not sent again, by the person's user id.
func (l *lived) aside(t *testing.T) map[string]string {
	t.Helper()
	var list struct {
		SetAside []struct {
			Lane     string
			Position json.Number
			Sent     bool
		} `json:"set_aside"`
	}
	l.get("/v1/set-aside", &list)
	out := map[string]string{}
	for _, a := range list.SetAside {
		if a.Sent {
			continue
		}
		var one struct{ Payload struct{ UserID string } }
		l.get("/v1/set-aside/"+a.Lane+"/"+a.Position.String(), &one)
		out[one.Payload.UserID] = a.Lane + "/" + a.Position.String()
	}
	return out
}
