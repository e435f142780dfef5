package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/audit"
	"rapport/internal/delivery/deliverytest"
	"rapport/internal/privacy"
	"rapport/internal/project"
)

// preferencesOf gives the path of the page of preferences out of the newest mail.
func (l *lived) preferencesOf(sink *deliverytest.Sink, to string) string {
	l.t.Helper()
	_, page := letter(l.t, sink, to)
	for _, link := range linksIn(page) {
		if strings.HasPrefix(link, "/u/") {
			page = l.ask("GET", link, "").Body.String()
		}
	}
	path := regexp.MustCompile(`/p/[\w-]+`).FindString(page)
	if path == "" {
		l.t.Fatalf("no page of preferences in %s", page)
	}
	return path
}

// claiming is a folder in which readers use their rights on the pages; more stands in
// rights: beside the template.
func claiming(more string) map[string]string {
	files := map[string]string{
		"rapport.yaml": strings.Replace(askingSheet, "consent:", "rights: {confirm_with: data, "+more+"}\nconsent:", 1) +
			"limits: {events_per_second: 1000000, burst: 1000000, manage_per_second: 100000}\n",
		"templates/data/template.yaml": "subject: \"Your data {{ trigger.claim | default: '-' }}\"\npurpose: service\nclass: transactional\ntracking: false\n",
		"templates/data/body.html":     `<html><body>{% if trigger.claim_url %}<a href="{{ trigger.claim_url }}">Data</a>{% endif %}</body></html>`,
	}
	for name, text := range asking {
		files[name] = text
	}
	return files
}

// claims runs a house in which readers use their rights on the pages; more stands in
// rights: as claiming has it.
func claims(t *testing.T, database, more string) (*lived, *deliverytest.Sink, *app.Clock) {
	t.Helper()
	sink, clock := taking(t, func(string) bool { return false }), handClock()
	return live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), claiming(more))), sink, clock
}

// claim asks for something on the page of preferences, and gives the link of the mail.
func (l *lived) claim(sink *deliverytest.Sink, preferences, to, what string) string {
	l.t.Helper()
	l.wantPage(l.form(preferences+"/data", url.Values{"do": {what}}), 200, "on its way")
	l.settle()
	subject, page := letter(l.t, sink, to)
	if subject != "Your data "+what || len(linksIn(page)) != 1 || strings.Contains(page, "/o/") {
		l.t.Fatalf("the mail for %s: %s %s", what, subject, page)
	}
	return linksIn(page)[0]
}

