package fetch_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/fault"
	"rapport/internal/fetch"
)

func client(t *testing.T, c fetch.Config) *fetch.Client {
	t.Helper()
	c.Now = time.Now
	out, err := fetch.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	return out
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		address         string
		public, private bool
	}{
		{"8.8.8.8", true, true},
		{"2606:4700::1111", true, true},
		{"127.0.0.1", false, true},
		{"127.255.255.254", false, true},
		{"::1", false, true},
		{"10.1.2.3", false, true},
		{"172.16.0.1", false, true},
		{"172.32.0.1", true, true},
		{"192.168.1.1", false, true},
		{"100.64.0.1", false, true},
		{"100.128.0.1", true, true},
		{"fd12::1", false, true},
		{"::ffff:127.0.0.1", false, true},
		{"::ffff:10.0.0.1", false, true},
		{"::ffff:8.8.8.8", true, true},
		{"64:ff9b::7f00:1", false, true},
		{"64:ff9b::808:808", true, true},
		{"64:ff9b:1::a00:1", false, true},
		{"2002:7f00:1::", false, true},
		{"2002:808:808::", true, true},
		{"::7f00:1", false, true},
		{"169.254.169.254", false, false},
		{"::ffff:169.254.169.254", false, false},
		{"fd00:ec2::254", false, false},
		{"fe80::1", false, false},
		{"fe80::1%eth0", false, false},
		{"0.0.0.0", false, false},
		{"0.1.2.3", false, false},
		{"::", false, false},
		{"224.0.0.1", false, false},
		{"ff02::1", false, false},
		{"255.255.255.255", false, false},
		{"192.0.2.1", false, false},
	} {
		a := netip.MustParseAddr(tt.address)
		if got := fetch.Allowed(a, false); got != tt.public {
			t.Errorf("%s is public: %t, want %t", tt.address, got, tt.public)
		}
		if got := fetch.Allowed(a, true); got != tt.private {
			t.Errorf("%s with private networks: %t, want %t", tt.address, got, tt.private)
		}
	}
	if fetch.Allowed(netip.Addr{}, true) {
		t.Error("no address at all is allowed")
	}
}

