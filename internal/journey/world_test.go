package journey

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// world stands in for the walk: it folds events into people, keeps their
// memberships true, and gives each journey its turn, on a clock of its own.
type world struct {
	t        testing.TB
	catalog  *Catalog
	tallies  []rule.Tally
	segments map[string]*rule.Rule
	people   map[string]*someone
	now      int64
	persons  id.Person
	compare  bool // whether states are compared after each encoding, which is slow
	buffer   []byte
	lines    []string
	effects  []Effect
}

// someone is one person of the world.
type someone struct {
	w       *world
	name    string
	id      id.Person
	history []happening
	traits  map[string]json.RawMessage
	member  map[string]bool
	forbid  map[purpose.Purpose]string
	state   State
	turn    Turn
	segDue  int64
	object  rule.Object
}

type happening struct {
	name  string
	time  int64
	props []byte
}

var _ Person = (*someone)(nil)

func (s *someone) ID() id.Person { return s.id }

func (s *someone) Trait(path string) ([]byte, bool) {
	b, err := json.Marshal(s.traits)
	if err != nil {
		s.w.t.Fatalf("traits: %v", err)
	}
	s.object.Reset(b)
	return s.object.Get(path)
}

// Tally counts from the whole history, so that no limit can hide a mistake.
func (s *someone) Tally(number uint32) (rule.TallyState, bool) {
	var st rule.TallyState
	for i := range s.w.tallies {
		of := s.w.tallies[i]
		if of.ID != number {
			continue
		}
		of.Keep, of.Samples = 1<<20, 1<<20
		for _, h := range s.history {
			var o rule.Object
			o.Reset(h.props)
			if x, ok := of.Take(&o); ok && h.name == of.Event {
				st.Put(h.time, x, &of, false)
			}
		}
		return st, st.Count > 0
	}
	s.w.t.Fatalf("tally %d is asked for but not declared", number)
	return st, false
}

func (s *someone) Member(segment string) bool { return s.member[segment] }

func (s *someone) Property(string) ([]byte, bool) { return nil, false }

func (s *someone) Permit(p purpose.Purpose) (bool, string) {
	why, no := s.forbid[p]
	return !no, why
}

func newWorld(t testing.TB) *world {
	return &world{t: t, catalog: compile(t, 1), segments: map[string]*rule.Rule{}, people: map[string]*someone{}}
}

func parse(t testing.TB, name, text string) *Definition {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatalf("yaml of %s: %v", name, err)
	}
	d, problems := Parse(name, &n)
	for _, p := range problems {
		t.Errorf("%s:%s", name, p)
	}
	if len(problems) > 0 {
		t.FailNow()
	}
	return d
}

func compile(t testing.TB, version int, defs ...*Definition) *Catalog {
	t.Helper()
	c, err := Compile(version, defs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) use(c *Catalog) {
	w.catalog, w.tallies = c, c.Tallies()
	for _, name := range slices.Sorted(maps.Keys(w.segments)) {
		var err error
		if w.tallies, err = rule.Union(w.tallies, w.segments[name].Tallies()...); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) segment(name, text string) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		w.t.Fatal(err)
	}
	r, problems := rule.Parse(n.Content[0], rule.Context{})
	if len(problems) > 0 {
		w.t.Fatalf("segment %s: %v", name, problems)
	}
	w.segments[name] = r
	w.use(w.catalog)
}

func (w *world) person(name string) *someone {
	s := w.people[name]
	if s == nil {
		w.persons++
		s = &someone{
			w: w, name: name, id: w.persons, traits: map[string]json.RawMessage{},
			member: map[string]bool{}, forbid: map[purpose.Purpose]string{}, segDue: Never,
		}
		w.people[name] = s
	}
	return s
}

// catchUp does for somebody what is due before an instant, in order.
func (s *someone) catchUp(now int64) {
	for {
		due := min(s.segDue, s.state.NextDue())
		if due >= now {
			return
		}
		s.tick(due)
	}
}

