package collect_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"rapport/internal/api/collect"
)

// What the SDKs that need a toolchain of their own send, and how each tells a
// success from a failure: read in their sources, which the comments name.
const (
	recordedBatch = `{"batch":[{"type":"identify","messageId":"m-1","userId":"u","traits":{"plan":"pro"},"timestamp":"2026-11-23T14:59:58.123Z","context":{"library":{"name":"x","version":"1"}}},` +
		`{"type":"track","messageId":"m-2","userId":"u","event":"N","properties":{"revenue":9.5},"timestamp":"2026-11-23T14:59:59Z"}],"sentAt":"2026-11-23T15:00:00.000Z"`
	withKey = recordedBatch + `,"writeKey":"` + serverKey + `"}`
	noKey   = recordedBatch + `}`
)

// exactly200 is the rule of Analytics.NET (BlockingRequestHandler.cs),
// analytics-php (Consumer/LibCurl.php) and analytics-python (request.py). The
// last reads code and message of everything else.
func exactly200(status int, body string) (bool, error) {
	if status == http.StatusOK {
		return true, nil
	}
	var said map[string]any
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		return false, nil // What is no JSON is tolerated there.
	}
	for _, key := range []string{"code", "message"} {
		if _, ok := said[key].(string); !ok {
			return false, fmt.Errorf("KeyError: %s", key)
		}
	}
	return false, nil
}

// noError is the rule of analytics-ruby (transport.rb): the body must be JSON,
// and holds no error.
func noError(status int, body string) (bool, error) {
	var said map[string]any
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		return false, err
	}
	return status == http.StatusOK && said["error"] == nil, nil
}

// successMember is the rule of analytics-java: it decodes UploadResponse.
func successMember(status int, body string) (bool, error) {
	var said struct{ Success bool }
	err := json.Unmarshal([]byte(body), &said)
	return status < 300 && said.Success, err
}

// below300 is the rule of analytics-kotlin (HTTPClient.kt), analytics-swift
// (HTTPClient.swift), analytics-react-native and analytics-android.
func below300(status int, _ string) (bool, error) { return status < 300, nil }

// okMember is the rule of @jitsu/js.
func okMember(status int, body string) (bool, error) {
	var said struct{ OK bool }
	err := json.Unmarshal([]byte(body), &said)
	return status == http.StatusOK && said.OK, err
}

