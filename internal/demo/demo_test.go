package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/delivery/devinbox"
)

var pages = fstest.MapFS{
	"index.html":    {Data: []byte("<title>Shop</title>")},
	"products.json": {Data: []byte(`[{"product_id":"a","name":"A","price":10},{"product_id":"b","name":"B","price":25.5}]`)},
}

// server takes calls of the Segment wire.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	calls []call
	keys  []string
}

func newServer(t *testing.T, status int) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var c call
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		key, _, _ := r.BasicAuth()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls, s.keys = append(s.calls, c), append(s.keys, key)
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) taken() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func shopFor(t *testing.T, s *server) http.Handler {
	t.Helper()
	n := 0
	shop, err := NewStorefront(s.URL, "browser", "server", pages, func() string { n++; return fmt.Sprintf("UNIQUE%d", n) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shop.Close)
	return shop.Around(http.NotFoundHandler(), http.NotFoundHandler())
}

func post(t *testing.T, h http.Handler, path, body, site string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Sec-Fetch-Site", site)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestStorefront(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, body, site string
		code                   int
		answer                 string
		events                 []string
	}{
		{"sign up", "/shop/account", `{"anonymousId":"d","email":" Ann@Mail.example ","firstName":"Ann","signup":true,"consent":{"marketing":true}}`, "same-origin", 200, `{"user_id":"k-`, []string{"identify ", "track Signed Up"}},
		{"check out", "/shop/account", `{"anonymousId":"d","email":"ann@mail.example"}`, "same-origin", 200, `{"user_id":"k-`, []string{"identify "}},
		{"no address", "/shop/account", `{"email":"ann"}`, "same-origin", 400, "look at the address", nil},
		{"an address with a name", "/shop/account", `{"email":"Ann <ann@mail.example>"}`, "same-origin", 400, "look at the address", nil},
		{"from another site", "/shop/account", `{"email":"ann@mail.example"}`, "cross-site", 403, "", nil},
		{"no JSON", "/shop/order", `{`, "same-origin", 400, "not understood", nil},
		{"too much", "/shop/order", `{"userId":"` + strings.Repeat("x", 70<<10) + `"}`, "same-origin", 413, "not understood", nil},
		{"nothing to pay", "/shop/order", `{"userId":"k-1","products":[{"product_id":"c","quantity":1},{"product_id":"a","quantity":0}]}`, "same-origin", 400, "nothing to pay", nil},
		{"nobody pays", "/shop/order", `{"products":[{"product_id":"a","quantity":1}]}`, "same-origin", 400, "nothing to pay", nil},
		{"order", "/shop/order", `{"userId":"k-1","products":[{"product_id":"a","quantity":2,"price":0.01}]}`, "same-origin", 200, `{"order_id":"K-UNIQUE"}`, []string{"track Order Completed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, http.StatusOK)
			code, answer := post(t, shopFor(t, s), tt.path, tt.body, tt.site)
			if code != tt.code || !strings.Contains(answer, tt.answer) {
				t.Errorf("%d %s", code, answer)
			}
			var events []string
			for i, c := range s.taken() {
				events = append(events, c.Type+" "+c.Event)
				if s.keys[i] != "server" {
					t.Errorf("sent with the key %q", s.keys[i])
				}
				if c.Event == "Order Completed" && (c.Properties["total"] != 23.9 || c.Properties["shipping"] != 3.9) {
					t.Errorf("the page decided about prices: %v", c.Properties)
				}
				if c.Type == "identify" && c.Traits["email"] != "ann@mail.example" {
					t.Errorf("traits %v", c.Traits)
				}
			}
			if diff := cmp.Diff(tt.events, events); diff != "" {
				t.Errorf("events, want -, got +:\n%s", diff)
			}
		})
	}
	s := newServer(t, http.StatusServiceUnavailable)
	if code, _ := post(t, shopFor(t, s), "/shop/order", `{"userId":"k-1","products":[{"product_id":"a","quantity":1}]}`, "same-origin"); code != http.StatusBadGateway {
		t.Errorf("a server that takes nothing: %d", code)
	}
}

