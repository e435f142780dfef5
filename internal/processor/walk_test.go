package processor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/processor"
	"rapport/internal/processor/processortest"
	"rapport/internal/purview"
	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/store/sqlitestore"
)

// house is a log, a state and a walker over them, driven by hand.
type house struct {
	t        testing.TB
	dir      string
	clock    *processortest.Hand
	log      *eventlog.Log
	state    store.State
	database string // of PostgreSQL; "": files in dir
	walker   *processor.Walker
	reader   *explain.Reader
	configs  map[int]string // segments and journeys by version, YAML
	sequence int
	stop     func()
	trouble  *trouble                      // what the walk's transactions meet
	around   func(store.State) store.State // what is about the walk's state; nil: nothing
	machine  func() time.Time              // nil: the machine's
	sees     *purview.Table                // what each purpose may see; nil: everything
}

const purposes = `
purposes:
  service: {basis: contract}
  marketing.newsletter: {basis: legitimate_interest}
  care: {basis: consent}
`

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func setup(t testing.TB, config string) *house {
	t.Helper()
	return setupOn(t, pgtest.Chosen(t), config)
}

func setupOn(t testing.TB, database, config string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), database: database, clock: processortest.NewHand(start), configs: map[int]string{1: config}, trouble: &trouble{}}
	h.begin()
	return h
}

func (h *house) mono() time.Time {
	if h.machine != nil {
		return h.machine()
	}
	return time.Now()
}

// begin opens a house that will be closed with its test, and gives it its first configuration.
func (h *house) begin() {
	h.t.Helper()
	h.open()
	h.t.Cleanup(func() { h.stop() })
	h.config(1)
}

func (h *house) open() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	logs, err := h.openStores(ctx)
	h.must(err)
	if h.around != nil {
		h.state = h.around(h.state)
	}
	h.log, err = eventlog.Open(eventlog.Config{Store: logs, Now: h.clock.Now, Logger: slog.New(slog.DiscardHandler)})
	h.must(err)
	var group sync.WaitGroup
	group.Go(func() { _ = h.log.Run(ctx) })
	hasher, err := id.NewHasher([]byte("0123456789abcdef0123456789abcdef"))
	h.must(err)
	var root yaml.Node
	h.must(yaml.Unmarshal([]byte(purposes), &root))
	policy, problems := consent.ParsePolicy(&root)
	if policy == nil {
		h.t.Fatal(problems)
	}
	authority, err := consent.New(ctx, consent.Config{Policy: policy, Keeper: store.NewPermission(h.state), Hasher: hasher, Now: h.clock.Now})
	h.must(err)
	resolver := identity.New(identity.Config{Hasher: hasher})
	h.walker, err = processor.New(processor.Config{
		Log: h.log, Keeper: &faulty{store.Walk{State: h.state}, h.trouble}, Resolver: resolver, Hasher: hasher, Consent: authority, Clock: h.clock, Mono: h.mono,
		Load: func(_ context.Context, n int) (*processor.Version, error) {
			v, err := processortest.Compile(n, h.configs[n])
			if err == nil {
				v.Purview = h.sees
			}
			return v, err
		},
	})
	h.must(err)
	h.must(h.walker.Open(ctx))
	h.must(h.walker.LoadSeen(ctx))
	h.reader, err = explain.New(explain.Config{
		Keeper: store.Walk{State: h.state}, Resolver: resolver, Consent: authority, Version: h.walker.Version, Now: h.clock.Now,
	})
	h.must(err)
	h.stop = func() {
		_ = h.log.Close()
		cancel()
		group.Wait()
		h.must(h.state.Close())
		h.must(logs.Close())
	}
}

func TestMain(m *testing.M) { pgtest.Main(m) }

// openStores opens the log's store and the state.
func (h *house) openStores(ctx context.Context) (logs eventlog.Store, err error) {
	if h.database == "" {
		if logs, err = sqlitestore.OpenLog(sqlitestore.LogConfig{Path: filepath.Join(h.dir, "log.db")}); err != nil {
			return nil, err
		}
		h.state, err = sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(h.dir, "state.db")})
		return logs, err
	}
	c := pgstore.Config{URL: h.database}
	if logs, err = pgstore.OpenLog(ctx, c); err != nil {
		return nil, err
	}
	h.state, err = pgstore.OpenState(ctx, c)
	return logs, err
}

