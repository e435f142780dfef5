package collect_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"rapport/internal/api/collect"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/ratelimit"
)

func basic(s string) map[string]string {
	return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(s))}
}

func with(h map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for k, v := range h {
		out[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

func packed(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

const (
	page = `{"userId":"u","messageId":"m","name":"Home"}`
	ok   = `{"success":true}`
)

// scenario is one request and all that follows from it.
type scenario struct {
	name         string
	method, path string // POST when empty
	header       map[string]string
	body         string
	change       func(*collect.Config)
	arrange      func(*bundle)

	status  int
	exactly string            // the whole answer
	has     []string          // parts of the answer
	lacks   []string          // what must not be in it
	sets    map[string]string // headers of the answer; "-" for absent
	events  []string          // what stands in the log: source, type, name, user
	kept    int               // rejects kept
	gpc     int64
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	server, browser := basic(serverKey+":"), basic(browserKey+":")
	scenarios := []scenario{
		{name: "basic with colon", path: "/v1/page", header: server, body: page, status: 200, exactly: ok, events: []string{"shop page Home u"},
			sets: map[string]string{"Content-Type": "application/json", "Content-Length": "16", "Access-Control-Allow-Origin": "-"}},
		{name: "basic without colon", path: "/v1/page", header: basic(serverKey), body: page, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "basic without padding", path: "/v1/page", header: map[string]string{"Authorization": "basic " + base64.RawStdEncoding.EncodeToString([]byte(serverKey))}, body: page, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "bearer and body", path: "/v1/page", header: map[string]string{"Authorization": "Bearer of.another.kind"}, body: `{"userId":"u","name":"Home","writeKey":"` + serverKey + `"}`, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "bearer alone", path: "/v1/page", header: map[string]string{"Authorization": "Bearer " + serverKey}, body: page, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "key in the body", path: "/v1/page", body: `{"userId":"u","name":"Home","writeKey":"` + serverKey + `"}`, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "key in the body of a batch", path: "/v1/batch", body: `{"batch":[{"type":"page","userId":"u","name":"Home"}],"writeKey":"` + serverKey + `"}`, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "X-Write-Key", path: "/v1/page", header: map[string]string{"X-Write-Key": serverKey}, body: page, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "X-Write-Key with a secret", path: "/v1/page", header: map[string]string{"X-Write-Key": serverKey + ":whatever"}, body: page, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "key in the query", path: "/v1/page?writeKey=" + serverKey, body: page, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "no key", path: "/v1/page", body: page, status: 401, has: []string{`"success":false`, `"code":"unknown_source"`, `"message":"`, `"error":"`}, lacks: []string{`"success":true`}},
		{name: "unknown key", path: "/v1/page", header: basic("rpk_none:"), body: page, status: 401, has: []string{`"unknown_source"`}, lacks: []string{"rpk_none"}},
		{name: "management key", path: "/v1/page", header: basic(manageKey + ":"), body: page, status: 403, has: []string{`"key_cannot_write"`}},
		{name: "management key in the body", path: "/v1/page", body: `{"userId":"u","writeKey":"` + manageKey + `"}`, status: 403, has: []string{`"key_cannot_write"`}},
		{name: "source no longer configured", path: "/v1/page", header: basic(orphanKey), body: page, status: 401, has: []string{`"unknown_source"`}},
		{name: "source disabled", path: "/v1/page", header: basic(closedKey), body: page, status: 403, has: []string{`"source_disabled"`}},

		{name: "text/plain", path: "/v1/page", header: with(server, "Content-Type", "text/plain"), body: page, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "a type that is none", path: "/v1/page", header: with(server, "Content-Type", ";;"), body: page, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "gzip", path: "/v1/page", header: with(server, "Content-Encoding", "gzip"), body: packed(page), status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "gzip that nobody said", path: "/v1/page", header: server, body: packed(page), status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "gzip that is none", path: "/v1/page", header: with(server, "Content-Encoding", "gzip"), body: page, status: 400, has: []string{`"bad_request"`}},
		{name: "gzip cut short", path: "/v1/page", header: with(server, "Content-Encoding", "gzip"), body: packed(page)[:20], status: 400, has: []string{`"bad_request"`}},
		{name: "gzip bomb", path: "/v1/batch", header: with(server, "Content-Encoding", "gzip"), body: packed(strings.Repeat(" ", 50<<20)), status: 413, has: []string{`"payload_too_large"`}, sets: map[string]string{"Connection": "close"}, kept: 1},
		{name: "another encoding", path: "/v1/page", header: with(server, "Content-Encoding", "br"), body: page, status: 415, has: []string{`"encoding_unknown"`}},
		{name: "ten megabytes", path: "/v1/batch", header: server, body: strings.Repeat(" ", 10<<20), status: 413, has: []string{`"payload_too_large"`}, kept: 1},
		{name: "an event too large", path: "/v1/track", header: server, body: strings.Repeat(" ", 33<<10), status: 413, has: []string{`"payload_too_large"`}, kept: 1},
		{name: "too large with the key inside, or none", path: "/v1/track", body: strings.Repeat(" ", 33<<10), status: 413, has: []string{`"payload_too_large"`}},
		{name: "an empty batch", path: "/v1/batch", header: server, body: `{"batch":[]}`, status: 200, has: []string{`"success":true`, `"rejected":1`, `"empty_batch"`, `"id":1`}, kept: 1},
		{name: "only values that everybody sends", path: "/v1/track", header: server, body: `{"event":"A","userId":"null","anonymousId":"000"}`, status: 200, has: []string{`"no_user_anon_id"`}, kept: 1},
		{name: "a wait that is none", path: "/v1/page?wait=durable", header: server, body: page, status: 400, has: []string{`"bad_wait"`, `\"processed\"`}},
		{name: "an empty wait", path: "/v1/page?wait=", header: server, body: page, status: 200, exactly: ok, events: []string{"shop page Home u"}},
		{name: "100,000 levels", path: "/v1/batch", header: server, body: strings.Repeat("[", 100_000), status: 400, has: []string{`"bad_request"`}, kept: 1},
		{name: "100,000 levels in an item", path: "/v1/batch", header: server, body: `{"batch":[` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `]}`, status: 200, has: []string{`"event_too_large"`}, kept: 1},

		{name: "no JSON", path: "/v1/track", header: server, body: `{"event":`, status: 400, has: []string{`"success":false`, `"json_invalid"`}, kept: 1},
		{name: "malformed is a success that says so", path: "/v1/track", header: server, body: `{"userId":"u"}`, status: 200, has: []string{`"success":true`, `"rejected":1`, `"event_not_defined"`}, lacks: []string{`"error"`}, kept: 1},
		{name: "malformed and strict", path: "/v1/track?strict=true", header: server, body: `{"userId":"u"}`, status: 400, has: []string{`"success":false`, `"event_not_defined"`, `"errors":[{"pointer":"",`, `1 event is malformed`}, kept: 1},
		{name: "strict batch", path: "/v1/batch?strict=true", header: server, body: `{"batch":[{"type":"page","userId":"u"},{"type":"page"}]}`, status: 400, has: []string{`"/batch/1"`, `"no_user_anon_id"`}, kept: 1},
		{name: "partly malformed", path: "/v1/batch", header: server, body: `{"batch":[{"type":"page","userId":"u"},{"type":"page"}]}`, status: 200, has: []string{`"success":true`, `"index":1`}, events: []string{"shop page  u"}, kept: 1},
		{name: "denied looks like any success", path: "/v1/page", header: server, body: `{"userId":"denied"}`, status: 200, exactly: ok},
		{name: "log is full", path: "/v1/page", header: server, body: page, arrange: func(b *bundle) { b.log.fail = errors.New("no space left on device") }, status: 503,
			has: []string{`"success":false`, `"not_durable"`}, lacks: []string{"no space"}, sets: map[string]string{"Retry-After": "1", "X-Ratelimit-Reset": "1"}},
		{name: "log says when", path: "/v1/page", header: server, body: page, arrange: func(b *bundle) {
			e := fault.New(fault.Unavailable, "log_full", "the disk is behind")
			e.RetryAfter = 2500 * time.Millisecond
			b.log.fail = e
		}, status: 503, has: []string{`"log_full"`}, sets: map[string]string{"Retry-After": "3"}},
		{name: "GPC", path: "/v1/p", header: with(browser, "Sec-GPC", "1"), body: page, status: 200, exactly: ok, events: []string{"site page Home u"}, gpc: 1},
		{name: "GPC off", path: "/v1/p", header: with(browser, "Sec-GPC", "0"), body: page, status: 200, exactly: ok, events: []string{"site page Home u"}},

		{name: "measurements are dropped", path: "/v1/m", body: `{"series":[{"type":"Counter"}]}`, status: 200, exactly: ok},
		{name: "GET", method: "GET", path: "/v1/track", header: server, status: 405, has: []string{`"method_not_allowed"`}, sets: map[string]string{"Allow": "POST, OPTIONS"}},
		{name: "unknown step", path: "/v1/tracks", header: server, body: page, status: 404},

		{name: "allowed origin", path: "/v1/p", header: with(browser, "Origin", "https://shop.example"), body: page, status: 200, exactly: ok, events: []string{"site page Home u"},
			sets: map[string]string{"Access-Control-Allow-Origin": "https://shop.example", "Vary": "Origin", "Access-Control-Allow-Credentials": "-"}},
		{name: "another origin", path: "/v1/p", header: with(browser, "Origin", "https://evil.example"), body: page, status: 403, has: []string{`"origin_not_allowed"`},
			sets: map[string]string{"Access-Control-Allow-Origin": "https://evil.example"}},
		{name: "another origin, key in the body", path: "/v1/p", header: map[string]string{"Origin": "https://evil.example"}, body: `{"userId":"u","writeKey":"` + browserKey + `"}`, status: 403, has: []string{`"origin_not_allowed"`}},
		{name: "errors can be read across origins", path: "/v1/p", header: map[string]string{"Origin": "https://any.example"}, body: page, status: 401, sets: map[string]string{"Access-Control-Allow-Origin": "https://any.example"}},
		{name: "preflight", method: "OPTIONS", path: "/v1/t", header: map[string]string{"Origin": "https://any.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-retry-count"}, status: 204, exactly: "",
			sets: map[string]string{"Access-Control-Allow-Origin": "https://any.example", "Access-Control-Allow-Methods": "GET, POST, OPTIONS", "Access-Control-Max-Age": "86400"}},

		{name: "walked", path: "/v1/page?wait=processed", header: server, body: page, change: func(c *collect.Config) { c.Waiter = walk{collect.Processed} }, status: 200,
			has: []string{`"success":true`, `"processed":true`, `"position":1`, `"accepted":1`}, events: []string{"shop page Home u"}},
		{name: "set aside", path: "/v1/page?wait=processed", header: server, body: page, change: func(c *collect.Config) { c.Waiter = walk{collect.SetAside} }, status: 200,
			has: []string{`"success":true`, `"processed":"set_aside"`}, events: []string{"shop page Home u"}},
		{name: "not walked in time", path: "/v1/page?wait=processed&timeout=1ms", header: server, body: page, change: func(c *collect.Config) { c.Waiter = walk{} }, status: 200,
			has: []string{`"success":true`, `"processed":false`, `"position":1`}, events: []string{"shop page Home u"}},
		{name: "nobody walks", path: "/v1/page?wait=processed&timeout=1", header: server, body: page, status: 200, has: []string{`"success":true`, `"processed":false`}, events: []string{"shop page Home u"}},
		{name: "nothing to wait for", path: "/v1/page?wait=processed", header: server, body: `{}`, change: func(c *collect.Config) { c.Waiter = walk{} }, status: 200,
			has: []string{`"processed":true`, `"accepted":0`, `"rejected":1`}, kept: 1},
	}
	for step, name := range map[string]string{
		"track": "track", "identify": "identify", "page": "page", "screen": "screen", "group": "group", "alias": "alias",
		"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias",
	} {
		label := map[bool]string{true: "N"}[name == "track" || name == "page" || name == "screen"]
		for _, slash := range []string{"", "/"} {
			scenarios = append(scenarios, scenario{
				name: "path " + step + slash, path: "/v1/" + step + slash, header: server, status: 200, exactly: ok,
				body:   `{"userId":"u","event":"N","name":"N","groupId":"g","previousId":"p"}`,
				events: []string{"shop " + name + " " + label + " u"},
			})
		}
	}
	for _, step := range []string{"batch", "batch/", "import", "import/", "b", "b/"} {
		scenarios = append(scenarios, scenario{
			name: "path " + step, path: "/v1/" + step, header: server, status: 200, exactly: ok,
			body:   `{"batch":[{"type":"identify","userId":"u"},{"type":"track","event":"N","anonymousId":"a"}],"sentAt":"2026-11-23T15:00:00Z"}`,
			events: []string{"shop identify  u", "shop track N a"},
		})
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t)
		})
	}
}

func (s scenario) run(t *testing.T) {
	t.Helper()
	var change []func(*collect.Config)
	if s.change != nil {
		change = append(change, s.change)
	}
	b := setup(t, change...)
	if s.arrange != nil {
		s.arrange(b)
	}
	if s.method == "" {
		s.method = http.MethodPost
	}
	status, head, answer := b.do(s.method, s.path, s.body, s.header)
	if status != s.status {
		t.Errorf("status %d, want %d: %s", status, s.status, answer)
	}
	if s.exactly != "" && answer != s.exactly {
		t.Errorf("answer %s, want %s", answer, s.exactly)
	}
	for _, part := range s.has {
		if !strings.Contains(answer, part) {
			t.Errorf("answer %s lacks %s", answer, part)
		}
	}
	for _, part := range s.lacks {
		if strings.Contains(answer, part) {
			t.Errorf("answer %s holds %s", answer, part)
		}
	}
	for name, want := range s.sets {
		if got := head.Get(name); got != want && (want != "-" || got != "") {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if status != http.StatusNoContent && s.status != 404 && !json.Valid([]byte(answer)) {
		t.Errorf("answer is not JSON: %s", answer)
	}
	var events []string
	for _, e := range b.log.events(t) {
		user := e.UserID
		if user == "" {
			user = e.Anonymous
		}
		events = append(events, strings.Join([]string{e.Source, e.Type.String(), e.Name, user}, " "))
		if browser := e.Source == "site"; (e.Flags&event.FromBrowser != 0) != browser {
			t.Errorf("flags are %b", e.Flags)
		}
	}
	if diff := cmp.Diff(s.events, events); diff != "" {
		t.Errorf("events, want -, got +:\n%s", diff)
	}
	if n := len(b.rejects.rows); n != s.kept {
		t.Errorf("%d rejects kept, want %d", n, s.kept)
	}
	if n := b.permit.gpc.Load(); n != s.gpc {
		t.Errorf("%d GPC signals, want %d", n, s.gpc)
	}
}

// TestSettings holds the served settings to what analytics.js asks of them.
func TestSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path, public string
		status             int
		host, protocol     string
	}{
		{"v1", "/v1/projects/" + browserKey + "/settings", "", 200, "in.example:8420/v1", "http"},
		{"mobile", "/projects/" + browserKey + "/settings/", "", 200, "in.example:8420/v1", "http"},
		{"public URL", "/v1/projects/" + browserKey + "/settings", "https://events.example/in/", 200, "events.example/in/v1", "https"},
		{"unknown key", "/v1/projects/rpb_none/settings", "", 404, "", ""},
		{"management key", "/v1/projects/" + manageKey + "/settings", "", 404, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *collect.Config) { c.PublicURL = tt.public })
			status, head, answer := b.do("GET", "http://in.example:8420"+tt.path, "", map[string]string{"Origin": "https://shop.example"})
			if status != tt.status || head.Get("Access-Control-Allow-Origin") == "" {
				t.Fatalf("%d %v %s", status, head, answer)
			}
			if status != 200 {
				return
			}
			var got struct {
				Integrations map[string]struct{ APIKey, APIHost, Protocol string }
				Plan         map[string]map[string]struct{ Enabled bool }
			}
			if err := json.Unmarshal([]byte(answer), &got); err != nil {
				t.Fatal(err)
			}
			segment := got.Integrations["Segment.io"]
			if segment.APIKey != browserKey || segment.APIHost != tt.host || segment.Protocol != tt.protocol || !got.Plan["track"]["__default"].Enabled {
				t.Errorf("got %s", answer)
			}
		})
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	clock := now
	limits, err := ratelimit.NewKeyed(ratelimit.Config{PerSecond: 10, Burst: 10, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(c *collect.Config) { c.Limits = limits })
	// One batch of thirty is let through and paid off: three seconds for the others.
	thirty := `{"batch":[` + strings.Repeat(`{"type":"page","userId":"u"},`, 29) + `{"type":"page","userId":"u"}]}`
	if status, _, answer := b.do("POST", "/v1/batch", thirty, basic(serverKey)); status != 200 {
		t.Fatal(status, answer)
	}
	status, head, answer := b.do("POST", "/v1/page", page, basic(serverKey))
	if status != 429 || head.Get("Retry-After") != "3" || head.Get("X-RateLimit-Reset") != "3" || !strings.Contains(answer, `"too_many_requests"`) {
		t.Errorf("%d %v %s", status, head, answer)
	}
	if status, _, _ := b.do("POST", "/v1/p", page, basic(browserKey)); status != 200 {
		t.Errorf("another key pays for it: %d", status)
	}
	clock = clock.Add(2100 * time.Millisecond)
	if status, _, _ := b.do("POST", "/v1/page", page, basic(serverKey)); status != 200 {
		t.Errorf("after the wait: %d", status)
	}
}

// TestSourceLimit gives one source a rate of its own, and takes it back.
func TestSourceLimit(t *testing.T) {
	t.Parallel()
	var perSecond atomic.Int64
	b := setup(t, func(c *collect.Config) {
		c.Sources = func(name string) (ingest.Source, bool) {
			if name != "shop" {
				return ingest.Source{Name: name}, true
			}
			return ingest.Source{Name: name, PerSecond: float64(perSecond.Load())}, true
		}
	})
	send := func(key string) int {
		status, _, _ := b.do("POST", "/v1/page", page, basic(key))
		return status
	}
	perSecond.Store(1)
	for i, want := range []int{200, 200, 429, 429} {
		if got := send(serverKey); got != want {
			t.Errorf("request %d: status %d, want %d", i, got, want)
		}
	}
	if got := send(browserKey); got != 200 {
		t.Errorf("another source pays for it: %d", got)
	}
	perSecond.Store(0)
	if got := send(serverKey); got != 200 {
		t.Errorf("the limit is gone and still holds: %d", got)
	}
}
