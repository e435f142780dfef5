package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/app"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/processor"
	"rapport/internal/project"
)

// asideRig is a house in which a Spark is set aside until the journeys are mended.
func asideRig(t *testing.T, database string, more map[string]string) (l *lived, mended *project.Config, clock *app.Clock) {
	t.Helper()
	sink := taking(t, nil)
	broken, whole := map[string]string{}, map[string]string{"journeys/begin.yaml": lamps["journeys/begin.yaml"]}
	for name, text := range lamps {
		broken[name] = text
	}
	for name, text := range more {
		broken[name], whole[name] = text, text
	}
	clock = app.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 0)
	l = live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), broken))
	return l, small(t, sink.Addr(), whole), clock
}

// mend puts a configuration into effect under which everything can be walked.
func (l *lived) mend(t *testing.T, config *project.Config) {
	t.Helper()
	if _, err := l.house.Apply(t.Context(), config.Files, 0); err != nil {
		t.Fatal(err)
	}
}

// resend sends what was set aside again and tells the answer.
func (l *lived) resend(t *testing.T, id, body string, want int) string {
	t.Helper()
	w := l.ask("POST", "/v1/set-aside/"+id+"/resend", body)
	if w.Code != want {
		t.Errorf("sending %s again: %d %s, want %d", id, w.Code, w.Body, want)
	}
	l.settle()
	return w.Body.String()
}

// lit tells whether somebody's lamp is on.
func (l *lived) lit(who string) bool {
	w := l.ask("GET", "/v1/people/user_id:"+who, "")
	return w.Code == http.StatusOK && strings.Contains(w.Body.String(), `"lamp":"on"`)
}

// TestMendedEventsKeepTheirMessageIDs: two events that are mended without an id
// are two events, and no mend makes another event of the one that was kept.
func TestMendedEventsKeepTheirMessageIDs(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, mended, _ := asideRig(t, database, nil)
		for who, id := range map[string]string{"u1": "spark-1", "u2": "spark-2", "u3": "spark-3"} {
			if code := l.track("Spark", who, id); code != http.StatusOK {
				t.Fatal(code)
			}
		}
		l.settle()
		ids := l.aside(t)
		l.mend(t, mended)
		l.resend(t, ids["u1"], `{"type":"track","event":"Spark","userId":"u1"}`, http.StatusOK)
		l.resend(t, ids["u2"], `{"type":"track","event":"Spark","userId":"u2","messageId":null}`, http.StatusOK)
		said := l.resend(t, ids["u3"], `{"type":"track","event":"Spark","userId":"u3","messageId":"spark-9"}`, http.StatusBadRequest)
		if !strings.Contains(said, `"other_message_id"`) {
			t.Errorf("another message id is answered by %s", said)
		}
		if l.lit("u3") {
			t.Error("an event with another message id was taken")
		}
		l.resend(t, ids["u3"], `{"type":"track","event":"Spark","userId":"u3","messageId":"spark-3"}`, http.StatusOK)
		for who, id := range map[string]string{"u1": "spark-1", "u2": "spark-2", "u3": "spark-3"} {
			if !l.lit(who) || l.timeline(who)[id] != 1 {
				t.Errorf("%s has a lamp: %v, and the events %v", who, l.lit(who), l.timeline(who))
			}
		}
	})
}

// signed is a Spark as a browser's call with a signed user hash and Sec-GPC
// leaves it in the log.
func signed(who string) *event.Event {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &event.Event{
		Type: event.Track, Name: "Spark", Source: "shop", MessageID: "spark-" + who, UserID: who, Flags: event.Verified | event.GPC,
		Time: at.Add(-time.Minute), Original: at.Add(-time.Hour), Received: at, Properties: []byte(`{"n":1}`),
		Context: []byte(`{"locale":"de","ip":"192.0.2.7"}`), Integrations: event.Integrations(`{"All":false}`),
	}
}

// last gives the last record of an event in a lane, and how many there are.
func (l *lived) last(t *testing.T, lane eventlog.Lane, messageID string) (out event.Event, n int) {
	t.Helper()
	all, err := app.Logged(t.Context(), l.house, lane)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.MessageID == messageID {
			out, n = e, n+1
		}
	}
	return out, n
}