func TestRecordedSDKs(t *testing.T) {
	t.Parallel()
	both := []string{"shop identify  u", "shop track N u"}
	one := []string{"shop track N u"}
	single := `{"type":"track","messageId":"m-2","userId":"u","event":"N","anonymousId":"a","context":{},"timestamp":"2026-11-23T14:59:59Z","sentAt":"2026-11-23T15:00:00Z"}`
	basicKey := "Basic " + base64.StdEncoding.EncodeToString([]byte(serverKey+":"))
	for _, c := range []struct {
		name, path, body string
		header           map[string]string
		success          func(status int, body string) (bool, error)
		want             []string
	}{
		{"analytics-python", "/v1/batch", withKey, map[string]string{"Authorization": basicKey, "Content-Type": "application/json", "User-Agent": "analytics-python/2.3.2"}, exactly200, both},
		{"analytics-python, gzip", "/v1/batch", packed(withKey), map[string]string{"Authorization": basicKey, "Content-Type": "application/json", "Content-Encoding": "gzip"}, exactly200, both},
		{"analytics-ruby", "/v1/import", noKey, map[string]string{"Authorization": basicKey, "Content-Type": "application/json", "Accept": "application/json"}, noError, both},
		{"analytics-php", "/v1/batch", noKey, map[string]string{"Authorization": basicKey, "Content-Type": "application/json", "User-Agent": "analytics-php/3.8.1"}, exactly200, both},
		{"Analytics.NET", "/v1/import", noKey, map[string]string{"Authorization": basicKey, "Content-Type": "application/json; charset=utf-8"}, exactly200, both},
		{"Analytics.NET, gzip", "/v1/import", packed(noKey), map[string]string{"Authorization": basicKey, "Content-Type": "application/json", "Content-Encoding": "gzip"}, exactly200, both},
		{"analytics-java", "/v1/import/", noKey, map[string]string{"Authorization": basicKey, "Content-Type": "application/json; charset=UTF-8"}, successMember, both},
		{"analytics-android", "/import", packed(noKey), map[string]string{"Authorization": basicKey, "Content-Type": "application/json", "Content-Encoding": "gzip"}, below300, both},
		{"analytics-kotlin", "/v1/b", packed(withKey), map[string]string{"Authorization": basicKey, "Content-Type": "text/plain", "Content-Encoding": "gzip"}, below300, both},
		{"analytics-kotlin, a host and no more", "/b", packed(withKey), map[string]string{"Authorization": basicKey, "Content-Type": "text/plain", "Content-Encoding": "gzip"}, below300, both},
		{"analytics-swift", "/v1/b", withKey, map[string]string{"Authorization": basicKey, "Content-Type": "application/json; charset=utf-8"}, below300, both},
		{"analytics-react-native", "/v1/b", withKey, map[string]string{"Content-Type": "application/json; charset=utf-8"}, below300, both},
		{"RudderStack for Go", "/v1/batch", packed(noKey), map[string]string{"Authorization": basicKey, "Content-Type": "application/json", "Content-Encoding": "gzip", "AnonymousId": "dQ=="}, below300, both},
		{"RudderStack in a browser, on leaving", "/beacon/v1/batch?writeKey=" + serverKey, noKey, map[string]string{"Content-Type": "text/plain;charset=UTF-8"}, below300, both},
		{"Jitsu in a browser", "/api/s/track", single, map[string]string{"X-Write-Key": serverKey + ":secret", "Content-Type": "application/json", "X-Enable-Debug": "false", "X-Ip-Policy": "keep"}, okMember, one},
		{"Jitsu on a server", "/api/s/s2s/track", single, map[string]string{"X-Write-Key": serverKey + ":secret", "Content-Type": "application/json"}, okMember, one},
		{"Jitsu, a batch", "/api/s/s2s/batch", withKey, map[string]string{"X-Write-Key": serverKey}, okMember, both},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			status, _, answer := b.do("POST", "http://in.example"+c.path, c.body, c.header)
			if ok, err := c.success(status, answer); !ok || err != nil {
				t.Errorf("the SDK reads %d %s as %v, %v", status, answer, ok, err)
			}
			compareEvents(t, b, c.want)
			// A key that is none is an error that the SDK can read, and no event.
			wrong := strings.ReplaceAll(c.path, serverKey, "rpk_wrong")
			head := map[string]string{}
			for k, v := range c.header {
				head[k] = v
			}
			delete(head, "Authorization")
			head["X-Write-Key"] = "rpk_wrong"
			body := single
			if c.want[0] != one[0] {
				body = noKey
			}
			delete(head, "Content-Encoding")
			status, _, answer = b.do("POST", "http://in.example"+wrong, body, head)
			if ok, err := c.success(status, answer); ok || err != nil {
				t.Errorf("without a key the SDK reads %d %s as %v, %v", status, answer, ok, err)
			}
			compareEvents(t, b, c.want)
		})
	}
}

// TestJitsuAnswers holds the answers of Jitsu's paths to its SDK: in a browser
// an error that will not go away is in the body alone, one that will is a
// status, and a server is told by the status.
func TestJitsuAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, key, body string
		status          int
		has             string
	}{
		{"/api/s/page", browserKey, page, 200, `"ok":true`},
		{"/api/s/page", "none", page, 200, `"ok":false`},
		{"/api/s/s2s/page", "none", page, 401, `"ok":false`},
		{"/api/s/page", browserKey, "{", 200, `"ok":false`},
		{"/api/s/s2s/page", serverKey, "{", 400, `"json_invalid"`},
		{"/api/s/page", browserKey, `{}`, 200, `"rejected":1`},
		{"/api/s/nothing", browserKey, page, 404, ``},
	} {
		b := setup(t)
		status, _, answer := b.do("POST", "http://in.example"+c.path, c.body, map[string]string{"X-Write-Key": c.key})
		if status != c.status || !strings.Contains(answer, c.has) {
			t.Errorf("%s with %s: %d %s", c.path, c.key, status, answer)
		}
	}
	b := setup(t)
	b.log.fail = fmt.Errorf("no space left on device")
	if status, head, answer := b.do("POST", "http://in.example/api/s/page", page, map[string]string{"X-Write-Key": browserKey}); status != 503 || head.Get("Retry-After") == "" || !strings.Contains(answer, `"ok":false`) {
		t.Errorf("what may be tried again: %d %v %s", status, head, answer)
	}
}

