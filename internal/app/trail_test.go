package app_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport/internal/app"
	"rapport/internal/audit"
)

// elsewhere takes checkpoints by webhook, unless it is down.
type elsewhere struct {
	mu   sync.Mutex
	down bool
	got  []byte
}

func (e *elsewhere) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	raw, err := io.ReadAll(r.Body)
	if e.down || err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	e.got = append(append(e.got, raw...), '\n')
}

func (e *elsewhere) parcels(t *testing.T) []audit.Parcel {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	out, err := audit.ReadParcels(e.got)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTrail: permission, mails, reads of personal data and what operators do are
// in the trail, of everybody whom they concern; it holds without asking the server,
// also after a restart; its checkpoints have left; and it tells nobody's data.
func TestTrail(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		away := &elsewhere{down: true}
		server := httptest.NewServer(away)
		t.Cleanup(server.Close)
		file := filepath.Join(t.TempDir(), "trail.ndjson")
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		base := "workspace: faults\nbase_url: http://mail.shop.example\nsending:\n  from: Shop <shop@shop.example>\n  postal_address: 1 Sample Street, Sampletown\n  provider: sink\n"
		config := small(t, sink.Addr(), map[string]string{"rapport.yaml": base + "trail: {every: 1s, file: " + file + ", private: true, webhook: " + server.URL + "/in}\n"})
		o := app.Options{Data: t.TempDir(), Database: database, Clock: app.NewClock(at, 0)}
		l := live(t, o, config)
		if code := l.track("Trigger", "ann", "m1"); code != http.StatusOK {
			t.Fatal(code)
		}
		l.told()
		if code := l.object("ann"); code > 299 {
			t.Fatal(code)
		}
		l.get("/v1/people/user_id:ann", &struct{}{})
		l.get("/v1/people/email:ann@people.example/events", &struct{}{})
		if w := l.ask("GET", "/v1/people/user_id:bob/trail", ""); w.Code != http.StatusNotFound { // That it was asked is noted all the same.
			t.Fatal(w.Code, w.Body)
		}
		if w := l.ask("POST", "/v1/keys", `{"kind":"ingest","source":"shop","name":"front"}`); w.Code != http.StatusCreated {
			t.Fatal(w.Code, w.Body)
		}
		rows := func(query string) (acts []string) {
			var page struct{ Rows []audit.Entry }
			l.get("/v1/audit?limit=200&"+query, &page)
			for _, e := range page.Rows {
				acts = append(acts, strings.TrimSpace(e.What+" "+e.Outcome))
			}
			slices.Sort(acts)
			return slices.Compact(acts)
		}
		want := func(what string, got []string, wanted ...string) {
			t.Helper()
			for _, x := range wanted {
				if !slices.Contains(got, x) {
					t.Errorf("%s: %q lacks %q", what, got, x)
				}
			}
		}
		want("of ann", rows("person=user_id:ann"), "person.read", "person.events_read", "mail.accepted", "permission.changed objected", "permission.asked")
		want("all", rows(""), "key.created ingest", "key.create_asked", "configuration.stored", "permission.asked", "person.trail_read")
		if of := rows("person=user_id:ann"); slices.Contains(of, "key.created ingest") {
			t.Errorf("what does not concern ann is in her trail: %q", of)
		}
		if got := rows("act=log.&walked=true"); len(got) == 0 || len(rows("act=log.")) != 0 {
			t.Errorf("the walk's rows: %q", got)
		}
		page := l.ask("GET", "/v1/people/user_id:ann/trail", "", "Accept", "text/html")
		if page.Code != 200 || !strings.Contains(page.Body.String(), "Permission for “marketing.newsletter” changed.") {
			t.Errorf("the page says %d %s", page.Code, page.Body)
		}
		checkpoint := func() {
			t.Helper()
			if w := l.ask("POST", "/v1/audit/checkpoint", ""); w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		checkpoint()
		if n := len(away.parcels(t)); n != 0 {
			t.Errorf("%d checkpoints have left to a place that is down", n)
		}
		away.mu.Lock()
		away.down = false
		away.mu.Unlock()
		checkpoint()
		verify := func() *audit.Report {
			t.Helper()
			w := l.ask("GET", "/v1/audit/bundle?details=true", "")
			if s := w.Body.String(); strings.Contains(s, "people.example") || strings.Contains(s, `"ann"`) {
				t.Errorf("the trail tells who somebody is: %s", s)
			}
			var key struct{ Key string }
			l.get("/v1/audit/key", &key)
			r, err := audit.Verify(bytes.NewReader(w.Body.Bytes()), key.Key, away.parcels(t))
			if err != nil || len(r.Problems) > 0 || r.Older == 0 || r.Details == 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			return r
		}
		first := verify()
		l.end()
		l = live(t, o, nil)
		l.get("/v1/people/user_id:ann", &struct{}{})
		checkpoint()
		if again := verify(); again.Rows <= first.Rows || again.Origin != first.Origin {
			t.Errorf("after a restart the trail has %d rows of %s, before %d of %s", again.Rows, again.Origin, first.Rows, first.Origin)
		}
		kept, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list, err := audit.ReadParcels(kept)
		if err != nil || len(list) < 2 || len(list) != len(away.parcels(t)) {
			t.Errorf("%d checkpoints in the file, %d were sent, %v", len(list), len(away.parcels(t)), err)
		}
	})
}
