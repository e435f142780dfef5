package processor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/processor"
	"rapport/internal/store"
	"rapport/internal/store/sqlitestore"
	"rapport/internal/timer"
)

// bulk writes one event to the bulk lane.
func (h *house) bulk(e event.Event) {
	h.t.Helper()
	h.sequence++
	e.MessageID, e.Source = fmt.Sprintf("b%d", h.sequence), "file"
	e.Received, e.Flags = h.clock.Now(), event.Bulk
	if e.Time.IsZero() {
		e.Time = e.Received
	}
	e.Type = max(e.Type, event.Track)
	_, _, err := h.log.Append(context.Background(), eventlog.Bulk, [][]byte{e.Append(nil)})
	h.must(err)
}

func TestALogAndAStateThatDoNotBelongTogetherAreRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		code  string
		spoil func(h *house)
	}{
		{"another log", "log_and_state_differ", func(h *house) {
			for _, ext := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(filepath.Join(h.dir, "log.db"+ext)) // not all are there
			}
		}},
		{"a shorter log", "log_too_short", func(h *house) {
			state, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(h.dir, "state.db")})
			h.must(err)
			h.must(state.Write(context.Background(), store.WriteOptions{Durable: true}, func(tx store.Tx) error {
				return tx.Processor().Advance(eventlog.Live, 2, 99)
			}))
			h.must(state.Close())
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := setupOn(t, "", shop) // These are mistakes of a restored folder.
			h.do(event.Event{UserID: "u1", Name: "Product Added"})
			config := h.walker.Config
			h.stop()
			h.stop = func() {}
			row.spoil(h)
			logs, err := sqlitestore.OpenLog(sqlitestore.LogConfig{Path: filepath.Join(h.dir, "log.db")})
			h.must(err)
			defer func() { h.must(logs.Close()) }()
			state, err := sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(h.dir, "state.db")})
			h.must(err)
			defer func() { h.must(state.Close()) }()
			config.Keeper = store.Walk{State: state}
			config.Log, err = eventlog.Open(eventlog.Config{Store: logs, Now: h.clock.Now})
			h.must(err)
			w, err := processor.New(config)
			h.must(err)
			err = w.Open(context.Background())
			if fault.CodeOf(err) != row.code || !strings.Contains(err.Error(), "backup") {
				t.Fatalf("got %v, want %s and what to do", err, row.code)
			}
		})
	}
}

func TestAnAlarmNeverRingsEarly(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{UserID: "u1", Name: "Product Added"})
	tail := func() int64 { n, _ := h.log.Tail(eventlog.Live); return n }
	before := tail()
	for _, d := range []time.Duration{time.Minute, 2*time.Hour - time.Millisecond, 2 * time.Hour} {
		h.clock.Set(start.Add(d))
		wait, err := h.walker.Ring(context.Background())
		h.must(err)
		if tail() != before || wait <= 0 || wait > time.Second {
			t.Fatalf("at %s: %d records, wait %s", d, tail()-before, wait)
		}
	}
	h.clock.Set(start.Add(2*time.Hour + time.Millisecond))
	_, err := h.walker.Ring(context.Background())
	h.must(err)
	same(t, "rang", before+1, tail())
	_, err = h.walker.Ring(context.Background())
	h.must(err)
	same(t, "rang once", before+1, tail())
}

func TestLateByAnyAmountGivesTheSame(t *testing.T) {
	t.Parallel()
	story := func(punctual bool) ([]string, []time.Time) {
		h := setup(t, shop)
		h.do(event.Event{Type: event.Identify, UserID: "u1", Traits: []byte(`{"address":{"country":"DE"}}`)})
		h.do(event.Event{UserID: "u1", Name: "Product Added"})
		if punctual {
			for m := 0; m < 60*60; m += 30 {
				h.at(time.Duration(m)*time.Minute + time.Millisecond)
			}
		}
		h.at(60 * time.Hour)
		h.do(event.Event{UserID: "u1", Name: "Page Seen"})
		var decided []time.Time
		for _, m := range h.mails(h.person("user_id", "u1").ID) {
			decided = append(decided, m.Decided)
		}
		return h.names("user_id", "u1"), decided
	}
	onTime, mails := story(true)
	late, lateMails := story(false)
	same(t, "timeline", onTime, late)
	same(t, "mails", mails, lateMails)
	same(t, "one mail", 1, len(mails))
}

