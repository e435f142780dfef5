package collect_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/access"
	"rapport/internal/api/collect"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/ingest"
	"rapport/internal/ratelimit"
)

var now = time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)

// Secrets of the keys that every bundle has.
const (
	serverKey  = "rpk_server"
	browserKey = "rpb_browser"
	manageKey  = "rpm_manage"
	orphanKey  = "rpk_orphan"
	closedKey  = "rpk_closed"
)

// keyring is a fixed set of keys.
type keyring map[string]access.Key

func (k keyring) Find(secret string) (access.Key, bool) {
	key, ok := k[secret]
	return key, ok
}

var ring = keyring{
	serverKey:  {ID: "key_server", Kind: access.Ingest, Source: "shop"},
	browserKey: {ID: "key_browser", Kind: access.Browser, Source: "site"},
	manageKey:  {ID: "key_manage", Kind: access.Manage},
	orphanKey:  {ID: "key_orphan", Kind: access.Ingest, Source: "gone"},
	closedKey:  {ID: "key_closed", Kind: access.Ingest, Source: "closed"},
}

type logbook struct {
	mu      sync.Mutex
	records [][]byte
	fail    error
}

func (l *logbook) Append(_ context.Context, _ eventlog.Lane, records [][]byte) (int64, time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, time.Time{}, l.fail
	}
	first := int64(len(l.records)) + 1
	for _, r := range records {
		l.records = append(l.records, bytes.Clone(r))
	}
	return first, now, nil
}

func (l *logbook) events(t testing.TB) []event.Event {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]event.Event, len(l.records))
	for i, r := range l.records {
		if err := out[i].Decode(r); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// doorman lets everybody in but one, and notes GPC.
type doorman struct{ gpc atomic.Int64 }

func (d *doorman) Narrow(_ context.Context, said []ingest.Statement) error {
	for _, s := range said {
		if s.GPC {
			d.gpc.Add(1)
		}
	}
	return nil
}

func (d *doorman) Admit(_ *ingest.Source, s ingest.Statement) ingest.Verdict {
	return ingest.Verdict{Allow: s.Event.UserID != "denied"}
}

// rejects counts what is kept.
type rejects struct {
	mu   sync.Mutex
	rows []ingest.Reject
}

func (k *rejects) Write(_ context.Context, fn func(ingest.Store) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fn(k)
}
func (k *rejects) Read(ctx context.Context, fn func(ingest.Store) error) error {
	return k.Write(ctx, fn)
}
func (k *rejects) AppendReject(r ingest.Reject) (int64, error) {
	k.rows = append(k.rows, r)
	return int64(len(k.rows)), nil
}
func (k *rejects) Rejects(ingest.RejectQuery) ([]ingest.Reject, error) { return k.rows, nil }
func (k *rejects) Reject(int64) (ingest.Reject, bool, error)           { return ingest.Reject{}, false, nil }
func (k *rejects) MarkResent(int64) error                              { return nil }
func (k *rejects) DropReject(int64) (bool, error)                      { return false, nil }
func (k *rejects) RejectCounts() (map[string]int64, error)             { return nil, nil }
func (k *rejects) DropRejects(int) ([][]byte, error)                   { return nil, nil }
func (k *rejects) AddViolations([]ingest.Violation) error              { return nil }
func (k *rejects) Violations() ([]ingest.Violation, error)             { return nil, nil }

// walk answers a Waiter's question as it is told to.
type walk struct{ state string }

func (w walk) WaitPosition(ctx context.Context, _ eventlog.Lane, pos int64) (string, error) {
	if w.state == "" {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return w.state, nil
}

type bundle struct {
	handler http.Handler
	log     *logbook
	permit  *doorman
	rejects *rejects
	config  collect.Config
}

func setup(t testing.TB, change ...func(*collect.Config)) *bundle {
	t.Helper()
	b := &bundle{log: &logbook{}, permit: &doorman{}, rejects: &rejects{}}
	in, err := ingest.New(ingest.Config{
		Log: b.log, Permit: b.permit, Keeper: b.rejects,
		Now: func() time.Time { return now }, Machine: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	limits, err := ratelimit.NewKeyed(ratelimit.Config{
		PerSecond: collect.DefaultPerSecond, Burst: collect.DefaultBurst, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.config = collect.Config{
		Ingest: in, Keys: ring, Limits: limits,
		Sources: func(name string) (ingest.Source, bool) {
			return ingest.Source{Name: name, Disabled: name == "closed"}, name != "gone"
		},
		Origins: func(source string) []string {
			if source == "site" {
				return []string{"https://shop.example"}
			}
			return nil
		},
	}
	for _, f := range change {
		f(&b.config)
	}
	h, err := collect.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	h.Register(mux)
	b.handler = mux
	return b
}

// do sends one request straight to the handler.
func (b *bundle) do(method, target, body string, header map[string]string) (status int, head http.Header, answer string) {
	var r io.Reader = http.NoBody
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, target, r)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, req)
	return w.Code, w.Header(), w.Body.String()
}
