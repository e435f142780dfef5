package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"rapport/internal/app"
	"rapport/internal/project"
)

// hidden stands in everything that is for support alone.
const hidden = "qzmarker7f3a"

// marked is a folder in which support and marketing live side by side.
var marked = map[string]string{
	"purposes.yaml": `purposes:
  service: {title: Service, basis: contract}
  support: {title: Support, description: Help., basis: consent, categories: [support]}
  marketing.newsletter: {title: News, description: News., basis: legitimate_interest, gpc: true}
  profiling: {title: Profile, description: A profile., basis: legitimate_interest, scope: device}
  tracking.opens: {title: Opens, description: Opens., basis: legitimate_interest, scope: device}
  tracking.clicks: {title: Clicks, description: Links., basis: legitimate_interest, scope: device}
`,
	"plan/people.yaml": `on_violation: quarantine
traits:
  secret_note: {type: string, purposes: [support]}
  last_name: {type: string, purposes: [support]}
  address: {type: object, properties: {street: {type: string, purposes: [support]}, city: string}}
  cards: {type: array, items: {type: object, properties: {number: {type: string, purposes: [support]}, brand: string}}}
  size: number
group_traits:
  contract: {type: string, purposes: [support]}
events:
  Ticket Opened: {purposes: [support], properties: {text: string}}
  Trigger: {properties: {ref: string, note: {type: string, purposes: [support]}, list: {type: array, items: {type: object, properties: {hidden: {type: string, purposes: [support]}, sku: string}}}}}
`,
	"segments/noted.yaml":  "rule: {trait: secret_note, contains: " + hidden + "}\n",
	"segments/asked.yaml":  "rule: {did: Ticket Opened, where: {text: {contains: " + hidden + "}}}\n",
	"segments/copied.yaml": "rule: {trait: copy, contains: " + hidden + "}\n",
	"segments/small.yaml":  "rule: {trait: size, lt: 10}\n",
	"journeys/help.yaml":   "purpose: support\ntrigger: {event: Ticket Opened}\nreentry: always\nsteps:\n  - set: {copy: \"{{ person.secret_note }}\"}\n  - send: help\n",
	"journeys/small.yaml":  "purpose: marketing.newsletter\ntrigger: {enters: small}\nsteps:\n  - if: {trait: size, lt: 5}\n    then: [{send: plain}]\n",

	"templates/help/template.yaml":    "subject: \"About {{ person.secret_note | default: '-' }}\"\npurpose: support\n",
	"templates/help/body.html":        `<p>{{ trigger.text | default: "-" }} {{ person.name | default: "-" }}</p><a href="https://shop.example/?n={{ person.secret_note | default: '-' }}">See</a> <a href="{{ mail.unsubscribe_url }}">no</a> {{ workspace.postal_address }}`,
	"templates/note/template.yaml":    "subject: \"News {{ trigger | default: '-' | json }}\"\npurpose: marketing.newsletter\nblocks:\n  all: {html: blocks/all.html, fallback: blocks/none.html}\n",
	"templates/note/body.html":        `<p>{{ person | default: '-' | json }} {{ person.address | default: '-' | json }} {{ person.cards | default: '-' | json }} {{ trigger | default: '-' | json }} {{ blocks.all }}</p><a href="{{ mail.unsubscribe_url }}">no</a> {{ workspace.postal_address }}`,
	"templates/note/blocks/all.html":  `{{ person["$group"] | default: '-' | json }}{% for c in person.cards %}{{ c | json }}{% endfor %}`,
	"templates/note/blocks/none.html": `none`,
	"templates/plain/template.yaml":   "subject: Plain\npurpose: marketing.newsletter\n",
	"templates/plain/body.html":       `<p>{{ person | default: '-' | json }}</p><a href="{{ mail.unsubscribe_url }}">no</a> {{ workspace.postal_address }}`,
	"templates/bad/template.yaml":     "subject: \"Offer\"\npurpose: marketing.newsletter\nblocks:\n  offer: {html: blocks/offer.html, essential: true}\n",
	"templates/bad/body.html":         `{{ blocks.offer }}<a href="{{ mail.unsubscribe_url }}">no</a> {{ workspace.postal_address }}`,
	"templates/bad/blocks/offer.html": `{{ person.address | times: 2 }}{{ person.wanting }}`,
}

