package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rapport/internal/app"
)

// held is one connection that stays open between its requests.
type held struct {
	t testing.TB
	c net.Conn
	r *bufio.Reader
}

func hold(t testing.TB, server *httptest.Server) *held {
	t.Helper()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &held{t: t, c: c, r: bufio.NewReader(c)}
}

// ask sends a request and gives the answer.
func (h *held) ask(method, path, key, body string) (status int, answer string) {
	h.t.Helper()
	_, err := fmt.Fprintf(h.c, "%s %s HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", method, path, key, len(body), body)
	if err != nil {
		h.t.Fatal(err)
	}
	res, err := http.ReadResponse(h.r, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// TestARevokedKeyIsRefusedAtTheDoor: a key that is revoked between two requests of
// one connection is refused by the second, on every connection, and after a restart.
// The others stay as they are.
func TestARevokedKeyIsRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		o := app.Options{Data: t.TempDir(), Database: database, Clock: handClock()}
		l := live(t, o, small(t, sink.Addr(), nil))
		server := httptest.NewServer(l.house.Handler())
		t.Cleanup(server.Close)
		issue := func(body string) (secret, id string) {
			t.Helper()
			w := l.ask("POST", "/v1/keys", body)
			var made struct{ Key, ID string }
			if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != http.StatusCreated {
				t.Fatal(w.Code, w.Body)
			}
			return made.Key, made.ID
		}
		event := func(i int) string { return fmt.Sprintf(`{"messageId":"r%d","userId":"ann","event":"Seen"}`, i) }
		doors := []struct{ name, kind, method, path, body string }{
			{"ingest", `{"kind":"ingest","source":"shop","name":"till"}`, "POST", "/v1/track", event(1)},
			{"ingest in batches", `{"kind":"ingest","source":"shop","name":"tills"}`, "POST", "/v1/batch", `{"batch":[{"type":"track",` + event(2)[1:] + `]}`},
			{"manage", `{"kind":"manage","name":"desk"}`, "GET", "/v1/status", ""},
			{"manage that writes", `{"kind":"manage","name":"desk"}`, "POST", "/v1/consent", `{"subject":"user_id:ann","purpose":"marketing.newsletter","state":"objected"}`},
		}
		secrets := make([]string, len(doors))
		for i, d := range doors {
			secret, id := issue(d.kind)
			other, _ := issue(d.kind)
			secrets[i] = secret
			first, second := hold(t, server), hold(t, server)
			for _, c := range []*held{first, second} {
				if status, answer := c.ask(d.method, d.path, secret, d.body); status != http.StatusOK && status != http.StatusCreated {
					t.Fatalf("%s: before: %d %s", d.name, status, answer)
				}
			}
			if w := l.ask("DELETE", "/v1/keys/"+id, ""); w.Code != http.StatusNoContent {
				t.Fatal(w.Code, w.Body)
			}
			for _, c := range []*held{first, second, hold(t, server)} {
				status, answer := c.ask(d.method, d.path, secret, d.body)
				if status != http.StatusUnauthorized || strings.Contains(answer, secret) {
					t.Errorf("%s: revoked: %d %s", d.name, status, answer)
				}
			}
			if status, answer := first.ask(d.method, d.path, other, d.body); status > 299 {
				t.Errorf("%s: another key on this connection: %d %s", d.name, status, answer)
			}
		}
		l.settle()
		if got := l.timeline("ann"); got["r1"] != 1 || got["r2"] != 1 {
			t.Errorf("events of ann: %v", got)
		}
		server.Close()
		l.end()
		l = live(t, o, nil)
		again := httptest.NewServer(l.house.Handler())
		t.Cleanup(again.Close)
		for i, d := range doors {
			if status, answer := hold(t, again).ask(d.method, d.path, secrets[i], d.body); status != http.StatusUnauthorized {
				t.Errorf("%s: after a restart: %d %s", d.name, status, answer)
			}
		}
	})
}
