package consent_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// memory is a consent.Store and consent.Keeper for tests: one writer at a time,
// rolled back on error.
type memory struct {
	mu    sync.Mutex
	broke error // every read and write fails with it
	rows
}

type rows struct {
	ledger  []consent.Entry
	held    map[id.Hash]map[purpose.Purpose]consent.Held
	against []consent.Suppression
	notices []consent.Notice
	optIns  []consent.OptIn
}

func newMemory() *memory {
	return &memory{rows: rows{held: map[id.Hash]map[purpose.Purpose]consent.Held{}}}
}

func (m *memory) Write(_ context.Context, fn func(consent.Store) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broke != nil {
		return m.broke
	}
	saved := rows{ledger: slices.Clone(m.ledger), held: map[id.Hash]map[purpose.Purpose]consent.Held{}, against: slices.Clone(m.against), notices: slices.Clone(m.notices), optIns: slices.Clone(m.optIns)}
	for k, v := range m.held {
		saved.held[k] = maps.Clone(v)
	}
	err := fn(m)
	if err != nil {
		m.rows = saved
	}
	return err
}

func (m *memory) Narrow(ctx context.Context, fn func(consent.Store) error) error {
	return m.Write(ctx, fn)
}

func (m *memory) Read(_ context.Context, fn func(consent.Store) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broke != nil {
		return m.broke
	}
	return fn(m)
}

func (m *memory) Append(e consent.Entry) (int64, bool, error) {
	for _, r := range m.ledger {
		if r.Record == e.Record && r.Subject == e.Subject && r.Purpose == e.Purpose {
			return r.Seq, false, nil
		}
	}
	e.Seq = int64(len(m.ledger) + 1)
	m.ledger = append(m.ledger, e)
	if m.held[e.Subject] == nil {
		m.held[e.Subject] = map[purpose.Purpose]consent.Held{}
	}
	m.held[e.Subject][e.Purpose] = consent.Held{Purpose: e.Purpose, State: e.State, Seq: e.Seq, Record: e.Record, At: e.At, Expires: e.Expires, Notice: e.Notice()}
	return e.Seq, true, nil
}

func (m *memory) Standing(s id.Hash) ([]consent.Held, error) {
	if m.broke != nil {
		return nil, m.broke
	}
	return slices.Collect(maps.Values(m.held[s])), nil
}

func (m *memory) Ledger(s id.Hash) ([]consent.Entry, error) {
	var out []consent.Entry
	for _, e := range m.ledger {
		if e.Subject == s {
			out = append(out, e)
		}
	}
	return out, nil
}

func (m *memory) Version() (int64, error) { return int64(len(m.ledger)), nil }