// written is what the house logs, at every level.
type written struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(b)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// TestAMarkerOfAnotherPurposeLeavesNowhere: what is for support alone is in no mail,
// block, webhook, answer, explanation, error and log for marketing; and it is in all
// of them for support.
func TestAMarkerOfAnotherPurposeLeavesNowhere(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		ads, desk := receiving(t, whsec("SECRET_ONE")), receiving(t, whsec("SECRET_ONE"))
		const wants = "events: all\nsegments: all\nmessages: all\nconsent: all\nidentifiers: [user_id, email]\n"
		files := maps.Clone(marked)
		files["destinations/ads.yaml"] = hook(ads, wants)
		files["destinations/desk.yaml"] = strings.Replace(hook(desk, wants), "marketing.newsletter", "support", 1)
		logged := &written{}
		l := live(t, app.Options{
			Data: t.TempDir(), Database: database, Clock: handClock(), Secrets: project.Secrets{Env: secrets},
			Logger: slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}, small(t, sink.Addr(), files))
		l.secrets()
		for _, r := range []*receiver{ads, desk} {
			r.wait("what is told last", func(all []*message) bool {
				return slices.ContainsFunc(all, func(m *message) bool { return m.Data["message_id"] == "last" })
			})
		}

		left := map[string]string{"the log": logged.String()}
		for i, got := range sink.All() {
			if _, page := letter(t, sink, got.To); i == 0 && page == "" {
				t.Fatal("no page")
			}
			left[fmt.Sprint("mail ", i, " to ", got.To, subjectOf(string(got.Raw)))] = decodedMail(string(got.Raw))
		}
		for i, m := range ads.heard() {
			left[fmt.Sprint("ads ", i, " ", m.Type)] = string(m.Raw)
		}
		for _, path := range []string{
			"/v1/people/user_id:ann?", "/v1/people/user_id:ann/events?limit=500&", "/v1/people/email:ann@people.example?",
			"/v1/segments/noted/explain?person=user_id:ann&", "/v1/segments/asked/explain?person=user_id:ann&",
			"/v1/segments/copied/explain?person=user_id:ann&", "/v1/segments/small/explain?person=user_id:ann&",
			"/v1/journeys/help/explain?person=user_id:ann&", "/v1/journeys/small/explain?person=user_id:ann&", "/v1/journeys/news/explain?person=user_id:ann&",
		} {
			left[path] = l.ask("GET", path+"purpose=marketing.newsletter", "").Body.String()
		}
		for _, path := range []string{"/v1/segments", "/v1/journeys", "/v1/status", "/v1/events/violations", "/v1/destinations", "/v1/audit?limit=200"} {
			left[path] = l.ask("GET", path, "").Body.String()
		}
		for _, m := range l.mailsOf("ann") {
			left["the story of "+m.ID] = l.ask("GET", "/v1/messages/"+m.ID+"?purpose=marketing.newsletter", "").Body.String()
		}
		for _, name := range slices.Sorted(maps.Keys(left)) {
			if is := strings.Contains(left[name], hidden); is != strings.Contains(name, "About") {
				t.Errorf("%s: the marker is there: %t\n%s", name, is, left[name])
			}
		}
		l.controls(t, desk, left)
	})
}

// secrets brings the marker in by every way there is, and has everything happen that
// could let it out.
func (l *lived) secrets() {
	l.t.Helper()
	say := func(body string) {
		l.t.Helper()
		if w := l.ask(http.MethodPost, "/v1/batch", `{"batch":[`+strings.ReplaceAll(body, "MARK", hidden)+`]}`); w.Code != http.StatusOK {
			l.t.Fatal(w.Code, w.Body)
		}
		l.told()
	}
	l.permits("email:ann@people.example", "support", "granted")
	say(`{"type":"identify","messageId":"1","userId":"ann","traits":{"email":"ann@people.example","first_name":"Ann","lastName":"MARK","secret_note":"the MARK",
		"size":3,"address":{"street":"MARK","city":"Sampletown"},"cards":[{"number":"MARK","brand":"visa"}]}}`)
	say(`{"type":"group","messageId":"2","userId":"ann","groupId":"firm","traits":{"contract":"MARK","plan":"pro"}}`)
	say(`{"type":"track","messageId":"3","userId":"ann","event":"Ticket Opened","properties":{"text":"MARK"}}`)
	say(`{"type":"track","messageId":"4","userId":"ann","event":"Trigger","properties":{"ref":"r","note":"MARK","list":[{"hidden":"MARK","sku":"s"}]}}`)
	say(`{"type":"track","messageId":"5","userId":"ann","event":"Trigger","properties":{"ref":["MARK"]}}`) // against the plan
	for key, template := range map[string]string{"k1": "bad", "k2": "note", "k3": "help"} {
		body := fmt.Sprintf(`{"template":%q,"person":{"user_id":"ann"},"data":{"text":"hello"}}`, template)
		if w := l.ask(http.MethodPost, "/v1/send", body, "Idempotency-Key", key); w.Code > 299 {
			l.t.Fatal(w.Code, w.Body)
		}
	}
	l.told()
	l.reads()
	say(`{"type":"track","messageId":"last","userId":"ann","event":"Seen"}`)
}

