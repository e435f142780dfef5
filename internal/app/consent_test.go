package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/delivery/deliverytest"
)

// asking is a folder whose newsletter wants a confirmed address.
var asking = map[string]string{
	"purposes.yaml": `purposes:
  service: {basis: contract}
  marketing.newsletter:
    title: {en: News, de: Neuigkeiten}
    description: {en: What is new., de: Was es Neues gibt.}
    basis: consent
    categories: [marketing]
    notice: newsletter
    double_opt_in: true
    valid_for: 730d
    data: [email]
  marketing.newsletter.books: {title: New books, description: Once a month., basis: consent}
  profiling: {basis: legitimate_interest, scope: device, gpc: true}
  tracking.opens: {title: Opens, description: That a mail was opened., basis: consent, scope: device, categories: [analytics]}
  tracking.clicks: {title: Clicks, description: Which links., basis: consent, scope: device, categories: [analytics]}
`,
	"notices/newsletter.en.md":        "---\nversion: 3\n---\n# About our news\n\nWe write.\n\n- Not often.\n- [Rules](https://shop.example/rules) <b>\n",
	"notices/newsletter.de.md":        "---\nversion: 3\n---\n# Über Neuigkeiten\n\nWir schreiben.\n",
	"templates/confirm/template.yaml": "subject: \"Confirm {{ trigger.language | default: 'en' }}\"\npurpose: service\nclass: transactional\ntracking: false\n",
	"templates/confirm/body.html":     `<html><body>{% if trigger.confirm_url %}<a href="{{ trigger.confirm_url }}">Confirm</a>{% endif %}</body></html>`,
}

const askingSheet = "workspace: faults\nbase_url: http://mail.shop.example\nsending:\n  from: Shop <shop@shop.example>\n  postal_address: 1 Sample Street, Sampletown\n  provider: sink\nconsent: {confirm_with: confirm, controller: Sample Shop Ltd, jurisdiction: DE, asks_per_address: 2, asks_per_network: 4}\n"

// asks is a house with that folder on a clock that stands still.
func asks(t *testing.T, database string) (*lived, *deliverytest.Sink, *app.Clock) {
	t.Helper()
	sink := taking(t, func(string) bool { return false })
	files := map[string]string{"rapport.yaml": askingSheet}
	for name, text := range asking {
		files[name] = text
	}
	clock := handClock()
	return live(t, app.Options{Data: t.TempDir(), Database: database, Clock: clock}, small(t, sink.Addr(), files)), sink, clock
}

// letter gives subject and HTML of the newest mail to an address.
func letter(t testing.TB, sink *deliverytest.Sink, to string) (subject, page string) {
	t.Helper()
	all := sink.All()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].To != to {
			continue
		}
		m, err := netmail.ReadMessage(strings.NewReader(string(all[i].Raw)))
		if err != nil {
			t.Fatal(err)
		}
		_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
			p, err := parts.NextRawPart()
			if err != nil {
				t.Fatalf("no HTML part: %v", err)
			}
			var body io.Reader = p
			if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
				body = quotedprintable.NewReader(p)
			}
			if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
				raw, err := io.ReadAll(body)
				if err != nil {
					t.Fatal(err)
				}
				return m.Header.Get("Subject"), string(raw)
			}
		}
	}
	t.Fatalf("no mail to %s", to)
	return "", ""
}

var links = regexp.MustCompile(`(?:href|src)="http://mail\.shop\.example(/[^"]+)"`)

// linksIn gives the paths of our own links in a page.
func linksIn(page string) (out []string) {
	for _, m := range links.FindAllStringSubmatch(page, -1) {
		out = append(out, strings.ReplaceAll(m[1], "&amp;", "&"))
	}
	return out
}

