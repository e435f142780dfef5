package journey

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// storyJourneys use everything of the language, close together in time, so that
// random stories run through all of it.
var storyJourneys = map[string]string{
	"cart": `
trigger: {event: A, where: {n: {gte: 2}}}
purpose: m
reentry: always
exit_when: {event: C}
steps:
  - wait: 1h
  - send: one
  - wait_for: {event: B, timeout: 2h}
    then:
      - set: {last: "{{ trigger.n }}"}
    on_timeout:
      - send: two
`,
	"clock": `
trigger: {enters: busy}
purpose: m
reentry: {every: 5h}
exit_when: {not: {did: A, within: 4h}}
steps:
  - wait_for:
      any:
        - event: D
        - all: [{did: B}, {not: {did: B, within: 90m}}]
      timeout: 3h
    then: [{send: quiet}]
  - wait: 30m
  - if:
      - when: {did: A, since: trigger, count: 2}
        then: [{send: twice}]
      - when: {in_segment: busy}
        then: [{send: busy}]
    else: [{send: else}]
`,
	"leaver": `
trigger: {leaves: busy}
purpose: m
reentry: once
steps:
  - set: {left: true}
  - if: {in_segment: leavers}
    then: [{send: sorry}]
  - wait: {until: {trait: renews, before: 1h}}
  - send: renew
`,
	"keyed": `
trigger: {event: B}
key: k
purpose: p
reentry: {every: 2h}
exit_when: {event: C, same: k}
steps:
  - wait: 45m
  - send: key
    on_failure: stop
  - wait: {window: {from: "10:30", to: "04:00"}}
  - wait: 45m
  - send: key2
`,
}

func storyWorld(t testing.TB) *world {
	w := newWorld(t)
	w.segment("busy", "{did: A, count: 2, within: 3h}")
	w.segment("leavers", "{trait: left, is: true}")
	var defs []*Definition
	for _, name := range []string{"cart", "clock", "keyed", "leaver"} {
		defs = append(defs, parse(t, name, storyJourneys[name]))
	}
	w.use(compile(t, 1, defs...))
	return w
}

// moment is one thing of a random story.
type moment struct {
	at, time int64
	name     string
	props    string
	forbid   bool
	permit   bool
}

func story(r *rand.Rand, n int) []moment {
	var out []moment
	at := zero
	for range n {
		switch r.IntN(6) {
		case 0: // at the same instant
		case 1:
			at += r.Int64N(1000)
		default:
			at += int64(r.IntN(16)) * 15 * 60_000
		}
		m := moment{at: at, time: at, name: []string{"A", "A", "B", "C", "D", "renews"}[r.IntN(6)]}
		if r.IntN(4) == 0 {
			m.time -= int64(r.IntN(8)) * 15 * 60_000
		}
		switch r.IntN(30) {
		case 0:
			m.forbid = true
		case 1:
			m.permit = true
		}
		m.props = fmt.Sprintf(`{"n":%d,"k":"%d"}`, r.IntN(4), r.IntN(3))
		out = append(out, m)
	}
	return out
}

// live plays a story and gives what came of it. Idle says at which instants
// between two moments the clock is looked at, as a scanner or a batch may.
func (w *world) live(s *someone, moments []moment, idle func(from, to int64) []int64) []string {
	last := zero
	for _, m := range moments {
		for _, at := range idle(last, m.at) {
			s.catchUp(at)
		}
		last = m.at
		s.catchUp(m.at)
		switch {
		case m.forbid:
			s.forbid["m"] = "forbidden"
		case m.permit:
			s.forbid = map[purpose.Purpose]string{}
		}
		if m.name == "renews" {
			v, _ := json.Marshal((m.at + 3*3_600_000) / 1000)
			s.fold([]byte(`{"renews":` + string(v) + `}`))
			s.happen(&Event{Type: event.Identify, Time: m.time, MessageID: "t"}, m.at)
			continue
		}
		s.happen(&Event{Type: event.Track, Name: m.name, Time: m.time, MessageID: "m", Properties: []byte(m.props)}, m.at)
	}
	s.catchUp(last + 30*day)
	return w.lines
}

