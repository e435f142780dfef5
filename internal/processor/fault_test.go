package processor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/person"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/store"
	"rapport/internal/store/pgstore/pgtest"
)

// trouble is what the walk's transactions meet. The zero value is none.
type trouble struct {
	before  func() error                           // at the end of a transaction, before its commit
	persist func(who id.Person, body []byte) error // when a row is written
	read    func()                                 // after a snapshot was read
	lost    int64                                  // retention has taken packs of history up to this one
	commits int
	said    func() error                  // when what somebody said of permission is read
	pressed func(really func() bool) bool // after each record: whether somebody waits
}

// unread is permission that cannot always be read.
type unread struct {
	consent.Store
	t *trouble
}

func (u *unread) Standing(subject id.Hash) ([]consent.Held, error) {
	if err := u.t.said(); err != nil {
		return nil, err
	}
	return u.Store.Standing(subject)
}

// retained is a history of which retention has taken the oldest packs.
type retained struct {
	profile.Store
	t *trouble
}

func (r *retained) Pack(n int64) ([]byte, error) {
	if n <= r.t.lost {
		return nil, nil
	}
	return r.Store.Pack(n)
}

// faulty is a Keeper that meets trouble.
type faulty struct {
	processor.Keeper
	t *trouble
}

func (k *faulty) Write(ctx context.Context, idle bool, fn func(processor.Books) error) error {
	err := k.Keeper.Write(ctx, idle, func(b processor.Books) error {
		b.Persons = &faultyRows{b.Persons, k.t}
		b.History = &retained{b.History, k.t}
		if k.t.said != nil {
			b.Consent = &unread{b.Consent, k.t}
		}
		if really := b.Pressed; k.t.pressed != nil {
			b.Pressed = func() bool { return k.t.pressed(really) }
		}
		if err := fn(b); err != nil {
			return err
		}
		if k.t.before != nil {
			return k.t.before()
		}
		return nil
	})
	if err == nil {
		k.t.commits++
	}
	return err
}

func (k *faulty) Read(ctx context.Context, fn func(processor.Books) error) error {
	err := k.Keeper.Read(ctx, fn)
	if read := k.t.read; read != nil {
		k.t.read = nil
		read()
	}
	return err
}

type faultyRows struct {
	person.Store
	t *trouble
}

func (r *faultyRows) Insert(who id.Person, body []byte) error {
	if r.t.persist != nil {
		if err := r.t.persist(who, body); err != nil {
			return err
		}
	}
	return r.Store.Insert(who, body)
}

func (r *faultyRows) Update(who id.Person, body []byte) error {
	if r.t.persist != nil {
		if err := r.t.persist(who, body); err != nil {
			return err
		}
	}
	return r.Store.Update(who, body)
}

// asides lists what was set aside, oldest first.
func (h *house) asides() []processor.Aside {
	h.t.Helper()
	var out []processor.Aside
	h.must(h.state.Read(context.Background(), func(tx store.Tx) (err error) {
		out, err = tx.Processor().Asides(eventlog.Live, 0, 1000)
		return err
	}))
	for i, k := 0, len(out)-1; i < k; i, k = i+1, k-1 {
		out[i], out[k] = out[k], out[i]
	}
	return out
}

// sizes gives the size of each segment that has people.
func (h *house) sizes() map[string]int64 {
	h.t.Helper()
	list, err := h.reader.Segments(context.Background())
	h.must(err)
	out := map[string]int64{}
	for _, s := range list {
		if s.People != 0 {
			out[s.Segment] = s.People
		}
	}
	return out
}