// form posts a form as a browser does.
func (l *lived) form(path string, values url.Values, header ...string) *httptest.ResponseRecorder {
	return l.ask(http.MethodPost, path, values.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

func (l *lived) wantPage(w *httptest.ResponseRecorder, status int, contain ...string) {
	l.t.Helper()
	if w.Code != status {
		l.t.Errorf("status %d, want %d", w.Code, status)
	}
	for _, c := range contain {
		if !strings.Contains(w.Body.String(), c) {
			l.t.Errorf("the page lacks %q:\n%s", c, w.Body)
		}
	}
}

func (l *lived) history(who string) (h consent.History) {
	l.t.Helper()
	l.get("/v1/consent?subject="+url.QueryEscape(who), &h)
	return h
}

// TestDoubleOptIn walks from the form to the receipt: nothing is permitted before
// the button is pressed; looking presses nothing; the link works once and in time;
// the mail watches nobody; a grant of an event does not stand in for it.
func TestDoubleOptIn(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, sink, clock := asks(t, database)
		const ann = "ann@people.example"
		ask := func(email string, header ...string) *httptest.ResponseRecorder {
			return l.form("/subscribe", url.Values{"email": {email}, "purpose": {"marketing.newsletter"}}, header...)
		}
		l.wantPage(l.ask("GET", "/subscribe", ""), 200, "News", `href="/notices/newsletter/3/en"`)
		l.wantPage(ask("no address"), 422, "This is no email address", `aria-invalid="true"`)
		l.wantPage(ask(ann, "Accept-Language", "de"), 200, "Sehen Sie in Ihr Postfach", "08.03.2026")
		// An event says yes for an address that nobody confirmed.
		l.ask("POST", "/v1/track", `{"messageId":"yes","userId":"ann","event":"Trigger","context":{"traits":{"email":"ann@people.example"},"consent":{"categoryPreferences":{"marketing":true,"analytics":true}}}}`)
		l.told()
		if n := sink.To(ann); n != 1 {
			t.Fatalf("%d mails to an address that confirmed nothing, want the one that asks", n)
		}
		subject, page := letter(t, sink, ann)
		found := linksIn(page)
		if subject != "Confirm de" || len(found) != 1 || !strings.HasPrefix(found[0], "/s/") || strings.Contains(page, "<img") {
			t.Fatalf("the mail that asks: %q, links %v\n%s", subject, found, page)
		}
		if h := l.history("email:" + ann); len(h.Awaited) != 1 || h.Awaited[0].Type != "requested" || len(h.Records) != 4 {
			t.Errorf("before: %+v", h) // Opens and clicks were granted by the event, for both names; mail was not.
		}
		for range 3 { // Gateways look at every link.
			l.wantPage(l.ask("GET", found[0], ""), 200, "Ist das Ihre Adresse?", "Neuigkeiten")
			l.ask("HEAD", found[0], "")
		}
		l.wantPage(l.ask("POST", found[0]+"x", ""), 404)
		l.told()
		if h := l.history("email:" + ann); len(h.Awaited) != 1 {
			t.Error("looking at the link confirmed it")
		}
		clock.Set(clock.Now().Add(time.Hour))
		l.wantPage(l.form(found[0], nil), 200, "Danke, es ist bestätigt", `href="/p/`)
		l.told()
		h := l.history("email:" + ann)
		r := h.Records[len(h.Records)-1]
		if r.Type != "confirmed" || r.Notice == nil || r.Notice.Name() != "newsletter/3/de" || r.Evidence.Confirmation == nil || len(h.Awaited) != 0 {
			t.Fatalf("after: %s", r.JSON())
		}
		if doi := r.Evidence.Confirmation; doi.FromIP != "192.0.2.0/24" || doi.IP != "192.0.2.0/24" || !doi.Confirmed.Equal(doi.Requested.Add(time.Hour)) || doi.Mail == "" {
			t.Errorf("evidence %+v", doi)
		}
		l.ask("POST", "/v1/track", `{"messageId":"again","userId":"ann","event":"Trigger"}`)
		l.told()
		if sink.To(ann) != 2 {
			t.Error("a confirmed address is not written to")
		}
		// Taken back, the old link changes nothing more.
		clock.Set(clock.Now().Add(time.Hour))
		if code := l.ask("POST", "/v1/consent", `{"subject":"email:ann@people.example","purpose":"marketing.newsletter","state":"withdrawn"}`).Code; code != 200 {
			t.Fatal(code)
		}
		l.wantPage(l.form(found[0], nil), 200, "schon bestätigt")
		l.told()
		l.ask("POST", "/v1/track", `{"messageId":"third","userId":"ann","event":"Trigger"}`)
		l.told()
		if sink.To(ann) != 2 {
			t.Error("a link that was used up undid a withdrawal")
		}
	})
}