func TestAnAlarmThatIsNotArmedAnyMoreDoesNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{UserID: "u1", Name: "Product Added"})
	h.at(time.Hour)
	for i := range 3 {
		h.append(event.Event{Type: event.Alarm, Source: "rapport", MessageID: fmt.Sprintf("alarm/1/%d", i), Person: 1, Due: start.Add(time.Duration(i))})
	}
	h.append(event.Event{Type: event.Alarm, Source: "rapport", MessageID: "alarm/77", Person: 77, Due: start})
	h.walk()
	same(t, "timeline", []string{"Product Added", "Audience Entered cart 0s"}, h.names("user_id", "u1"))
	same(t, "set aside", 0, len(h.asides()))
	h.must(h.state.Read(context.Background(), func(tx store.Tx) error {
		next, any, err := tx.Timer().Next()
		same(t, "still armed", timer.Alarm{Who: 1, Due: start.Add(2 * time.Hour).UnixMilli()}, next)
		same(t, "armed", true, any)
		return err
	}))
}

func TestBulkEntriesAreInitialAndStartNoJourney(t *testing.T) {
	t.Parallel()
	h := setup(t, `
segments: {cart: {rule: {did: Product Added, within: 24h}}}
journeys:
  cart:
    purpose: marketing.newsletter
    trigger: {enters: cart}
    steps: [{send: note}]
`)
	h.bulk(event.Event{UserID: "u1", Name: "Product Added"})
	_, err := h.walker.Step(context.Background(), eventlog.Bulk)
	h.must(err)
	h.do(event.Event{UserID: "u2", Name: "Product Added"})
	events, _, err := h.reader.Events(context.Background(), h.person("user_id", "u1").ID, "", "", 10)
	h.must(err)
	var entered struct{ Initial bool }
	h.must(json.Unmarshal(events[0].Properties, &entered))
	same(t, "the entry is initial", true, entered.Initial)
	same(t, "mails to the imported", 0, len(h.mails(h.person("user_id", "u1").ID)))
	same(t, "mails to who came by themselves", 1, len(h.mails(h.person("user_id", "u2").ID)))
}

func TestBulkDoesNotHoldLiveUp(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	const many = 20_000
	for i := range many / 500 {
		var bodies [][]byte
		for k := range 500 {
			e := event.Event{Type: event.Track, Name: "Product Added", UserID: fmt.Sprintf("b%d", k), MessageID: fmt.Sprintf("b%d-%d", i, k), Source: "file", Flags: event.Bulk, Time: start, Received: start}
			bodies = append(bodies, e.Append(nil))
		}
		_, _, err := h.log.Append(context.Background(), eventlog.Bulk, bodies)
		h.must(err)
	}
	h.append(event.Event{UserID: "u1", Name: "Page Seen"})
	tail, _ := h.log.Tail(eventlog.Live)
	ctx, cancel := context.WithCancel(context.Background())
	var before, after int64
	h.trouble.before = func() error { // at the end of each transaction
		switch bulk := h.walker.Walked(eventlog.Bulk); {
		case h.walker.Walked(eventlog.Live) < tail:
			before = bulk
		case after == 0:
			after = bulk
		}
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- h.walker.Run(ctx) }()
	h.must(h.walker.Wait(ctx, eventlog.Live, tail))
	h.must(h.walker.Wait(ctx, eventlog.Bulk, many)) // and bulk does not starve
	cancel()
	h.must(<-done)
	if before > many/2 || after > many/2 {
		t.Errorf("%d of %d bulk records were walked while a live one waited", max(before, after), many)
	}
}

