package bench

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"rapport/internal/delivery/deliverytest"
)

// secrets are the words of which no log line, metric or refusal may show any.
// Each is unlike anything the house says by itself.
var secrets = []string{
	"quagmire", // left in every address
	"Philomena", "Ottoline",
	"zanzibar-trait", "xylophone-property", "marmalade-context",
	"vellichor", // in the bodies of mails
	"sesquipedal-subject",
	"hunter22-smtp-password", "brandywine-userhash-secret", "petrichor-idempotency",
	"rpk_0123456789abcdefghjkmnpqrstvwxyz01234567890", "rpm_0123456789abcdefghjkmnpqrstvwxyz01234567890",
	"loganberry-user", "mulberry-anonymous", "elderberry-external", "+491701234567", "203.0.113.77",
}

// Everything that can go wrong goes wrong in one process that logs all it can.
// What it wrote, what its metrics show and what it answered to refused calls
// holds no address, name, key, token, value or text of anybody.
func TestNothingPersonalOrSecretIsInLogsMetricsAndRefusals(t *testing.T) {
	t.Parallel()
	onBothStores(t, nothingPersonalOrSecretIsInLogsMetricsAndRefusals)
}

func nothingPersonalOrSecretIsInLogsMetricsAndRefusals(t *testing.T, database string) {
	t.Helper()
	sink, err := deliverytest.NewSink(deliverytest.SinkConfig{User: "shop", Password: "hunter22-smtp-password", Judge: loud})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Close)
	f := newFaulty(t, sink.Addr(), troubled(sink.Addr()))
	f.database = database
	var refusals strings.Builder
	call := func(method, path, body string, header ...string) (int, string) {
		status, _, answer, err := f.tryAsk(method, path, body, header...)
		if err != nil {
			fmt.Fprintln(&refusals, strings.ReplaceAll(err.Error(), f.address+path, "")) // The client names its own address.
		}
		if status > 299 {
			fmt.Fprintf(&refusals, "%s %.12s: %d %s\n", method, path, status, answer)
		}
		return status, answer
	}
	f.start()
	hidden := append([]string{f.manage, f.ingest, base64.StdEncoding.EncodeToString([]byte(f.ingest + ":"))}, secrets...)
	hidden = append(hidden, keysOf(t, f)...)
	people(t, f, call)
	misuse(call)
	f.quietOrLater(t)
	for _, g := range sink.All() { // links of a mail, used and spoiled
		for _, link := range linksOf(string(g.Raw)) {
			if u, err := url.Parse(link); err == nil && strings.HasPrefix(link, "http") {
				hidden = append(hidden, longest(u))
				call("GET", u.RequestURI(), "")
				call("POST", u.RequestURI()+"x", "List-Unsubscribe=One-Click", "Content-Type", "application/x-www-form-urlencoded")
			}
		}
	}
	st, err := f.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	failed, unknown := st.Mails["failed"], st.Mails["unknown"]
	f.kill() // with mails that wait, and some whose end nobody wrote down
	rewrite(t, filepath.Join(f.dir, "config", "password"), "wrong-hunter22-smtp-password")
	f.start()
	people(t, f, call)
	f.quietOrLater(t)
	metrics := f.metrics(t)
	if code := f.stop(40 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}

	log := f.said.String()
	for _, where := range []struct{ name, text string }{{"log", log}, {"metrics", metrics}, {"refusals", refusals.String()}} {
		if len(where.text) < 1000 {
			t.Errorf("the %s are %d bytes: the test shows nothing", where.name, len(where.text))
		}
		for _, word := range hidden {
			for _, form := range []string{word, strings.ToLower(word), url.QueryEscape(word)} {
				if i := strings.Index(where.text, form); i >= 0 {
					t.Errorf("%s: %q stands in …%s…", where.name, form, where.text[max(0, i-200):min(len(where.text), i+200)])
					break
				}
			}
		}
	}
	if !strings.Contains(log, "provider_paused") || !strings.Contains(log, "provider_authentication") || failed == 0 || unknown == 0 {
		t.Errorf("the trouble was not met: %d mails failed, %d of unknown end; log:\n%s", failed, unknown, log)
	}
}