// TestOptInsAreLimited: a form cannot be turned against a mailbox, and tells nobody
// that it refused; a link that is too old confirms nothing.
func TestOptInsAreLimited(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, sink, clock := asks(t, database)
		ask := func(email string) string {
			t.Helper()
			w := l.form("/subscribe", url.Values{"email": {email}, "purpose": {"marketing.newsletter"}})
			l.wantPage(w, 200, "Look into your inbox")
			return w.Body.String()
		}
		first := ask("bob@people.example")
		for range 4 {
			if again := ask("bob@people.example"); again != first {
				t.Error("the page tells that no mail was sent")
			}
		}
		for i := range 4 {
			ask(fmt.Sprintf("victim%d@people.example", i))
		}
		l.told()
		if n := sink.To("bob@people.example"); n != 2 {
			t.Errorf("%d mails to one address in a day, want 2", n)
		}
		if n := sink.Total(); n != 4 {
			t.Errorf("%d mails from one network in an hour, want 4", n)
		}
		w := l.ask("POST", "/v1/consent/confirm", `{"email":"bob@people.example","purposes":["marketing.newsletter"]}`)
		if w.Code != 429 || !strings.Contains(w.Body.String(), "too_many_for_address") {
			t.Errorf("the API: %d %s", w.Code, w.Body)
		}
		_, page := letter(t, sink, "bob@people.example")
		clock.Set(clock.Now().Add(7 * 24 * time.Hour))
		l.wantPage(l.form(linksIn(page)[0], nil), 410, "run out")
		l.told()
		if h := l.history("email:bob@people.example"); len(h.Records) != 0 || h.Awaited[0].Type != "expired" {
			t.Errorf("after a week: %+v", h)
		}
	})
}

// TestTheErasedConfirmNothing: an address whose person was erased is not asked, which a
// form tells nobody, and a link of before permits nothing; once they are taken up again
// both do what they did.
func TestTheErasedConfirmNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, sink, clock := asks(t, database)
		ask := func(email string) string {
			t.Helper()
			w := l.form("/subscribe", url.Values{"email": {email}, "purpose": {"marketing.newsletter"}})
			l.wantPage(w, 200, "Look into your inbox")
			l.told()
			return w.Body.String()
		}
		const ann, bob = "ann@people.example", "bob@people.example"
		if w := l.ask("POST", "/v1/identify", `{"messageId":"i","userId":"ann","traits":{"email":"`+ann+`"}}`); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
		l.settle()
		l.erase("user_id:ann")
		first := ask(bob)
		if again := ask(ann); again != first || sink.To(ann) != 0 {
			t.Errorf("%d mails to whoever was erased, and the page says so: %t", sink.To(ann), again != first)
		}
		if w := l.ask("POST", "/v1/consent/confirm", `{"email":"`+ann+`","purposes":["marketing.newsletter"]}`); w.Code != 404 || !strings.Contains(w.Body.String(), `"code":"person_erased"`) {
			t.Errorf("the API: %d %s", w.Code, w.Body)
		}
		_, page := letter(t, sink, bob)
		link := linksIn(page)[0]
		app.Bar(l.house, bob)
		l.wantPage(l.ask("GET", link, ""), 410, "Nothing was subscribed")
		l.wantPage(l.form(link, nil), 410, "Nothing was subscribed", "write to us")
		l.told()
		if h := l.history("email:" + bob); len(h.Records) != 0 {
			t.Errorf("a link permitted something: %+v", h.Records)
		}
		app.Unbar(l.house, bob)
		clock.Set(clock.Now().Add(time.Minute))
		l.wantPage(l.form(link, nil), 200, "Thank you")
		l.told()
		if h := l.history("email:" + bob); len(h.Records) == 0 {
			t.Error("the link does nothing any more")
		}
	})
}

