package processor_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/store"
)

const gift = `
journeys:
  gift: {purpose: service, trigger: {event: Gift}, reentry: always, steps: [{send: note}]}
`

// TestAMailOfWhoLeftBeforeStays: what somebody led to who was parted earlier is no
// business of who leaves later, and neither is that parting.
func TestAMailOfWhoLeftBeforeStays(t *testing.T) {
	t.Parallel()
	h := setup(t, gift)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Gift", Anonymous: "bob", MessageID: "bobs"})
	ann := h.person("user_id", "ann").ID
	same(t, "mails", 1, len(h.mails(ann)))
	h.clock.Move(time.Minute)
	h.parts(ann, "bob")
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Seen", Anonymous: "tim"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "tim"})
	h.clock.Move(time.Minute)
	h.parts(ann, "tim")
	tim := h.person("anonymous_id", "tim")
	same(t, "tim's mails", 0, len(h.mails(tim.ID)))
	same(t, "ann's mails", 1, len(h.mails(ann)))
	same(t, "tim's story", []string{"Seen", "Person Parted"}, h.names("anonymous_id", "tim"))
	same(t, "ann's story", []string{"identify", "Person Parted", "identify", "Person Parted"}, h.names("user_id", "ann"))
}

// TestAKeptGroupIsStillHeard: a group that only lost events brought stays with who
// stays, and goes on telling them.
func TestAKeptGroupIsStillHeard(t *testing.T) {
	t.Parallel()
	h := setup(t, companies)
	h.do(event.Event{Type: event.Group, Anonymous: "bob", GroupID: "firm", Traits: []byte(`{"plan":"free"}`)})
	h.do(event.Event{Type: event.Group, UserID: "other", GroupID: "firm"})
	h.must(h.state.Read(context.Background(), func(tx store.Tx) (err error) {
		h.trouble.lost, err = tx.Profile().LastPack()
		return err
	}))
	h.reopen()
	h.do(event.Event{Name: "Seen", UserID: "ann"})
	h.do(event.Event{Name: "Seen", Anonymous: "bob"})
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	ann := h.person("user_id", "ann").ID
	h.parts(ann, "bob")
	if g := string(h.person("user_id", "ann").Traits["$groups"]); !strings.Contains(g, `"firm"`) {
		t.Fatal("not kept: ", g)
	}
	h.planIs("pro")
	if g := string(h.person("user_id", "ann").Traits["$groups"]); !strings.Contains(g, `"pro"`) {
		t.Errorf("ann did not hear: %s", g)
	}
}

// TestANumberOfBeforeStaysWithWhomItNames: a parting changes only numbers that name
// who is parted.
func TestANumberOfBeforeStaysWithWhomItNames(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{Type: event.Identify, UserID: "ann"})
	h.do(event.Event{Type: event.Identify, Anonymous: "b1", Email: "bob@x.example", Traits: []byte(`{"email":"bob@x.example"}`)})
	bob := h.person("anonymous_id", "b1").ID
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "b1"})
	ann := h.person("user_id", "ann").ID
	h.parts(ann, "b1")
	p, err := h.reader.Person(context.Background(), bob, "")
	h.must(err)
	same(t, "bob's number after the first parting", ann, p.ID)
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "carl"})
	h.do(event.Event{Type: event.Identify, UserID: "carl", Anonymous: "b1"})
	carl := h.person("user_id", "carl").ID
	h.clock.Move(time.Minute)
	h.parts(carl, "b1")
	p, err = h.reader.Person(context.Background(), bob, "")
	h.must(err)
	same(t, "bob's number after a parting that did not concern ann", ann, p.ID)
}

// TestAReplayTellsMembersAgain: a replay walks until nobody is left to tell.
func TestAReplayTellsMembersAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := setup(t, companies)
	h.joinsFirm(3)
	h.clock.Move(time.Minute)
	h.bulk(event.Event{Type: event.Group, UserID: "owner", GroupID: "firm", Traits: []byte(`{"plan":"pro"}`)})
	_, err := h.walker.Step(ctx, eventlog.Bulk)
	h.must(err)
	h.told()
	same(t, "members reached", int64(4), h.sizes()["pros"])
	again := setup(t, companies)
	for _, lane := range []eventlog.Lane{eventlog.Live, eventlog.Bulk} {
		records, err := h.log.Read(ctx, lane, 1, 1<<20)
		h.must(err)
		for _, r := range records {
			_, _, err := again.log.Append(ctx, lane, [][]byte{r.Body})
			h.must(err)
		}
	}
	h.must(again.walker.Replay(ctx))
	same(t, "members reached by a replay", int64(4), again.sizes()["pros"])
}