// TestReadersClaimTheirData: from the page of preferences a reader gets a copy of
// their data, and is erased, by a link that is mailed to the very address, works
// once and in time, and does nothing to those who only look.
func TestReadersClaimTheirData(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		clock := handClock()
		files := claiming("law: ccpa")
		files["destinations/crm.yaml"] = "kind: webhook\nurl: https://crm.example/in\nsecrets: env:SECRET_ONE\npurpose: service\nconsent: all\n"
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock, Secrets: project.Secrets{Env: secrets}}, small(t, sink.Addr(), files))
		const ann = "ann@people.example"
		if code, _ := l.receipt("ann", "r1"); code > 299 {
			t.Fatal(code)
		}
		if w := l.ask("POST", "/v1/identify", `{"messageId":"i","userId":"ann","traits":{"email":"`+ann+`","city":"Sampletown"}}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		l.settle()
		preferences := l.preferencesOf(sink, ann)
		l.wantPage(l.ask("GET", preferences, ""), 200, preferences+"/data", "Erase me", "Download my data")

		claim := func(what string) string { return l.claim(sink, preferences, ann, what) }
		link := claim("export")
		for range 2 { // a gateway, and then the reader
			l.wantPage(l.ask("GET", link, ""), 200, "Download as JSON")
		}
		w := l.form(link, url.Values{"as": {"json"}})
		var copied struct {
			Traits     []struct{ Name string }
			Recipients []privacy.Recipient
			Told       []privacy.Told `json:"may_have_been_told"`
			Trail      []audit.Entry
		}
		if err := json.Unmarshal(w.Body.Bytes(), &copied); w.Code != 200 || err != nil || len(copied.Traits) == 0 ||
			!strings.Contains(w.Body.String(), "Sampletown") || !strings.Contains(w.Header().Get("Content-Disposition"), "my-data.json") {
			t.Fatalf("the copy: %d %v %v %s", w.Code, err, w.Header(), w.Body)
		}
		own := func(e audit.Entry) bool { return e.What == "person.exported" && e.Actor == "house/feedback" }
		if !slices.ContainsFunc(copied.Trail, own) || slices.ContainsFunc(copied.Recipients, func(r privacy.Recipient) bool { return r.Copies > 0 }) {
			t.Errorf("who took their own copy stands in the trail as %+v, and among the recipients %+v", copied.Trail, copied.Recipients)
		}
		if len(copied.Told) != 1 || copied.Told[0].Name != "crm" {
			t.Errorf("who may have been told: %+v", copied.Told)
		}
		l.wantPage(l.form(link, url.Values{"as": {"json"}}), 200, "done already")

		late := claim("erase")
		clock.Set(clock.Now().Add(25 * time.Hour))
		l.wantPage(l.form(late, url.Values{}), http.StatusGone, "expired")
		link = claim("erase")
		l.wantPage(l.ask("GET", link, ""), 200, "cannot be taken back")
		if w := l.ask("GET", "/v1/people/user_id:ann", ""); w.Code != 200 {
			t.Fatalf("who only looked was erased: %d", w.Code)
		}
		l.wantPage(l.form(link, url.Values{}), 200, "You were erased")
		if w := l.ask("GET", "/v1/people/user_id:ann", ""); w.Code != http.StatusNotFound {
			t.Errorf("she is there: %d", w.Code)
		}
		l.wantPage(l.form(link, url.Values{}), 200, "done already")
		l.wantPage(l.form(preferences+"/data", url.Values{"do": {"export"}}), http.StatusNotFound)
		l.wantPage(l.ask("GET", "/r/not-ours", ""), http.StatusNotFound)

		var list struct {
			Requests []struct{ Kind, Law, Outcome string }
		}
		l.get("/v1/requests?kind=erase", &list)
		if len(list.Requests) != 2 || list.Requests[0].Outcome != "done" || list.Requests[0].Law != "ccpa" || list.Requests[1].Outcome != "erased" {
			t.Errorf("requests: %+v", list.Requests)
		}
		var rows struct{ Rows []audit.Entry }
		if l.get("/v1/audit?act=person.erase_asked&actor=house/feedback", &rows); len(rows.Rows) != 1 {
			t.Errorf("the trail of who erased themselves: %+v", rows.Rows)
		}
	})
}

// TestClaimsAreFew: one person is not sent a mail for every press of the button.
func TestClaimsAreFew(t *testing.T) {
	t.Parallel()
	sink := taking(t, func(string) bool { return false })
	l := live(t, app.Options{Data: t.TempDir(), Clock: handClock()}, small(t, sink.Addr(), map[string]string{
		"rapport.yaml":                 strings.Replace(askingSheet, "consent: {confirm_with: confirm, ", "rights: {confirm_with: data}\nconsent: {", 1),
		"templates/data/template.yaml": "subject: Data\npurpose: service\nclass: transactional\ntracking: false\n",
		"templates/data/body.html":     `<html><body>{% if trigger.claim_url %}<a href="{{ trigger.claim_url }}">Data</a>{% endif %}</body></html>`,
	}))
	if code, _ := l.receipt("ann", "r1"); code > 299 {
		t.Fatal(code)
	}
	l.settle()
	preferences := l.preferencesOf(sink, "ann@people.example")
	for _, what := range []string{"export", "correct", "restrict", "lift", "export", "erase"} {
		l.wantPage(l.form(preferences+"/data", url.Values{"do": {what}}), 200, "on its way")
	}
	l.wantPage(l.form(preferences+"/data", url.Values{"do": {"erase"}}), http.StatusTooManyRequests, "Enough links")
	l.settle()
	if n := len(sink.All()); n != 7 {
		t.Errorf("%d mails left, want the receipt and six", n)
	}
}
