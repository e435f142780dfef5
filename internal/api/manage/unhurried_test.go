package manage_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rapport/internal/breach"
)

// TestLongAnswersHaveTheirTime: what may be of any size, or takes long to find, is
// answered whole by a server that gives other answers little time.
func TestLongAnswersHaveTheirTime(t *testing.T) {
	t.Parallel()
	h := setup(t)
	const most = 20 * time.Millisecond
	past := func() { <-time.After(5 * most) } // The time of every other answer is over.
	h.config.Machine = time.Now               // by which the server's deadlines run
	h.config.Backup = func(_ context.Context, w io.Writer) error {
		if _, err := io.WriteString(w, strings.Repeat("a", 1<<16)); err != nil {
			return err
		}
		past()
		_, err := io.WriteString(w, strings.Repeat("b", 1<<16))
		return err
	}
	h.config.Affected = func(context.Context, *breach.Scope, []string, []string, func(*breach.Touched) error) (breach.Affected, error) {
		past()
		return breach.Affected{People: 7}, nil
	}
	h.knock()
	server := httptest.NewUnstartedServer(h.door)
	server.Config.WriteTimeout = most
	server.Start()
	t.Cleanup(server.Close)
	for _, ask := range []struct{ method, path, body, want string }{
		{http.MethodGet, "/v1/backup", "", "bbb"},
		{http.MethodPost, "/v1/breaches?dry_run=true", `{"scope":{"from":"2026-02-01T00:00:00Z","everything":true}}`, `"people":7`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), ask.method, server.URL+ask.path, strings.NewReader(ask.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+h.secret)
		res, err := server.Client().Do(req)
		if err != nil {
			t.Errorf("%s: %v", ask.path, err)
			continue
		}
		raw, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // It was read.
		if err != nil || !strings.Contains(string(raw), ask.want) {
			t.Errorf("%s: %d bytes, %v", ask.path, len(raw), err)
		}
	}
}