// TestPixel holds pictures to Segment's pixel API: whatever is asked, a picture
// is the answer.
func TestPixel(t *testing.T) {
	t.Parallel()
	data := func(enc *base64.Encoding, json string) string {
		return "data=" + url.QueryEscape(enc.EncodeToString([]byte(json)))
	}
	event := `{"writeKey":"` + serverKey + `","userId":"u","event":"Email Opened","properties":{"subject":"Hi?>"}}`
	for name, c := range map[string]struct {
		path, query string
		want        []string
		kept        int
	}{
		"data":                 {"track", data(base64.StdEncoding, event), []string{"shop track Email Opened u"}, 0},
		"data without padding": {"track", data(base64.RawStdEncoding, event), []string{"shop track Email Opened u"}, 0},
		"data for addresses":   {"track/", data(base64.URLEncoding, event), []string{"shop track Email Opened u"}, 0},
		"parameters":           {"track", "writeKey=" + serverKey + "&userId=u&event=Email+Opened&properties.subject=Hi&context.ip=192.0.2.1", []string{"shop track Email Opened u"}, 0},
		"a page":               {"page", "writeKey=" + browserKey + "&anonymousId=a&name=Home", []string{"site page Home a"}, 0},
		"no key":               {"track", "userId=u&event=E", nil, 0},
		"nobody":               {"track", "writeKey=" + serverKey + "&event=E", nil, 1},
		"no base64":            {"track", "writeKey=" + serverKey + "&data=%21%21", nil, 1},
		"clashing parameters":  {"track", "writeKey=" + serverKey + "&userId=u&event=E&properties=x&properties.a.b=1&properties.a=2", []string{"shop track E u"}, 0},
		"too deep":             {"track", "writeKey=" + serverKey + "&userId=u&event=E&" + strings.Repeat("a.", 5000) + "b=1", []string{"shop track E u"}, 0},
	} {
		for _, root := range []string{"/v1/pixel/", "/pixel/v1/"} {
			t.Run(name+root, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				status, head, answer := b.do("GET", "http://in.example"+root+c.path+"?"+c.query, "", nil)
				if status != 200 || head.Get("Content-Type") != "image/gif" || head.Get("Cache-Control") != "no-store" || !strings.HasPrefix(answer, "GIF89a") {
					t.Errorf("%d %v %q", status, head, answer)
				}
				compareEvents(t, b, c.want)
				if len(b.rejects.rows) != c.kept {
					t.Errorf("%d rejects, want %d", len(b.rejects.rows), c.kept)
				}
				for _, r := range b.rejects.rows {
					if name != "no base64" && strings.Contains(string(r.Payload), serverKey) {
						t.Errorf("the kept event holds the key: %s", r.Payload)
					}
				}
			})
		}
	}
	b := setup(t)
	if status, _, answer := b.do("HEAD", "http://in.example/v1/pixel/track?writeKey="+serverKey+"&userId=u&event=E", "", nil); status != 200 || answer == "" {
		t.Errorf("HEAD: %d %q", status, answer)
	}
	compareEvents(t, b, nil)
}

// TestPixelForbidsDestinations holds that "false" in a picture's address is a no
// where it speaks of destinations, and a text elsewhere.
func TestPixelForbidsDestinations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("GET", "http://in.example/v1/pixel/track?writeKey="+serverKey+"&userId=u&event=E&integrations.All=false&integrations.CRM=true&properties.a=false", "", nil)
	e := b.log.events(t)[0]
	if got := string(e.Integrations); got != `{"All":false,"CRM":true}` || string(e.Properties) != `{"a":"false"}` {
		t.Errorf("integrations %s, properties %s", got, e.Properties)
	}
}

