package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
)

// TestAYesThatEndedIsTold: whose time was over is told in the records, in a copy of
// somebody's data, on their page and in their picture, at the instant at which the
// gates began to deny, and again the same after a restart.
func TestAYesThatEndedIsTold(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		clock := handClock()
		o := app.Options{Data: t.TempDir(), Database: database, Clock: clock}
		config := small(t, sink.Addr(), claiming("law: gdpr"))
		l := live(t, o, config)
		const ann, end = "ann@people.example", "2026-03-11T12:00:00Z"
		l.receivesPreferences(`{"email":"` + ann + `"}`)
		preferences := l.preferencesOf(sink, ann)
		yes := `{"subject":"email:` + ann + `","purpose":"marketing.newsletter.books","state":"granted","expires":"` + end + `"}`
		if w := l.ask(http.MethodPost, "/v1/consent", yes); w.Code > 299 {
			t.Fatal(w.Code, w.Body)
		}
		l.settle()
		type permission struct {
			Purpose, State string
			Allowed        bool
			Until          time.Time
		}
		stands := func() permission {
			var p struct{ Permission []permission }
			l.get("/v1/people/user_id:ann", &p)
			for _, x := range p.Permission {
				if x.Purpose == "marketing.newsletter.books" {
					return x
				}
			}
			t.Fatalf("nothing is known of it: %+v", p)
			return permission{}
		}
		copied := func() (out []string) {
			var c struct {
				History []struct{ Purpose, State, Method, At, Record string } `json:"permission_history"`
			}
			l.get("/v1/people/user_id:ann/export", &c)
			for _, x := range c.History {
				if x.Purpose == "marketing.newsletter.books" {
					out = append(out, x.State+" "+x.Method+" "+x.At)
				}
			}
			return out
		}
		until, _ := time.Parse(time.RFC3339, end)

		clock.Set(until.Add(-time.Millisecond))
		if p := stands(); !p.Allowed || !p.Until.Equal(until) || len(l.history("email:"+ann).Expired) > 0 || len(copied()) != 1 {
			t.Errorf("before its end it is %+v, %+v, copied as %v", p, l.history("email:"+ann).Expired, copied())
		}
		clock.Set(until)
		told := func() {
			t.Helper()
			if p := stands(); p.Allowed || p.State != "consent_expired" || !p.Until.Equal(until) {
				t.Errorf("it stands as %+v", p)
			}
			h := l.history("email:" + ann)
			if len(h.Expired) != 1 || h.Expired[0].Type != "expired" || !h.Expired[0].Time.Equal(until) || len(h.Records) != 1 {
				t.Errorf("the records: %+v, expired %+v", h.Records, h.Expired)
			}
			if got := copied(); len(got) != 2 || got[1] != "expired term "+end {
				t.Errorf("copied as %v", got)
			}
			l.wantPage(l.ask("GET", preferences+"?lang=de", ""), 200, "Ihre Zustimmung ist abgelaufen", "11.03.2026")
			if w := l.ask("GET", preferences+"/receipts", ""); w.Code != 200 || strings.Contains(w.Body.String(), "expired") {
				t.Errorf("receipts of what nobody said: %d %s", w.Code, w.Body)
			}
		}
		told()
		l.end()
		l = live(t, o, config)
		told()
	})
}
