package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
)

// listed gives requests as the API lists them.
func (l *lived) listed(query string) []asked {
	l.t.Helper()
	var list struct{ Requests []asked }
	l.get("/v1/requests?"+query, &list)
	return list.Requests
}

// wantCode checks the code of an answer that says no.
func (l *lived) wantCode(path, body, code string) {
	l.t.Helper()
	if w := l.ask("POST", path, body, "Idempotency-Key", path); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), `"`+code+`"`) {
		l.t.Errorf("POST %s: %d %s, want %s", path, w.Code, w.Body, code)
	}
}

// TestWhatNobodyHasProvenIsNoOpenRequest: between the button and the mailed link a request
// waits for nobody of the house. It is in no open list and raises no alert, an operator
// can neither carry it out nor close it, and it lapses with its link; proven, its clock
// has run since it was asked.
func TestWhatNobodyHasProvenIsNoOpenRequest(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, sink, clock := claims(t, database, "law: gdpr")
		const ann = "ann@people.example"
		l.receivesPreferences(`{"email":"` + ann + `","city":"Sampletown"}`)
		preferences := l.preferencesOf(sink, ann)
		dead := l.claim(sink, preferences, ann, "erase")

		if open := l.listed("open=true"); len(open) != 0 {
			t.Errorf("open: %+v", open)
		}
		waits := l.listed("unproven=true")
		if len(waits) != 1 || !waits[0].Unproven || waits[0].Outcome != "" || waits[0].ProofUntil.Format(time.RFC3339) != "2026-03-02T12:00:00Z" ||
			waits[0].Due.Format(time.RFC3339) != "2026-04-01T12:00:00Z" {
			t.Fatalf("not proven: %+v", waits)
		}
		l.wantCode("/v1/people/user_id:ann/erase", `{"request":"`+waits[0].ID+`"}`, "request_unproven")
		l.wantCode("/v1/requests/"+waits[0].ID+"/close", `{"outcome":"refused"}`, "request_unproven")
		if w := l.ask("GET", "/v1/people/user_id:ann", ""); w.Code != 200 {
			t.Fatalf("erased by what nobody has proven: %d", w.Code)
		}

		clock.Set(clock.Now().Add(time.Hour))
		link := l.claim(sink, preferences, ann, "correct")
		l.wantPage(l.form(link, url.Values{"words": {"not mine"}}), 200, "we will look at it", "1 April 2026")
		open := l.listed("open=true")
		if len(open) != 1 || open[0].Kind != "correct" || open[0].Unproven || open[0].Due.Format(time.RFC3339) != "2026-04-01T13:00:00Z" {
			t.Errorf("open once it is proven: %+v", open)
		}

		other := l.claim(sink, preferences, ann, "correct")
		l.wantPage(l.form(other, url.Values{"words": {"nor this"}}), 200, "we will look at it")
		refused := l.requestsOf("correct")[0]
		if refused.Outcome != "" || refused.ID == open[0].ID {
			refused = l.requestsOf("correct")[1] // of one instant
		}
		if w := l.ask("POST", "/v1/requests/"+refused.ID+"/close", `{"outcome":"refused","note":"it is right"}`); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
		l.wantPage(l.ask("GET", other, ""), 200, "We did not do this")

		clock.Set(clock.Now().Add(22*time.Hour + 59*time.Minute))
		lapse := func() {
			t.Helper()
			if err := app.Clean(t.Context(), l.house); err != nil {
				t.Fatal(err)
			}
		}
		if lapse(); len(l.listed("unproven=true")) != 1 {
			t.Error("it has lapsed too soon")
		}
		clock.Set(clock.Now().Add(time.Minute))
		lapse()
		if list := l.requestsOf("erase"); len(list) != 1 || list[0].Outcome != "lapsed" || list[0].Unproven || len(l.listed("unproven=true")) != 0 {
			t.Errorf("behind its time: %+v", list)
		}
		l.wantPage(l.form(dead, url.Values{}), http.StatusGone, "expired")

		clock.Set(clock.Now().Add(40 * 24 * time.Hour))
		due, err := app.RequestAlerts(t.Context(), l.house)
		if err != nil || len(due) != 1 || due[0].About != open[0].ID {
			t.Errorf("alerts: %+v %v", due, err)
		}
	})
}

// TestAnErasureEndsWhatTheyAsked: whoever is erased is owed no answer any more, and their
// other links lead nowhere.
func TestAnErasureEndsWhatTheyAsked(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, sink, _ := claims(t, database, "law: gdpr")
		const ann = "ann@people.example"
		l.receivesPreferences(`{"email":"` + ann + `","city":"Sampletown"}`)
		preferences := l.preferencesOf(sink, ann)
		written := l.claim(sink, preferences, ann, "correct")
		l.wantPage(l.form(written, url.Values{"words": {"not mine"}}), 200, "we will look at it")
		links := []string{written, l.claim(sink, preferences, ann, "export"), l.claim(sink, preferences, ann, "correct"), l.claim(sink, preferences, ann, "erase")}
		l.wantPage(l.form(l.claim(sink, preferences, ann, "erase"), url.Values{}), 200, "You were erased")
		for _, link := range links {
			l.wantPage(l.ask("GET", link, ""), http.StatusNotFound)
			l.wantPage(l.form(link, url.Values{}), http.StatusNotFound)
		}
		ended := map[string]int{}
		for _, r := range l.listed("") {
			ended[r.Kind+" "+r.Outcome]++
		}
		if len(l.listed("open=true"))+len(l.listed("unproven=true")) != 0 || ended["correct erased"] != 2 || ended["export erased"] != 1 || ended["erase erased"] != 1 || ended["erase done"] != 1 {
			t.Errorf("requests: %v", ended)
		}
		for _, r := range l.listed("kind=erase") {
			if w := l.ask("GET", "/v1/requests/"+r.ID+"/certificate", ""); (w.Code == 200) != (r.Outcome == "done") || w.Code >= 500 {
				t.Errorf("the certificate of what ended as %s: %d %s", r.Outcome, w.Code, w.Body)
			}
		}
	})
}