// TestNothingInsideIsReached: however this machine is spelled, a client for
// public addresses does not send it a byte; what is dialled is looked at, not
// what is written, so that a name that leads elsewhere tomorrow changes nothing.
func TestNothingInsideIsReached(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, fetch.Config{})
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0x7f000001", "2130706433", "0.0.0.0", "169.254.169.254"} {
		_, err := c.Post(t.Context(), "http://"+host+":"+port+"/x", http.Header{}, []byte("{}"))
		if code := fault.CodeOf(err); code != fetch.Forbidden && code != fetch.Unreachable {
			t.Errorf("%s: %v", host, err)
		}
		if host == "127.0.0.1" || host == "localhost" {
			if code := fault.CodeOf(err); code != fetch.Forbidden {
				t.Errorf("%s: %s, want %s", host, code, fetch.Forbidden)
			}
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests have come", n)
	}
	if _, err := client(t, fetch.Config{Private: true}).Post(t.Context(), s.URL, http.Header{}, nil); err != nil || asked.Load() != 1 {
		t.Errorf("where this machine is allowed: %v, %d requests", err, asked.Load())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Int64
	target := serve(t, func(http.ResponseWriter, *http.Request) { followed.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", target.URL)
			w.WriteHeader(status)
		})
		got, err := client(t, fetch.Config{Private: true}).Post(t.Context(), s.URL, http.Header{}, []byte("{}"))
		if err != nil || got.Status != status {
			t.Errorf("%d: %+v, %v", status, got, err)
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// TestWhatIsSentArrives: headers and body as they were given, and no proxy of
// the environment in between.
func TestWhatIsSentArrives(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"a":1}` || r.Header.Get("webhook-id") != "x" || r.Method != http.MethodPost {
			t.Errorf("%s %v %s", r.Method, r.Header, body)
		}
		w.WriteHeader(http.StatusAccepted)
	})
	got, err := client(t, fetch.Config{Private: true}).Post(t.Context(), s.URL, http.Header{"Webhook-Id": {"x"}}, []byte(`{"a":1}`))
	if err != nil || got != (fetch.Answer{Status: 202}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		says string
		want time.Duration
	}{
		{"", 0}, {"17", 17 * time.Second}, {" 3 ", 3 * time.Second}, {"-5", 0}, {"soon", 0}, {"99999999999999", 366 * 24 * time.Hour},
		{"Sun, 01 Mar 2026 12:00:30 GMT", 30 * time.Second}, {"Sun, 01 Mar 2026 11:00:00 GMT", 0},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", tt.says)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		c, err := fetch.New(fetch.Config{Private: true, Now: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Post(t.Context(), s.URL, http.Header{}, nil)
		c.Close()
		if err != nil || got != (fetch.Answer{Status: 429, RetryAfter: tt.want}) {
			t.Errorf("%q: %+v, %v", tt.says, got, err)
		}
	}
}

// TestTrouble: each trouble has its code, says nothing of the address, and ends.
func TestTrouble(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	raw := func(says string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer func() { _ = c.Close() }()
					_, _ = c.Read(make([]byte, 4096))
					_, _ = io.WriteString(c, says)
				}()
			}
		}()
		return "http://" + l.Addr().String()
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	_ = closed.Close()
	stranger := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(stranger.Close)
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, tt := range []struct{ name, address, code string }{
		{"nobody listens", nobody, fetch.Unreachable},
		{"a name that leads nowhere", "http://nowhere.invalid/", fetch.Unreachable},
		{"it hangs up", raw(""), fetch.Unreachable},
		{"no HTTP", raw("SSH-2.0-x\r\n\r\n"), fetch.Garbled},
		{"headers without end", raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)), fetch.Garbled},
		{"a certificate of nobody we trust", stranger.URL, fetch.Untrusted},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), fetch.Untrusted},
		{"no answer", serve(t, func(http.ResponseWriter, *http.Request) { <-hang }).URL, fetch.TimedOut},
		{"an answer that never ends", serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_ = http.NewResponseController(w).Flush()
			<-hang
		}).URL, ""},
	} {
		patience := 20 * time.Second // A busy machine may need long for a handshake.
		if tt.code == "" || tt.code == fetch.TimedOut {
			patience = 300 * time.Millisecond
		}
		got, err := client(t, fetch.Config{Private: true, Timeout: patience}).Post(t.Context(), tt.address, http.Header{}, nil)
		if tt.code == "" { // Its status is known by then.
			if err != nil || got.Status != 500 {
				t.Errorf("%s: %+v, %v", tt.name, got, err)
			}
			continue
		}
		if fault.CodeOf(err) != tt.code || !fault.Temporary(err) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.code)
		}
		if err != nil && (strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "nowhere.invalid")) {
			t.Errorf("%s: the error tells the address: %v", tt.name, err)
		}
	}
	close(hang) // before the servers are closed, which wait for it
}

// TestAnswersAreBounded: of an answer without end little is read.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	written := make(chan int64, 1)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		var n int64
		chunk := make([]byte, 64<<10)
		for n < 1<<30 {
			m, err := w.Write(chunk)
			n += int64(m)
			if err != nil {
				break
			}
		}
		written <- n
	})
	got, err := client(t, fetch.Config{Private: true}).Post(t.Context(), s.URL, http.Header{}, nil)
	if err != nil || got.Status != 200 {
		t.Fatalf("%+v, %v", got, err)
	}
	if n := <-written; n >= 1<<30 {
		t.Error("the whole of an answer without end was read")
	}
}

func TestTheCallerMayGiveUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := client(t, fetch.Config{Private: true}).Post(ctx, s.URL, http.Header{}, nil); err == nil || fault.Temporary(err) {
		t.Errorf("got %v", err)
	}
}
