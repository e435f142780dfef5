package telemetry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rapport/internal/telemetry"
)

// TestLoggerHidesWhatIsPersonal is the logger's half of the scan that follows
// all tests: whatever a room hands to it, no address and no key comes out.
func TestLoggerHidesWhatIsPersonal(t *testing.T) {
	t.Parallel()
	const address, key = "ada.lovelace+news@mail.example", "rpk_0123456789abcdefghjkmnpqrs"
	type pair struct{ To, With string }
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(telemetry.LogConfig{Out: &out, JSON: asJSON, Level: slog.LevelDebug})
		if err != nil {
			t.Fatal(err)
		}
		log.Info("mail to " + address)
		log.Warn("trouble", "error", fmt.Errorf("rcpt to <%s>: %w", address, errors.New("refused")))
		log.Error("trouble", "url", "https://shop.example/?email=ada%40mail.example&k="+key)
		log.Info("pair", "value", pair{To: address, With: key})
		log.Info("list", "value", []string{address, key})
		log.With("email", "ada").WithGroup("g").Info("grouped", slog.Group("in", "to", address, "password", "hunter22"))
		log.Info("header", "value", "Authorization: Bearer abcdefghijklmnop", "secret", telemetry.Secret("hunter22"))
		log.Info("typed", "value", telemetry.Secret("hunter22"), "at", fmt.Sprintf("%v %+v %#v", telemetry.Secret("hunter22"), telemetry.Secret("hunter22"), telemetry.Secret("hunter22")))
		log.Debug("kept", "event_id", "e-1", "count", 3)
		got := out.String()
		for _, leak := range []string{"mail.example", "ada", key, "hunter22", "abcdefghijklmnop"} {
			if strings.Contains(got, leak) {
				t.Errorf("json=%v: the log holds %q:\n%s", asJSON, leak, got)
			}
		}
		for _, want := range []string{"e-1", "refused", "[address]", "[key]", "count"} {
			if !strings.Contains(got, want) {
				t.Errorf("json=%v: the log lacks %q:\n%s", asJSON, want, got)
			}
		}
	}
}

func TestSecretIsThereForItsUser(t *testing.T) {
	t.Parallel()
	if got := telemetry.Secret("hunter22").Reveal(); got != "hunter22" {
		t.Errorf("got %q", got)
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	r := telemetry.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "rapport_test_total", Help: "A counter."})
	r.MustRegister(c)
	c.Add(3)
	for _, tt := range []struct {
		name, method, host, path string
		status                   int
		want                     string
	}{
		{"metrics", "GET", "127.0.0.1:9420", "/metrics", 200, "rapport_test_total 3"},
		{"process", "GET", "localhost:9420", "/metrics", 200, "go_goroutines"},
		{"profiles", "GET", "[::1]:9420", "/debug/pprof/", 200, "goroutine"},
		{"another host", "GET", "evil.example", "/metrics", 403, "machine itself"},
		{"another method", "POST", "127.0.0.1", "/metrics", 405, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := httptest.NewRequest(tt.method, tt.path, http.NoBody)
			req.Host = tt.host
			w := httptest.NewRecorder()
			telemetry.Handler(r).ServeHTTP(w, req)
			body, _ := io.ReadAll(w.Body)
			if w.Code != tt.status || !strings.Contains(string(body), tt.want) {
				t.Errorf("got %d %s, want %d and %q", w.Code, body, tt.status, tt.want)
			}
		})
	}
}

func TestNothingOfTheWholeMachine(t *testing.T) {
	t.Parallel()
	families, err := telemetry.NewRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	own := false
	for _, f := range families {
		own = own || f.GetName() == "rapport_process_cpu_seconds_total"
		if strings.Contains(f.GetName(), "network") {
			t.Errorf("%s counts what the whole machine sends", f.GetName())
		}
	}
	if !own {
		t.Error("the process tells nothing of itself")
	}
}

func TestListenIsOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "host.example:0"} {
		if l, err := telemetry.Listen(t.Context(), address); err == nil {
			_ = l.Close()
			t.Errorf("%s was opened", address)
		} else if !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", address, err)
		}
	}
	l, err := telemetry.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