// TestWhatIsSentAgainIsWhatCame: as it is an event loses nothing, mended it is
// changed in what the mend says, and permission that was withdrawn since holds.
func TestWhatIsSentAgainIsWhatCame(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, mended, clock := asideRig(t, database, nil)
		for _, who := range []string{"u1", "u2", "u3", "u4"} {
			if err := app.Tell(t.Context(), l.house, signed(who)); err != nil {
				t.Fatal(err)
			}
		}
		l.settle()
		ids := l.aside(t)
		l.mend(t, mended)
		clock.Set(clock.Now().Add(10 * time.Minute))
		if w := l.ask("POST", "/v1/consent", `{"subject":"user_id:u2","purpose":"profiling","state":"objected"}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		l.settle()
		l.resend(t, ids["u1"], "", http.StatusOK)
		if said := l.resend(t, ids["u2"], "", http.StatusOK); !strings.Contains(said, `"denied":1`) || l.lit("u2") {
			t.Errorf("without permission the answer is %s", said)
		}
		var shown struct{ Payload json.RawMessage }
		l.get("/v1/set-aside/"+ids["u3"], &shown)
		l.resend(t, ids["u3"], strings.Replace(string(shown.Payload), `"n":1`, `"n":2`, 1), http.StatusOK)
		l.get("/v1/set-aside/"+ids["u4"], &shown)
		l.resend(t, ids["u4"], strings.Replace(string(shown.Payload), `"userId":"u4"`, `"userId":"u5"`, 1), http.StatusOK)

		want := map[string]*event.Event{"u1": signed("u1"), "u3": signed("u3"), "u4": signed("u4")}
		want["u3"].Properties = []byte(`{"n":2}`)
		want["u4"].UserID, want["u4"].Flags = "u5", event.FromBrowser|event.GPC
		for who, want := range want {
			got, n := l.last(t, eventlog.Live, want.MessageID)
			if diff := cmp.Diff(*want, got); n != 2 || diff != "" {
				t.Errorf("%s: %d records, want 2; want -, got +:\n%s", who, n, diff)
			}
			if !l.lit(want.UserID) {
				t.Errorf("%s has no lamp", want.UserID)
			}
		}
	})
}

// TestAnOldYesStaysOlderThanANo: a grant that is walked late is as old as it was
// when it came.
func TestAnOldYesStaysOlderThanANo(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, mended, clock := asideRig(t, database, map[string]string{
			"purposes.yaml": "purposes:\n  service: {title: Service, description: What you asked for., basis: contract}\n  marketing.newsletter: {title: News, description: News., basis: consent, categories: [Advertising]}\n  profiling: {title: Profile, description: A profile., basis: legitimate_interest, scope: device}\n",
		})
		for _, who := range []string{"u1", "u2", "u3"} {
			yes := signed(who)
			yes.Flags, yes.Context = 0, []byte(`{"consent":{"categoryPreferences":{"Advertising":true}}}`)
			if err := app.Tell(t.Context(), l.house, yes); err != nil {
				t.Fatal(err)
			}
		}
		l.settle()
		ids := l.aside(t)
		l.mend(t, mended)
		clock.Set(clock.Now().Add(10 * time.Minute))
		for _, who := range []string{"u1", "u2"} {
			if w := l.ask("POST", "/v1/consent", `{"subject":"user_id:`+who+`","purpose":"marketing.newsletter","state":"withdrawn"}`); w.Code != http.StatusOK {
				t.Fatal(w.Code, w.Body)
			}
		}
		l.settle()
		clock.Set(clock.Now().Add(10 * time.Minute))
		l.resend(t, ids["u1"], "", http.StatusOK)
		l.resend(t, ids["u2"], `{"type":"track","event":"Spark","userId":"u2"}`, http.StatusOK)
		l.resend(t, ids["u3"], "", http.StatusOK)
		for who, want := range map[string]string{"u1": "withdrawn", "u2": "withdrawn", "u3": "granted"} {
			var person struct{ Permission []explain.Permission }
			l.get("/v1/people/user_id:"+who, &person)
			for _, p := range person.Permission {
				if p.Purpose == "marketing.newsletter" && p.State != want {
					t.Errorf("%s: %s of newsletters, want %s", who, p.State, want)
				}
			}
		}
	})
}

// TestAChangeOfPermissionIsSentAgainAsItIs: the record of what somebody said on
// permission bears the name of the source they said it to, and is no event of it.
func TestAChangeOfPermissionIsSentAgainAsItIs(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, _, clock := asideRig(t, database, nil)
		e := &event.Event{
			Type: event.Consent, Source: "shop", MessageID: "said-1", Time: clock.Now(), Original: clock.Now(), Received: clock.Now(), Properties: []byte(`{"entries":[]}`),
		}
		a := processor.Aside{Lane: eventlog.Live, Pos: 77, At: clock.Now(), Code: "x", Error: "x", Body: e.Append(nil)}
		if err := app.SetAside(t.Context(), l.house, a); err != nil {
			t.Fatal(err)
		}
		var shown struct{ Payload json.RawMessage }
		if l.get("/v1/set-aside/live/77", &shown); shown.Payload != nil {
			t.Errorf("it is shown to be mended: %s", shown.Payload)
		}
		if said := l.resend(t, "live/77", `{"type":"track"}`, http.StatusBadRequest); !strings.Contains(said, "not_mendable") {
			t.Errorf("mended: %s", said)
		}
		l.resend(t, "live/77", "", http.StatusOK)
		if got, n := l.last(t, eventlog.Live, "said-1"); n != 1 || cmp.Diff(*e, got) != "" {
			t.Errorf("%d records: %s", n, cmp.Diff(*e, got))
		}
	})
}
