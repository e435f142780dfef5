package processor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/explain"
	"rapport/internal/identity"
)

// Fault 20: one message id comes again, as it was or with other content, a
// minute or eight days later. Within the window the first wins and the rest are
// counted; after it the id is a new event's.
func TestDuplicateIDs(t *testing.T) {
	t.Parallel()
	plan := func(name string) event.Event {
		return event.Event{Type: event.Identify, UserID: "u1", MessageID: "same", Traits: fmt.Appendf(nil, `{"plan":%q}`, name)}
	}
	for _, reopened := range []bool{false, true} {
		t.Run(fmt.Sprintf("reopened=%v", reopened), func(t *testing.T) {
			t.Parallel()
			h := setup(t, shop)
			again := func() {
				if reopened {
					h.reopen()
				}
			}
			h.do(plan("first"))
			again()
			h.clock.Set(start.Add(time.Minute))
			h.do(plan("first"))
			h.do(plan("second"))
			same(t, "duplicates counted", int64(2), h.walker.Stats().Duplicates)
			p := h.person("user_id", "u1")
			same(t, "events within the window", int64(1), p.EventsCount)
			same(t, "the first wins", `"first"`, string(p.Traits["plan"]))
			again()
			h.clock.Set(start.Add(8 * 24 * time.Hour))
			h.do(plan("third"))
			p = h.person("user_id", "u1")
			same(t, "events after the window", int64(2), p.EventsCount)
			same(t, "the trait after the window", `"third"`, string(p.Traits["plan"]))
		})
	}
}

// Fault 21: the wall clock steps. Instants of the log never go back, what waits
// fires neither early nor twice, and an event from 1970 or the far past moves
// nobody's time.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{UserID: "u1", Email: "ada@shop.example", Name: "Product Added"})
	due := func(what string, want int) {
		t.Helper()
		same(t, what, want, len(h.mails(h.person("user_id", "u1").ID)))
	}
	h.at(-time.Hour) // stepped back: nothing is due
	due("mails after a step back", 0)
	h.do(event.Event{UserID: "u1", Name: "Page", Time: time.Unix(0, 0)})
	h.do(event.Event{UserID: "u2", Name: "Page", Time: time.Unix(0, 0)})
	due("mails after an event of 1970", 0)
	h.at(2*time.Hour - time.Millisecond)
	due("mails a millisecond before it is due", 0)
	h.at(2*time.Hour + time.Second)
	due("mails when it is due", 1)
	h.at(time.Hour) // back again
	h.at(2*time.Hour + 2*time.Second)
	due("mails after one more step back", 1)
	h.at(25 * time.Hour)
	same(t, "timeline", []string{"Product Added", "Audience Entered cart 0s", "Page", "Audience Exited cart 24h0m0s"}, sorted(h.names("user_id", "u1")))
}

// sorted puts what happened at the same record's instant in the order of the
// first test: history is kept by event time, and that of 1970 is first.
func sorted(names []string) []string {
	i := slices.Index(names, "Page")
	names = slices.Delete(slices.Clone(names), i, i+1)
	return slices.Insert(names, 2, "Page")
}

// picture is what must be the same however the events were ordered.
type picture struct {
	Names  []string
	Traits map[string]string
	Events int64
}

func (h *house) picture(kind, value string) picture {
	h.t.Helper()
	p := h.person(kind, value)
	out := picture{Names: namesOf(p), Traits: map[string]string{}, Events: p.EventsCount}
	for k, v := range p.Traits {
		out.Traits[k] = string(v)
	}
	return out
}

func namesOf(p *explain.Person) (out []string) {
	for _, x := range p.Identifiers {
		out = append(out, x.Kind+":"+x.Value)
	}
	slices.Sort(out)
	return out
}

// Fault 22: identify, track and alias come in every order; who it is about and
// what is known of them comes out the same.
func TestOrderOfIdentifyTrackAndAliasDoesNotMatter(t *testing.T) {
	t.Parallel()
	at := func(m int) time.Time { return start.Add(time.Duration(m) * time.Minute) }
	events := []event.Event{
		{Type: event.Identify, UserID: "u1", Anonymous: "a1", MessageID: "1", Time: at(-4), Traits: []byte(`{"plan":"free","city":"Ulm"}`)},
		{Type: event.Track, Anonymous: "a1", MessageID: "2", Name: "Page", Time: at(-3)},
		{Type: event.Alias, UserID: "u1", Previous: "a2", MessageID: "3", Time: at(-2)},
		{Type: event.Identify, Anonymous: "a2", MessageID: "4", Time: at(-1), Traits: []byte(`{"plan":"pro"}`)},
	}
	want := picture{
		Names:  []string{"anonymous_id:a1", "anonymous_id:a2", "user_id:u1"},
		Traits: map[string]string{"plan": `"pro"`, "city": `"Ulm"`}, Events: 4,
	}
	permute(events, func(order []event.Event) {
		h := setup(t, shop)
		name := ""
		for _, e := range order {
			name += e.MessageID
			h.do(e)
		}
		for _, by := range [][2]string{{"user_id", "u1"}, {"anonymous_id", "a1"}, {"anonymous_id", "a2"}} {
			same(t, "order "+name+", by "+by[1], want, h.picture(by[0], by[1]))
		}
	})
}