// hand moves time and takes no part.
type hand struct{ now time.Time }

func (h *hand) Advance(_ context.Context, at time.Time) (time.Time, error) {
	h.now = at
	return at, nil
}
func (h *hand) Settle(context.Context) error { return nil }

// letters is an inbox with mails that nobody should have sent.
type letters struct{ list []*devinbox.Mail }

func (l *letters) List(_ string, limit int) ([]*devinbox.Mail, int64) {
	var out []*devinbox.Mail
	for n := len(l.list) - 1; n >= 0 && len(out) < limit; n-- {
		out = append(out, l.list[n])
	}
	return out, int64(len(l.list))
}

func (l *letters) add(to, template string, marketing bool) {
	raw := "Feedback-ID: " + template + ":x:triggered:kestrel\r\n"
	if marketing {
		raw += "List-Unsubscribe: <http://shop.example/u/t>\r\n"
	}
	l.list = append(l.list, &devinbox.Mail{ID: int64(len(l.list) + 1), To: []string{to}, Raw: []byte(raw + "\r\n")})
}

func newDemo(t *testing.T, base string, inbox Inbox) *Demo {
	t.Helper()
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	d, err := New(Config{
		Base: base, Browser: "browser", Server: "server", Pages: pages, Purposes: map[string]string{"welcome": "news", "basket": "reminders"},
		Stage: &hand{start}, Inbox: inbox, Start: start, Days: 20, Visitors: 40, Seed: 5, Machine: func() time.Time { return start },
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestWhatMustNotHappenIsCounted plants mails that break a promise.
func TestWhatMustNotHappenIsCounted(t *testing.T) {
	t.Parallel()
	inbox := &letters{}
	d := newDemo(t, "http://shop.example", inbox)
	v := &visitor{email: "ann@visitor.example", marketing: true, left: map[string]bool{}, got: map[string]int{}}
	d.people[v.email] = v
	steps := []struct {
		name           string
		template       string
		marketing      bool
		before         func()
		without, twice int
	}{
		{"a welcome", "welcome", true, nil, 0, 0},
		{"a second one", "welcome", true, nil, 0, 1},
		{"a reminder without a basket", "basket", true, nil, 0, 2},
		{"a reminder", "basket", true, func() { v.checkouts = 2 }, 0, 2},
		{"a confirmation", "order-confirmation", false, func() { v.orders, v.marketing = 1, false }, 0, 2},
		{"after a no", "brewing", true, nil, 1, 2},
		{"after leaving this purpose", "basket", true, func() { v.checkouts, v.marketing, v.left["reminders"] = 3, true, true }, 2, 2},
	}
	for _, s := range steps {
		if s.before != nil {
			s.before()
		}
		inbox.add(v.email, s.template, s.marketing)
		inbox.add("somebody@mail.example", s.template, s.marketing)
		d.post()
		if d.tally.WithoutConsent != s.without || d.tally.Duplicates != s.twice {
			t.Errorf("%s: without consent %d, twice %d", s.name, d.tally.WithoutConsent, d.tally.Duplicates)
		}
	}
	if d.tally.Mails != len(steps) {
		t.Errorf("%d mails were counted", d.tally.Mails)
	}
}

// TestSeed: the same seed sends the same, another does not, and a server that
// refuses ends it.
func TestSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		s := newServer(t, http.StatusOK)
		d := newDemo(t, s.URL, &letters{})
		d.dice = dice(seed)
		if _, err := d.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(s.taken())
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(raw), s.URL, "")
	}
	a, b, c := run(1), run(1), run(2)
	if a != b {
		t.Error("the same seed sent something else")
	}
	if a == c || len(a) < 10_000 {
		t.Errorf("another seed sent the same, or too little: %d bytes", len(a))
	}
	s := newServer(t, http.StatusBadRequest)
	if _, err := newDemo(t, s.URL, &letters{}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("refused: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newDemo(t, s.URL, &letters{}).Run(ctx); err == nil {
		t.Error("it went on after its end")
	}
}
