package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/test/program"
)

// Secrets of the sources' keys; the configuration names them by environment.
const (
	serverKey = "rpk_a-server-of-the-shop"
	slowKey   = "rpk_a-source-with-a-limit"
	siteKey   = "rpb_the-pages-of-the-shop"
)

func TestMain(m *testing.M) {
	code := m.Run()
	program.Remove()
	os.Exit(code)
}

// house is a running server.
type house struct {
	url, manage string
}

// serve runs the true binary on a folder with two server sources and a browser
// source, and without segments and journeys, so that every event is one that an
// SDK sent.
func serve(t *testing.T) house {
	t.Helper()
	rapport, err := program.Build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	folder, data := filepath.Join(dir, "shop"), filepath.Join(dir, "data")
	if out, err := exec.Command(rapport, "init", folder).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	for _, gone := range []string{"journeys", "segments", "sources"} {
		if err := os.RemoveAll(filepath.Join(folder, gone)); err != nil {
			t.Fatal(err)
		}
	}
	common := "purpose: profiling\nbasis: legitimate_interest\nkeys: [env:%s]\n"
	for name, text := range map[string]string{
		"server": "title: Server\nkind: server\n" + fmt.Sprintf(common, "SERVER_KEY"),
		"slow":   "title: Slow\nkind: server\nevents_per_second: 100\n" + fmt.Sprintf(common, "SLOW_KEY"),
		"site":   "title: Site\nkind: browser\n" + fmt.Sprintf(common, "SITE_KEY"),
	} {
		path := filepath.Join(folder, "sources", name+".yaml")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, rapport, "serve", "--config", folder, "--data", data, "--listen", "127.0.0.1:0", "--admin", "")
	cmd.Env = append(os.Environ(), "SERVER_KEY="+serverKey, "SLOW_KEY="+slowKey, "SITE_KEY="+siteKey)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	h := house{}
	url, said, err := program.Start(cmd)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	h.url = url
	t.Cleanup(func() {
		cancel()
		log := <-said
		_ = cmd.Wait()
		for _, leak := range []string{serverKey, slowKey, siteKey, "mail.example"} {
			if strings.Contains(strings.ToLower(log), leak) {
				t.Errorf("the server's log holds %q", leak)
			}
		}
		if t.Failed() {
			t.Logf("the server said:\n%s", log)
		}
	})
	key, err := os.ReadFile(filepath.Join(data, "manage.key"))
	if err != nil {
		t.Fatal(err)
	}
	h.manage = strings.TrimSpace(string(key))
	return h
}

// get reads a resource of the management API; found is false for 404.
func (h house) get(t *testing.T, path string, answer any) (found bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.manage)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case res.StatusCode == http.StatusNotFound:
		return false
	case res.StatusCode != http.StatusOK:
		t.Fatalf("%s: %d %s", path, res.StatusCode, body)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		t.Fatalf("%s: %v in %s", path, err, body)
	}
	return true
}

type person struct {
	ID          string                     `json:"id"`
	Traits      map[string]json.RawMessage `json:"traits"`
	Identifiers []struct{ Kind, Value string }
	EventsCount int `json:"events_count"`
}

type happening struct {
	Type       string         `json:"type"`
	Event      string         `json:"event"`
	MessageID  string         `json:"message_id"`
	Source     string         `json:"source"`
	Properties map[string]any `json:"properties"`
}

// person waits until somebody has so many events; the SDK has ended, so only
// the walk is still to come.
func (h house) person(t *testing.T, ref string, events int) (p person) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		p = person{}
		if h.get(t, "/v1/people/"+url.PathEscape(ref), &p) && p.EventsCount >= events || time.Now().After(deadline) {
			return p
		}
		time.Sleep(20 * time.Millisecond) // Another process decides when it is there.
	}
}

func (h house) timeline(t *testing.T, ref string) (all []happening) {
	t.Helper()
	for cursor := ""; ; {
		var page struct {
			Events []happening
			Cursor string
		}
		if !h.get(t, "/v1/people/"+url.PathEscape(ref)+"/events?limit=200&cursor="+url.QueryEscape(cursor), &page) {
			t.Fatalf("%s has no timeline", ref)
		}
		all = append(all, page.Events...)
		if cursor = page.Cursor; cursor == "" {
			return all
		}
	}
}