// reopen ends the process's share and begins again on the same files.
func (h *house) reopen() {
	h.stop()
	h.open()
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) config(n int) {
	h.t.Helper()
	h.append(event.Event{Type: event.Config, Source: "rapport", MessageID: fmt.Sprintf("config/%d", n), Name: fmt.Sprint(n)})
	h.walk()
}

// at moves business time to start plus d, rings what is due, and walks.
func (h *house) at(d time.Duration) {
	h.t.Helper()
	h.clock.Set(start.Add(d))
	_, err := h.walker.Ring(context.Background())
	h.must(err)
	h.walk()
}

// append writes one event to the live lane; what is missing is filled in.
func (h *house) append(e event.Event) {
	h.t.Helper()
	h.sequence++
	if e.MessageID == "" {
		e.MessageID = fmt.Sprintf("m%d", h.sequence)
	}
	if e.Source == "" {
		e.Source = "shop"
	}
	e.Received = h.clock.Now()
	if e.Time.IsZero() {
		e.Time = e.Received
	}
	if e.Type == event.Unknown {
		e.Type = event.Track
	}
	_, _, err := h.log.Append(context.Background(), eventlog.Live, [][]byte{e.Append(nil)})
	h.must(err)
}

// walk walks everything that waits.
func (h *house) walk() {
	h.t.Helper()
	for {
		n, err := h.walker.Step(context.Background(), eventlog.Live)
		h.must(err)
		more, err := h.walker.Fill(context.Background())
		h.must(err)
		if n == 0 && !more {
			return
		}
	}
}

func (h *house) do(e event.Event) {
	h.t.Helper()
	h.append(e)
	h.walk()
}

func (h *house) person(kind, value string) *explain.Person {
	h.t.Helper()
	who, err := h.reader.Find(context.Background(), kind, value)
	h.must(err)
	p, err := h.reader.Person(context.Background(), who, "")
	h.must(err)
	return p
}

// names lists a person's events, oldest first, by name or type.
func (h *house) names(kind, value string) []string {
	h.t.Helper()
	events, _, err := h.reader.Events(context.Background(), h.person(kind, value).ID, "", "", 1000)
	h.must(err)
	var out []string
	for i := len(events) - 1; i >= 0; i-- {
		name := events[i].Name
		if name == "" {
			name = events[i].Type
		}
		if name == "Audience Entered" || name == "Audience Exited" {
			var p struct {
				Key string `json:"audience_key"`
			}
			h.must(json.Unmarshal(events[i].Properties, &p))
			name += " " + p.Key + " " + events[i].Time.Sub(start).String()
		}
		out = append(out, name)
	}
	return out
}

func (h *house) mails(who id.Person) []outbox.Mail {
	h.t.Helper()
	var out []outbox.Mail
	h.must(h.state.Read(context.Background(), func(tx store.Tx) (err error) {
		out, err = tx.Outbox().OfPerson(who, 100)
		return err
	}))
	return out
}

func same[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const shop = `
segments:
  cart:
    rule:
      all:
        - {did: Product Added, within: 24h}
        - not: {did: Order Completed, within: 24h}
  german: {rule: {trait: address.country, is: DE}}
  german-cart: {rule: {all: [{in_segment: german}, {in_segment: cart}]}}
journeys:
  abandoned:
    purpose: marketing.newsletter
    trigger: {event: Product Added}
    reentry: always
    steps:
      - wait_for: {event: Order Completed, timeout: 2h, on_timeout: [{send: cart-reminder}]}
`

func TestWalkAnEventToItsMail(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{Type: event.Identify, UserID: "u1", Email: "ada@shop.example", Traits: []byte(`{"email":"ada@shop.example","firstName":"Ada","address":{"country":"DE"}}`)})
	h.do(event.Event{UserID: "u1", Name: "Product Added", Properties: []byte(`{"price":3}`)})
	h.at(time.Hour)
	if got := h.mails(h.person("user_id", "u1").ID); len(got) != 0 {
		t.Fatalf("a mail was owed after one hour: %v", got)
	}
	h.at(3 * time.Hour)
	p := h.person("email", "Ada@shop.example")
	mails := h.mails(p.ID)
	if len(mails) != 1 || mails[0].Template != "cart-reminder" || mails[0].State != message.Pending {
		t.Fatalf("want one pending cart-reminder, got %+v", mails)
	}
	same(t, "decided at the instant that was waited for", start.Add(2*time.Hour), mails[0].Decided)
	h.at(30 * time.Hour)
	same(t, "timeline", []string{
		"identify", "Audience Entered german 0s", "Product Added", "Audience Entered cart 0s", "Audience Entered german-cart 0s",
		"Audience Exited cart 24h0m0s", "Audience Exited german-cart 24h0m0s",
	}, h.names("user_id", "u1"))
}