func TestAConfigurationTakesEffectBetweenRecords(t *testing.T) {
	t.Parallel()
	h := setup(t, "segments: {old: {rule: {did: A}}}")
	h.configs[2] = "segments: {fresh: {rule: {did: A}}}"
	h.append(event.Event{UserID: "before", Name: "A"})
	h.append(event.Event{Type: event.Config, Source: "rapport", MessageID: "config/2", Name: "2"})
	h.append(event.Event{UserID: "after", Name: "A"})
	for range 3 { // without the backfill
		_, err := h.walker.Step(context.Background(), eventlog.Live)
		h.must(err)
	}
	same(t, "version", 2, h.walker.Version().Number)
	same(t, "before", []string{"A", "Audience Entered old 0s"}, h.names("user_id", "before"))
	same(t, "after", []string{"A", "Audience Entered fresh 0s"}, h.names("user_id", "after"))
	why, err := h.reader.Segment(context.Background(), "fresh", h.person("user_id", "before").ID, "")
	h.must(err)
	if !why.Pending || !why.In || !why.Why.Truth {
		t.Errorf("who is not brought to the version yet is shown as they will be: %+v", why)
	}
	h.append(event.Event{Type: event.Config, Source: "rapport", MessageID: "an older one", Name: "1"})
	h.walk()
	same(t, "an older version changes nothing", 2, h.walker.Version().Number)
	same(t, "sizes", map[string]int64{"fresh": 2}, h.sizes())
}

func TestABackfillSurvivesAKillAndEqualsARecomputation(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	const people = 1000
	for i := range people {
		h.append(event.Event{UserID: fmt.Sprintf("u%d", i), Name: "Order Completed", Properties: fmt.Appendf(nil, `{"value":%d}`, i%10)})
	}
	h.walk()
	h.at(time.Hour)
	h.configs[2] = "segments: {big: {rule: {did: Order Completed, where: {value: {gte: 5}}, within: 7d}}}"
	h.append(event.Event{Type: event.Config, Source: "rapport", MessageID: "config/2", Name: "2"})
	_, err := h.walker.Step(context.Background(), eventlog.Live)
	h.must(err)
	for more := true; more; {
		more, err = h.walker.Fill(context.Background())
		h.must(err)
		fill := h.walker.Backfill()
		h.append(event.Event{UserID: fmt.Sprintf("u%d", 7*fill.Next%people), Name: "Page Seen"}) // live goes on beside it
		_, err := h.walker.Step(context.Background(), eventlog.Live)
		h.must(err)
		h.reopen()
		if again := h.walker.Backfill(); again != fill {
			t.Fatalf("after a kill the backfill stands at %+v, it stood at %+v", again, fill)
		}
	}
	same(t, "sizes", map[string]int64{"big": people / 2}, h.sizes())
	for i := range people {
		if i%50 > 9 {
			continue
		}
		same(t, fmt.Sprintf("u%d", i), i%10 >= 5, len(h.person("user_id", fmt.Sprintf("u%d", i)).Segments) == 1)
	}
}

func TestRelayedRowsAreSaidOnceWhateverHappensInBetween(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{UserID: "u1", Name: "Page Seen"})
	e := event.Event{
		Type: event.Outcome, Name: "Email Sent", Source: "rapport", MessageID: "outcome/1", Person: 1, Time: start, Received: start,
	}
	h.must(h.state.Write(context.Background(), store.WriteOptions{}, func(tx store.Tx) error { return tx.Processor().AppendRelay(e.Append(nil)) }))
	broken := errors.New("the power fails")
	for range 3 {
		h.trouble.before = func() error { return broken } // after the append, before the row is dropped
		n, err := h.walker.Relay(context.Background())
		if n != 1 || !errors.Is(err, broken) {
			t.Fatalf("relay: got %d, %v", n, err)
		}
		h.trouble.before = nil
		h.reopen()
	}
	n, err := h.walker.Relay(context.Background())
	h.must(err)
	same(t, "relayed", 1, n)
	n, err = h.walker.Relay(context.Background())
	h.must(err)
	same(t, "nothing is left", 0, n)
	h.walk()
	same(t, "timeline", []string{"Page Seen", "Email Sent"}, h.names("user_id", "u1"))
	same(t, "duplicates", int64(3), h.walker.Stats().Duplicates)
}

