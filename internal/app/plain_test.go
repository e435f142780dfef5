package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rapport/internal/app"
)

// Plain HTTP beside TLS sends on who looks, to the host they named and no other, and
// refuses what has crossed the network readable.
func TestPlainHTTPLeadsToTLS(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		method, host, target, key string
		status                    int
		to                        string
	}{
		"who looks":             {"GET", "mail.shop.example", "/p/a?b=%2Fc", "", 308, "https://mail.shop.example:8443/p/a?b=%2Fc"},
		"with a port":           {"GET", "mail.shop.example:80", "/", "", 308, "https://mail.shop.example:8443/"},
		"an address":            {"HEAD", "[::1]:80", "/", "", 308, "https://[::1]:8443/"},
		"a path like a host":    {"GET", "mail.shop.example", "//evil.example/", "", 308, "https://mail.shop.example:8443//evil.example/"},
		"the form for proxies":  {"GET", "mail.shop.example", "http://evil.example/x", "", 308, "https://mail.shop.example:8443/x"},
		"a host that is none":   {"GET", "mail.shop.example/x@evil.example", "/", "", 400, ""},
		"who sends":             {"POST", "mail.shop.example", "/v1/track", "", 403, ""},
		"who shows a key":       {"GET", "mail.shop.example", "/v1/status", "Bearer k", 403, ""},
		"a challenge of nobody": {"GET", "mail.shop.example", "/.well-known/acme-challenge/x", "", 308, "https://mail.shop.example:8443/.well-known/acme-challenge/x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(row.method, row.target, strings.NewReader(""))
			r.Host = row.host
			if row.key != "" {
				r.Header.Set("Authorization", row.key)
			}
			w := httptest.NewRecorder()
			app.ToTLS(t, ":8443").ServeHTTP(w, r)
			if got := w.Header().Get("Location"); w.Code != row.status || got != row.to {
				t.Errorf("%d to %q, want %d to %q", w.Code, got, row.status, row.to)
			}
			if w.Code == http.StatusForbidden && !strings.Contains(w.Body.String(), "https_only") {
				t.Errorf("it says %s", w.Body)
			}
		})
	}
	for _, row := range [][3]string{
		{"https://mail.shop.example", "0.0.0.0:8443", ""}, {"https://mail.shop.example:8443", "0.0.0.0:443", ":8443"},
		{"http://127.0.0.1:8420", "0.0.0.0:443", ""}, {"http://127.0.0.1:8420", "[::]:8443", ":8443"},
	} {
		if got := app.PortOf(row[0], row[1]); got != row[2] {
			t.Errorf("of %s, listening on %s: %q, want %q", row[0], row[1], got, row[2])
		}
	}
}