func TestExitBearsItsInstantHoweverLateAnybodyLooks(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{UserID: "u1", Name: "Product Added"})
	h.clock.Set(start.Add(100 * time.Hour)) // nobody rings before the next event
	h.do(event.Event{UserID: "u1", Name: "Page"})
	same(t, "timeline", []string{"Product Added", "Audience Entered cart 0s", "Audience Exited cart 24h0m0s", "Page"}, h.names("user_id", "u1"))
}

func TestAtEqualInstantsTheEventGoesFirst(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{UserID: "u1", Name: "Product Added"})
	h.at(24 * time.Hour) // due this very millisecond: the alarm waits
	h.do(event.Event{UserID: "u1", Name: "Product Added"})
	h.at(25 * time.Hour)
	same(t, "timeline", []string{"Product Added", "Audience Entered cart 0s", "Product Added"}, h.names("user_id", "u1"))
}

func TestDuplicatesAreAppliedOnceAcrossRestarts(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	for range 2 {
		for range 3 {
			h.do(event.Event{UserID: "u1", Name: "Product Added", MessageID: "same"})
		}
		h.reopen()
	}
	same(t, "events", int64(2), h.person("user_id", "u1").EventsCount) // and the entry that it caused
	h.do(event.Event{UserID: "u1", Name: "Product Added", MessageID: "same", Source: "other shop"})
	same(t, "the same id from another source is another event", int64(3), h.person("user_id", "u1").EventsCount)
}

func TestAnonymousBecomesKnown(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{Anonymous: "a1", Name: "Product Added"})
	anonymous := h.person("anonymous_id", "a1").ID
	h.do(event.Event{UserID: "u1", Name: "Signed Up"})
	known := h.person("user_id", "u1").ID
	h.at(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "u1", Anonymous: "a1", Traits: []byte(`{"plan":"pro"}`)})
	p := h.person("anonymous_id", "a1")
	same(t, "who", known, p.ID)
	same(t, "merged", []string{anonymous.String()}, p.Merged)
	same(t, "timeline", []string{"Product Added", "Audience Entered cart 0s", "Signed Up", "identify"}, h.names("user_id", "u1"))
	h.at(3 * time.Hour)
	same(t, "mails of the joined journey", 1, len(h.mails(known)))
	h.at(30 * time.Hour)
	same(t, "in no segment", 0, len(h.person("user_id", "u1").Segments))
}

func TestTwoUserIDsAreNeverJoined(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{UserID: "u1", Anonymous: "a1", Email: "both@shop.example", Name: "One"})
	h.do(event.Event{UserID: "u2", Anonymous: "a1", Email: "both@shop.example", Name: "Two"})
	h.do(event.Event{Type: event.Alias, UserID: "u2", Previous: "u1"})
	one, two := h.person("user_id", "u1").ID, h.person("user_id", "u2").ID
	if one == two {
		t.Fatal("two user ids were joined")
	}
	same(t, "the address reaches the one whose it was first", one, h.person("email", "both@shop.example").ID)
}

func TestApplyBringsEverybodyToTheNewConfiguration(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	for i := range 250 {
		h.append(event.Event{UserID: fmt.Sprintf("u%d", i), Name: "Order Completed", Properties: fmt.Appendf(nil, `{"value":%d}`, i)})
	}
	h.walk()
	h.at(time.Hour)
	h.configs[2] = shop + "\n" // the same journeys
	h.configs[2] = `
segments:
  big: {rule: {did: Order Completed, where: {value: {gte: 100}}, within: 7d}}
`
	h.config(2)
	sizes, err := h.reader.Segments(context.Background())
	h.must(err)
	same(t, "sizes", []explain.SegmentSize{{Segment: "big", People: 150}}, sizes)
	h.reopen()
	h.at(8 * 24 * time.Hour)
	sizes, err = h.reader.Segments(context.Background())
	h.must(err)
	same(t, "sizes after a week", []explain.SegmentSize{{Segment: "big"}}, sizes)
}
