package manage_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/access"
	"rapport/internal/alert"
	"rapport/internal/api/manage"
	"rapport/internal/audit"
	"rapport/internal/breach"
	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/fault"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/message"
	"rapport/internal/privacy"
	"rapport/internal/processor"
	"rapport/internal/processor/processortest"
	"rapport/internal/purpose"
	"rapport/internal/ratelimit"
	"rapport/internal/rights"
	"rapport/internal/store"
	"rapport/internal/store/sqlitestore"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// chance gives names in order, so that answers can be foretold.
type chance struct{ n byte }

func (c *chance) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = c.n
	}
	return len(p), nil
}

type accessKeeper struct{ state store.State }

func (k accessKeeper) Write(ctx context.Context, fn func(access.Store) error) error {
	return k.state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error { return fn(tx.Access()) })
}

func (k accessKeeper) Read(ctx context.Context, fn func(access.Store) error) error {
	return k.state.Read(ctx, func(tx store.Tx) error { return fn(tx.Access()) })
}

type ingestKeeper struct{ state store.State }

func (k ingestKeeper) Write(ctx context.Context, fn func(ingest.Store) error) error {
	return k.state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error { return fn(tx.Ingest()) })
}

func (k ingestKeeper) Read(ctx context.Context, fn func(ingest.Store) error) error {
	return k.state.Read(ctx, func(tx store.Tx) error { return fn(tx.Ingest()) })
}

// welcome permits everything to be collected.
type welcome struct{}

func (welcome) Narrow(context.Context, []ingest.Statement) error { return nil }
func (welcome) Admit(*ingest.Source, ingest.Statement) ingest.Verdict {
	return ingest.Verdict{Allow: true}
}

// journal lets the authority write to the log.
type journal struct{ log *eventlog.Log }

func (j journal) AppendEvent(ctx context.Context, e *event.Event) error {
	_, _, err := j.log.Append(ctx, eventlog.Live, [][]byte{e.Append(nil)})
	return err
}

const purposes = `
purposes:
  service: {basis: contract}
  marketing.newsletter: {basis: consent}
`

const definitions = `
segments:
  buyers: {rule: {did: Order Completed, within: 24h}}
journeys:
  thanks:
    purpose: service
    trigger: {event: Order Completed}
    steps:
      - send: thanks
        class: transactional
  later:
    purpose: service
    trigger: {event: Order Completed}
    steps:
      - wait: 1h
        id: nudge
`

// house is real rooms over a data folder, with the door before them.
type house struct {
	barred  rights.Barred
	t       testing.TB
	dir     string
	clock   *processortest.Hand
	log     *eventlog.Log
	state   *sqlitestore.State
	walker  *processor.Walker
	reader  *explain.Reader
	consent *consent.Authority
	keys    *access.Keys
	ingest  *ingest.Ingest
	hasher  *id.Hasher
	ring    fakeRing
	config  manage.Config
	door    http.Handler
	secret  string // a management key
	applied []map[string][]byte
	walking func() // starts the walk
	stop    func()

	searched string // for whom a breach was last searched
}

// setup opens a new folder and lets the walk run.
func setup(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), clock: processortest.NewHand(start)}
	h.open()
	h.walking()
	t.Cleanup(func() { h.stop() })
	secret, _, err := h.keys.Create(t.Context(), access.Request{Kind: access.Manage, Name: "tests"})
	h.must(err)
	h.secret = secret
	e := event.Event{Type: event.Config, Source: "rapport", MessageID: "config/1", Name: "1", Time: start, Received: start}
	h.append(&e)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// trailKeeper joins the state store to the trail.
type trailKeeper struct{ state store.State }

func (k trailKeeper) Hurry(ctx context.Context, fn func(audit.Store) error) error {
	return k.Write(ctx, false, fn)
}

func (k trailKeeper) Write(ctx context.Context, durable bool, fn func(audit.Store) error) error {
	return k.state.Write(ctx, store.WriteOptions{Durable: durable}, func(tx store.Tx) error { return fn(tx.Audit()) })
}

func (k trailKeeper) Read(ctx context.Context, fn func(audit.Store) error) error {
	return k.state.Read(ctx, func(tx store.Tx) error { return fn(tx.Audit()) })
}

// trail makes one over the state, which signs with a key of its own.
func (h *house) trail() *audit.Trail {
	secret, public, err := audit.MakeKey(rand.Reader, "trail.example")
	h.must(err)
	t, err := audit.New(audit.Config{Keeper: trailKeeper{h.state}, Key: secret, Now: h.clock.Now, Rand: rand.Reader}, public)
	h.must(err)
	return t
}