// check holds a person to what every program of this folder sends: who it is,
// which traits, and each event once.
func (h house) check(t *testing.T, source, user string, tracks int, want map[string]int) {
	t.Helper()
	total := 0
	for _, n := range want {
		total += n
	}
	p := h.person(t, "user_id:"+user, total)
	if p.EventsCount != total {
		t.Errorf("%s has %d events, want %d", user, p.EventsCount, total)
	}
	traits := map[string]string{}
	for _, name := range []string{"email", "first_name", "firstName", "plan", "age"} {
		if raw, ok := p.Traits[name]; ok {
			traits[strings.ReplaceAll(name, "first_name", "firstName")] = string(raw)
		}
	}
	wantTraits := map[string]string{"email": `"` + user + `@mail.example"`, "firstName": `"Grace"`, "plan": `"pro"`, "age": `36`}
	if diff := cmp.Diff(wantTraits, traits); diff != "" {
		t.Errorf("traits, want -, got +:\n%s\nall: %s", diff, p.Traits)
	}
	var byAddress person
	if !h.get(t, "/v1/people/"+url.PathEscape("email:"+user+"@mail.example"), &byAddress) || byAddress.ID != p.ID {
		t.Errorf("by address it is %q, by user id %q", byAddress.ID, p.ID)
	}
	got, seen, numbers := map[string]int{}, map[string]bool{}, map[float64]bool{}
	for _, e := range h.timeline(t, "user_id:"+user) {
		if e.Source != source || e.MessageID == "" || seen[e.MessageID] {
			t.Errorf("event %+v", e)
		}
		seen[e.MessageID] = true
		got[strings.TrimSpace(e.Type+" "+e.Event)]++
		if n, ok := e.Properties["n"].(float64); ok && e.Event == "Order Completed" {
			numbers[n] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events, want -, got +:\n%s", diff)
	}
	if len(numbers) != tracks {
		t.Errorf("%d of %d tracks came with their properties", len(numbers), tracks)
	}
}

// need gives a program or a folder that a test needs. Where it is missing the
// test is skipped, unless CI says that everything must be there.
func need(t *testing.T, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing; scripts/install-test-tools.sh installs it", what)
	default:
		t.Skipf("%s is missing; scripts/install-test-tools.sh installs it", what)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// run runs one program to its end.
func run(t *testing.T, h house, key, user string, tracks int, cmd *exec.Cmd, env ...string) string {
	t.Helper()
	cmd.Env = append(append(os.Environ(), "RAPPORT_URL="+h.url, "RAPPORT_KEY="+key, "RAPPORT_USER="+user, fmt.Sprintf("RAPPORT_TRACKS=%d", tracks)), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	t.Logf("%s", out)
	return string(out)
}

// exhaust uses up what the slow source may bring for a few seconds, so that the
// SDK that comes next is told to wait.
func (h house) exhaust(t *testing.T) {
	t.Helper()
	body := `{"batch":[` + strings.Repeat(`{"type":"page","anonymousId":"filler"},`, 449) + `{"type":"page","anonymousId":"filler"}]}`
	for _, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/v1/batch", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(slowKey, "")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != want || want == http.StatusTooManyRequests && res.Header.Get("Retry-After") == "" {
			t.Fatalf("got %d %v %s, want %d", res.StatusCode, res.Header, answer, want)
		}
	}
}

// ofServer is what the server programs send.
func ofServer(tracks int) map[string]int {
	return map[string]int{
		"track Product Viewed": 1, "alias": 1, "identify": 1, "page Home": 1, "screen Start": 1, "group": 1,
		"track Order Completed": tracks,
	}
}

func goProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = "analytics-go"
	out, err := build.CombinedOutput()
	if err != nil {
		need(t, false, "the Go SDK ("+strings.TrimSpace(string(out))+")")
	}
	return path
}

func TestAnalyticsGo(t *testing.T) {
	t.Parallel()
	program := goProgram(t)
	h := serve(t)
	const tracks = 994
	run(t, h, serverKey, "go-1", tracks, exec.Command(program))
	h.check(t, "server", "go-1", tracks, ofServer(tracks))
	// A source that may bring 100 events a second is told to wait, waits, and
	// loses nothing.
	h.exhaust(t)
	run(t, h, slowKey, "go-2", 394, exec.Command(program))
	h.check(t, "slow", "go-2", 394, ofServer(394))
}

