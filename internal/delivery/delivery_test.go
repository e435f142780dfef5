package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/delivery/deliverytest"
	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

// bundle is one house for sending, with everything that a test may bend.
type bundle struct {
	t     *testing.T
	state store.State          // what the processes are opened on
	mem   *deliverytest.Memory // it, where it is in memory
	sink  *deliverytest.Provider
	gate  *gate
	draw  *renderer
	cfg   delivery.Config
	log   *syncBuffer
	d     *delivery.Dispatcher
	life  *mortal
	stop  context.CancelFunc
	ended chan error
	n     int
}

// mortal is a state store as one process sees it: once dead, nothing of that
// process reaches the store any more.
type mortal struct {
	store.State
	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (m *mortal) Write(ctx context.Context, o store.WriteOptions, fn func(store.Tx) error) error {
	if m.dead.Load() {
		return errDead
	}
	return m.State.Write(ctx, o, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if m.dead.Load() {
			return errDead
		}
		return nil
	})
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// gate lets everything pass unless told otherwise.
type gate struct {
	mu   sync.Mutex
	pass func(m *outbox.Mail) (bool, string, []byte, error)
}

func (g *gate) set(fn func(m *outbox.Mail) (bool, string, []byte, error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass = fn
}

func (g *gate) Foresee(store.Tx, []id.Person, []string) error { return nil }

func (g *gate) Pass(_ store.Tx, m *outbox.Mail, _ time.Time) (bool, string, []byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pass == nil {
		return true, "", nil, nil
	}
	return g.pass(m)
}

// renderer writes the person's number into the mail and the address.
type renderer struct {
	calls atomic.Int64
	fn    func(ctx context.Context, in message.Intent, now time.Time) (message.Rendered, []byte, error)
}

func (r *renderer) Render(ctx context.Context, in message.Intent, now time.Time) (message.Rendered, []byte, error) {
	r.calls.Add(1)
	if r.fn != nil {
		return r.fn(ctx, in, now)
	}
	return plain(in), []byte(`{"subject":"Hello"}`), nil
}

func plain(in message.Intent) message.Rendered {
	to := in.To
	if to == "" {
		to = fmt.Sprintf("p%d@mail.example", int64(in.Person))
	}
	return message.Rendered{
		From: message.Address{Email: "shop@shop.example"}, To: message.Address{Email: to},
		EnvelopeFrom: "bounce@shop.example", Subject: "Hello", Text: []byte("Hello."),
	}
}

// setup makes a bundle; nothing runs yet. It must be called inside synctest.
func setup(t *testing.T) *bundle {
	t.Helper()
	mem := deliverytest.NewMemory()
	b := setupOn(t, mem)
	b.mem = mem
	return b
}

// setupOn makes a bundle on a store.
func setupOn(t *testing.T, state store.State) *bundle {
	t.Helper()
	b := &bundle{t: t, state: state, sink: &deliverytest.Provider{}, gate: &gate{}, draw: &renderer{}, log: &syncBuffer{}}
	b.cfg = delivery.Config{
		Renderer: b.draw, Gate: b.gate, Providers: map[string]delivery.Provider{"main": b.sink},
		Now: time.Now, Mono: time.Now, Rand: func() float64 { return 0.5 },
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	return b
}

// open begins a process on the store.
func (b *bundle) open() {
	b.t.Helper()
	b.life = &mortal{State: b.state}
	b.cfg.State = b.life
	d, err := delivery.New(b.cfg)
	if err != nil {
		b.t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	b.d, b.stop, b.ended = d, cancel, make(chan error, 1)
	ended := b.ended
	go func() { ended <- d.Run(ctx) }()
}

// close ends the process gracefully.
func (b *bundle) close() {
	b.t.Helper()
	b.stop()
	if err := <-b.ended; err != nil {
		b.t.Fatalf("Run: %v", err)
	}
}

// kill ends the process as SIGKILL would: nothing it does from now on counts.
func (b *bundle) kill() {
	b.life.dead.Store(true)
	b.stop()
	<-b.ended
}

// owe inserts a mail and gives its id; it does not wake anybody.
func (b *bundle) owe(change func(*message.Intent)) id.Message {
	b.t.Helper()
	b.n++
	now := time.Now()
	in := message.Intent{
		Key: fmt.Sprintf("journey/test/%d", b.n), Person: id.Person(b.n), Template: "hello", Purpose: "marketing.newsletter",
		Class: message.Triggered, Decided: now, Due: now, Journey: "test", Step: "mail",
	}
	if change != nil {
		change(&in)
	}
	in.ID = id.NewMessage(in.Decided, in.Key)
	err := b.state.Write(b.t.Context(), store.WriteOptions{}, func(tx store.Tx) error {
		_, _, err := tx.Outbox().Insert(in, now)
		return err
	})
	if err != nil {
		b.t.Fatalf("insert: %v", err)
	}
	return in.ID
}

func (b *bundle) wake(ids ...id.Message) { b.d.Wake(ids...) }

// settle waits until nothing due is unsent.
func (b *bundle) settle() {
	b.t.Helper()
	if err := b.d.Settle(b.t.Context()); err != nil {
		b.t.Fatalf("Settle: %v", err)
	}
}

func (b *bundle) mail(m id.Message) outbox.Mail {
	b.t.Helper()
	var out outbox.Mail
	err := b.state.Read(b.t.Context(), func(tx store.Tx) error {
		var err error
		out, _, err = tx.Outbox().Get(m)
		return err
	})
	if err != nil {
		b.t.Fatalf("get: %v", err)
	}
	return out
}

// story gives a mail's states with their reasons, as "deferred:greylisted".
func (b *bundle) story(m id.Message) []string {
	b.t.Helper()
	var out []string
	err := b.state.Read(b.t.Context(), func(tx store.Tx) error {
		steps, err := tx.Outbox().Story(m)
		for _, s := range steps {
			word := s.State.String()
			if s.Reason != "" {
				word += ":" + s.Reason
			}
			out = append(out, word)
		}
		return err
	})
	if err != nil {
		b.t.Fatalf("story: %v", err)
	}
	return out
}

type storeOptions = store.WriteOptions

// checkEnd holds one person's mail against what the sink got.
func (b *bundle) checkEnd(who id.Person) {
	b.t.Helper()
	var mails []outbox.Mail
	err := b.state.Read(b.t.Context(), func(tx store.Tx) error {
		var err error
		mails, err = tx.Outbox().OfPerson(who, 2)
		return err
	})
	if err != nil || len(mails) != 1 {
		b.t.Fatalf("mails of %s: %v, %v", who, mails, err)
	}
	m, got := mails[0], b.sink.To(fmt.Sprintf("p%d@mail.example", who))
	switch {
	case m.Class.Marketing() && got > 1:
		b.t.Errorf("%s got %d copies: %v", who, got, b.story(m.ID))
	case got > 1 && !m.Duplicate:
		b.t.Errorf("%s got %d copies and nobody says so: %v", who, got, b.story(m.ID))
	case m.State == message.Accepted && got == 0:
		b.t.Errorf("%s got nothing of an accepted mail: %v", who, b.story(m.ID))
	case (m.State == message.Failed || m.State == message.Skipped) && got > 0 && !m.Duplicate:
		b.t.Errorf("%s got a mail that is %s: %v", who, m.State, b.story(m.ID))
	}
}

func (b *bundle) counts() map[message.State]int64 {
	b.t.Helper()
	var out map[message.State]int64
	err := b.state.Read(b.t.Context(), func(tx store.Tx) error {
		var err error
		out, err = tx.Outbox().Counts()
		return err
	})
	if err != nil {
		b.t.Fatalf("counts: %v", err)
	}
	return out
}

func (b *bundle) events() map[string]int {
	b.t.Helper()
	out := map[string]int{}
	err := b.state.Read(b.t.Context(), func(tx store.Tx) error {
		rows, err := tx.Processor().Relay(0, 10_000)
		for _, row := range rows {
			var e event.Event
			if err := e.Decode(row.Body); err != nil {
				return err
			}
			out[e.Name]++
		}
		return err
	})
	if err != nil {
		b.t.Fatalf("events: %v", err)
	}
	return out
}

func run(t *testing.T, name string, fn func(t *testing.T, b *bundle)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { fn(t, setup(t)) })
	})
}

func TestEveryMailIsSentOnceAndTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.open()
		defer b.close()
		var ids []id.Message
		for range 1000 {
			ids = append(ids, b.owe(nil))
		}
		b.wake(ids...)
		b.settle()
		if got := b.counts(); got[message.Accepted] != 1000 || len(got) != 1 {
			t.Errorf("states = %v, want 1000 accepted", got)
		}
		if b.sink.Total() != 1000 || b.sink.Most() != 1 {
			t.Errorf("sink got %d mails, at most %d to one, want 1000 and 1", b.sink.Total(), b.sink.Most())
		}
		if got := b.events(); got["Email Sent"] != 1000 || len(got) != 1 {
			t.Errorf("events = %v, want 1000 sent", got)
		}
		want := "[pending claimed handing_over accepted]"
		if got := fmt.Sprint(b.story(ids[0])); got != want {
			t.Errorf("story = %v, want %v", got, want)
		}
	})
}