// loud is a mail server that says in each refusal whom it refuses and why.
func loud(from, to string) deliverytest.Fault {
	refuse := func(code, a, b, c int) *smtp.SMTPError {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{a, b, c}, Message: fmt.Sprintf("<%s> from <%s>: Philomena, vellichor, sesquipedal-subject", to, from)}
	}
	switch {
	case strings.HasPrefix(to, "gone"):
		return deliverytest.Fault{Refuse: refuse(550, 5, 1, 1)}
	case strings.HasPrefix(to, "busy"):
		return deliverytest.Fault{Refuse: refuse(451, 4, 7, 1)}
	case strings.HasPrefix(to, "policy"):
		return deliverytest.Fault{AtDot: true, Refuse: refuse(550, 5, 7, 515)}
	case strings.HasPrefix(to, "spam"):
		return deliverytest.Fault{AtDot: true, Refuse: refuse(554, 5, 6, 0)}
	case strings.HasPrefix(to, "drop"):
		return deliverytest.Fault{Drop: deliverytest.BeforeData}
	case strings.HasPrefix(to, "cut"):
		return deliverytest.Fault{Drop: deliverytest.AfterDot}
	}
	return deliverytest.Fault{}
}

// troubled is a configuration with secrets and with templates that fail.
func troubled(smtp string) map[string]string {
	host, port, _ := strings.Cut(smtp, ":")
	return map[string]string{
		"password":            "hunter22-smtp-password",
		"userhash":            "brandywine-userhash-secret",
		"providers/sink.yaml": fmt.Sprintf("kind: smtp\nhost: %s\nport: %s\ntls: none\nauth: {user: shop, password: \"file:password\"}\n", host, port),
		"sources/site.yaml":   "kind: browser\npurpose: profiling\nbasis: legitimate_interest\norigins: [https://www.shop.example]\nuser_hash: \"file:userhash\"\n",
		"templates/receipt/template.yaml": "subject: \"sesquipedal-subject {{ person.first_name | default: '-' }} {{ trigger.ref | default: '-' }}\"\n" +
			"purpose: service\nclass: transactional\n",
		"templates/receipt/body.html":     "<p>vellichor {{ person.first_name | default: '-' }} {{ trigger.word | default: '-' | divided_by: 0 }}</p>",
		"templates/runaway/body.html":     "<p>vellichor {% for i in (1..100000000) %}{{ trigger.word | default: '-' }}{% endfor %}</p>",
		"templates/runaway/template.yaml": "subject: \"sesquipedal-subject\"\npurpose: service\nclass: transactional\n",
	}
}

// people do what people do, and mails to them meet every refusal.
func people(t *testing.T, f *faulty, call func(method, path, body string, header ...string) (int, string)) {
	t.Helper()
	for i, kind := range []string{"fine", "gone", "busy", "policy", "spam", "drop", "cut", "fine2"} {
		email := fmt.Sprintf("%s-quagmire@people%d.example", kind, i) // the log may name a domain that is paused
		call("POST", "/v1/identify", fmt.Sprintf(`{"userId":"loganberry-user-%s","anonymousId":"mulberry-anonymous","traits":{"email":%q,"firstName":"Philomena","lastName":"Ottoline","phone":"+491701234567","x":"zanzibar-trait"}}`, kind, email))
		call("POST", "/v1/track", fmt.Sprintf(`{"userId":"loganberry-user-%s","event":"Trigger","properties":{"ref":"xylophone-property","word":"xylophone-property"},"context":{"ip":"203.0.113.77","m":"marmalade-context","externalIds":[{"id":"elderberry-external","type":"shop_id","collection":"users","encoding":"none"}]}}`, kind))
		for _, template := range []string{"receipt", "runaway", "missing"} {
			call("POST", "/v1/send", fmt.Sprintf(`{"template":%q,"to":%q,"data":{"ref":"xylophone-property","word":"xylophone-property","n":[]}}`, template, email), "Idempotency-Key", "petrichor-idempotency-"+template+kind)
		}
		call("POST", "/v1/send", fmt.Sprintf(`{"template":"receipt","to":%q,"data":{"ref":"another xylophone-property"}}`, email), "Idempotency-Key", "petrichor-idempotency-receipt"+kind)
		call("GET", "/v1/journeys/j2/explain?person=email:"+email, "")
	}
}