func TestAnalyticsNode(t *testing.T) {
	t.Parallel()
	need(t, exists("npm/node_modules/@segment/analytics-node"), "@segment/analytics-node")
	h := serve(t)
	const tracks = 494
	run(t, h, serverKey, "node-1", tracks, exec.Command("node", "npm/server.mjs"))
	h.check(t, "server", "node-1", tracks, ofServer(tracks))
	h.exhaust(t)
	run(t, h, slowKey, "node-2", 344, exec.Command("node", "npm/server.mjs"))
	h.check(t, "slow", "node-2", 344, ofServer(344))
}

// ofPage is what the programs in a browser send.
func ofPage(tracks int) map[string]int {
	return map[string]int{"page Games": 1, "track Product Viewed": 1, "identify": 1, "group": 1, "track Order Completed": tracks}
}

// inBrowser runs a program in Chromium, once for each way in which its SDK
// sends, and holds the person to what was sent.
func inBrowser(t *testing.T, sdk, program string, strategies ...string) {
	t.Helper()
	need(t, exists("npm/node_modules/"+sdk) && exists("npm/node_modules/playwright-core"), sdk+" or playwright-core")
	chromium, err := exec.LookPath("chromium")
	need(t, err == nil, "chromium")
	h := serve(t)
	for _, strategy := range strategies {
		user := strings.TrimSuffix(program, ".mjs") + "-" + strategy
		const tracks = 12
		out := run(t, h, siteKey, user, tracks, exec.Command("node", "npm/"+program), "CHROMIUM="+chromium, "RAPPORT_STRATEGY="+strategy)
		h.check(t, "site", user, tracks, ofPage(tracks))
		// What was seen before the name was known belongs to the same person.
		var said struct{ Anonymous string }
		if err := json.Unmarshal([]byte(strings.TrimSpace(out)), &said); err != nil {
			t.Fatal(err)
		}
		p, q := h.person(t, "user_id:"+user, 1), h.person(t, "anonymous_id:"+said.Anonymous, 1)
		if p.ID == "" || p.ID != q.ID {
			t.Errorf("known as %q and anonymously as %q", p.ID, q.ID)
		}
	}
}

func TestAnalyticsNext(t *testing.T) {
	t.Parallel()
	inBrowser(t, "@segment/analytics-next", "browser.mjs", "single", "batching")
}

func TestRudderBrowser(t *testing.T) {
	t.Parallel()
	inBrowser(t, "@rudderstack/analytics-js", "rudderbrowser.mjs", "single", "batching", "beacon")
}

func TestRudderNode(t *testing.T) {
	t.Parallel()
	need(t, exists("npm/node_modules/@rudderstack/rudder-sdk-node"), "@rudderstack/rudder-sdk-node")
	h := serve(t)
	const tracks = 494
	run(t, h, serverKey, "rudder-1", tracks, exec.Command("node", "npm/rudder.mjs"))
	h.check(t, "server", "rudder-1", tracks, ofServer(tracks))
	h.exhaust(t)
	run(t, h, slowKey, "rudder-2", 344, exec.Command("node", "npm/rudder.mjs"))
	h.check(t, "slow", "rudder-2", 344, ofServer(344))
}

func TestJitsuBrowser(t *testing.T) {
	t.Parallel()
	inBrowser(t, "@jitsu/js", "jitsubrowser.mjs", "single")
}

func TestJitsuNode(t *testing.T) {
	t.Parallel()
	need(t, exists("npm/node_modules/@jitsu/js"), "@jitsu/js")
	h := serve(t)
	const tracks = 100
	run(t, h, serverKey, "jitsu-1", tracks, exec.Command("node", "npm/jitsu.mjs"))
	want := ofServer(tracks)
	delete(want, "alias") // This SDK has neither.
	delete(want, "screen Start")
	h.check(t, "server", "jitsu-1", tracks, want)
}

// TestManual holds the versions that docs/sdks.md names to those that are tested.
func TestManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "sdks.md"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("npm/package.json")
	if err != nil {
		t.Fatal(err)
	}
	var npm struct{ Dependencies map[string]string }
	if err := json.Unmarshal(raw, &npm); err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("analytics-go/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, m := range regexp.MustCompile("(?m)^\\|[^|]*`([^`]+)` \\| ([0-9.]+) \\|").FindAllStringSubmatch(string(manual), -1) {
		rows++
		if npm.Dependencies[m[1]] != m[2] && !strings.Contains(string(module), m[1]+" v"+m[2]+"\n") {
			t.Errorf("docs/sdks.md says that %s is tested at %s", m[1], m[2])
		}
	}
	if rows != 7 {
		t.Errorf("%d SDKs are named with a version, want 7", rows)
	}
}