// TestWhatIsBroughtAboutBeforeTheJoin: who is brought to a configuration by the very
// event that joins them was alone when it happened.
func TestWhatIsBroughtAboutBeforeTheJoin(t *testing.T) {
	t.Parallel()
	h := setup(t, gift)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Traits: []byte(`{"plan":"pro"}`)})
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Seen", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	h.configs[2] = gift + "segments:\n  pros: {rule: {trait: plan, is: pro}}\n"
	h.append(event.Event{Type: event.Config, Source: "rapport", MessageID: "config/2", Name: "2"})
	h.clock.Move(time.Minute)
	h.append(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	for range 3 {
		_, err := h.walker.Step(context.Background(), eventlog.Live) // the fill has not begun
		h.must(err)
	}
	h.walk()
	h.clock.Move(time.Minute)
	h.parts(h.person("user_id", "ann").ID, "bob")
	for _, n := range h.names("anonymous_id", "bob") {
		if strings.HasPrefix(n, "Audience Entered pros") {
			t.Errorf("bob, who has no plan, is told to have entered: %q", h.names("anonymous_id", "bob"))
		}
	}
}

// TestWhatBecameOfAMailOfWhoLeftBefore: it counts for whose the mail is alone.
func TestWhatBecameOfAMailOfWhoLeftBefore(t *testing.T) {
	t.Parallel()
	h := setup(t, gift+"segments:\n  openers: {rule: {did: Email Opened}}\n")
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Gift", Anonymous: "bob", MessageID: "bobs"})
	ann := h.person("user_id", "ann").ID
	mail := h.mails(ann)[0]
	h.parts(ann, "bob")
	h.clock.Move(time.Minute)
	h.do(event.Event{
		Type: event.Outcome, Source: "feedback", MessageID: "email_opened/" + mail.ID.String() + "/reader/1", Name: "Email Opened",
		Person: int64(ann), Properties: []byte(`{"message_id":"` + mail.ID.String() + `"}`),
	})
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Seen", Anonymous: "tim"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "tim"})
	h.clock.Move(time.Minute)
	h.parts(ann, "tim")
	same(t, "openers", int64(1), h.sizes()["openers"])
}

// TestOneRequestIsWalkedInItsOrder: what was decided before the join in the same
// request is of the time before.
func TestOneRequestIsWalkedInItsOrder(t *testing.T) {
	t.Parallel()
	h := setup(t, gift)
	h.do(event.Event{Type: event.Identify, UserID: "ann"})
	h.do(event.Event{Name: "Seen", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	h.together(event.Event{Type: event.Track, Name: "Gift", UserID: "ann"}, event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	h.parts(h.person("user_id", "ann").ID, "bob")
	same(t, "bob's mails", 0, len(h.mails(h.person("anonymous_id", "bob").ID)))
}

// TestAMailGoesWithWhoWasPartedBefore: where it is the one who leaves now who was
// parted from somebody before, the mails of that time go with them.
func TestAMailGoesWithWhoWasPartedBefore(t *testing.T) {
	t.Parallel()
	h := setup(t, gift)
	h.do(event.Event{Type: event.Identify, UserID: "ann", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Gift", UserID: "ann"})
	ann := h.person("user_id", "ann").ID
	h.clock.Move(time.Minute)
	h.parts(ann, "bob")
	same(t, "bob's mails", 1, len(h.mails(h.person("anonymous_id", "bob").ID)))
	h.clock.Move(time.Minute)
	h.do(event.Event{Name: "Seen", UserID: "carl"})
	h.clock.Move(time.Minute)
	h.do(event.Event{Type: event.Identify, UserID: "carl", Anonymous: "bob"})
	h.clock.Move(time.Minute)
	carl := h.person("user_id", "carl").ID
	h.parts(carl, "bob")
	same(t, "carl's mails", 0, len(h.mails(carl)))
	same(t, "bob's mails", 1, len(h.mails(h.person("anonymous_id", "bob").ID)))
	same(t, "ann's mails", 1, len(h.mails(ann)))
	same(t, "bob's story", []string{"Person Parted", "Person Parted"}, h.names("anonymous_id", "bob"))
	same(t, "carl's story", []string{"Seen", "identify", "Person Parted"}, h.names("user_id", "carl"))
}

// together writes events in one frame, as one request does, and walks them.
func (h *house) together(events ...event.Event) {
	h.t.Helper()
	now := h.clock.Now()
	var bodies [][]byte
	for i, e := range events {
		e.MessageID, e.Source, e.Time, e.Received = fmt.Sprint("x", i), "shop", now, now
		bodies = append(bodies, e.Append(nil))
	}
	_, _, err := h.log.Append(context.Background(), eventlog.Live, bodies)
	h.must(err)
	h.walk()
}