// tick does what is due at an instant.
func (s *someone) tick(now int64) {
	if s.segDue <= now {
		s.evaluate(now)
	}
	s.time(now)
}

func (s *someone) time(now int64) {
	for range 1000 {
		s.turn.Begin(s, &s.state, now)
		s.w.catalog.OnTime(&s.turn)
		if !s.settle(now) {
			return
		}
	}
	s.w.t.Fatal("a journey that sets traits goes on for ever")
}

// settle shows what a turn did, folds the traits that it set, and tells whether
// the journey has to be asked again.
func (s *someone) settle(now int64) bool {
	again := s.turn.Again
	effects := slices.Clone(s.turn.Effects)
	s.keep()
	for _, e := range effects {
		s.w.show(s, e)
	}
	for _, e := range effects {
		if e.Kind == Set {
			s.fold(e.Traits)
			s.happen(&Event{Type: event.Identify, Time: e.At, MessageID: "set"}, now)
		}
	}
	return again
}

// keep sends the state through its encoding, as the walk does.
func (s *someone) keep() {
	b := s.state.Append(s.w.buffer[:0])
	s.w.buffer = b
	got, err := Decode(b)
	if err != nil {
		s.w.t.Fatalf("decode: %v", err)
	}
	for i := range b {
		b[i] = 0xAA
	}
	if s.w.compare {
		s.same(got)
	}
	s.state = got
}

// same compares a state with what became of it in the encoding.
func (s *someone) same(got State) {
	if d := cmp.Diff(s.state, got, cmp.Transformer("nil", func(x State) State { return normal(x) })); d != "" {
		s.w.t.Fatalf("a state is not what it was (-want +got):\n%s", d)
	}
}

// normal makes empty slices nil, so that states compare by what they say.
func normal(x State) State {
	x = State{Places: slices.Clone(x.Places), Records: slices.Clone(x.Records), Dates: slices.Clone(x.Dates)}
	if len(x.Dates) == 0 {
		x.Dates = nil
	}
	if len(x.Places) == 0 {
		x.Places = nil
	}
	if len(x.Records) == 0 {
		x.Records = nil
	}
	for i := range x.Places {
		p := &x.Places[i]
		if len(p.Data) == 0 {
			p.Data = nil
		}
		p.Stay = normalStay(p.Stay)
	}
	for i := range x.Records {
		r := &x.Records[i]
		r.Stays, r.Notes, r.Keys = slices.Clone(r.Stays), slices.Clone(r.Notes), slices.Clone(r.Keys)
		for k := range r.Stays {
			r.Stays[k] = normalStay(r.Stays[k])
		}
		if len(r.Stays) == 0 {
			r.Stays = nil
		}
		if len(r.Notes) == 0 {
			r.Notes = nil
		}
		if len(r.Keys) == 0 {
			r.Keys = nil
		}
	}
	return x
}

func normalStay(s Stay) Stay {
	if len(s.Sent) == 0 {
		s.Sent = nil
	}
	if len(s.Also) == 0 {
		s.Also = nil
	}
	return s
}

func (s *someone) fold(traits []byte) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(traits, &m); err != nil {
		s.w.t.Fatalf("traits %s: %v", traits, err)
	}
	for k, v := range m {
		if string(v) == "null" {
			delete(s.traits, k)
		} else {
			s.traits[k] = v
		}
	}
}

// happen walks one event.
func (s *someone) happen(ev *Event, now int64) {
	if ev.Name != "" && ev.Segment == "" && ev.Type != event.Trigger {
		s.history = append(s.history, happening{ev.Name, ev.Time, ev.Properties})
	}
	moved := s.members(now)
	if ev.Type == event.Identify {
		s.turn.Begin(s, &s.state, now)
		s.w.catalog.Arm(&s.turn, true)
		s.keep()
	}
	s.turn.Begin(s, &s.state, now)
	props := slices.Clone(ev.Properties)
	mine := *ev
	mine.Properties = props
	s.w.catalog.OnEvent(&s.turn, &mine)
	for i := range props {
		props[i] = ' '
	}
	again := s.settle(now)
	s.moved(moved, now)
	if again {
		s.time(now)
	}
}

