package webhooks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rapport/test/program"
)

// The secrets of the destination, while one takes the other's place.
const (
	oldSecret = "whsec_b2xkLXNlY3JldC1vZi10aGUtY3JtLTMyLWJ5dGVzIQ=="
	newSecret = "whsec_bmV3LXNlY3JldC1vZi10aGUtY3JtLTMyLWJ5dGVzIQ=="
	sourceKey = "rpk_a-server-of-the-shop"
)

func TestMain(m *testing.M) {
	code := m.Run()
	program.Remove()
	os.Exit(code)
}

// server is a process of the true binary.
type server struct {
	cmd *exec.Cmd
	url string
	log chan string
}

// folder writes a configuration that tells one destination everything.
func folder(t *testing.T, hook string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "config")
	for name, text := range map[string]string{
		"rapport.yaml":          "workspace: hooks\nbase_url: http://mail.shop.example\nsending: {from: shop@shop.example, postal_address: 1 Sample Street}\n",
		"purposes.yaml":         "purposes:\n  service: {title: Service, description: What you asked for., basis: contract}\n",
		"sources/shop.yaml":     "kind: server\npurpose: service\nbasis: contract\nkeys: env:SHOP_KEY\n",
		"providers/inbox.yaml":  "kind: devinbox\n",
		"destinations/crm.yaml": "kind: webhook\nurl: " + hook + "\nprivate: true\npurpose: service\nsecrets: [env:OLD_SECRET, env:NEW_SECRET]\nevents: all\nidentifiers: [user_id]\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func start(t *testing.T, config, data string) *server {
	t.Helper()
	rapport, err := program.Build()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{cmd: exec.Command(rapport, "serve", "--config", config, "--data", data, "--listen", "127.0.0.1:0", "--admin", "")}
	s.cmd.Env = append(os.Environ(), "SHOP_KEY="+sourceKey, "OLD_SECRET="+oldSecret, "NEW_SECRET="+newSecret)
	if s.url, s.log, err = program.Start(s.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(t, os.Interrupt) })
	return s
}

// end ends the process, and looks through what it has said.
func (s *server) end(t *testing.T, how os.Signal) {
	t.Helper()
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(how) // It may have ended.
	log := <-s.log
	_ = s.cmd.Wait() // How it ended is what it was told.
	for _, leak := range []string{oldSecret, newSecret, sourceKey, strings.TrimPrefix(oldSecret, "whsec_"), "mail.example"} {
		if strings.Contains(strings.ToLower(log), strings.ToLower(leak)) {
			t.Errorf("the server's log holds %q", leak)
		}
	}
	if t.Failed() {
		t.Logf("the server said:\n%s", log)
	}
}

func (s *server) track(t *testing.T, who, messageID string) {
	t.Helper()
	body := fmt.Sprintf(`{"messageId":%q,"userId":%q,"event":"Order Completed","properties":{"total":39.5,"note":"Größe – ✓"}}`, messageID, who)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/track", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(sourceKey, "")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // Nothing of it is read.
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
}

// TestNodeVerifies: the public library for Node takes what is sent under either
// secret of a rotation, and reads the message.
func TestNodeVerifies(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("npm/node_modules/standardwebhooks"); err != nil {
		const missing = "the library standardwebhooks is missing; scripts/install-test-tools.sh installs it"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	node := exec.CommandContext(t.Context(), "node", "npm/receiver.mjs", oldSecret, newSecret)
	node.Stderr = os.Stderr
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = node.Process.Kill() // It may have ended.
		_ = node.Wait()
	})
	lines := bufio.NewScanner(out)
	line := func(into any) {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("the receiver ended", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), into); err != nil {
			t.Fatalf("%v in %s", err, lines.Bytes())
		}
	}
	var at struct{ Port int }
	line(&at)
	s := start(t, folder(t, fmt.Sprintf("http://127.0.0.1:%d/in", at.Port)), filepath.Join(t.TempDir(), "data"))
	for i := range 3 {
		s.track(t, "ann", fmt.Sprint("m", i))
	}
	for i := range 3 {
		var says struct {
			ID       string
			Verified int
			Refused  []string
			Message  struct {
				Type string
				Data struct {
					MessageID  string `json:"message_id"`
					Properties struct{ Note string }
				}
			}
		}
		line(&says)
		if says.Verified != 2 || len(says.Refused) != 0 || !strings.HasPrefix(says.ID, "whk_") {
			t.Errorf("%+v", says)
		}
		if m := says.Message; m.Type != "event.track" || m.Data.MessageID != fmt.Sprint("m", i) || m.Data.Properties.Note != "Größe – ✓" {
			t.Errorf("%+v", m)
		}
	}
}

// TestKilledWhileTelling: whatever moment the process is killed at, every event
// that was acknowledged is told, each person's in order, and what is told twice
// bears the same id.
func TestKilledWhileTelling(t *testing.T) {
	t.Parallel()
	wh, err := standardwebhooks.NewWebhook(newSecret)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	ids := map[string]string{} // webhook-id of each message id
	var order []string         // message ids as they were first taken
	taken := map[string]bool{}
	came := make(chan struct{}, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // It was killed while it spoke.
		}
		if err := wh.Verify(body, r.Header); err != nil {
			t.Errorf("the public library refuses a signature: %v", err)
		}
		var m struct {
			Data struct {
				MessageID string `json:"message_id"`
			}
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		id := r.Header.Get("webhook-id")
		was, again := ids[m.Data.MessageID]
		if ids[m.Data.MessageID] = id; again && was != id {
			t.Errorf("%s came as %s and as %s", m.Data.MessageID, was, id)
		}
		switch {
		case !again && slices.Contains([]string{"m31", "m64", "m142"}, m.Data.MessageID): // The first attempt fails.
			w.WriteHeader(http.StatusServiceUnavailable)
		case !taken[m.Data.MessageID]:
			taken[m.Data.MessageID] = true
			order = append(order, m.Data.MessageID)
		}
		select {
		case came <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(hook.Close)
	config, data := folder(t, hook.URL+"/in"), filepath.Join(t.TempDir(), "data")
	total := 0
	for round := range 6 {
		s := start(t, config, data)
		for range 60 {
			s.track(t, fmt.Sprint("u", total%5), fmt.Sprint("m", total))
			total++
		}
		if round < 5 {
			<-came // Something is on the wire, more or less.
			s.end(t, os.Kill)
		}
	}
	patience := time.After(60 * time.Second)
	for {
		mu.Lock()
		n := len(order)
		mu.Unlock()
		if n == total {
			break
		}
		select {
		case <-came:
		case <-patience:
			t.Fatalf("%d of %d were told", n, total)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	last := map[int]int{}
	for _, id := range order {
		var k int
		if _, err := fmt.Sscanf(id, "m%d", &k); err != nil {
			t.Fatal(err)
		}
		if was, ok := last[k%5]; ok && k < was {
			t.Errorf("of one person m%d came after m%d", k, was)
		}
		last[k%5] = k
	}
}
