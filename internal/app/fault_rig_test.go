package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"rapport/internal/app"
	"rapport/internal/delivery/deliverytest"
	"rapport/internal/project"
	"rapport/internal/store/sqlitestore/crashvfs"
)

// rounds is how often a random test runs: RAPPORT_ROUNDS, or a few.
func rounds(t *testing.T, few int) int {
	t.Helper()
	if v := os.Getenv("RAPPORT_ROUNDS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("RAPPORT_ROUNDS: %v", err)
		}
		return n
	}
	return few
}

// seeded runs a test with seeds that a failure prints. RAPPORT_SEED repeats one.
func seeded(t *testing.T, few int, test func(t *testing.T, r *rand.Rand)) {
	t.Helper()
	first, n := uint64(time.Now().UnixNano()&0xffffffff), rounds(t, few)
	if v := os.Getenv("RAPPORT_SEED"); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("RAPPORT_SEED: %v", err)
		}
		first, n = seed, 1
	}
	for i := range n {
		seed := first + uint64(i)
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { test(t, rand.New(rand.NewPCG(seed, 1))) }) {
			t.Fatalf("repeat with RAPPORT_SEED=%d", seed)
		}
	}
}

// small is a configuration in which a Trigger owes a marketing mail, and
// receipts are sent on request.
func small(t *testing.T, smtp string, more map[string]string) *project.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(smtp)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"rapport.yaml":                    "workspace: faults\nbase_url: http://mail.shop.example\nsending:\n  from: Shop <shop@shop.example>\n  postal_address: 1 Sample Street, Sampletown\n  provider: sink\nlimits: {events_per_second: 1000000, burst: 1000000, manage_per_second: 100000}\n",
		"purposes.yaml":                   "purposes:\n  service: {title: Service, description: What you asked for., basis: contract}\n  marketing.newsletter: {title: News, description: News., basis: legitimate_interest, gpc: true}\n  profiling: {title: Profile, description: A profile., basis: legitimate_interest, scope: device}\n",
		"sources/shop.yaml":               "kind: server\npurpose: profiling\nbasis: legitimate_interest\n",
		"providers/sink.yaml":             fmt.Sprintf("kind: smtp\nhost: %s\nport: %s\ntls: none\npacing: {connections: 4}\n", host, port),
		"segments/triggered.yaml":         "rule: {did: Trigger, within: 7d}\n",
		"journeys/news.yaml":              "purpose: marketing.newsletter\ntrigger: {event: Trigger}\nreentry: always\nsteps:\n  - send: note\n",
		"templates/note/template.yaml":    "subject: \"News {{ trigger.ref | default: '-' }}\"\npurpose: marketing.newsletter\n",
		"templates/note/body.html":        body,
		"templates/receipt/template.yaml": "subject: \"Receipt {{ trigger.ref | default: '-' }}\"\npurpose: service\nclass: transactional\n",
		"templates/receipt/body.html":     body,
	}
	for name, text := range more {
		files[name] = text
	}
	folder := fstest.MapFS{}
	for name, text := range files {
		folder[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o600}
	}
	config, problems := project.Load(fs.FS(folder))
	if config == nil {
		t.Fatal(problems)
	}
	return config
}

const body = `<html><body><p>Hello {{ person.first_name | default: "there" }}</p><p>{{ workspace.postal_address }}</p><p><a href="{{ mail.unsubscribe_url }}">Unsubscribe</a></p></body></html>`

// lived is a house that runs.
type lived struct {
	t      testing.TB
	house  *app.House
	key    string // of the source "shop"
	manage string
	ended  chan error
	cancel context.CancelFunc
	once   sync.Once
}

// live opens a data folder and runs the house until the test ends or end.
func live(t testing.TB, o app.Options, config *project.Config, before ...func(*app.House)) *lived {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &lived{t: t, cancel: cancel, ended: make(chan error, 1)}
	var err error
	if l.house, err = app.Open(ctx, o, config); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(l.end)
	if l.manage, err = l.house.ManageKey(ctx); err != nil {
		t.Fatal(err)
	}
	for _, fn := range before {
		fn(l.house)
	}
	go func() { l.ended <- l.house.Run(ctx) }()
	if err := l.house.Begin(ctx, config); err != nil {
		t.Fatal(err)
	}
	if l.key, err = l.house.SourceKey(ctx, "shop", "test"); err != nil {
		t.Fatal(err)
	}
	return l
}