func (m *memory) EachNarrowing(fn func(id.Hash, consent.Held) error) error {
	for s, held := range m.held {
		for _, h := range held {
			if h.State > consent.Granted {
				if err := fn(s, h); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (m *memory) Suppress(s consent.Suppression) error {
	for _, o := range m.against {
		if o.Address == s.Address && o.Purpose == s.Purpose && o.Reason == s.Reason {
			return nil
		}
	}
	m.against = append(m.against, s)
	return nil
}

func (m *memory) Unsuppress(a id.Hash, r consent.Reason) error {
	m.against = slices.DeleteFunc(m.against, func(s consent.Suppression) bool { return s.Address == a && s.Reason == r })
	return nil
}

func (m *memory) Forget(id.Hash) error { return errors.New("memory: nobody is erased here") }

func (m *memory) Suppressions(a id.Hash) ([]consent.Suppression, error) {
	if m.broke != nil {
		return nil, m.broke
	}
	var out []consent.Suppression
	for _, s := range m.against {
		if s.Address == a {
			out = append(out, s)
		}
	}
	return out, nil
}

func (m *memory) Foresee(iter.Seq2[id.Hash, bool]) error { return nil }

func (m *memory) EachSuppression(fn func(consent.Suppression) error) error {
	for _, s := range m.against {
		if err := fn(s); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) PutNotice(n consent.Notice) (bool, error) {
	for _, k := range m.notices {
		if k.Ref().Name() == n.Ref().Name() {
			return false, nil
		}
	}
	m.notices = append(m.notices, n)
	return true, nil
}

func (m *memory) Notices() ([]consent.Notice, error) { return m.notices, nil }

func (m *memory) PutOptIn(o consent.OptIn) error {
	m.optIns = append(m.optIns, o)
	return nil
}

func (m *memory) OptIn(x id.Message) (consent.OptIn, bool, error) {
	for _, o := range m.optIns {
		if o.ID == x {
			return o, true, nil
		}
	}
	return consent.OptIn{}, false, nil
}

func (m *memory) OptIns(a id.Hash) (out []consent.OptIn, err error) {
	for _, o := range m.optIns {
		if o.Address == a {
			out = append(out, o)
		}
	}
	return out, nil
}

func (m *memory) CountOptIns(a id.Hash, network string, since time.Time) (byAddress, byNetwork int, err error) {
	for _, o := range m.optIns {
		if o.At.After(since) && o.Address == a {
			byAddress++
		}
		if o.At.After(since) && o.Network == network && network != "" {
			byNetwork++
		}
	}
	return byAddress, byNetwork, nil
}

func (m *memory) ConfirmOptIn(x id.Message, at time.Time) (bool, error) {
	for i := range m.optIns {
		if m.optIns[i].ID == x && m.optIns[i].Confirmed.IsZero() {
			m.optIns[i].Confirmed = at
			return true, nil
		}
	}
	return false, nil
}

var _ interface {
	consent.Store
	consent.Keeper
} = (*memory)(nil)

var errBroken = errors.New("disk full")

// house is a fresh authority with a clock that each statement moves on.
type house struct {
	t      testing.TB
	store  *memory
	hasher *id.Hasher
	a      *consent.Authority
	now    time.Time
	log    []*event.Event
}

const policyText = consent.Starter + `
  partner.offers:
    basis: legitimate_interest
    categories: [marketing, partners]
`

func setup(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, store: newMemory(), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	var err error
	if h.hasher, err = id.NewHasher([]byte("0123456789abcdef0123456789abcdef")); err != nil {
		t.Fatal(err)
	}
	h.open()
	return h
}

func (h *house) open() {
	h.t.Helper()
	var err error
	h.a, err = consent.New(context.Background(), consent.Config{
		Policy: policy(h.t, policyText), Keeper: h.store, Hasher: h.hasher, Log: h, Now: func() time.Time { return h.now },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if len(h.log) == 0 {
		h.a.Settled()
	}
}

// AppendEvent keeps what was logged, as the live lane would.
func (h *house) AppendEvent(_ context.Context, ev *event.Event) error {
	h.log = append(h.log, ev)
	return nil
}

func policy(t testing.TB, text string) *consent.Policy {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Load([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	p, problems := consent.ParsePolicy(&doc)
	for _, pr := range problems {
		if !pr.Warning {
			t.Fatalf("policy: line %d: %s", pr.Line, pr.Message)
		}
	}
	return p
}

func (h *house) hash(kind, value string) id.Hash { return h.hasher.Sum(kind, value) }

// tick moves the clock on and gives it.
func (h *house) tick() time.Time {
	h.now = h.now.Add(time.Second)
	return h.now
}

// door does what ingest does: narrow before the answer, then append.
func (h *house) door(ev *event.Event, gpc bool) {
	h.t.Helper()
	if ev.Received.IsZero() {
		ev.Received = h.tick()
	}
	if gpc {
		ev.Flags |= event.GPC
	}
	narrow, _ := h.a.FromEvent(ev, gpc)
	if err := h.a.Narrow(context.Background(), narrow); err != nil {
		h.t.Fatal(err)
	}
	h.log = append(h.log, ev)
}

// walk walks all that was logged.
func (h *house) walk() {
	h.t.Helper()
	for _, ev := range h.log {
		var ap consent.Applied
		err := h.store.Write(context.Background(), func(st consent.Store) error {
			var err error
			ap, err = h.a.ApplyIn(st, h.a.WalkedEvent(ev))
			return err
		})
		if err != nil {
			h.t.Fatal(err)
		}
		ap.Done()
	}
	h.log = nil
	h.a.Settled()
}

// may asks at the last gate, from memory and from the store, which must agree.
func (h *house) may(p purpose.Purpose, address string, subjects ...id.Hash) consent.Decision {
	h.t.Helper()
	q := consent.Question{Operation: consent.HandOver, Purpose: p, Channel: purpose.Email, Subjects: subjects, At: h.now}
	if address != "" {
		q.Address = h.hash("email", address)
	} else {
		q.Operation = consent.Compute
	}
	quick := h.a.Decide(context.Background(), q)
	var in consent.Decision
	if err := h.store.Read(context.Background(), func(st consent.Store) error { in = h.a.DecideIn(st, q); return nil }); err != nil {
		h.t.Fatal(err)
	}
	if quick.Effect != in.Effect {
		h.t.Fatalf("Decide says %v (%s), DecideIn says %v (%s)", quick.Effect, quick.Reason, in.Effect, in.Reason)
	}
	return in
}

func (h *house) want(what string, d consent.Decision, effect consent.Effect, reason string) {
	h.t.Helper()
	if d.Effect != effect || d.Reason != reason {
		h.t.Errorf("%s: got %v, %s; want %v, %s", what, d.Effect, d.Reason, effect, reason)
	}
}

var serial atomic.Int64

func prefs(user, email, json string) *event.Event {
	n := serial.Add(1)
	return &event.Event{
		Type: event.Track, Name: consent.PreferenceUpdated, MessageID: "m" + strconv.FormatInt(n, 10), Source: "site",
		UserID: user, Email: email, Context: []byte(`{"consent":{"categoryPreferences":` + json + `}}`),
	}
}