// desk asks addresses to confirm; nothing here answers a mail.
func (h *house) desk() *feedback.Desk {
	signer, err := feedback.NewSigner(feedback.SignerConfig{Base: "https://mail.shop.example", Keys: [][]byte{make([]byte, 32)}})
	h.must(err)
	d, err := feedback.New(feedback.Config{
		Signer: signer, Permission: h.consent, Mails: noMails{}, Log: liveLog{h.log}, Now: h.clock.Now, Hash: h.hasher.Sum, Rand: &chance{},
		Asking: func() feedback.Asking {
			return feedback.Asking{Template: "receipt", Purpose: purpose.Service, Limits: consent.OptInLimits{PerAddress: 2, PerNetwork: 10, ValidFor: time.Hour}}
		},
	})
	h.must(err)
	return d
}

type noMails struct{}

func (noMails) Mail(context.Context, id.Message) (feedback.Mail, error) {
	return feedback.Mail{}, fault.New(fault.NotFound, "no_such_message", "there is none")
}

func (noMails) Subject(context.Context, id.Message) (string, error) { return "", nil }

type liveLog struct{ log *eventlog.Log }

func (l liveLog) AppendEvent(ctx context.Context, ev *event.Event) error {
	_, _, err := l.log.Append(ctx, eventlog.Live, [][]byte{ev.Append(nil)})
	return err
}

func (h *house) open() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	logs, err := sqlitestore.OpenLog(sqlitestore.LogConfig{Path: filepath.Join(h.dir, "log.db")})
	h.must(err)
	h.state, err = sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(h.dir, "state.db")})
	h.must(err)
	h.log, err = eventlog.Open(eventlog.Config{Store: logs, Now: h.clock.Now})
	h.must(err)
	h.hasher, err = id.NewHasher([]byte("0123456789abcdef0123456789abcdef"))
	h.must(err)
	var root yaml.Node
	h.must(yaml.Unmarshal([]byte(purposes), &root))
	policy, problems := consent.ParsePolicy(&root)
	if policy == nil {
		h.t.Fatal(problems)
	}
	h.consent, err = consent.New(ctx, consent.Config{
		Policy: policy, Keeper: store.NewPermission(h.state), Hasher: h.hasher, Log: journal{h.log}, Now: h.clock.Now,
	})
	h.must(err)
	resolver := identity.New(identity.Config{Hasher: h.hasher})
	h.walker, err = processor.New(processor.Config{
		Log: h.log, Keeper: store.Walk{State: h.state}, Resolver: resolver, Hasher: h.hasher, Consent: h.consent, Clock: h.clock, Mono: time.Now,
		Load: func(context.Context, int) (*processor.Version, error) { return processortest.Compile(1, definitions) },
	})
	h.must(err)
	h.must(h.walker.Open(ctx))
	h.must(h.walker.LoadSeen(ctx))
	h.reader, err = explain.New(explain.Config{
		Keeper: store.Walk{State: h.state}, Resolver: resolver, Consent: h.consent, Version: h.walker.Version, Now: h.clock.Now,
	})
	h.must(err)
	h.keys, err = access.New(ctx, access.Config{Keeper: accessKeeper{h.state}, Now: h.clock.Now})
	h.must(err)
	h.ingest, err = ingest.New(ingest.Config{
		Log: h.log, Permit: welcome{}, Keeper: ingestKeeper{h.state}, Now: h.clock.Now, Machine: h.clock.Now,
		Sources: func(name string) (ingest.Source, bool) { return ingest.Source{Name: name}, name == "shop" },
	})
	h.must(err)
	var group sync.WaitGroup
	group.Go(func() { _ = h.log.Run(ctx) })
	var once sync.Once
	h.walking = func() { once.Do(func() { group.Go(func() { _ = h.walker.Run(ctx) }) }) }
	h.stop = func() {
		_ = h.log.Close()
		cancel()
		group.Wait()
		h.must(h.state.Close())
		h.must(logs.Close())
	}
	h.configure()
}