// evaluate lets segments follow the clock.
func (s *someone) evaluate(now int64) { s.moved(s.members(now), now) }

// members brings memberships up to an instant and gives those that moved.
func (s *someone) members(now int64) (moved []string) {
	s.segDue = Never
	for _, name := range slices.Sorted(maps.Keys(s.w.segments)) {
		held, until := s.w.segments[name].Eval(s, rule.At{Now: now})
		if held != s.member[name] {
			moved = append(moved, name)
		}
		s.member[name] = held
		s.segDue = min(s.segDue, until)
	}
	return moved
}

func (s *someone) moved(names []string, now int64) {
	for _, name := range names {
		ev := Event{Type: event.Track, Name: AudienceExited, Time: now, Segment: name, MessageID: "moved"}
		if s.member[name] {
			ev.Name = AudienceEntered
		}
		s.happen(&ev, now)
	}
}

// merge makes one person of two.
func (w *world) merge(from, into string, now int64) {
	a, b := w.person(into), w.person(from)
	a.catchUp(now)
	b.catchUp(now)
	a.history = append(a.history, b.history...)
	for k, v := range b.traits {
		if _, has := a.traits[k]; !has {
			a.traits[k] = v
		}
	}
	a.turn.Begin(a, &a.state, now)
	w.catalog.Merge(&a.turn, &b.state)
	a.settle(now)
	delete(w.people, from)
	a.evaluate(now)
	a.time(now)
}

// show writes an effect as scenarios show it.
func (w *world) show(s *someone, e Effect) {
	e.Intent.Data, e.Traits = slices.Clone(e.Intent.Data), slices.Clone(e.Traits)
	w.effects = append(w.effects, e)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", clock(e.At), [...]string{"", "send", "set", "enters", "refused", "ends", "fails"}[e.Kind])
	switch e.Kind {
	case Send:
		in := e.Intent
		fmt.Fprintf(&b, " %s  %s %s %s", in.Template, in.Key, in.Purpose, in.Class)
		if !in.ValidUntil.IsZero() {
			fmt.Fprintf(&b, " until %s", clock(in.ValidUntil.UnixMilli()))
		}
		if in.Data != nil {
			fmt.Fprintf(&b, " %s", in.Data)
		}
	case Set:
		fmt.Fprintf(&b, " %s  in %s", e.Traits, e.Place)
	case Refused:
		fmt.Fprintf(&b, " by %s: %s", e.Journey, e.Reason)
	case Entered:
		fmt.Fprintf(&b, " %s version %d", e.Place, e.Version)
	case Failed:
		fmt.Fprintf(&b, " %s of %s: %s", e.Step, e.Place, e.Reason)
	default:
		fmt.Fprintf(&b, " %s: %s", e.Place, e.Reason)
	}
	if len(w.people) > 1 {
		b.WriteString("  (" + s.name + ")")
	}
	w.lines = append(w.lines, b.String())
}

// zero is the instant from which scenarios count: a Monday.
var zero = time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC).UnixMilli()

// clock shows an instant as scenarios write it: "3d 09:30".
func clock(at int64) string {
	if at == Never {
		return "never"
	}
	ms := at - zero
	sign := ""
	if ms < 0 {
		sign, ms = "-", -ms
	}
	s := fmt.Sprintf("%s%dd %02d:%02d", sign, ms/day, ms%day/3_600_000, ms%3_600_000/60_000)
	if rest := ms % 60_000; rest != 0 {
		s += fmt.Sprintf(":%02d", rest/1000)
	}
	if rest := ms % 1000; rest != 0 {
		s += fmt.Sprintf(".%03d", rest)
	}
	return s
}