// misuse calls every door as it must not be called.
func misuse(call func(method, path, body string, header ...string) (int, string)) {
	const rpk, rpm = "rpk_0123456789abcdefghjkmnpqrstvwxyz01234567890", "rpm_0123456789abcdefghjkmnpqrstvwxyz01234567890"
	bodies := []string{
		`{"userId":"loganberry-user","event":"A","properties":"xylophone-property"}`,
		`{"userId":"loganberry-user","traits":{"email":"Philomena quagmire"`,
		`{"userId":["loganberry-user"],"event":"xylophone-property","context":{"m":"marmalade-context"}}`,
		`{"event":"A","context":{"traits":{"email":"philomena@@quagmire..example"}}}`,
		`{"userId":"loganberry-user","event":"A","timestamp":"xylophone-property"}`,
		`{"userId":"loganberry-user","event":"A","colour":"quagmire@people.example","properties":{"a":NaN}}`,
		`{"template":"receipt","to":"Philomena Ottoline <quagmire@people.example"}`,
		`{"template":"xylophone-property","to":"quagmire@people.example","colour":"xylophone-property"}`,
		`{"subject":"email:quagmire@people.example","purpose":"xylophone-property","state":"withdrawn"}`,
		`{"subject":"email:Philomena quagmire","purpose":"service","state":"zanzibar-trait"}`,
		`{"email":"Philomena quagmire","reason":"xylophone-property"}`,
		`{"subject":"user_id:loganberry-user","purpose":"marketing.newsletter","state":"withdrawn","evidence":{"who":"quagmire@people.example"}}`,
		`{"kind":"ingest","source":"xylophone-property","name":"Philomena"}`,
		`{"files":{"rapport.yaml":"Y29sb3VyOiAxCg=="}}`,
		"\xff\xfequagmire",
	}
	for _, body := range bodies {
		for _, path := range []string{"/v1/track?strict=true", "/v1/identify?strict=true", "/v1/batch?strict=true", "/v1/send", "/v1/consent", "/v1/suppressions", "/v1/keys", "/v1/config?dry_run=true", "/v1/import/shop", "/v1/nowhere"} {
			call("POST", path, body, "Idempotency-Key", "petrichor-idempotency")
			call("POST", path, body, "Authorization", "Bearer "+rpm)
			call("POST", path, body, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(rpk+":")), "X-Forwarded-For", "203.0.113.77")
		}
	}
	for _, who := range []string{"email:nobody-quagmire@people.example", "user_id:loganberry-user-nobody", "Philomena", "id:per_zanzibar-trait", "phone:+491701234567"} {
		who = url.PathEscape(who)
		for _, path := range []string{"/v1/people/" + who, "/v1/people/" + who + "/events?cursor=zanzibar-trait", "/v1/messages?person=" + who, "/v1/segments/viewed-w0/explain?person=" + who, "/v1/journeys/j2/explain?person=" + who} {
			call("GET", path, "")
			call("GET", path, "", "Authorization", "Bearer "+rpk)
		}
	}
	for _, path := range []string{"/v1/messages/msg_vellichor", "/u/petrichor-idempotency", "/c/petrichor-idempotency", "/o/petrichor-idempotency", "/p/petrichor-idempotency", "/healthz?key=" + rpm} {
		call("GET", path, "")
		call(http.MethodPost, path, "List-Unsubscribe=One-Click&email=quagmire@people.example", "Content-Type", "application/x-www-form-urlencoded")
	}
}

// keysOf gives the secrets that the data folder itself holds.
func keysOf(t *testing.T, f *faulty) (out []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.dir, "data", "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Split(string(raw), `"`) {
		if len(word) > 30 {
			out = append(out, word)
		}
	}
	if len(out) < 2 {
		t.Fatal("keys.json holds no keys")
	}
	return out
}

// quietOrLater waits until everything is walked and nothing is on the wire;
// what was refused for now waits longer than the test does.
func (f *faulty) quietOrLater(t *testing.T) {
	t.Helper()
	until(t, "mails come to an end or to a wait", 30*time.Second, func() bool {
		st, err := f.status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.Lanes["live"].Walked == st.Lanes["live"].Appended && st.Mails["claimed"]+st.Mails["handing_over"] == 0
	})
}

// metrics is the page that is scraped.
func (f *faulty) metrics(t *testing.T) string {
	t.Helper()
	res, err := http.Get(f.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var page strings.Builder
	if err := res.Write(&page); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// linksOf lists the addresses of web pages in a mail.
func linksOf(raw string) (out []string) {
	for _, part := range strings.FieldsFunc(strings.ReplaceAll(raw, "=\r\n", ""), func(r rune) bool { return strings.ContainsRune("<>\"' \r\n\t", r) }) {
		if strings.HasPrefix(part, "http://") {
			out = append(out, strings.ReplaceAll(part, "=3D", "="))
		}
	}
	return out
}

// longest is the part of a link that is the token.
func longest(u *url.URL) (out string) {
	for _, part := range strings.Split(u.Path, "/") {
		if len(part) > len(out) {
			out = part
		}
	}
	return out
}