// end stops the house.
func (l *lived) end() {
	l.once.Do(func() {
		l.cancel()
		if l.manage != "" {
			<-l.ended // What stopped it is told by what was asked of it.
		}
		_ = l.house.Close() // A full disk may refuse even this.
	})
}

// ask sends one request through every door's handler.
func (l *lived) ask(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if strings.HasPrefix(path, "/v1/track") || strings.HasPrefix(path, "/v1/batch") || strings.HasPrefix(path, "/v1/identify") || path == "/v1/group" {
		r.SetBasicAuth(l.key, "")
	} else {
		r.Header.Set("Authorization", "Bearer "+l.manage)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	l.house.Handler().ServeHTTP(w, r)
	return w
}

// get reads an answer, which must be a success.
func (l *lived) get(path string, into any) {
	l.t.Helper()
	w := l.ask(http.MethodGet, path, "")
	if w.Code != 200 {
		l.t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		l.t.Fatalf("GET %s: %v", path, err)
	}
}

// track sends one event.
func (l *lived) track(name, who, messageID string) int {
	return l.ask(http.MethodPost, "/v1/track", fmt.Sprintf(
		`{"messageId":%q,"userId":%q,"event":%q,"context":{"traits":{"email":"%s@people.example"}},"properties":{"ref":%q}}`, messageID, who, name, who, messageID)).Code
}

// receipt asks for one transactional mail and gives its id.
func (l *lived) receipt(who, key string) (int, string) {
	w := l.ask(http.MethodPost, "/v1/send", fmt.Sprintf(`{"template":"receipt","to":"%s@people.example","data":{"ref":%q}}`, who, key), "Idempotency-Key", key)
	if w.Code > 299 {
		return w.Code, ""
	}
	return w.Code, idOf(l.t, w.Body.Bytes())
}

func idOf(t testing.TB, answer []byte) string {
	t.Helper()
	var a struct{ ID string }
	if err := json.Unmarshal(answer, &a); err != nil || a.ID == "" {
		t.Errorf("no id in %s", answer)
	}
	return a.ID
}

// object says that somebody wants no more news.
func (l *lived) object(who string) int {
	return l.ask(http.MethodPost, "/v1/consent", fmt.Sprintf(`{"subject":"user_id:%s","purpose":"marketing.newsletter","state":"objected"}`, who)).Code
}

// settle waits until all is walked and what is due is sent.
func (l *lived) settle() {
	l.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if err := l.house.Settle(ctx); err != nil {
		l.t.Fatalf("settle: %v", err)
	}
}

// timeline counts a person's events of the shop by message id.
func (l *lived) timeline(who string) map[string]int {
	l.t.Helper()
	var page struct {
		Events []struct {
			Source    string `json:"source"`
			MessageID string `json:"message_id"`
		} `json:"events"`
	}
	l.get("/v1/people/user_id:"+who+"/events?limit=200", &page)
	out := map[string]int{}
	for _, e := range page.Events {
		if e.Source == "shop" {
			out[e.MessageID]++
		}
	}
	return out
}

// mail is a mail as the ledger tells it.
type mail struct {
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Duplicate bool   `json:"duplicate_possible"`
}

func newDisk(t *testing.T) *crashvfs.Disk {
	t.Helper()
	d := crashvfs.New()
	t.Cleanup(d.Remove)
	return d
}

// taking is a sink that takes everything, unless told to hang up.
func taking(t *testing.T, hangUp func(to string) bool) *deliverytest.Sink {
	t.Helper()
	s, err := deliverytest.NewSink(deliverytest.SinkConfig{Judge: func(_, to string) deliverytest.Fault {
		if to != "" && hangUp(to) {
			return deliverytest.Fault{Drop: deliverytest.BeforeData}
		}
		return deliverytest.Fault{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func copyFile(t *testing.T, name, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, name), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