// TestRudderSettings holds the served source to what RudderStack's SDKs check
// before they send (analytics-js, configManager/util/validate.ts).
func TestRudderSettings(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/sourceConfig", "/sourceConfig/?p=web&v=3.34.1&build=modern&writeKey=" + browserKey + "&lockIntegrationsVersion=false"} {
		b := setup(t)
		status, head, answer := b.do("GET", "http://in.example"+path, "", map[string]string{"Origin": "https://shop.example", "Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(browserKey+":"))})
		var got struct {
			Source struct {
				ID, WriteKey string
				Enabled      bool
				Config       map[string]any
				Destinations *[]any
			}
		}
		if err := json.Unmarshal([]byte(answer), &got); status != 200 || err != nil || head.Get("Access-Control-Allow-Origin") == "" {
			t.Fatalf("%s: %d %v %s", path, status, err, answer)
		}
		if s := got.Source; s.ID == "" || !s.Enabled || s.Config == nil || s.Destinations == nil || s.WriteKey != browserKey {
			t.Errorf("%s: %s", path, answer)
		}
	}
	b := setup(t)
	for _, key := range []string{"none", manageKey} {
		if status, _, answer := b.do("GET", "http://in.example/sourceConfig?writeKey="+key, "", nil); status != 401 {
			t.Errorf("%s: %d %s", key, status, answer)
		}
	}
	if status, _, answer := b.do("GET", "http://in.example/cluster-info", "", nil); status != 200 || answer != `{"nodeCount":1}` {
		t.Errorf("%d %s", status, answer)
	}
}

// TestNameOfPage lets the property name stand in for a page's name, where it is one.
func TestNameOfPage(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"userId":"u","properties":{"name":"Games"}}`:                              "shop page Games u",
		`{"userId":"u","name":"Home","properties":{"name":"Games"}}`:                "shop page Home u",
		`{"userId":"u","name":"","properties":{"name":"Games"}}`:                    "shop page  u",
		`{"userId":"u","properties":{"name":7}}`:                                    "shop page  u",
		`{"userId":"u","properties":{"name":"` + strings.Repeat("x", 5000) + `"}}`:  "shop page  u",
		`{"userId":"u","properties":null}`:                                          "shop page  u",
		`{"userId":"u","name":null,"properties":{"title":"a","name":"\u0047ames"}}`: "shop page Games u",
	} {
		b := setup(t)
		if status, _, answer := b.do("POST", "http://in.example/v1/page", body, map[string]string{"Authorization": "Bearer " + serverKey}); status != 200 {
			t.Fatal(status, answer)
		}
		compareEvents(t, b, []string{want})
	}
}

// TestSentAtHeader lets RudderStack's header stand in for sentAt: a clock that
// is an hour slow is put right by it.
func TestSentAtHeader(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"2026-11-23T14:00:00.000Z": "2026-11-23T14:59:50Z",
		"soon":                     "2026-11-23T13:59:50Z",
		`"},{"`:                    "2026-11-23T13:59:50Z",
		"":                         "2026-11-23T13:59:50Z",
	} {
		b := setup(t)
		body := `{"userId":"u","name":"Home","timestamp":"2026-11-23T13:59:50.000Z"}`
		if status, _, answer := b.do("POST", "http://in.example/v1/page", body, with(map[string]string{"Authorization": "Bearer " + serverKey}, "SentAt", header)); status != 200 {
			t.Fatal(status, answer)
		}
		if got := b.log.events(t)[0].Time.Format("2006-01-02T15:04:05Z07:00"); got != want {
			t.Errorf("sent at %q: %s, want %s", header, got, want)
		}
	}
}

func compareEvents(t *testing.T, b *bundle, want []string) {
	t.Helper()
	var got []string
	for _, e := range b.log.events(t) {
		who := e.UserID
		if who == "" {
			who = e.Anonymous
		}
		got = append(got, fmt.Sprintf("%s %s %s %s", e.Source, e.Type, e.Name, who))
	}
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("events %q, want %q", got, want)
	}
}

// FuzzPixel asks for pictures with any address.
func FuzzPixel(f *testing.F) {
	f.Add("/v1/pixel/track", "data=eyJ1c2VySWQiOiJ1In0")
	f.Add("/pixel/v1/page", "writeKey="+serverKey+"&userId=u&properties.a.b=1&properties.a=2&.=x&a..b=3")
	f.Fuzz(func(t *testing.T, path, query string) {
		b := setup(t)
		h, err := collect.New(b.config)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://in.example/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Path, req.URL.RawQuery = path, query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if picture := strings.HasPrefix(path, "/v1/pixel/track") && strings.TrimRight(path, "/") == "/v1/pixel/track"; picture && !strings.HasPrefix(w.Body.String(), "GIF89a") {
			t.Fatalf("%d %q", w.Code, w.Body)
		}
	})
}