// TestIdleGapsChangeNothing: the same events give the same effects, at the same
// instants and in the same order, whenever the clock is looked at in between.
func TestIdleGapsChangeNothing(t *testing.T) {
	t.Parallel()
	sends := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		moments := story(r, 40)
		lazy, eager := storyWorld(t), storyWorld(t)
		want := lazy.live(lazy.person("ann"), moments, func(int64, int64) []int64 { return nil })
		got := eager.live(eager.person("ann"), moments, func(from, to int64) []int64 {
			var at []int64
			for range r.IntN(5) {
				if to > from {
					at = append(at, from+r.Int64N(to-from+1))
				}
			}
			slices.Sort(at)
			return at
		})
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d (-seldom +often):\n%s", seed, d)
		}
		if d := cmp.Diff(normal(lazy.person("ann").state), normal(eager.person("ann").state)); d != "" {
			t.Fatalf("seed %d: states (-seldom +often):\n%s", seed, d)
		}
		sends += strings.Count(strings.Join(want, "\n"), " send ")
	}
	if sends < 1000 {
		t.Errorf("only %d mails in all stories: they prove little", sends)
	}
}

// TestOneCallOrMany: OnTime called once, late, does what many calls in time do,
// as long as no step sets traits and no event comes in between.
func TestOneCallOrMany(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		moments := story(r, 12)
		run := func(late bool) []string {
			w := storyWorld(t)
			w.segments = map[string]*rule.Rule{}
			s := w.person("ann")
			w.live(s, moments, func(int64, int64) []int64 { return nil })
			w.lines = nil
			last := moments[len(moments)-1].at + 30*day
			for i := range 6 {
				s.happen(&Event{Type: event.Track, Name: []string{"A", "B"}[i%2], Time: last, MessageID: "m", Properties: []byte(`{"n":3,"k":"x"}`)}, last)
			}
			if late {
				s.time(last + 10*day)
			} else {
				s.catchUp(last + 10*day)
			}
			return w.lines
		}
		if d := cmp.Diff(run(false), run(true)); d != "" {
			t.Fatalf("seed %d (-many +one):\n%s", seed, d)
		}
	}
}

// TestInvariants holds over random stories of people who merge: no mail is
// decided twice under one key, nobody is in one journey and key twice, nothing
// that was due is left behind, and all limits hold.
func TestInvariants(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := storyWorld(t)
		names := []string{"ann", "ben", "cem", "dan"}
		at := zero
		for _, m := range story(r, 120) {
			at = m.at
			for _, n := range names {
				w.person(n).catchUp(at)
			}
			who := w.person(names[r.IntN(len(names))])
			if r.IntN(30) == 0 && len(names) > 1 {
				w.merge(names[1], names[0], at)
				names = slices.Delete(names, 1, 2)
				continue
			}
			if m.name != "renews" {
				who.happen(&Event{Type: event.Track, Name: m.name, Time: m.time, MessageID: "m", Properties: []byte(m.props)}, at)
			}
			w.check(at)
		}
		for _, n := range names {
			w.person(n).catchUp(at + 30*day)
			if s := w.person(n).state; len(s.Places) > 0 {
				t.Fatalf("seed %d: %s is stuck: %+v", seed, n, s.Places)
			}
		}
		keys := map[string]bool{}
		for _, e := range w.effects {
			if e.Kind == Send && keys[e.Intent.Key] {
				t.Fatalf("seed %d: %s was decided twice", seed, e.Intent.Key)
			}
			keys[e.Intent.Key] = true
		}
	}
}

