package processor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/group"
	"rapport/internal/store"
)

// companies is a segment of a group's trait, and journeys that go round for ever
// for those members who are odd.
const companies = `
segments:
  pros: {rule: {trait: $group.plan, is: pro}}
  odd-pros: {rule: {all: [{in_segment: pros}, {trait: odd, is: true}]}}
  lit: {rule: {trait: lamp, is: "on"}}
journeys:
  odd:
    purpose: marketing.newsletter
    trigger: {enters: odd-pros}
    steps: [{set: {lamp: "on"}}]
` + round

// told walks until state has nothing left to say.
func (h *house) told() {
	h.t.Helper()
	for {
		h.walk()
		n, err := h.walker.Relay(context.Background())
		h.must(err)
		if n == 0 {
			return
		}
	}
}

// joinsFirm makes many members of one group; those whom odd names are odd.
func (h *house) joinsFirm(many int, odd ...int) {
	h.t.Helper()
	for _, i := range odd {
		h.append(event.Event{Type: event.Identify, UserID: fmt.Sprint("u", i), Traits: []byte(`{"odd":true}`)})
	}
	for i := range many {
		h.append(event.Event{Type: event.Group, UserID: fmt.Sprint("u", i), GroupID: "firm", Traits: []byte(`{"plan":"free"}`)})
	}
	h.told()
}

func (h *house) planIs(plan string) {
	h.t.Helper()
	h.append(event.Event{Type: event.Group, UserID: "owner", GroupID: "firm", Traits: fmt.Appendf(nil, `{"plan":%q}`, plan)})
	h.told()
}

// TestAMemberWhoCannotBeWalkedHoldsNobodyUp: a change of a group reaches everybody
// but those few whose own walk fails; they are set aside one by one, and reached
// when they are sent again.
func TestAMemberWhoCannotBeWalkedHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	h := setup(t, companies)
	const many = 2*group.MaxMembers + 50
	h.joinsFirm(many, 7, 8, group.MaxMembers+100)
	h.planIs("pro")
	same(t, "members reached", int64(many-3+1), h.sizes()["pros"])
	aside := h.asides()
	same(t, "set aside", 3, len(aside))
	for _, a := range aside {
		same(t, "reason", "derived_loop", a.Code)
	}
	h.configs[2], _, _ = strings.Cut(companies, "journeys:") // the mistake is taken out
	h.config(2)
	for _, a := range aside {
		_, _, err := h.log.Append(context.Background(), eventlog.Live, [][]byte{a.Body})
		h.must(err)
	}
	h.told()
	same(t, "members reached in the end", int64(many+1), h.sizes()["pros"])
}

// TestAGroupsWavesSurviveAKillAtAnyCommit: however often the walk or the relay
// ends between two commits, everybody hears of a change once.
func TestAGroupsWavesSurviveAKillAtAnyCommit(t *testing.T) {
	t.Parallel()
	h := setup(t, companies)
	const many = 2*group.MaxMembers + 50
	h.joinsFirm(many)
	h.append(event.Event{Type: event.Group, UserID: "owner", GroupID: "firm", Traits: []byte(`{"plan":"pro"}`)})
	broken := errors.New("the power fails")
	for idle := 0; idle < 2; idle++ {
		n, err := h.walker.Step(context.Background(), eventlog.Live)
		h.must(err)
		h.reopen()
		h.trouble.before = func() error { return broken } // said, but not noted as said
		said, err := h.walker.Relay(context.Background())
		h.trouble.before = nil
		if said > 0 && !errors.Is(err, broken) {
			t.Fatal(err)
		}
		h.reopen()
		more, err := h.walker.Relay(context.Background())
		h.must(err)
		if n+said+more > 0 {
			idle = -1
		}
	}
	same(t, "members reached", int64(many+1), h.sizes()["pros"])
	same(t, "set aside", 0, len(h.asides()))
	for i := range many {
		if i%90 == 0 {
			same(t, fmt.Sprint("u", i), []string{"group", "Audience Entered pros 0s"}, h.names("user_id", fmt.Sprint("u", i)))
		}
	}
}

