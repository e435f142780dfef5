package processor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// withheld has a segment that only those are in who permit news, and a journey that
// begins and one that ends with it.
const withheld = `
segments:
  pros: {rule: {trait: plan, is: pro}}
  lucky: {rule: {all: [{in_segment: pros}, {did: Seen, within: 48h}]}}
  all: {rule: {trait: plan, exists: true}}
asks: {pros: [marketing.newsletter], lucky: [marketing.newsletter]}
journeys:
  hello:
    purpose: service
    trigger: {enters: pros}
    reentry: always
    steps: [{send: hello}]
`

// word says something of permission for news by a record of the house, as the API does.
func (h *house) word(record, kind, value string, state consent.State) {
	h.t.Helper()
	h.wordOf(record, kind, value, "marketing.newsletter", state, time.Time{})
}

func (h *house) wordOf(record, kind, value string, why purpose.Purpose, state consent.State, until time.Time) {
	h.t.Helper()
	hasher, err := id.NewHasher([]byte("0123456789abcdef0123456789abcdef"))
	h.must(err)
	now := h.clock.Now()
	e, err := consent.ChangeEvent(record, "rapport", now, []consent.Entry{{
		Subject: hasher.Sum(kind, value), Kind: kind, Purpose: why, State: state, Said: now, Method: consent.ByAPI, Expires: until,
	}})
	h.must(err)
	h.do(*e)
}

// changing plays somebody who changes their mind, and gives what became of them.
func changing(h *house) []string {
	h.t.Helper()
	h.do(event.Event{Type: event.Identify, UserID: "ann", Traits: []byte(`{"plan":"pro"}`)})
	h.do(event.Event{Name: "Seen", UserID: "ann"})
	h.clock.Move(time.Hour)
	h.word("c1", "user_id", "ann", consent.Objected)
	h.clock.Move(time.Hour)
	h.do(event.Event{Name: "Seen", UserID: "ann"})
	h.do(event.Event{Type: event.Identify, UserID: "ann", Traits: []byte(`{"plan":"pro","size":2}`)})
	h.clock.Move(time.Hour)
	h.word("c2", "user_id", "ann", consent.Granted)
	h.clock.Move(time.Hour)
	// Somebody with another word joins her: the narrower holds for both.
	h.do(event.Event{Type: event.Identify, Anonymous: "device", Traits: []byte(`{"plan":"pro"}`)})
	h.word("c3", "anonymous_id", "device", consent.Objected)
	h.clock.Move(time.Hour)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "device"})
	return h.names("user_id", "ann")
}

// TestPermissionMovesPeople: by a word, by its opposite, and by whom they turn out to
// be; journeys follow; and a replay comes to the same at the same instants.
func TestPermissionMovesPeople(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := setup(t, withheld)
	story := changing(h)
	want := []string{
		"identify", "Audience Entered all 0s", "Audience Entered pros 0s", "Seen", "Audience Entered lucky 0s",
		"Audience Exited pros 1h0m0s", "Audience Exited lucky 1h0m0s",
		"Seen", "identify", "Audience Entered pros 3h0m0s", "Audience Entered lucky 3h0m0s",
	}
	same(t, "until she was joined", want, story[:len(want)])
	sizes := h.sizes()
	same(t, "segments", [3]int64{0, 0, 1}, [3]int64{sizes["pros"], sizes["lucky"], sizes["all"]})
	same(t, "mails", 3, len(h.mails(h.person("user_id", "ann").ID))) // of the device, too

	again := setup(t, withheld)
	records, err := h.log.Read(ctx, eventlog.Live, 2, 1<<20) // the first is the configuration
	h.must(err)
	for _, r := range records {
		again.clock.Set(r.At)
		_, _, err := again.log.Append(ctx, eventlog.Live, [][]byte{r.Body})
		h.must(err)
	}
	again.must(again.walker.Replay(ctx))
	same(t, "a replay's story", story, again.names("user_id", "ann"))
	same(t, "a replay's segments", sizes, again.sizes())
	same(t, "a replay's mails", 3, len(again.mails(again.person("user_id", "ann").ID)))
}

// TestAGrantEndsAtItsInstant: whoever permits for a time leaves when it ends, whether
// or not anything happens.
func TestAGrantEndsAtItsInstant(t *testing.T) {
	t.Parallel()
	h := setup(t, "segments: {pros: {rule: {trait: plan, is: pro}}}\nasks: {pros: [care, marketing.newsletter]}\n")
	h.do(event.Event{Type: event.Identify, UserID: "ann", Traits: []byte(`{"plan":"pro"}`)})
	same(t, "by legitimate interest", int64(1), h.sizes()["pros"])
	h.clock.Move(time.Hour)
	h.word("c1", "user_id", "ann", consent.Objected)
	same(t, "after her no", int64(0), h.sizes()["pros"])
	h.clock.Move(time.Hour)
	h.wordOf("c2", "user_id", "ann", "care", consent.Granted, start.Add(5*time.Hour))
	same(t, "until five", int64(1), h.sizes()["pros"])
	h.at(5*time.Hour - time.Millisecond)
	same(t, "an instant before", int64(1), h.sizes()["pros"])
	h.at(5*time.Hour + time.Minute)
	same(t, "after it", int64(0), h.sizes()["pros"])
	same(t, "her story", []string{
		"identify", "Audience Entered pros 0s", "Audience Exited pros 1h0m0s", "Audience Entered pros 2h0m0s", "Audience Exited pros 5h0m0s",
	}, h.names("user_id", "ann"))
}

// TestNobodyLeavesBecauseADiskCannotBeRead: while permission cannot be read the walk
// waits, and nobody has left when it can be read again.
func TestNobodyLeavesBecauseADiskCannotBeRead(t *testing.T) {
	t.Parallel()
	h := setup(t, withheld)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Traits: []byte(`{"plan":"pro"}`)})
	failures := 0
	h.trouble.said = func() error {
		if failures++; failures <= 3 {
			return errors.New("a sector is lost")
		}
		return nil
	}
	h.do(event.Event{Type: event.Identify, UserID: "ann", Traits: []byte(`{"plan":"pro","more":1}`)})
	h.do(event.Event{Name: "Seen", UserID: "ann"})
	if failures < 4 {
		t.Fatalf("permission was read %d times", failures)
	}
	same(t, "her story", []string{"identify", "Audience Entered all 0s", "Audience Entered pros 0s", "identify", "Seen", "Audience Entered lucky 0s"}, h.names("user_id", "ann"))
}
