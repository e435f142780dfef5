package processor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/processor"
	"rapport/internal/store"
)

// TestPartedOneByOne joins three step by step and parts them step by step: each leaves
// with the mail that was theirs before all.
func TestPartedOneByOne(t *testing.T) {
	t.Parallel()
	h := setup(t, gift+"segments: {gifted: {rule: {did: Gift}}}\n")
	h.do(event.Event{Type: event.Identify, UserID: "ann"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Seen", Anonymous: "bob"})
	h.do(event.Event{Name: "Seen", Anonymous: "bob", Email: "bob@x.example"}) // bob is a device and an address
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Gift", Email: "bob@x.example"})
	bob := h.person("anonymous_id", "bob").ID
	same(t, "bob's mails before all", 1, len(h.mails(bob)))
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"}) // the mistake
	ann := h.person("user_id", "ann").ID
	h.clock.Move(time.Minute)
	h.partsOf(ann, identity.Name{Kind: "email", Value: "bob@x.example"}) // the operator finds the address first
	h.clock.Move(time.Minute)
	h.parts(ann, "bob") // and then the device
	same(t, "ann's mails", 0, len(h.mails(h.person("user_id", "ann").ID)))
	same(t, "the device's mails", 1, len(h.mails(h.person("anonymous_id", "bob").ID)))
	same(t, "the address's mails", 1, len(h.mails(h.person("email", "bob@x.example").ID)))
}

// TestARequestIsReceivedBeforeItIsCommitted parts people as the API does: the request is
// received some milliseconds before it is in the log, and is still theirs who were parted.
func TestARequestIsReceivedBeforeItIsCommitted(t *testing.T) {
	t.Parallel()
	h := setup(t, gift)
	parts := func(who id.Person, device string) {
		h.sequence++
		props, err := json.Marshal(processor.UnmergeRequest{Identifiers: []identity.Name{{Kind: identity.Anonymous, Value: device}}})
		h.must(err)
		received := h.clock.Now()
		e := event.Event{Type: event.Unmerge, Source: "rapport", MessageID: fmt.Sprint("unmerge/", h.sequence), Person: int64(who), Properties: props, Time: received, Received: received}
		h.clock.Move(3 * time.Millisecond) // until the commit
		_, _, err = h.log.Append(context.Background(), eventlog.Live, [][]byte{e.Append(nil)})
		h.must(err)
		h.walk()
		same(t, "aside", 0, len(h.asides()))
	}
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	ann := h.person("user_id", "ann").ID
	h.clock.Move(time.Minute)
	parts(ann, "bob")
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Seen", UserID: "carl"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "carl", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	parts(h.person("user_id", "carl").ID, "bob")
	same(t, "bob's story", []string{"Person Parted", "Person Parted"}, h.names("anonymous_id", "bob"))
	same(t, "carl's story", []string{"Seen", "identify", "Person Parted"}, h.names("user_id", "carl"))
}

// TestBothWerePartedBefore gives a mail that was shared before to whom it was shared with,
// where both sides were parted from somebody earlier.
func TestBothWerePartedBefore(t *testing.T) {
	t.Parallel()
	h := setup(t, gift)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	h.do(event.Event{Type: event.Identify, UserID: "dora", Anonymous: "eve"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Gift", UserID: "ann"})
	ann, dora := h.person("user_id", "ann").ID, h.person("user_id", "dora").ID
	h.clock.Move(time.Minute)
	h.parts(ann, "bob")
	h.parts(dora, "eve")
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "dora", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	h.parts(dora, "bob")
	same(t, "dora's mails", 0, len(h.mails(dora)))
	same(t, "bob's mails", 1, len(h.mails(h.person("anonymous_id", "bob").ID)))
}

// TestTwoJoinsInOneRequest has two records join within one request: what came between the
// two is not of who came by the second.
func TestTwoJoinsInOneRequest(t *testing.T) {
	t.Parallel()
	h := setup(t, gift)
	h.do(event.Event{Type: event.Identify, UserID: "ann"})
	h.do(event.Event{Name: "Seen", Anonymous: "phone"})
	h.do(event.Event{Name: "Seen", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	h.together(
		event.Event{Type: event.Identify, UserID: "ann", Anonymous: "phone"},
		event.Event{Type: event.Track, Name: "Gift", UserID: "ann"},
		event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"},
	)
	h.clock.Move(time.Minute)
	h.parts(h.person("user_id", "ann").ID, "bob")
	same(t, "bob's mails", 0, len(h.mails(h.person("anonymous_id", "bob").ID)))
}

// TestAReplayOfAPartingAfterAMailWasSent walks the log again into an empty state: what
// became of the mail is said once.
func TestAReplayOfAPartingAfterAMailWasSent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := setup(t, gift)
	h.do(event.Event{Type: event.Identify, UserID: "ann"})
	h.do(event.Event{Name: "Gift", Anonymous: "bob"})
	bob := h.person("anonymous_id", "bob").ID
	m := h.mails(bob)[0]
	h.must(h.state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error {
		m.State = message.Accepted
		return tx.Outbox().Move(&m, outbox.Step{State: m.State, At: h.clock.Now()})
	}))
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	h.parts(h.person("user_id", "ann").ID, "bob")
	h.told()
	want := h.names("anonymous_id", "bob")
	again := setup(t, gift)
	records, err := h.log.Read(ctx, eventlog.Live, 1, 1<<20)
	h.must(err)
	for _, r := range records {
		again.clock.Set(r.At)
		_, _, err := again.log.Append(ctx, eventlog.Live, [][]byte{r.Body})
		h.must(err)
	}
	h.must(again.walker.Replay(ctx))
	same(t, "bob's story in a replay", want, again.names("anonymous_id", "bob"))
}

// TestAMessageIDLikeOneOfOurs takes a client's message id for nothing but a message id,
// though it looks like the one of a trait set by the API.
func TestAMessageIDLikeOneOfOurs(t *testing.T) {
	t.Parallel()
	h := setup(t, gift)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Gift", Anonymous: "bob", MessageID: "set/77"})
	ann := h.person("user_id", "ann").ID
	h.clock.Move(time.Minute)
	h.parts(ann, "bob")
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Seen", Anonymous: "tim"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "tim"})
	h.clock.Move(time.Minute)
	h.parts(ann, "tim")
	same(t, "tim's mails", 0, len(h.mails(h.person("anonymous_id", "tim").ID)))
}

// TestAMailOfTimeBeforeTheJoin parts somebody who leaves a device of theirs behind: a mail
// that time alone brought about before they were joined is none of theirs.
func TestAMailOfTimeBeforeTheJoin(t *testing.T) {
	t.Parallel()
	h := setup(t, quiet)
	h.do(event.Event{Name: "Seen", UserID: "ann"})
	h.do(event.Event{Name: "Other", Anonymous: "laptop"})
	h.do(event.Event{Name: "Other", Anonymous: "phone"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Alias, Anonymous: "phone", Previous: "laptop"})
	same(t, "bob has two devices", h.person("anonymous_id", "phone").ID, h.person("anonymous_id", "laptop").ID)
	h.at(25 * time.Hour)
	ann := h.person("user_id", "ann").ID
	same(t, "ann's mails", 1, len(h.mails(ann)))
	h.at(26 * time.Hour)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "phone"})
	h.at(27 * time.Hour)
	h.parts(ann, "phone")
	same(t, "the phone's mails", 0, len(h.mails(h.person("anonymous_id", "phone").ID)))
	same(t, "ann's mails", 1, len(h.mails(ann)))
}

// TestWhoLeavesOneDeviceBehind parts a second one, after another left: the other's mails
// are none of theirs, though a device of theirs is left behind.
func TestWhoLeavesOneDeviceBehind(t *testing.T) {
	t.Parallel()
	h := setup(t, gift)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	h.do(event.Event{Name: "Other", Anonymous: "laptop"})
	h.do(event.Event{Name: "Other", Anonymous: "phone"})
	h.do(event.Event{Type: event.Alias, Anonymous: "phone", Previous: "laptop"}) // tim's two
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Gift", Anonymous: "bob"})
	ann := h.person("user_id", "ann").ID
	h.clock.Move(time.Minute)
	h.parts(ann, "bob")
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "phone"})
	h.clock.Move(time.Minute)
	h.parts(ann, "phone")
	same(t, "the phone's mails", 0, len(h.mails(h.person("anonymous_id", "phone").ID)))
}