func (w *world) check(now int64) {
	for _, s := range w.people {
		seen := map[string]bool{}
		for i := range s.state.Places {
			p := &s.state.Places[i]
			if k := p.Journey + "\x00" + p.Key; seen[k] {
				w.t.Fatalf("%s is twice in %q", s.name, k)
			} else {
				seen[k] = true
			}
			if p.due() < now && p.End == 0 {
				w.t.Fatalf("%s should have moved at %s, it is %s", p.ID(), clock(p.due()), clock(now))
			}
			if !w.catalog.Live(&s.state, p.ID(), "none") {
				w.t.Fatalf("%s is a place and not live", p.ID())
			}
		}
		if len(s.state.Places) > MaxPlaces {
			w.t.Fatalf("%d places", len(s.state.Places))
		}
		for i := range s.state.Records {
			r := &s.state.Records[i]
			if len(r.Notes) > MaxNotes || len(r.Stays) > MaxStays || len(r.Keys) > MaxKeys {
				w.t.Fatalf("record of %s: %d notes, %d stays, %d keys", r.Journey, len(r.Notes), len(r.Stays), len(r.Keys))
			}
			for _, n := range r.Notes {
				if len(n.Text) > MaxNote {
					w.t.Fatalf("a note of %d bytes", len(n.Text))
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range storyJourneys {
		f.Add(text)
	}
	f.Add("trigger: {enters: a}\ninclude_existing: true\npurpose: m\nkey: a.b\nstatus: stopped\nsteps: [stop, {set: {a: '{{ trigger.x | plus: 1 }}', b: 'x{{ person.y }}'}}]")
	f.Add("&a [*a]")
	f.Add("steps: [{if: [{when: [], then: []}]}]")
	f.Add("a: &a {b: c}\n? {x: y}\n: *a")
	f.Fuzz(func(t *testing.T, text string) {
		var n yaml.Node
		if yaml.Unmarshal([]byte(text), &n) != nil {
			return
		}
		d, problems := Parse("fuzz", &n)
		if (d == nil) != (len(problems) > 0) {
			t.Fatalf("a definition and problems, or neither: %v", problems)
		}
		if d == nil {
			return
		}
		c := compile(t, 1, d)
		w := newWorld(t)
		w.use(c)
		s := w.person("ann")
		kind, name := d.Trigger()
		ev := Event{Type: event.Track, Name: name, Time: zero, MessageID: "m", Properties: []byte(`{"n":1,"a":{"b":"c"}}`)}
		if kind != OnNamedEvent {
			ev.Segment, ev.Name = name, AudienceEntered
			if kind == OnLeave {
				ev.Name = AudienceExited
			}
		}
		s.happen(&ev, zero)
		s.happen(&ev, zero+day)
		for i := range s.state.Places {
			if s.state.Places[i].Until == Never {
				t.Fatalf("a place that waits for ever: %+v", s.state.Places[i])
			}
		}
		s.turn.Begin(s, &s.state, zero+day)
		_ = c.Explain("fuzz", &s.turn).String()
	})
}

func FuzzDecode(f *testing.F) {
	for seed := range uint64(8) {
		w := storyWorld(f)
		s := w.person("ann")
		moments := story(rand.New(rand.NewPCG(seed, 4)), 30)
		at := moments[len(moments)-1].at
		for _, m := range moments {
			s.catchUp(m.at)
			if m.name != "renews" {
				s.happen(&Event{Type: event.Track, Name: m.name, Time: m.time, MessageID: "m", Properties: []byte(m.props)}, m.at)
			}
		}
		if seed%2 == 0 {
			b := w.person("ben")
			b.happen(&Event{Type: event.Track, Name: "A", Time: at, Properties: []byte(`{"n":3}`)}, at)
			w.merge("ben", "ann", at)
		}
		f.Add(s.state.Append(nil))
	}
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0})
	f.Add([]byte{1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			if !s.Empty() {
				t.Fatal("an error and a state")
			}
			return
		}
		again, err := Decode(s.Append(nil))
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if d := cmp.Diff(normal(s), normal(again)); d != "" {
			t.Fatalf("decoded twice (-once +again):\n%s", d)
		}
		w := storyWorld(t)
		p := w.person("ann")
		p.state = s
		p.turn.Begin(p, &p.state, zero)
		w.catalog.OnEvent(&p.turn, &Event{Type: event.Outcome, Name: "Email Skipped", Time: zero, Properties: []byte(`{"journey":"cart","step":"one","place":"cart/per_1/1"}`)})
		w.catalog.OnEvent(&p.turn, &Event{Type: event.Track, Name: "A", Time: zero, Properties: []byte(`{"n":3}`)})
		_ = w.catalog.Explain("cart", &p.turn).String()
		_ = w.catalog.Live(&p.state, "cart/per_1/1", "one")
		w.catalog.Merge(&p.turn, &again)
		_ = p.state.Append(nil)
	})
}