// reads opens every mail and follows every link, as a reader does.
func (l *lived) reads() {
	l.t.Helper()
	for _, m := range l.mailsOf("ann") {
		var story struct{ Parts struct{ HTML string } }
		l.get("/v1/messages/"+m.ID, &story)
		for _, link := range linksIn(story.Parts.HTML) {
			if u, err := url.Parse(link); err == nil && (strings.HasPrefix(u.Path, "/o/") || strings.HasPrefix(u.Path, "/c/")) {
				l.ask("GET", link, "", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
			}
		}
	}
	l.told()
}

func (l *lived) mailsOf(who string) []struct{ ID string } {
	l.t.Helper()
	var list struct{ Messages []struct{ ID string } }
	l.get("/v1/messages?person=user_id:"+who, &list)
	return list.Messages
}

// controls holds that the test would have seen the marker: it is there for support,
// for the operator and for the person; and that marketing was told the rest.
func (l *lived) controls(t *testing.T, desk *receiver, left map[string]string) {
	t.Helper()
	told := map[string]bool{}
	for _, m := range desk.heard() {
		what := strings.TrimSpace(m.Type + " " + text(m.Data["event"]) + text(m.Data["segment"]))
		told[what] = told[what] || strings.Contains(string(m.Raw), hidden) || strings.HasPrefix(m.Type, "segment.")
	}
	for _, what := range []string{
		"event.identify", "event.group", "event.track Ticket Opened", "event.track Trigger", "message.opened", "message.clicked",
		"segment.entered noted", "segment.entered asked", "segment.entered copied",
	} {
		if !told[what] {
			t.Errorf("support is not told %s, only %v", what, told)
		}
	}
	for _, path := range []string{
		"/v1/people/user_id:ann?purpose=support", "/v1/people/user_id:ann/events?limit=500&purpose=support", "/v1/segments/noted/explain?person=user_id:ann&purpose=support",
		"/v1/messages?person=user_id:ann&purpose=support", "/v1/messages", "/v1/people/user_id:ann", "/v1/people/user_id:ann/export", "/v1/segments/copied/explain?person=user_id:ann",
	} {
		if w := l.ask("GET", path, ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), hidden) {
			t.Errorf("%s: %d without the marker", path, w.Code)
		}
	}
	var p struct {
		Traits   map[string]json.RawMessage
		Segments []struct{ Name string }
	}
	l.get("/v1/people/user_id:ann?purpose=marketing.newsletter", &p)
	if got := fmt.Sprintf("%s", slices.Sorted(maps.Keys(p.Traits))); got != "[$group $groups address cards email first_name size]" || string(p.Traits["address"]) != `{"city":"Sampletown"}` || string(p.Traits["cards"]) != `[{"brand":"visa"}]` {
		t.Errorf("marketing sees %s %s %s", got, p.Traits["address"], p.Traits["cards"])
	}
	if fmt.Sprint(p.Segments) != "[{small} {triggered}]" {
		t.Errorf("marketing sees the segments %v", p.Segments)
	}
	all := strings.Join(slices.Collect(maps.Values(left)), "\n")
	for _, text := range []string{`"sku":"s"`, `"ref":"r"`, "Sampletown", `"plan":"pro"`, "template_missing_value", `"code":"outside_purpose"`, "message.clicked", "message.opened"} {
		if !strings.Contains(all, text) {
			t.Errorf("nothing of what left tells %q", text)
		}
	}
	l.permits("user_id:ann", "support", "withdrawn")
	for _, path := range []string{"/v1/people/user_id:ann?", "/v1/people/user_id:ann/events?", "/v1/segments/noted/explain?person=user_id:ann&"} {
		if w := l.ask("GET", path+"purpose=support", ""); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), hidden) {
			t.Errorf("%s after she took it back: %d %s", path, w.Code, w.Body)
		}
	}
	if w := l.ask("GET", "/v1/people/user_id:ann?purpose=world", ""); w.Code != http.StatusBadRequest {
		t.Errorf("for a purpose that is not declared: %d %s", w.Code, w.Body)
	}
}

// readable takes the soft ends of lines and entities out of a mail, so that nothing is
// hidden by how it is written down.
func decodedMail(raw string) string {
	return strings.NewReplacer("=\r\n", "", "=3D", "=", "&quot;", `"`, "&#34;", `"`).Replace(raw)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func subjectOf(raw string) string {
	for line := range strings.SplitSeq(raw, "\r\n") {
		if s, ok := strings.CutPrefix(line, "Subject: "); ok {
			return " " + s
		}
	}
	return ""
}