func TestWaitForAPosition(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.append(event.Event{UserID: "u1", Name: "Page Seen"})
	tail, _ := h.log.Tail(eventlog.Live)
	ctx, cancel := context.WithCancel(context.Background())
	waited := make(chan error, 2)
	go func() { waited <- h.walker.Wait(ctx, eventlog.Live, tail) }()
	go func() { waited <- h.walker.Wait(ctx, eventlog.Live, tail+1) }()
	h.walk()
	h.must(<-waited)
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Fatalf("a position that does not come: got %v", err)
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{UserID: "u1", Name: "Product Added"})
	h.at(30 * time.Hour)
	h.clock.Set(start.Add(time.Hour)) // the clock was stepped back
	for i, who := range []string{"u1", "u2"} {
		h.do(event.Event{Type: event.Identify, UserID: who, Traits: []byte(`{"address":{"country":"DE"}}`)})
		p := h.person("user_id", who)
		if len(p.Segments) != 1 || p.Segments[0].Since.Before(start.Add(30*time.Hour)) {
			t.Errorf("%d: an entry must not be before what was walked: %+v", i, p.Segments)
		}
		h.reopen()
	}
	same(t, "timeline", []string{"Product Added", "Audience Entered cart 0s", "Audience Exited cart 24h0m0s"}, h.names("user_id", "u1")[:3])
}

func TestABrowserMayNotChangeTheAddressOfSomebodyKnown(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{Type: event.Identify, UserID: "u1", Email: "ada@shop.example", Traits: []byte(`{"email":"ada@shop.example","plan":"free"}`)})
	h.at(time.Second)
	for _, e := range []event.Event{
		{Type: event.Identify, UserID: "u1", Email: "thief@shop.example", Traits: []byte(`{"email":"thief@shop.example","plan":"pro"}`), Flags: event.FromBrowser},
		{Type: event.Identify, UserID: "u1", Traits: []byte(`{"email":null}`), Flags: event.FromBrowser},
	} {
		h.do(e)
		p := h.person("user_id", "u1")
		same(t, "address", `"ada@shop.example"`, string(p.Traits["email"]))
		same(t, "other traits may be set", `"pro"`, string(p.Traits["plan"]))
		same(t, "identifiers", 2, len(p.Identifiers))
	}
	if n := h.walker.Stats().Refused; n < 3 {
		t.Errorf("%d refusals were counted, want an identifier and two traits", n)
	}
	h.do(event.Event{Type: event.Identify, UserID: "u1", Email: "new@shop.example", Traits: []byte(`{"email":"new@shop.example"}`), Flags: event.FromBrowser | event.Verified})
	same(t, "a signed user hash may", `"new@shop.example"`, string(h.person("user_id", "u1").Traits["email"]))
}

func TestTheHousesOwnEventsNeverMerge(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{UserID: "u1", Name: "Page Seen"})
	h.do(event.Event{Anonymous: "a1", Name: "Page Seen"})
	h.do(event.Event{Type: event.Outcome, Name: "Email Opened", Source: "rapport", Person: 1, Anonymous: "a1", UserID: "u9"})
	same(t, "merges", int64(0), h.walker.Stats().Merges)
	same(t, "about the person it names", int64(2), h.person("user_id", "u1").EventsCount)
	if _, err := h.reader.Find(context.Background(), "user_id", "u9"); err == nil {
		t.Error("an identifier of a house event was bound")
	}
}