// TestPreferenceCentre: topics and purposes in two languages, by a signed link
// without login; receipts that hold offline; tracking apart from mail, and silent
// for mails of before; a browser's signal honoured and shown.
func TestPreferenceCentre(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, sink, clock := asks(t, database)
		const cem = "cem@people.example"
		l.ask("POST", "/v1/consent", `{"subject":"email:cem@people.example","purpose":"marketing.newsletter","state":"granted","notice":{"id":"newsletter","version":"3","language":"en"},"ip":"198.51.100.7","form":"till"}`)
		l.ask("POST", "/v1/track", `{"messageId":"m1","userId":"cem","event":"Login","context":{"traits":{"email":"cem@people.example"},"consent":{"categoryPreferences":{"analytics":true}}}}`)
		l.told()
		clock.Set(clock.Now().Add(time.Minute))
		l.ask("POST", "/v1/track", `{"messageId":"m2","userId":"cem","event":"Trigger"}`)
		l.told()
		_, page := letter(t, sink, cem)
		pixel, leave := "", ""
		for _, link := range linksIn(page) {
			switch {
			case strings.HasPrefix(link, "/o/"):
				pixel = link
			case strings.HasPrefix(link, "/u/"):
				leave = link
			}
		}
		if pixel == "" || leave == "" {
			t.Fatalf("links %v", linksIn(page))
		}
		opens := func() (n int) {
			t.Helper()
			l.told()
			var out struct{ Events []struct{ Event string } }
			l.get("/v1/people/user_id:cem/events?limit=200", &out)
			for _, e := range out.Events {
				if e.Event == "Email Opened" {
					n++
				}
			}
			return n
		}
		clock.Set(clock.Now().Add(time.Hour))
		l.ask("GET", pixel, "", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
		if n := opens(); n != 1 {
			t.Fatalf("%d opens with permission", n)
		}
		prefs := regexp.MustCompile(`/p/[\w-]+`).FindString(l.ask("GET", leave, "").Body.String())
		l.wantPage(l.ask("GET", prefs+"?lang=de", ""), 200, `<html lang="de">`, "Neuigkeiten", `class="row topic"`, "New books", "Meine Quittungen")
		w := l.ask("GET", prefs, "")
		l.wantPage(w, 200, "News", `href="/notices/newsletter/3/en"`, "You said yes")
		if strings.Contains(w.Body.String(), "<script") {
			t.Error("the page has a script")
		}
		l.wantPage(l.ask("GET", "/notices/newsletter/3/en", ""), 200, "About our news", "<li>Not often.</li>", "&lt;b&gt;", `href="https://shop.example/rules"`)
		l.wantPage(l.ask("GET", "/notices/newsletter/2/en", ""), 404)

		// Opens off, mail on: the pixel of the mail that was sent before is silent.
		clock.Set(clock.Now().Add(time.Hour))
		l.wantPage(l.form(prefs, url.Values{"was.tracking.opens": {"on"}, "was.marketing.newsletter": {"on"}, "want.marketing.newsletter": {"on"}}), 200, "Saved")
		got := l.ask("GET", pixel, "", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
		if got.Code != 200 || got.Header().Get("Content-Type") != "image/gif" {
			t.Errorf("the pixel is answered %d %s", got.Code, got.Header())
		}
		if n := opens(); n != 1 {
			t.Errorf("%d opens after tracking was withdrawn, want 1", n)
		}
		before := sink.To(cem)
		l.ask("POST", "/v1/track", `{"messageId":"m3","userId":"cem","event":"Trigger"}`)
		l.told()
		if _, page := letter(t, sink, cem); sink.To(cem) != before+1 || strings.Contains(page, "/o/") {
			t.Error("mail must go on, and without a pixel")
		}

		// The signal is honoured, written down, and shown.
		clock.Set(clock.Now().Add(time.Hour))
		l.wantPage(l.ask("GET", prefs, "", "Sec-GPC", "1"), 200, "We honour it", "Off: we honour a Global Privacy Control signal")
		l.wantPage(l.ask("GET", "/privacy-signal", "", "Sec-GPC", "1"), 200, "we honour it")
		if body := l.ask("GET", "/privacy-signal", "", "Sec-GPC", "1", "Accept", "application/json").Body.String(); body != `{"honoured":true,"purposes":["profiling"],"signal":true}`+"\n" {
			t.Error(body)
		}
		if body := l.ask("GET", "/.well-known/gpc.json", "").Body.String(); body != `{"gpc":true,"lastUpdate":"2026-03-01"}`+"\n" {
			t.Error(body)
		}
		l.told()
		h := l.history("user_id:cem")
		if last := h.Records[len(h.Records)-1]; last.Type != "gpc" || last.Purposes[0] != "profiling" || last.State != "objected" {
			t.Errorf("the newest record is %s", last.JSON())
		}

		// Receipts: by the page and by the API, checked without the house.
		byPage, err := audit.ReadReceipts(l.ask("GET", prefs+"/receipts", "").Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		var key struct{ Key string }
		l.get("/v1/audit/key", &key)
		byAPI, err := audit.ReadReceipts(l.ask("GET", "/v1/consent/receipts?subject=user_id:cem", "").Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(byPage.List) != len(h.Records) || len(byAPI.List) != len(h.Records) || byPage.Unproven != 0 {
			t.Errorf("%d receipts by the page, %d by the API, of %d records", len(byPage.List), len(byAPI.List), len(h.Records))
		}
		for i := range byPage.List {
			r := byPage.List[i]
			if _, _, err := r.Check(key.Key); err != nil {
				t.Errorf("receipt %d: %v", i, err)
			}
			r.Record = json.RawMessage(strings.Replace(string(r.Record), `"event_state":"`, `"event_state":"not `, 1))
			if _, _, err := r.Check(key.Key); err == nil {
				t.Errorf("receipt %d holds although its record was changed", i)
			}
		}

		// Who leaves a subject leaves its topics.
		clock.Set(clock.Now().Add(time.Hour))
		l.wantPage(l.form(prefs, url.Values{"was.marketing.newsletter": {"on"}, "was.marketing.newsletter.books": {"on"}, "want.marketing.newsletter.books": {"on"}}), 200, "Saved")
		l.told()
		var person struct {
			Permission []struct {
				Purpose string
				Allowed bool
			}
		}
		l.get("/v1/people/user_id:cem", &person)
		for _, p := range person.Permission {
			if strings.HasPrefix(p.Purpose, "marketing.newsletter") && p.Allowed {
				t.Errorf("%s is permitted after its subject was left", p.Purpose)
			}
		}
	})
}

// TestANoticeInEffectIsNeverReplaced: a folder whose text changed under its old
// version is refused as a whole; with a new version both can be read.
func TestANoticeInEffectIsNeverReplaced(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		l, sink, _ := asks(t, database)
		apply := func(text string) error {
			files := map[string]string{"rapport.yaml": askingSheet}
			for name, text := range asking {
				files[name] = text
			}
			files["notices/newsletter.en.md"] = text
			_, err := l.house.Apply(t.Context(), small(t, sink.Addr(), files).Files, 0)
			return err
		}
		if err := apply("---\nversion: 3\n---\n# About our news\n\nWe sell your address.\n"); err == nil || !strings.Contains(err.Error(), "new version") {
			t.Errorf("another text under the same version: %v", err)
		}
		if l.house.Version() != 1 {
			t.Errorf("version %d is in effect", l.house.Version())
		}
		if err := apply("---\nversion: 4\n---\n# About our news\n\nWe write less.\n"); err != nil {
			t.Fatal(err)
		}
		var list struct {
			Notices []struct {
				Version, Language string
				InEffect          bool `json:"in_effect"`
			}
		}
		l.get("/v1/notices", &list)
		if len(list.Notices) != 3 || list.Notices[1].InEffect || !list.Notices[2].InEffect {
			t.Errorf("notices %+v", list.Notices)
		}
		l.wantPage(l.ask("GET", "/notices/newsletter/3/en", ""), 200, "Not often.")
	})
}