func permute(list []event.Event, do func([]event.Event)) {
	var step func(n int)
	step = func(n int) {
		if n == len(list) {
			do(slices.Clone(list))
			return
		}
		for i := n; i < len(list); i++ {
			list[n], list[i] = list[i], list[n]
			step(n + 1)
			list[n], list[i] = list[i], list[n]
		}
	}
	step(0)
}

// Fault 22: aliases go round in circles, and two houses that read the same
// records come to the same people.
func TestMergesInCirclesEndAlike(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		one, two := setup(t, shop), setup(t, shop)
		r := rand.New(rand.NewPCG(seed, 4))
		const people = 12
		for i := range 300 {
			a, b := r.IntN(people), r.IntN(people)
			e := event.Event{Type: event.Alias, MessageID: fmt.Sprintf("c%d", i), Anonymous: fmt.Sprintf("a%d", a), Previous: fmt.Sprintf("a%d", b)}
			switch r.IntN(4) {
			case 0:
				e.UserID, e.Anonymous = fmt.Sprintf("u%d", r.IntN(4)), ""
			case 1:
				e = event.Event{Type: event.Identify, MessageID: e.MessageID, Anonymous: e.Anonymous, Email: fmt.Sprintf("p%d@shop.example", b)}
			}
			one.do(e) // one by one
			two.append(e)
			if r.IntN(10) == 0 {
				two.walk() // by batches of any size
			}
		}
		two.walk()
		for i := range people {
			name := fmt.Sprintf("a%d", i)
			who, err := one.reader.Find(context.Background(), "anonymous_id", name)
			if err != nil {
				continue // never seen with this seed
			}
			p := one.person("anonymous_id", name)
			same(t, fmt.Sprintf("seed %d: %s answers to the one found by it", seed, name), who, p.ID)
			same(t, fmt.Sprintf("seed %d: %s in both houses", seed, name), one.picture("anonymous_id", name), two.picture("anonymous_id", name))
			if n := countOf(p, "user_id"); n > 1 {
				t.Errorf("seed %d: %s has %d user ids", seed, name, n)
			}
		}
	}
}

func countOf(p *explain.Person, kind string) (n int) {
	for _, x := range p.Identifiers {
		if x.Kind == kind {
			n++
		}
	}
	return n
}

// Fault 22: ten thousand aliases and as many external ids of ever new kinds to
// one person cost no more than any other events, and the person stays small.
func TestTenThousandAliasesToOnePersonAreBounded(t *testing.T) {
	t.Parallel()
	h := setup(t, shop)
	h.do(event.Event{Type: event.Identify, UserID: "u1", Traits: []byte(`{"plan":"pro"}`)})
	const times = 10_000
	for i := range times {
		h.append(event.Event{Type: event.Alias, UserID: "u1", Previous: fmt.Sprintf("old%d", i)})
		if i%10 == 0 {
			h.append(event.Event{UserID: "u1", Name: "Page", External: []event.ExternalID{{Type: fmt.Sprintf("kind%d", i), Value: "1"}}})
		}
		if i%1000 == 999 {
			h.walk()
		}
	}
	h.walk()
	p := h.person("user_id", "u1")
	if len(p.Identifiers) > identity.MaxIdentifiers || countOf(p, "anonymous_id") > 5 {
		t.Errorf("%d identifiers, %d of them anonymous", len(p.Identifiers), countOf(p, "anonymous_id"))
	}
	if st := h.walker.Stats(); st.Refused == 0 || st.SetAside != 0 {
		t.Errorf("stats %+v, want refusals counted and nothing set aside", st)
	}
	h.do(event.Event{UserID: "u1", Name: "Product Added"})
	same(t, "the person goes on", 1, len(h.person("user_id", "u1").Segments))
}
