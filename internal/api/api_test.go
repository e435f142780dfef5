package api_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rapport/internal/api"
	"rapport/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSecret(t *testing.T) {
	t.Parallel()
	encode := base64.StdEncoding.EncodeToString
	for in, want := range map[string]string{
		"":                                   "",
		"Bearer abc":                         "abc",
		"bearer   abc ":                      "abc",
		"Basic " + encode([]byte("abc:")):    "abc",
		"Basic " + encode([]byte("abc")):     "abc",
		"Basic " + encode([]byte("abc:def")): "abc",
		"Basic " + encode([]byte(":def")):    "def",
		"Basic YWI":                          "ab",
		"Basic !!!":                          "",
		"Basic " + strings.Repeat("A", 5000): "",
		"Digest abc":                         "",
		"abc":                                "",
		"Basic":                              "",
	} {
		h := http.Header{}
		if in != "" {
			h.Set("Authorization", in)
		}
		if got := api.Secret(h); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzSecret(f *testing.F) {
	for _, s := range []string{"Bearer abc", "Basic YWJjOg==", "Basic YWI", "basic :", "Basic \xff", "BEARER  "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := api.Secret(http.Header{"Authorization": {s}})
		if len(got) > len(s) {
			t.Fatalf("%q gave %q", s, got)
		}
	})
}

func TestProblems(t *testing.T) {
	t.Parallel()
	limited := fault.New(fault.Limited, "too_many_requests", "slow down")
	limited.RetryAfter = 1500 * time.Millisecond
	invalid := fault.New(fault.Invalid, "bad_rule", "the rule makes no sense")
	invalid.Fields = []fault.Field{{Pointer: "/a/0", Detail: "is no number"}}
	for _, tt := range []struct {
		err    error
		status int
		want   api.Problem
		retry  string
	}{
		{invalid, 400, api.Problem{Code: "bad_rule", Detail: "the rule makes no sense", Errors: invalid.Fields}, ""},
		{fmt.Errorf("read: %w", fault.New(fault.NotFound, "no_such_person", "nobody has this id")), 404, api.Problem{Code: "no_such_person", Detail: "nobody has this id"}, ""},
		{fault.New(fault.Denied, "denied", "no"), 403, api.Problem{Code: "denied", Detail: "no"}, ""},
		{fault.New(fault.Conflict, "taken", "is there"), 409, api.Problem{Code: "taken", Detail: "is there"}, ""},
		{limited, 429, api.Problem{Code: "too_many_requests", Detail: "slow down"}, "2"},
		{fault.New(fault.Limited, "body_too_large", "at most 1 MB"), 413, api.Problem{Code: "body_too_large", Detail: "at most 1 MB"}, ""},
		{fault.New(fault.Unavailable, "log_full", "later"), 503, api.Problem{Code: "log_full", Detail: "later"}, "1"},
		{errors.New("secret cause"), 500, api.Problem{Code: "internal", Detail: "something went wrong on our side; the log has more under the request's id"}, ""},
		{fault.Wrap(errors.New("secret cause"), fault.Internal, "broken", "secret detail"), 500, api.Problem{Code: "internal", Detail: "something went wrong on our side; the log has more under the request's id"}, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r = r.WithContext(api.WithRequestID(r.Context(), "req-1"))
		w := httptest.NewRecorder()
		api.WriteProblem(w, r, slog.New(slog.DiscardHandler), tt.err)
		tt.want.Type, tt.want.Title, tt.want.Status, tt.want.Instance = "about:blank", http.StatusText(tt.status), tt.status, "req-1"
		var got api.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || w.Code != tt.status || w.Header().Get("Retry-After") != tt.retry {
			t.Errorf("%v: status %d, Retry-After %q, want -, got +:\n%s", tt.err, w.Code, w.Header().Get("Retry-After"), diff)
		}
		if strings.Contains(w.Body.String(), "secret") || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%v: %s", tt.err, w.Body)
		}
	}
}

// TestSlowAndGreedyCallers is fault 15: whoever sends slowly is cut off, whoever
// sends a huge header is told so, and others are served meanwhile.
func TestSlowAndGreedyCallers(t *testing.T) {
	t.Parallel()
	reading := make(chan struct{}, 1)
	srv := api.NewServer(api.ServerConfig{
		Header: 300 * time.Millisecond, Read: 600 * time.Millisecond,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				reading <- struct{}{}
				if _, err := io.ReadAll(r.Body); err != nil {
					w.WriteHeader(http.StatusRequestTimeout)
				}
			}
		}),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	dial := func(send string) (net.Conn, *bufio.Reader) {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(c, send); err != nil {
			t.Fatal(err)
		}
		return c, bufio.NewReader(c)
	}
	var slow []*bufio.Reader
	for range 50 {
		_, r := dial("POST / HTTP/1.1\r\nHost: a.example\r\nX-Slow: ")
		slow = append(slow, r)
	}
	_, half := dial("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\nhalf")
	<-reading
	_, other := dial("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
	if line, err := other.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("another caller got %q %v", line, err)
	}
	_, huge := dial("GET / HTTP/1.1\r\nHost: a.example\r\nX-Huge: " + strings.Repeat("x", api.MaxHeaderBytes+4096) + "\r\n\r\n")
	if line, err := huge.ReadString('\n'); err != nil || !strings.Contains(line, "431") {
		t.Errorf("a huge header got %q %v, want 431", line, err)
	}
	if line, err := half.ReadString('\n'); err != nil || !strings.Contains(line, "408") {
		t.Errorf("half a body got %q %v, want 408", line, err)
	}
	for _, r := range slow {
		if b, err := io.ReadAll(r); err != nil && !errors.Is(err, net.ErrClosed) && len(b) > 0 {
			t.Errorf("half a header got %q %v, want an end", b, err)
		}
	}
}