func TestTimelinePagesAfterAMerge(t *testing.T) {
	t.Parallel()
	h := setup(t, "segments: {}")
	for i := range 25 {
		h.at(time.Duration(i) * time.Minute)
		h.do(event.Event{Anonymous: fmt.Sprintf("a%d", i%3), Name: fmt.Sprintf("e%d", i)})
	}
	for i := range 3 {
		h.do(event.Event{UserID: "u1", Anonymous: fmt.Sprintf("a%d", i), Name: fmt.Sprintf("join%d", i)})
	}
	who := h.person("user_id", "u1").ID
	var got []string
	for cursor, pages := "", 0; ; pages++ {
		events, next, err := h.reader.Events(context.Background(), who, "", cursor, 7)
		h.must(err)
		for _, e := range events {
			got = append(got, e.Name)
		}
		if cursor = next; next == "" {
			same(t, "pages", 3, pages)
			break
		}
	}
	same(t, "entries", 28, len(got))
	seen := map[string]bool{}
	for _, n := range got {
		if seen[n] {
			t.Fatalf("%s is listed twice: %v", n, got)
		}
		seen[n] = true
	}
}

func TestWhatWasDueBeforeAMergeIsDecidedWithTheIdentifiersOfThen(t *testing.T) {
	t.Parallel()
	h := setup(t, `
segments: {cart: {rule: {did: Product Added, within: 24h}}}
journeys:
  left:
    purpose: marketing.newsletter
    trigger: {leaves: cart}
    reentry: always
    max_trigger_age: 100h
    steps: [{send: note}]
`)
	h.do(event.Event{Anonymous: "a1", Name: "Product Added", Context: []byte(`{}`)})
	h.do(event.Event{UserID: "u1", Name: "Page Seen"})
	h.clock.Set(start.Add(30 * time.Hour)) // the exit is overdue when the two meet
	h.do(event.Event{UserID: "u1", Anonymous: "a1", Name: "Page Seen"})
	same(t, "timeline", []string{"Product Added", "Audience Entered cart 0s", "Page Seen", "Audience Exited cart 24h0m0s", "Page Seen"}, h.names("user_id", "u1"))
	mails := h.mails(h.person("user_id", "u1").ID)
	if len(mails) != 1 || !mails[0].Decided.Equal(start.Add(24*time.Hour)) {
		t.Fatalf("mails: got %+v, want one decided at the exit", mails)
	}
}

func TestAMergeEndsAWaitThatTheOtherHasFulfilled(t *testing.T) {
	t.Parallel()
	h := setup(t, `
segments: {}
journeys:
  paid:
    purpose: marketing.newsletter
    trigger: {event: Product Added}
    exit_when: {event: Page Seen}
    steps:
      - wait_for: {rule: {did: Order Completed}, timeout: 5h, then: [{send: thanks}], on_timeout: [{send: reminder}]}
`)
	h.do(event.Event{UserID: "u1", Name: "Order Completed"})
	h.do(event.Event{Anonymous: "a1", Name: "Product Added"})
	h.at(time.Hour)
	// The event that joins them comes after what they are together.
	h.do(event.Event{UserID: "u1", Anonymous: "a1", Name: "Page Seen"})
	mails := h.mails(h.person("user_id", "u1").ID)
	if len(mails) != 1 || mails[0].Template != "thanks" || !mails[0].Decided.Equal(start.Add(time.Hour)) {
		t.Fatalf("got %+v, want thanks at the instant of the merge", mails)
	}
}

func TestAnAlarmArmedWhileTheScannerLooksIsRung(t *testing.T) {
	t.Parallel()
	h := setup(t, "segments: {cart: {rule: {did: Product Added, within: 24h}}}")
	h.clock.Set(start.Add(2 * time.Hour))
	h.do(event.Event{UserID: "u1", Name: "Product Added"})
	// It waits in the log, and will be armed for an earlier instant than the first.
	h.append(event.Event{UserID: "u2", Name: "Product Added", Time: start})
	h.clock.Set(start.Add(100 * time.Hour))
	h.trouble.read = h.walk // the scanner has read, and has not moved on yet
	_, err := h.walker.Ring(context.Background())
	h.must(err)
	h.at(100 * time.Hour)
	_, err = h.walker.Ring(context.Background())
	h.must(err)
	h.walk()
	h.must(h.state.Read(context.Background(), func(tx store.Tx) error {
		next, any, err := tx.Timer().Next()
		if any {
			t.Errorf("an alarm was left behind: %+v", next)
		}
		return err
	}))
}
