package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func exitCodeOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return strconv.Itoa(exit.ExitCode())
	}
	return "?"
}

// asked is one request that the server got.
type asked struct {
	Line   string
	Key    string // Idempotency-Key or If-Match
	Body   string
	Bearer string
}

// desk is a console with a server behind it that answers from a table of
// "METHOD /path?query" → answer.
type desk struct {
	console  *console
	out, err bytes.Buffer
	asked    []asked
}

func setup(t *testing.T, answers map[string]string) *desk {
	t.Helper()
	b := &desk{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		line := r.Method + " " + r.URL.RequestURI()
		b.asked = append(b.asked, asked{line, r.Header.Get("Idempotency-Key") + r.Header.Get("If-Match"), string(body), r.Header.Get("Authorization")})
		answer, ok := answers[line]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"title":"Not found","status":404,"code":"unknown_person","detail":"there is no such person"}`)
			return
		}
		status, rest, _ := strings.Cut(answer, " ")
		if n, err := strconv.Atoi(status); err == nil {
			w.WriteHeader(n)
			answer = rest
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	env := map[string]string{"RAPPORT_URL": server.URL, "RAPPORT_KEY": "rk_secret"}
	b.console = &console{
		in: strings.NewReader(""), out: &b.out, err: &b.err,
		env:  func(k string) (string, bool) { v, ok := env[k]; return v, ok },
		now:  func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) },
		zone: time.FixedZone("CET", 3600),
	}
	return b
}

func (b *desk) run(t *testing.T, args ...string) int {
	t.Helper()
	b.out.Reset()
	b.err.Reset()
	return run(t.Context(), b.console, args)
}

// TestAnswers runs commands against a server that gives fixed answers and holds
// what is printed against testdata/golden; UPDATE_GOLDEN=1 rewrites it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		args    []string
		answers map[string]string
		code    int
	}{
		{"person", []string{"person", "show", "ann@shop.example"}, map[string]string{
			"GET /v1/people/email:ann@shop.example": `{"id":"per_7","first_seen":"2026-01-02T03:04:05Z","last_seen":"2026-02-02T03:04:05Z",
				"identifiers":[{"kind":"user_id","value":"42","since":"2026-01-02T03:04:05Z"},{"kind":"email","value":"ann@shop.example","since":"2026-01-02T03:04:06Z"}],
				"traits":{"firstName":"Ann","orders":3,"address":{"city":"Bremen"}},
				"segments":[{"name":"active","since":"2026-02-02T03:04:05Z","until":"2026-02-09T03:04:05Z"},{"name":"regulars","since":"2026-02-02T03:04:05Z"}],
				"events_count":1234,"journeys":[{"journey":"welcome","version":1,"entered":"2026-01-02T03:04:05Z","until":"2026-01-04T03:04:05Z"}],
				"permission":[{"purpose":"service","allowed":true,"basis":"contract"},{"purpose":"marketing.newsletter","allowed":false,"basis":"consent","state":"withdrawn","at":"2026-01-05T00:00:00Z","method":"link"}],
				"suppressed":[{"reason":"unsubscribed","purpose":"marketing.newsletter","at":"2026-01-05T00:00:00Z"}],"merged":["per_9"]}`,
		}, 0},
		{"events", []string{"person", "events", "42", "--limit", "2"}, map[string]string{
			"GET /v1/people/user_id:42/events?limit=2": `{"events":[{"timestamp":"2026-02-02T03:04:05Z","type":"track","event":"Order Completed","source":"shop","properties":{"total":10},"violations":[{"pointer":"/properties","code":"property_missing","detail":"Order Completed needs order_id"}]},
				{"timestamp":"2026-02-01T03:04:05Z","type":"page","event":"Home\u001b[31m","source":"website"}],"cursor":"abc"}`,
		}, 0},
		{"person-unknown", []string{"person", "show", "per_1"}, nil, exitNotFound},
		{"segments", []string{"segment", "list"}, map[string]string{
			"GET /v1/segments": `{"segments":[{"name":"active","title":"Looked at something","people":12345},{"name":"lapsed","people":1,"backfill":{"done":50,"total":200}}]}`,
		}, 0},
		{"segment-explain", []string{"segment", "explain", "active", "user_id:42"}, map[string]string{
			"GET /v1/segments/active/explain?person=user_id%3A42": `{"person":"per_7","segment":"active","member":true,"since":"2026-02-02T03:04:05Z","changes":"2026-02-09T03:04:05Z",
				"rule":{"text":"{all: [{did: A}, {trait: b, is: 1}]}","truth":true,"until":"2026-02-09T03:04:05Z","children":[
				{"text":"{did: A, within: 7d}","truth":true,"seen":{"count":2},"note":"2 times, last on 2026-02-02","until":"2026-02-09T03:04:05Z"},{"text":"did: B, count: {min: 3}","truth":false},{"text":"{trait: c, is: 1}","truth":false,"seen":2}]}}`,
		}, 0},
		{"journeys", []string{"journeys", "list"}, map[string]string{
			"GET /v1/journeys": `{"journeys":[{"name":"welcome","trigger":"event Signed Up","purpose":"marketing.newsletter","steps":4},{"name":"old","trigger":"enters lapsed","purpose":"marketing.newsletter","stopped":true}]}`,
		}, 0},
		{"journey-explain", []string{"journey", "explain", "welcome", "42"}, map[string]string{
			"GET /v1/journeys/welcome/explain?person=user_id%3A42": `{"person":"per_7","journey":"welcome","inside":true,"at":"2026-01-06T00:00:00Z","text":"…",
				"why":{"text":"journey welcome","children":[{"text":"could enter now (version 3)","answer":"no","children":[{"text":"reentry: once","answer":"no","seen":"inside since 2026-01-02T03:04:05.123Z"}]},{"text":"trigger","answer":"yes","seen":"Signed Up","at":"2026-01-02T03:04:05Z","rule":{"text":"{trait: email, exists: true}","truth":true,"note":"there"}},
				{"text":"permission","answer":"no","seen":"withdrawn","children":[{"text":"since","seen":"link","at":"2026-01-05T00:00:00Z"}]},{"text":"wait 2d","answer":"wait","until":"2026-01-04T03:04:05Z"}]},
				"mails":[{"id":"msg_1","person":"per_7","template":"welcome","state":"skipped","reason":"consent_withdrawn","journey":"welcome","step":"welcome","decided":"2026-01-02T03:04:05Z"}]}`,
		}, 0},
		{"messages", []string{"message", "list", "--person", "42", "--state", "accepted"}, map[string]string{
			"GET /v1/messages?limit=50&person=user_id%3A42&state=accepted": `{"messages":[{"id":"msg_1","person":"per_7","template":"receipt","state":"accepted","decided":"2026-01-02T03:04:05Z"}]}`,
		}, 0},
		{"messages-newest", []string{"message", "list"}, map[string]string{
			"GET /v1/messages?limit=50": `{"messages":[{"id":"msg_2","person":"per_7","template":"receipt","state":"pending","decided":"2026-01-02T03:04:05Z"}]}`,
		}, 0},
		{"message", []string{"message", "show", "msg_1"}, map[string]string{
			"GET /v1/messages/msg_1": `{"id":"msg_1","person":"per_7","template":"cart","purpose":"marketing.newsletter","class":"triggered","state":"accepted","journey":"abandoned-cart","step":"remind",
				"provider":"inbox","cause":"evt-1","config_version":3,"message_id":"<a@shop.example>","duplicate_possible":true,
				"story":[{"state":"pending","at":"2026-01-02T03:04:05Z"},{"state":"accepted","at":"2026-01-02T03:04:06Z","reason":"ok","detail":{"code":250}}],
				"parts":{"preheader":"Still there","subject":"Your cart","text":"Hi Ann,\r\nstill there.\n","html":"<p>Hi</p>","headers":[["X-A","b"]]}}`,
		}, 0},
		{"message-part", []string{"message", "show", "msg_1", "--part", "html"}, map[string]string{
			"GET /v1/messages/msg_1": `{"id":"msg_1","parts":{"html":"<p>Hi</p>"}}`,
		}, 0},
		{"rejected", []string{"rejected", "list", "--code", "event_not_string"}, map[string]string{
			"GET /v1/rejected?code=event_not_string&limit=50": `{"counts":{"event_not_string":1200,"bad_request":1},"rejected":[{"id":3,"at":"2026-01-02T03:04:05Z","source":"website","path":"/v1/track","code":"event_not_string","detail":"event must be text","sent":true}]}`,
		}, 0},
		{"rejected-show", []string{"rejected", "show", "3"}, map[string]string{
			"GET /v1/rejected/3": `{"id":3,"at":"2026-01-02T03:04:05Z","source":"website","path":"/v1/track","code":"event_not_string","detail":"event must be text","payload":{"event":1}}`,
		}, 0},
		{"violations", []string{"event", "violations", "--source", "website"}, map[string]string{
			"GET /v1/violations?source=website": `{"violations":[{"source":"website","event":"Order Completed","property":"products.price","code":"property_wrong_type","detail":"products.price of Order Completed is no number","count":1200,"first":"2026-01-02T03:04:05Z","last":"2026-01-03T03:04:05Z"},
				{"source":"website","event":"Order Completed","code":"event_near_name","detail":"did you mean Order Completed?","count":1,"first":"2026-01-02T03:04:05Z","last":"2026-01-02T03:04:05Z"}]}`,
		}, 0},
		{"violations-none", []string{"event", "violations"}, map[string]string{"GET /v1/violations": `{"violations":[]}`}, 0},
		{"set-aside", []string{"rejected", "list", "--set-aside", "--limit", "2"}, map[string]string{
			"GET /v1/set-aside?limit=2": `{"set_aside":[{"lane":"live","position":4711,"at":"2026-01-02T03:04:05Z","code":"derived_loop","error":"it goes round","type":"track","name":"A\u001b[31m","source":"shop","message_id":"m-1"},
				{"lane":"bulk","position":9,"at":"2026-01-02T03:04:05Z","code":"unreadable","error":"no event"}],"cursor":"bulk/9"}`,
		}, 0},
		{"set-aside-older", []string{"rejected", "list", "--set-aside", "--cursor", "bulk/9"}, map[string]string{
			"GET /v1/set-aside?cursor=bulk%2F9&limit=50": `{"set_aside":[{"lane":"live","position":7,"at":"2026-01-02T03:04:05Z","code":"unreadable","error":"no event"}],"cursor":""}`,
		}, 0},
		{"set-aside-show", []string{"rejected", "show", "live/4711"}, map[string]string{
			"GET /v1/set-aside/live/4711": `{"lane":"live","position":4711,"at":"2026-01-02T03:04:05Z","code":"derived_loop","error":"it goes round","type":"track","name":"A","source":"shop","message_id":"m-1",
				"event":{"type":"track","event":"A","message_id":"m-1","source":"shop","timestamp":"2026-01-02T03:04:05Z","received_at":"2026-01-02T03:04:05Z","properties":{"a":1},"identifiers":{"user_id":"42"}}}`,
		}, 0},
		{"set-aside-unreadable", []string{"rejected", "show", "bulk/9"}, map[string]string{
			"GET /v1/set-aside/bulk/9": `{"lane":"bulk","position":9,"at":"2026-01-02T03:04:05Z","code":"unreadable","error":"no event","bytes":"//8="}`,
		}, 0},
		{"set-aside-usage", []string{"rejected", "list", "--set-aside", "--code", "x"}, nil, exitUsage},
		{"rejected-resend", []string{"rejected", "resend", "3", "9"}, map[string]string{"POST /v1/rejected/3/resend": `200 {}`}, exitNotFound},
		{"keys", []string{"key", "list"}, map[string]string{
			"GET /v1/keys": `{"keys":[{"id":"k1","kind":"browser","source":"website","name":"front","created":"2026-01-02T03:04:05Z"},
				{"id":"k2","kind":"manage","created":"2026-01-02T03:04:05Z","expires":"2026-02-02T03:04:05Z"},{"id":"k3","kind":"ingest","source":"shop","created":"2026-01-02T03:04:05Z","revoked":"2026-01-03T03:04:05Z"}]}`,
		}, 0},
		{"consent-stands", []string{"person", "consent", "42", "marketing.newsletter", "granted"}, map[string]string{
			"POST /v1/consent": `{"record":"rapport/consent/1","purpose":"marketing.newsletter","state":"granted","subjects":1,"position":9}`,
			"GET /v1/people/user_id:42?min_position=9": `{"id":"per_7","permission":[{"purpose":"marketing.newsletter","allowed":false,"basis":"consent","state":"suppressed_unsubscribed"},{"purpose":"service","allowed":false,"state":"x"}],
				"suppressed":[{"reason":"unsubscribed","purpose":"marketing.newsletter","at":"2026-01-05T00:00:00Z"}]}`,
		}, 0},
		{"consent-holds", []string{"person", "consent", "42", "marketing.newsletter", "granted"}, map[string]string{
			"POST /v1/consent":                         `{"position":9}`,
			"GET /v1/people/user_id:42?min_position=9": `{"id":"per_7","permission":[{"purpose":"marketing.newsletter","allowed":true,"state":"granted"}]}`,
		}, 0},
		{"key-revoke-again", []string{"key", "revoke", "k1"}, map[string]string{
			"GET /v1/keys": `{"keys":[{"id":"k1","kind":"browser","created":"2026-01-02T03:04:05Z","revoked":"2026-01-03T03:04:05Z"}]}`, "DELETE /v1/keys/k1": `204 `,
		}, 0},
		{"key-revoke", []string{"key", "revoke", "k1"}, map[string]string{"GET /v1/keys": `{"keys":[{"id":"k1","kind":"browser","created":"2026-01-02T03:04:05Z"}]}`, "DELETE /v1/keys/k1": `204 `}, 0},
		{"refused", []string{"segment", "list"}, map[string]string{
			"GET /v1/segments": `422 {"title":"Invalid","code":"bad_thing","detail":"two things are wrong","errors":[{"pointer":"/a","detail":"not that"},{"detail":"nor this"}]}`,
		}, exitFailure},
		{"unauthorized", []string{"segment", "list"}, map[string]string{"GET /v1/segments": `401 {"title":"Unauthorized","detail":"this key may not do that"}`}, exitFailure},
		{"no-json", []string{"segment", "list"}, map[string]string{"GET /v1/segments": `502 <html>bad gateway</html>`}, exitFailure},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, tt.answers)
			if code := b.run(t, tt.args...); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			golden(t, tt.name, b.out.String()+b.err.String())
			for _, a := range b.asked {
				if a.Bearer != "Bearer rk_secret" {
					t.Errorf("%s: authorization %q", a.Line, a.Bearer)
				}
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

// TestJSONPassesThrough holds --json to what the server said, unknown fields too.
func TestJSONPassesThrough(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string]string{"GET /v1/segments": `{"segments":[],"more":{"a":"<b>"}}`})
	if code := b.run(t, "segment", "list", "--json"); code != 0 {
		t.Fatalf("exit code %d: %s", code, b.err.String())
	}
	want := "{\n  \"segments\": [],\n  \"more\": {\n    \"a\": \"<b>\"\n  }\n}\n"
	if b.out.String() != want {
		t.Errorf("got %s, want %s", b.out.String(), want)
	}
	b.run(t, "person", "show", "1", "--json")
	if want := `{"error":{"code":"unknown_person","detail":"there is no such person"}}` + "\n"; b.err.String() != want {
		t.Errorf("got %s, want %s", b.err.String(), want)
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string]string{"POST /v1/send": `202 {"id":"msg_1","state":"pending"}`})
	code := b.run(t, "send", "--template", "receipt", "--to", "ann@shop.example", "--values", `{"a":1}`, "--set", "b=2", "--set", "c=x y", "--idempotency-key", "k1")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, b.err.String())
	}
	want := []asked{{"POST /v1/send", "k1", `{"data":{"a":1,"b":2,"c":"x y"},"person":"email:ann@shop.example","template":"receipt"}`, "Bearer rk_secret"}}
	if diff := cmp.Diff(want, b.asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(b.out.String(), "rapport message show msg_1") {
		t.Errorf("printed %q", b.out.String())
	}
	b.asked = nil
	// The environment names the server's data folder for this command, too.
	old := b.console.env
	b.console.env = func(k string) (string, bool) {
		if k == "RAPPORT_DATA" {
			return t.TempDir(), true
		}
		return old(k)
	}
	if code := b.run(t, "send", "--template", "receipt", "--to", "1"); code != exitOK {
		t.Errorf("with RAPPORT_DATA: exit code %d: %s", code, b.err.String())
	}
	b.asked = nil
	b.run(t, "send", "--template", "receipt", "--to", "1")
	b.run(t, "send", "--template", "receipt", "--to", "1")
	if len(b.asked) != 2 || b.asked[0].Key == "" || b.asked[0].Key == b.asked[1].Key {
		t.Errorf("two sends without a key of their own: %+v", b.asked)
	}
	for _, args := range [][]string{{"send"}, {"send", "--template", "a", "--to", "b", "--set", "x"}, {"send", "--template", "a", "--to", "b", "--values", "[1]"}} {
		if code := b.run(t, args...); code != exitUsage {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

// TestResendMended sends a payload as it was mended, byte for byte.
func TestResendMended(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string]string{"POST /v1/rejected/3/resend": `200 {}`})
	const mended = "{\"event\":  \"Order Completed\",\n\"userId\": \"42\"}"
	file := filepath.Join(t.TempDir(), "mended.json")
	if err := os.WriteFile(file, []byte(mended), 0o600); err != nil {
		t.Fatal(err)
	}
	b.console.in = strings.NewReader(mended)
	for _, with := range []string{file, "-"} {
		b.asked = nil
		if code := b.run(t, "rejected", "resend", "3", "--with", with); code != exitOK || len(b.asked) != 1 || b.asked[0].Body != mended {
			t.Errorf("--with %s: exit code %d, asked %+v: %s", with, code, b.asked, b.err.String())
		}
	}
	b.asked = nil
	for _, args := range [][]string{{"3", "4", "--with", file}, {"3", "--with", "-"}} {
		if code := b.run(t, append([]string{"rejected", "resend"}, args...)...); code != exitUsage || len(b.asked) > 0 {
			t.Errorf("%v: exit code %d, asked %+v", args, code, b.asked)
		}
	}
	if code := b.run(t, "rejected", "resend", "3"); code != exitOK || b.asked[0].Body != "" {
		t.Errorf("as it came: exit code %d, asked %+v", code, b.asked)
	}
}

func TestKeyCreate(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string]string{"POST /v1/keys": `201 {"id":"k9","key":"rk_new"}`})
	if code := b.run(t, "key", "create", "--kind", "browser", "--source", "website", "--name", "front", "--expires", "24h"); code != 0 {
		t.Fatalf("exit code %d: %s", code, b.err.String())
	}
	want := `{"expires":"2026-03-02T12:00:00Z","kind":"browser","name":"front","source":"website"}`
	if b.asked[0].Body != want || !strings.HasPrefix(b.out.String(), "rk_new\n") {
		t.Errorf("asked %s, printed %q", b.asked[0].Body, b.out.String())
	}
	for _, args := range [][]string{{"--kind", "admin"}, {"--kind", "manage", "--source", "x"}, {"--kind", "ingest"}} {
		if code := b.run(t, append([]string{"key", "create"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	if _, err := writeScaffold(dir); err != nil {
		t.Fatal(err)
	}
	const plan = `{"version":4,"dry_run":true,"changes":[{"kind":"segment","name":"active","action":"changed","detail":"was a; is b"},{"kind":"workspace","action":"reworded"}],
		"moves":{"active":{"enter":1500,"leave":2}},"mails_24h":%d}`
	answers := func(mails string) map[string]string {
		return map[string]string{
			"POST /v1/config?dry_run=true":  strings.Replace(plan, "%d", mails, 1),
			"POST /v1/config?dry_run=false": `{"version":5,"changes":[]}`,
		}
	}
	for _, tt := range []struct {
		name  string
		mails string
		args  []string
		says  string // what is typed; "" when nobody is there
		code  int
		posts int
	}{
		{"few", "3", []string{"--threshold", "1000"}, "", exitOK, 2},
		{"many, nobody there", "200", nil, "", exitDeclined, 1},
		{"many, no", "200", nil, "n\n", exitDeclined, 1},
		{"many, yes", "200", nil, "yes\n", exitOK, 2},
		{"many, --yes", "200", []string{"--yes"}, "", exitOK, 2},
		{"many moves", "0", nil, "", exitDeclined, 1},
		{"dry run", "200", []string{"--dry-run"}, "", exitOK, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, answers(tt.mails))
			if tt.says != "" {
				b.console.asks, b.console.in = true, strings.NewReader(tt.says)
			}
			code := b.run(t, append([]string{"apply", dir}, tt.args...)...)
			if code != tt.code || len(b.asked) != tt.posts {
				t.Errorf("exit code %d, %d requests; want %d, %d\n%s%s", code, len(b.asked), tt.code, tt.posts, b.out.String(), b.err.String())
			}
			if tt.posts == 2 && b.asked[1].Key != `"4"` {
				t.Errorf("If-Match %q", b.asked[1].Key)
			}
			if tt.name == "many, --yes" {
				golden(t, "apply", b.out.String())
			}
		})
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	server := httptest.NewServer(nil)
	server.Close()
	if code := b.run(t, "segment", "list", "--url", server.URL); code != exitFailure || !strings.Contains(b.err.String(), "start one with `rapport serve`") {
		t.Errorf("exit code %d: %s", code, b.err.String())
	}
	if code := b.run(t, "segment", "list", "--url", "localhost"); code != exitUsage {
		t.Errorf("exit code %d: %s", code, b.err.String())
	}
}

func TestKeyFromFile(t *testing.T) {
	t.Parallel()
	b := setup(t, map[string]string{"GET /v1/segments": `{"segments":[]}`})
	old := b.console.env
	b.console.env = func(k string) (string, bool) {
		if k == "RAPPORT_KEY" {
			return "", false
		}
		return old(k)
	}
	data := t.TempDir()
	if code := b.run(t, "segment", "list", "--data", data); code != exitFailure || !strings.Contains(b.err.String(), "no management key") {
		t.Errorf("exit code %d: %s", code, b.err.String())
	}
	if err := os.WriteFile(filepath.Join(data, "manage.key"), []byte("rk_file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := b.run(t, "segment", "list", "--data", data); code != exitOK || b.asked[0].Bearer != "Bearer rk_file" {
		t.Errorf("exit code %d: %s %+v", code, b.err.String(), b.asked)
	}
}

// TestKeyStaysHere holds the key back from whom a redirect leads to.
func TestKeyStaysHere(t *testing.T) {
	t.Parallel()
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(other.Close)
	redirect := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	t.Cleanup(redirect.Close)
	b := setup(t, nil)
	if code := b.run(t, "segment", "list", "--url", redirect.URL); code != exitFailure || reached {
		t.Errorf("exit code %d, followed %v", code, reached)
	}
}

func TestPersonRef(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"42": "user_id:42", "ann@shop.example": "email:ann@shop.example", "per_7": "id:per_7",
		"anonymous_id:x": "anonymous_id:x", "user_id:a:b": "user_id:a:b", ":x": "user_id::x",
	} {
		if got := personRef(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestResendAll sends all that went wrong alike, each with the same change, and
// leaves out what was sent before.
func TestResendAll(t *testing.T) {
	t.Parallel()
	const first, second = "GET /v1/rejected?code=event_not_defined&limit=200", "GET /v1/rejected?code=event_not_defined&cursor=8&limit=200"
	b := setup(t, map[string]string{
		first:                `{"rejected":[{"id":9},{"id":8,"sent":true}],"cursor":"8"}`,
		second:               `{"rejected":[{"id":7}],"cursor":""}`,
		"GET /v1/rejected/7": `{"payload":{"userId":"u7"}}`,
		"GET /v1/rejected/9": `{"payload":"{\"userId\":\"u9\"}"}`,
		"POST /v1/rejected/7/resend?dry_run=true": `{"id":7,"dry_run":true,"accepted":1}`,
		"POST /v1/rejected/9/resend?dry_run=true": `{"id":9,"dry_run":true,"denied":1}`,
		"DELETE /v1/rejected/7":                   `204 `,
		"DELETE /v1/set-aside/live/4711":          `204 `,
		"POST /v1/set-aside/live/4711/resend":     `{"id":"live/4711","sent":true,"accepted":1}`,
		"GET /v1/set-aside/live/4711":             `{"payload":{"userId":"u1"}}`,
		"GET /v1/set-aside/live/4712":             `{}`,
		"GET /v1/rejected/5":                      `{"payload":{"batch":[{"userId":"u1"}]}}`,
		"POST /v1/rejected/5/resend":              `{"id":5,"accepted":1}`,
		"GET /v1/rejected?limit=50&since=2026-03-01T10%3A00%3A00Z&until=2026-03-01T11%3A30%3A00Z": `{"rejected":[],"counts":{}}`,
		"GET /v1/rejected?limit=200&since=2026-03-01T10%3A00%3A00Z":                               `{"rejected":[],"counts":{}}`,
	})
	if code := b.run(t, "rejected", "resend", "--all", "--code", "event_not_defined", "--set", "event=Seen", "--dry-run"); code != exitOK ||
		b.out.String() != "7 would be taken\n9 would be held back by permission\n" {
		t.Errorf("exit code %d: %s%s", code, b.out.String(), b.err.String())
	}
	if got := b.asked[len(b.asked)-1].Body; got != `{"event":"Seen","userId":"u9"}` {
		t.Errorf("sent %s", got)
	}
	for _, args := range [][]string{{"--all"}, {"--all", "--code", "x", "7"}, {"7", "--code", "x"}, {"7", "--edit", "--with", "f"}, {}, {"live/4712", "--set", "a=1"}} {
		if code := b.run(t, append([]string{"rejected", "resend"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, b.err.String())
		}
	}
	b.console.env = func(env func(string) (string, bool)) func(string) (string, bool) {
		return func(k string) (string, bool) {
			if k == "EDITOR" {
				return "sed -i s/u1/u2/", true
			}
			return env(k)
		}
	}(b.console.env)
	if code := b.run(t, "rejected", "resend", "live/4711", "--edit"); code != exitOK || b.out.String() != "live/4711 was taken\n" {
		t.Errorf("exit code %d: %s%s", code, b.out.String(), b.err.String())
	}
	if got := b.asked[len(b.asked)-1].Body; !strings.Contains(got, `"u2"`) {
		t.Errorf("sent %s", got)
	}
	if code := b.run(t, "rejected", "resend", "5", "--edit"); code != exitOK || b.asked[len(b.asked)-1].Body != `{"batch":[{"userId":"u2"}]}` {
		t.Errorf("edited alone in a batch: %+v: %s", b.asked[len(b.asked)-1], b.err.String())
	}
	for _, args := range [][]string{{"list", "--since", "2h", "--until", "2026-03-01T12:30:00+01:00"}, {"resend", "--all", "--since", "2h"}} {
		if code := b.run(t, append([]string{"rejected"}, args...)...); code != exitOK {
			t.Errorf("%v: exit code %d: %s", args, code, b.err.String())
		}
	}
	for _, args := range [][]string{{"list", "--since", "soon"}, {"list", "--since", "-2h"}, {"list", "--set-aside", "--since", "2h"}, {"resend", "7", "--since", "2h"}} {
		if code := b.run(t, append([]string{"rejected"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, b.err.String())
		}
	}
	if code := b.run(t, "rejected", "drop", "7", "live/4711"); code != exitOK || b.out.String() != "7 is gone\nlive/4711 is gone\n" {
		t.Errorf("exit code %d: %s%s", code, b.out.String(), b.err.String())
	}
}