// TestAReplayReachesTheSameMembers: where a replay finds the record of a group's
// change before the change itself, as two lanes may fall, nobody is left out.
func TestAReplayReachesTheSameMembers(t *testing.T) {
	t.Parallel()
	h := setup(t, companies)
	h.joinsFirm(3)
	h.bulk(event.Event{Type: event.Group, UserID: "owner", GroupID: "firm", Traits: []byte(`{"plan":"pro"}`)})
	_, err := h.walker.Step(context.Background(), eventlog.Bulk)
	h.must(err)
	h.told()
	same(t, "members reached", int64(4), h.sizes()["pros"])
	again := setup(t, companies)
	for _, lane := range []eventlog.Lane{eventlog.Live, eventlog.Bulk} {
		records, err := h.log.Read(context.Background(), lane, 1, 1<<20)
		h.must(err)
		for _, r := range records {
			_, _, err := again.log.Append(context.Background(), lane, [][]byte{r.Body})
			h.must(err)
		}
		again.told()
	}
	same(t, "members reached before the change", int64(0), again.sizes()["pros"])
	_, err = again.walker.Step(context.Background(), eventlog.Bulk)
	h.must(err)
	again.told()
	same(t, "members reached by the replay", int64(4), again.sizes()["pros"])
}

// TestManyWavesAreManyTransactions: waves that wait together do not make one
// transaction of them all.
func TestManyWavesAreManyTransactions(t *testing.T) {
	t.Parallel()
	h := setup(t, companies)
	for firm := range 40 {
		for i := range 3 {
			h.append(event.Event{Type: event.Group, UserID: fmt.Sprint("u", firm, "-", i), GroupID: fmt.Sprint("firm", firm)})
		}
	}
	h.told()
	for firm := range 40 {
		h.append(event.Event{Type: event.Group, UserID: fmt.Sprint("u", firm, "-", 0), GroupID: fmt.Sprint("firm", firm), Traits: []byte(`{"plan":"pro"}`)})
	}
	h.walk()
	said, err := h.walker.Relay(context.Background())
	h.must(err)
	same(t, "waves", 40, said)
	most := 0
	for {
		n, err := h.walker.Step(context.Background(), eventlog.Live)
		h.must(err)
		if most = max(most, n); n == 0 {
			break
		}
	}
	if most > 4 {
		t.Errorf("%d waves were walked in one transaction", most)
	}
	same(t, "members reached", int64(120), h.sizes()["pros"])
}

// TestAGroupCallWithAnAddressIsSeenByRules: what a group call's context says of
// the person themselves is seen at once, as it is with any other call.
func TestAGroupCallWithAnAddressIsSeenByRules(t *testing.T) {
	t.Parallel()
	h := setup(t, `segments: {reachable: {rule: {trait: email, exists: true}}}`)
	h.do(event.Event{Type: event.Group, UserID: "u1", Email: "ada@shop.example", GroupID: "firm", Traits: []byte(`{"plan":"pro"}`)})
	same(t, "size", int64(1), h.sizes()["reachable"])
}

// TestWhoHasLeftAGroupIsNoMemberAnyMore: a wave forgets those it finds gone.
func TestWhoHasLeftAGroupIsNoMemberAnyMore(t *testing.T) {
	t.Parallel()
	h := setup(t, companies)
	h.joinsFirm(3)
	for i := range group.MaxOf {
		h.clock.Set(start.Add(time.Duration(i+1) * time.Minute))
		h.do(event.Event{Type: event.Group, UserID: "u1", GroupID: fmt.Sprint("newer", i)})
	}
	h.do(event.Event{Type: event.Identify, UserID: "u2", Anonymous: "a2"})
	h.planIs("pro")
	same(t, "members", 3, h.members("firm"))
}

// TestASettledConfigurationMayHaveManySegments: being counted for the first time
// is no loop, however many segments there are.
func TestASettledConfigurationMayHaveManySegments(t *testing.T) {
	t.Parallel()
	h := setup(t, "segments: {}")
	h.do(event.Event{UserID: "u1", Name: "Began"})
	const many = 100
	var b strings.Builder
	b.WriteString("segments:\n")
	for i := range many {
		fmt.Fprintf(&b, "  s%d: {rule: {did: Began}}\n", i)
	}
	h.configs[2] = b.String()
	h.config(2)
	same(t, "segments", many, len(h.person("user_id", "u1").Segments))
	h.do(event.Event{UserID: "u2", Name: "Began"})
	same(t, "segments of somebody new", many, len(h.person("user_id", "u2").Segments))
	same(t, "set aside", 0, len(h.asides()))
}

// members counts those whom a wave of a group would look at.
func (h *house) members(name string) int {
	h.t.Helper()
	var n int
	h.must(h.state.Read(context.Background(), func(tx store.Tx) error {
		list, err := tx.Group().Members(h.walker.Resolver.Hash("group_id", name), 0, 1000)
		n = len(list)
		return err
	}))
	return n
}
