package public_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/api/public"
	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/purpose"
	"rapport/internal/spec"
	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/store/sqlitestore"
)

const (
	news   = purpose.Purpose("marketing.newsletter")
	reader = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	base   = "https://mail.shop.example"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// house is the door on a real store, with one mail that was sent.
type house struct {
	t      testing.TB
	state  store.State
	hasher *id.Hasher
	a      *consent.Authority
	signer *feedback.Signer
	mux    *http.ServeMux
	mail   id.Message
	ada    id.Hash
	user   id.Hash

	mu    sync.Mutex
	now   time.Time
	log   []*event.Event
	broke error // the log fails with it
	gone  bool  // the mail is not kept any more
}

func setup(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC), mux: http.NewServeMux()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if database := pgtest.Chosen(t); database != "" {
		h.state, err = pgstore.OpenState(context.Background(), pgstore.Config{URL: database})
	} else {
		h.state, err = sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	}
	must(err)
	t.Cleanup(func() { must(h.state.Close()) })
	h.hasher, err = id.NewHasher(bytes.Repeat([]byte{7}, 32))
	must(err)
	h.ada, h.user = h.hasher.Sum("email", "ada@mail.example"), h.hasher.Sum("user_id", "u1")
	h.mail = id.NewMessage(h.now, "k")
	var doc yaml.Node
	must(yaml.Load([]byte(consent.Starter), &doc))
	policy, problems := consent.ParsePolicy(&doc)
	if policy == nil {
		t.Fatal(problems)
	}
	h.a, err = consent.New(context.Background(), consent.Config{Policy: policy, Keeper: h, Hasher: h.hasher, Log: h, Now: h.clock})
	must(err)
	h.a.Settled()
	h.signer, err = feedback.NewSigner(feedback.SignerConfig{Base: base, Keys: [][]byte{bytes.Repeat([]byte{1}, 32)}})
	must(err)
	desk, err := feedback.New(feedback.Config{Signer: h.signer, Permission: h.a, Mails: h, Log: h, Now: h.clock})
	must(err)
	door, err := public.New(public.Config{Desk: desk, Name: func() string { return "Acorn Books" }, Logger: slog.New(slog.DiscardHandler)})
	must(err)
	door.Register(h.mux)
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(time.Millisecond)
	return h.now
}

func (h *house) later(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// Write implements consent.Keeper.
func (h *house) Write(ctx context.Context, fn func(consent.Store) error) error {
	return h.state.Write(ctx, store.WriteOptions{Priority: store.Urgent, Durable: true}, func(tx store.Tx) error { return fn(tx.Consent()) })
}

// Narrow implements consent.Keeper.
func (h *house) Narrow(ctx context.Context, fn func(consent.Store) error) error {
	return h.Write(ctx, fn)
}

// Read implements consent.Keeper.
func (h *house) Read(ctx context.Context, fn func(consent.Store) error) error {
	return h.state.Read(ctx, func(tx store.Tx) error { return fn(tx.Consent()) })
}

// AppendEvent implements feedback.Log and consent.Log.
func (h *house) AppendEvent(_ context.Context, ev *event.Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broke != nil {
		return h.broke
	}
	h.log = append(h.log, ev)
	return nil
}

// Mail implements feedback.Mails.
func (h *house) Mail(_ context.Context, m id.Message) (feedback.Mail, error) {
	if m != h.mail || h.gone {
		return feedback.Mail{}, fault.New(fault.NotFound, "no_such_mail", "there is no such mail")
	}
	return feedback.Mail{
		Person: 5, Names: []feedback.Name{{Kind: "user_id", Hash: h.user}, {Kind: "email", Hash: h.ada}},
		Purpose: news, Class: message.Triggered, Template: "welcome", Journey: "welcome", Sent: time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC),
	}, nil
}

// Subject implements feedback.Mails.
func (h *house) Subject(context.Context, id.Message) (string, error) { return "Welcome", nil }

// walk gives what was logged to the authority, as the walk does.
func (h *house) walk() {
	h.t.Helper()
	h.mu.Lock()
	log := h.log
	h.log = nil
	h.mu.Unlock()
	for _, ev := range log {
		var ap consent.Applied
		err := h.Write(context.Background(), func(st consent.Store) (err error) {
			ap, err = h.a.ApplyIn(st, h.a.WalkedEvent(ev))
			return err
		})
		if err != nil {
			h.t.Fatal(err)
		}
		ap.Done()
	}
}

// said makes something stand.
func (h *house) said(p purpose.Purpose, s consent.State, subjects ...id.Hash) {
	h.t.Helper()
	var entries []consent.Entry
	for _, x := range subjects {
		kind := "user_id"
		if x == h.ada {
			kind = "email"
		}
		entries = append(entries, consent.Entry{Subject: x, Kind: kind, Purpose: p, State: s, Method: consent.ByAPI})
	}
	if err := h.a.Submit(context.Background(), fmt.Sprint("said/", h.clock().UnixMilli()), "api", entries); err != nil {
		h.t.Fatal(err)
	}
	h.walk()
	h.later(time.Second)
}

// may asks at the last gate.
func (h *house) may(p purpose.Purpose) consent.Decision {
	q := consent.Question{Subjects: []id.Hash{h.user, h.ada}, Address: h.ada, Operation: consent.HandOver, Purpose: p, Channel: purpose.Email, At: h.clock()}
	return h.a.Decide(context.Background(), q)
}

// events gives the names of the logged events that are no change of permission.
func (h *house) events() []*event.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*event.Event
	for _, ev := range h.log {
		if ev.Type == event.Outcome {
			out = append(out, ev)
			var c spec.Check
			if c.Properties(ev.Name, ev.Properties); len(c.Found) != 0 || !strings.Contains(string(ev.Properties), `"email_subject":"Welcome"`) {
				h.t.Errorf("%s is not as the spec has it: %s", ev.Name, ev.Properties)
			}
		}
	}
	return out
}

func (h *house) rows() int64 {
	var v int64
	if err := h.Read(context.Background(), func(st consent.Store) (err error) { v, err = st.Version(); return err }); err != nil {
		h.t.Fatal(err)
	}
	return v
}

// scenario is one request and what must come of it.
type scenario struct {
	method, path, body, kind string
	header                   map[string]string
	status                   int
	contain, lack            []string
}

func (h *house) do(s scenario) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(s.method, strings.TrimPrefix(s.path, base), strings.NewReader(s.body))
	r.Header.Set("User-Agent", reader)
	if s.kind != "" {
		r.Header.Set("Content-Type", s.kind)
	}
	for k, v := range s.header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	if w.Code != s.status {
		h.t.Errorf("%s %.40s: status %d, want %d", s.method, s.path, w.Code, s.status)
	}
	for _, c := range s.contain {
		if !strings.Contains(w.Body.String(), c) {
			h.t.Errorf("%s %.40s lacks %q:\n%s", s.method, s.path, c, w.Body)
		}
	}
	for _, c := range s.lack {
		if strings.Contains(w.Body.String(), c) {
			h.t.Errorf("%s %.40s has %q:\n%s", s.method, s.path, c, w.Body)
		}
	}
	return w
}

const (
	oneClick = "List-Unsubscribe=One-Click"
	encoded  = "application/x-www-form-urlencoded"
)