func (h *house) configure() {
	limits, err := ratelimit.NewKeyed(ratelimit.Config{PerSecond: 100, Burst: 10_000, Now: h.clock.Now})
	h.must(err)
	h.config = manage.Config{
		Keys: h.keys, Limits: limits, Log: h.log, Walk: h.walker, Reader: h.reader, Rejects: h.ingest, Asides: nothingAside{}, Destinations: h.office(), Alerts: h.alerts, Consent: h.consent, Trail: h.trail(), Desk: h.desk(), Keyring: &h.ring, Hash: h.hasher.Sum,
		Rights: &rights.Desk{Keeper: store.Rights{State: h.state}, Now: h.clock.Now}, Barred: h.barred.Has,
		Breaches: &breach.Register{Keeper: store.Breaches{State: h.state}, Now: h.clock.Now},
		Affected: func(_ context.Context, s *breach.Scope, keys, sources []string, fn func(*breach.Touched) error) (breach.Affected, error) {
			h.searched = fmt.Sprint(keys, sources, s.Everything)
			if fn != nil {
				if err := fn(&breach.Touched{Person: "per_1", Address: "ann@people.example", Kinds: breach.Events}); err != nil {
					return breach.Affected{}, err
				}
			}
			return breach.Affected{People: 1, Kinds: []breach.Count{{Name: "events", People: 1, Records: 2}}}, nil
		},
		Told:             func(context.Context) ([]privacy.Told, error) { return nil, nil },
		KnowsDestination: func(name string) bool { return name == "crm" },
		Backup:           func(context.Context, io.Writer) error { return nil },
		Retention:        func(context.Context) (any, error) { return map[string]any{}, nil },
		Templates: func(name string) (manage.Template, bool) {
			t, ok := map[string]manage.Template{
				"receipt": {Purpose: purpose.Service, Class: message.Transactional},
				"news":    {Purpose: "marketing.newsletter", Class: message.Triggered},
			}[name]
			return t, ok
		},
		Providers: func(name string) bool { return name == "relay" },
		Sources:   func(name string) bool { return name == "shop" },
		House:     func() string { return "Shop" },
		Configuration: func() manage.Configuration {
			return manage.Configuration{Version: 1, Digest: "d1", Applied: start, Files: []string{"rapport.yaml"}}
		},
		Plan: func(_ context.Context, files map[string][]byte) (any, error) {
			return map[string]any{"version": 1, "dry_run": true, "files": len(files)}, nil
		},
		Survey: func(_ context.Context, source string, _ time.Time, most int64) (any, error) {
			return []map[string]any{{"source": source, "events": most}}, nil
		},
		Apply: func(_ context.Context, files map[string][]byte, expect int) (any, error) {
			if expect != 0 && expect != 1 {
				return nil, fault.New(fault.Conflict, "version_moved", "version 1 is in effect by now")
			}
			h.applied = append(h.applied, files)
			return map[string]any{"version": 2}, nil
		},
		Import: func(ctx context.Context, source string, body []byte) (ingest.Receipt, error) {
			return h.ingest.Take(ctx, ingest.Call{Source: ingest.Source{Name: source}, Bulk: true, Path: "/v1/batch", Body: body})
		},
		Now: h.clock.Now, Machine: h.clock.Now, Rand: &chance{}, Build: "1.2.3-test",
	}
	h.knock()
}

// knock builds the door anew: it knows nothing of what the one before knew.
func (h *house) knock() {
	h.t.Helper()
	door, err := manage.New(h.config)
	h.must(err)
	h.door = door.Handler()
}

// append puts a record into the log and waits until it is walked.
func (h *house) append(e *event.Event) {
	h.t.Helper()
	pos, _, err := h.log.Append(h.t.Context(), eventlog.Live, [][]byte{e.Append(nil)})
	h.must(err)
	h.must(h.walker.Wait(h.t.Context(), eventlog.Live, pos))
}

// walked waits until everything that is in the log is walked.
func (h *house) walked() {
	h.t.Helper()
	tail, _ := h.log.Tail(eventlog.Live)
	h.must(h.walker.Wait(h.t.Context(), eventlog.Live, tail))
}

// ann makes somebody known: per_1.
func (h *house) ann() {
	h.t.Helper()
	for i, name := range []string{"", "Order Completed"} {
		e := event.Event{
			Type: event.Identify, Source: "shop", MessageID: fmt.Sprintf("ann-%d", i), UserID: "42", Email: "ann@shop.example", Anonymous: "device-1",
			External: []event.ExternalID{{Type: "shopify_id", Value: "a/b c"}},
			Time:     h.clock.Now(), Received: h.clock.Now(), Traits: []byte(`{"email":"ann@shop.example","first_name":"Ann"}`),
		}
		if name != "" {
			e.Type, e.Name, e.Properties = event.Track, name, []byte(`{"value":12.5}`)
		}
		h.append(&e)
	}
}

// ask sends a request. header is "Name: value" lines.
func (h *house) ask(method, path, body string, header ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(h.t.Context(), method, path, in)
	r.Header.Set("Authorization", "Bearer "+h.secret)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	return w
}

// answerOf reads a JSON answer of the wanted status.
func (h *house) answerOf(status int, w *httptest.ResponseRecorder) map[string]any {
	h.t.Helper()
	if w.Code != status {
		h.t.Fatalf("got %d %s, want %d", w.Code, w.Body, status)
	}
	var out map[string]any
	if err := json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&out); err != nil {
		h.t.Fatalf("got %s: %v", w.Body, err)
	}
	return out
}

func hashOf(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// alerts gives one thing that is wrong.
func (h *house) alerts(context.Context) ([]alert.Alert, error) {
	return []alert.Alert{{Name: "disk_nearly_full", Severity: alert.Warning, Text: "It is.", Do: "Make room.", Since: h.clock.Now()}}, nil
}