func TestTemporaryErrorsRepeatTheBatchWhole(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	failures := 0
	h.trouble.before = func() error {
		if failures++; failures <= 3 {
			return &fault.Error{Kind: fault.Unavailable, Code: "disk_full", Temp: true}
		}
		return nil
	}
	for i := range 20 {
		h.append(event.Event{UserID: fmt.Sprintf("u%d", i), Name: "Product Added"})
	}
	h.walk()
	for i := range 20 {
		same(t, "events", int64(2), h.person("user_id", fmt.Sprintf("u%d", i)).EventsCount)
	}
	same(t, "nobody is counted twice", map[string]int64{"cart": 20}, h.sizes())
	same(t, "set aside", 0, len(h.asides()))
	same(t, "duplicates", int64(0), h.walker.Stats().Duplicates)
}

func TestAPoisonRecordIsSetAsideAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		poison func(h *house)
		code   string
	}{
		{"a record that cannot be read", func(h *house) {
			_, _, err := h.log.Append(context.Background(), eventlog.Live, [][]byte{{9, 9, 9}})
			h.must(err)
		}, "record_damaged"},
		{"an event that is about nobody", func(h *house) { h.append(event.Event{Name: "Lost"}) }, "no_user_anon_id"},
		{"a row that cannot be written", func(h *house) {
			h.trouble.persist = func(_ id.Person, body []byte) error {
				if bytes.Contains(body, []byte("poison")) {
					return errors.New("this row is refused")
				}
				return nil
			}
			h.append(event.Event{UserID: "poison", Name: "Product Added"})
		}, "internal"},
		{"a request to send that cannot be read", func(h *house) {
			h.trouble.persist = nil
			h.append(event.Event{Type: event.Send, UserID: "u0", Properties: []byte("{")})
		}, "bad_send"},
		{"a configuration that does not compile", func(h *house) {
			h.configs[7] = "segments: {broken: {rule: {in_segment: nowhere}}}"
			h.append(event.Event{Type: event.Config, Source: "rapport", Name: "7"})
		}, "internal"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, shop)
			for i := range 7 {
				h.append(event.Event{UserID: fmt.Sprintf("u%d", i), Name: "Product Added"})
			}
			row.poison(h)
			for i := range 7 {
				h.append(event.Event{UserID: fmt.Sprintf("u%d", i), Name: "Page Seen"})
			}
			h.walk()
			for i := range 7 {
				same(t, "timeline", []string{"Product Added", "Audience Entered cart 0s", "Page Seen"}, h.names("user_id", fmt.Sprintf("u%d", i)))
			}
			same(t, "sizes", map[string]int64{"cart": 7}, h.sizes())
			aside := h.asides()
			if len(aside) != 1 || aside[0].Code != row.code || aside[0].Pos != 9 {
				t.Fatalf("set aside: got %+v, want one with code %s at position 9", aside, row.code)
			}
			same(t, "version", 1, h.walker.Version().Number)
			h.reopen()
			h.do(event.Event{UserID: "u3", Name: "Page Seen"})
			same(t, "events", int64(4), h.person("user_id", "u3").EventsCount)
		})
	}
}

func TestTroubleWhilePoisonIsSoughtIsWaitedOut(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	n := 0
	h.trouble.before = func() error {
		if n++; n%2 == 0 {
			return &fault.Error{Kind: fault.Unavailable, Code: "busy", Temp: true}
		}
		return nil
	}
	h.trouble.persist = func(_ id.Person, body []byte) error {
		if bytes.Contains(body, []byte("poison")) {
			return errors.New("this row is refused")
		}
		return nil
	}
	for i := range 40 {
		who := fmt.Sprintf("u%d", i)
		if i == 13 || i == 31 {
			who = fmt.Sprintf("poison%d", i)
		}
		h.append(event.Event{UserID: who, Name: "Product Added"})
	}
	h.walk()
	same(t, "set aside", 2, len(h.asides()))
	same(t, "sizes", map[string]int64{"cart": 38}, h.sizes())
}

func TestAWalkerThatCameTooLateCommitsNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.append(event.Event{UserID: "u1", Name: "Product Added"})
	// Another walker of the same lane, over the same files, goes first.
	other, err := processor.New(h.walker.Config)
	h.must(err)
	h.must(other.Open(context.Background()))
	h.walk()
	_, err = other.Step(context.Background(), eventlog.Live)
	if n := h.person("user_id", "u1").EventsCount; n != 2 {
		t.Fatalf("events: got %d, want 2: the event and the entry", n)
	}
	if !errors.Is(err, processor.ErrMoved) {
		t.Fatalf("the second walker: got %v, want ErrMoved", err)
	}
	same(t, "set aside", 0, len(h.asides()))
}

func TestAnEndlessLoopIsSetAsideByName(t *testing.T) {
	t.Parallel()
	h := setup(t, loop)
	h.do(event.Event{UserID: "u0", Name: "Fine"})
	h.append(event.Event{UserID: "u1", Name: "Spark"})
	h.append(event.Event{UserID: "u0", Name: "Fine"})
	h.walk()
	aside := h.asides()
	if len(aside) != 1 || aside[0].Code != "derived_loop" || !strings.Contains(aside[0].Error, "set in light") {
		t.Fatalf("set aside: got %+v, want one derived_loop that names what went round", aside)
	}
	same(t, "the others go on", int64(2), h.person("user_id", "u0").EventsCount)
	if _, err := h.reader.Find(context.Background(), "user_id", "u1"); err == nil {
		t.Fatal("the record that was set aside has left somebody behind")
	}
}

// loop is two journeys and a segment that set each other off for ever.
const loop = `
segments:
  lit: {rule: {trait: lamp, is: "on"}}
journeys:
  begin:
    purpose: marketing.newsletter
    trigger: {event: Spark}
    reentry: always
    steps: [{set: {lamp: "on"}}]
` + round

// round is the two journeys alone: who once has a lamp that is on goes round.
const round = `
  light:
    purpose: marketing.newsletter
    trigger: {leaves: lit}
    reentry: always
    steps: [{set: {lamp: "on"}}]
  dark:
    purpose: marketing.newsletter
    trigger: {enters: lit}
    reentry: always
    steps: [{set: {lamp: "off"}}]
`

func TestABackfillPassesOverWhoCannotBeBrought(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	for i := range 20 {
		h.append(event.Event{UserID: fmt.Sprintf("u%d", i), Name: "Order Completed"})
	}
	h.walk()
	h.configs[2] = "segments: {buyers: {rule: {did: Order Completed}}}"
	h.trouble.persist = func(_ id.Person, body []byte) error {
		if bytes.Contains(body, []byte("u11")) {
			return errors.New("this row is refused")
		}
		return nil
	}
	h.config(2)
	same(t, "sizes", map[string]int64{"buyers": 19}, h.sizes())
	if fill := h.walker.Backfill(); !fill.Done {
		t.Fatalf("the backfill has not ended: %+v", fill)
	}
	h.trouble.persist = nil
	h.at(time.Minute)
	h.do(event.Event{UserID: "u11", Name: "Page Seen"})
	same(t, "sizes once the row can be written", map[string]int64{"buyers": 20}, h.sizes())
}

func TestADuplicateThatWaitedInTheLogIsStillOne(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{UserID: "u1", Name: "Product Added", MessageID: "same"})
	h.clock.Set(start.Add(23 * time.Hour))
	h.append(event.Event{UserID: "u1", Name: "Product Added", MessageID: "same"})
	h.clock.Set(start.Add(80 * time.Hour)) // the house stood still for days
	h.reopen()
	h.walk()
	same(t, "events: the event, the entry", int64(2), h.person("user_id", "u1").EventsCount)
	h.do(event.Event{UserID: "u1", Name: "Product Added", MessageID: "same"})
	same(t, "after the window it is another event", []string{
		"Product Added", "Audience Entered cart 0s", "Audience Exited cart 24h0m0s", "Product Added", "Audience Entered cart 80h0m0s",
	}, h.names("user_id", "u1"))
}

func TestTheWindowIsTheSameWhenTheWalkCatchesUpInOneBatch(t *testing.T) {
	t.Parallel()
	h := setup(t, "segments: {}")
	for i := range 5 {
		h.clock.Set(start.Add(time.Duration(i) * 31 * time.Hour))
		h.append(event.Event{UserID: "u1", Name: "Page Seen", MessageID: "same"})
	}
	h.walk()
	same(t, "events", int64(5), h.person("user_id", "u1").EventsCount)
}

func TestSizesForgetSegmentsThatAreTakenAway(t *testing.T) {
	t.Parallel()
	h := setup(t, "segments: {buyers: {rule: {did: Order Completed}}, all: {rule: {did: Page Seen}}}")
	for i := range 30 {
		h.append(event.Event{UserID: fmt.Sprintf("u%d", i), Name: "Order Completed"})
	}
	h.walk()
	h.configs[2] = "segments: {all: {rule: {did: Page Seen}}}"
	h.configs[3] = "segments: {buyers: {rule: {did: Order Completed}}}"
	h.config(2)
	h.config(3)
	same(t, "sizes", map[string]int64{"buyers": 30}, h.sizes())
}

func TestAnAlarmAppliesWhatIsDueHoweverBatchesFell(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	// One batch: added and bought, so that the first alarm is that of the order.
	h.append(event.Event{UserID: "u1", Name: "Product Added"})
	h.walk()
	// The alarm of another walk of the same log, at another instant.
	h.clock.Set(start.Add(25 * time.Hour))
	h.append(event.Event{Type: event.Alarm, Source: "rapport", MessageID: "alarm/1/7", Person: 1, Due: start.Add(24*time.Hour + time.Second)})
	h.walk()
	same(t, "timeline", []string{"Product Added", "Audience Entered cart 0s", "Audience Exited cart 24h0m0s"}, h.names("user_id", "u1"))
}

func TestAMergeLeavesSizesRight(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.append(event.Event{Anonymous: "a1", Name: "Product Added"})
	h.append(event.Event{UserID: "u1", Name: "Product Added"})
	h.append(event.Event{Anonymous: "a2", Name: "Product Added"})
	h.walk()
	same(t, "three", map[string]int64{"cart": 3}, h.sizes())
	h.at(time.Hour)
	h.append(event.Event{UserID: "u1", Anonymous: "a1", Name: "Page Seen"})
	h.append(event.Event{UserID: "u1", Anonymous: "a2", Name: "Page Seen"})
	h.walk()
	same(t, "one", map[string]int64{"cart": 1}, h.sizes())
	h.do(event.Event{UserID: "u1", Name: "Order Completed"})
	same(t, "none", map[string]int64{}, h.sizes())
}

// A mail's key that is taken is met together with the next question, which may be one
// of permission: what comes after it is walked.
func TestATakenKeyBeforeAQuestionOfPermission(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"", pgtest.Database(t)} {
		h := setupOn(t, database, withheld)
		ask, err := json.Marshal(processor.SendRequest{Key: "k", To: "ann@shop.example", Template: "hello", Purpose: "service", Class: message.Transactional})
		h.must(err)
		h.do(event.Event{Type: event.Identify, UserID: "bob", Traits: []byte(`{"size":1}`)})
		h.do(event.Event{Type: event.Send, UserID: "ann", MessageID: "s1", Properties: ask})
		h.append(event.Event{Type: event.Send, UserID: "ann", MessageID: "s2", Properties: ask})
		h.append(event.Event{Type: event.Identify, UserID: "bob", Traits: []byte(`{"plan":"pro"}`)})
		h.walk()
		said := slices.DeleteFunc(h.names("user_id", "bob"), func(n string) bool { return n != "identify" })
		same(t, "bob", 2, len(said))
		same(t, "mails", 1, len(h.mails(h.person("user_id", "ann").ID)))
		same(t, "set aside", 0, len(h.asides()))
	}
}
