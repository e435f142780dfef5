package segment_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"rapport/internal/event"
	"rapport/internal/profile"
	"rapport/internal/rule"
	"rapport/internal/segment"
)

func same[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// define makes definitions of "name: rule" lines.
func define(t testing.TB, lines ...string) []segment.Definition {
	t.Helper()
	var out []segment.Definition
	for _, line := range lines {
		name, text, _ := strings.Cut(line, ": ")
		var n yaml.Node
		if err := yaml.Unmarshal([]byte("rule: "+text), &n); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		d, problems := segment.Parse(name, &n)
		if len(problems) > 0 {
			t.Fatalf("%s: %v", line, problems)
		}
		out = append(out, d)
	}
	return out
}

func compile(t testing.TB, lines ...string) *segment.Catalog {
	t.Helper()
	c, err := segment.Compile(define(t, lines...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// body is one person with what a catalog asks of them.
type body struct {
	c     *segment.Catalog
	s     *profile.Schema
	prof  profile.Profile
	state segment.State
	work  segment.Work
	props rule.Object
	moves []segment.Transition
}

func newBody(c *segment.Catalog) *body { return &body{c: c, s: profile.NewSchema(c.Tallies)} }

func (b *body) Trait(path string) ([]byte, bool)       { return b.prof.Trait(path) }
func (b *body) Tally(n uint32) (rule.TallyState, bool) { return b.prof.Tally(n) }
func (b *body) Member(name string) bool                { return b.c.Member(&b.state, name) }
func (b *body) Property(string) ([]byte, bool)         { return nil, false }

// reach does what is due before an instant, each thing at its own.
func (b *body) reach(t interface{ Fatalf(string, ...any) }, now int64) {
	for n := 0; b.state.NextDue() < now; n++ {
		due := b.state.NextDue()
		b.moves = append(b.moves, b.c.Expire(&b.state, b, due, &b.work)...)
		b.mustBeTrue(t, due)
		if b.state.NextDue() <= due {
			t.Fatalf("what was due at %d is due again at %d", due, b.state.NextDue())
		}
	}
}

func (b *body) see(t interface{ Fatalf(string, ...any) }, e event.Event, now int64) {
	b.reach(t, now)
	b.props.Reset(e.Properties)
	var change profile.Change
	b.prof.Fold(&e, &b.props, b.s, nil, &change)
	b.moves = append(b.moves, b.c.Apply(&b.state, b, segment.Changes{Tallies: change.Tallies, Traits: change.Traits}, now, false, &b.work)...)
	if b.state.NextDue() > now { // what is due at this very instant comes after its events
		b.mustBeTrue(t, now)
	}
}

// anew evaluates everything from nothing.
func (b *body) anew(now int64) []string {
	fresh := &body{c: b.c, s: b.s, prof: b.prof}
	b.c.All(&fresh.state, fresh, now, false, &fresh.work)
	return fresh.in()
}

func (b *body) in() []string {
	var out []string
	for _, m := range b.c.In(&b.state) {
		out = append(out, m.Segment)
	}
	return out
}

func (b *body) mustBeTrue(t interface{ Fatalf(string, ...any) }, now int64) {
	if got, want := b.in(), b.anew(now); !slices.Equal(got, want) {
		t.Fatalf("at %d: in %v, a full evaluation says %v", now, got, want)
	}
	var again segment.State
	if err := again.Decode(b.state.Append(nil)); err != nil {
		t.Fatalf("%v", err)
	}
	if got := again.NextDue(); got != b.state.NextDue() {
		t.Fatalf("due at %d, after a restart at %d", b.state.NextDue(), got)
	}
}

// drawRules makes some segments, of which later ones may read earlier ones.
func drawRules(rt *rapid.T) []string {
	hours := func() int { return rapid.SampledFrom([]int{1, 2, 5, 24}).Draw(rt, "hours") }
	leaf := func(before int) string {
		name := rapid.SampledFrom([]string{"A", "B"}).Draw(rt, "event")
		switch rapid.IntRange(0, 8).Draw(rt, "leaf") {
		case 0:
			return fmt.Sprintf("{did: %s}", name)
		case 1:
			return fmt.Sprintf("{did: %s, within: %dh}", name, hours())
		case 2:
			return fmt.Sprintf("{did: %s, count: %d, within: %dh}", name, rapid.IntRange(1, 3).Draw(rt, "count"), hours())
		case 3:
			return fmt.Sprintf("{did: %s, before: %dh}", name, hours())
		case 4:
			return fmt.Sprintf("{did: %s, count: {max: %d}, within: %dh, where: {v: {gte: 2}}}", name, rapid.IntRange(0, 2).Draw(rt, "most"), hours())
		case 5:
			return fmt.Sprintf("{did: %s, count: {exactly: %d}, within: %dh}", name, rapid.IntRange(0, 2).Draw(rt, "exactly"), hours())
		case 6:
			return "{trait: firstName, is: Ada}"
		case 7:
			return "{trait: name, contains: Ada}"
		}
		if before == 0 {
			return "{trait: plan, exists: true}"
		}
		return fmt.Sprintf("{in_segment: s%d}", rapid.IntRange(0, before-1).Draw(rt, "which"))
	}
	var out []string
	for i := range rapid.IntRange(1, 5).Draw(rt, "segments") {
		var text string
		switch rapid.IntRange(0, 3).Draw(rt, "shape") {
		case 0:
			text = leaf(i)
		case 1:
			text = "{not: " + leaf(i) + "}"
		case 2:
			text = "{all: [" + leaf(i) + ", {not: " + leaf(i) + "}]}"
		default:
			text = "{any: [" + leaf(i) + ", " + leaf(i) + "]}"
		}
		out = append(out, fmt.Sprintf("s%d: %s", i, text))
	}
	return out
}

func drawEvent(rt *rapid.T, now int64) event.Event {
	at := time.UnixMilli(now)
	if rapid.IntRange(0, 3).Draw(rt, "late") == 0 {
		at = at.Add(-time.Duration(rapid.IntRange(0, 30*60).Draw(rt, "minutes late")) * time.Minute)
	}
	e := event.Event{Time: at, Received: time.UnixMilli(now)}
	if rapid.IntRange(0, 4).Draw(rt, "identify") == 0 {
		e.Type = event.Identify
		e.Traits = []byte(rapid.SampledFrom([]string{`{"firstName":"Ada"}`, `{"first_name":"Eve"}`, `{"first_name":null}`, `{"plan":1}`, `{"plan":null}`, `{"name":"Ada X"}`, `{"name":null}`}).Draw(rt, "traits"))
		return e
	}
	e.Type, e.Name = event.Track, rapid.SampledFrom([]string{"A", "B", "C"}).Draw(rt, "name")
	e.Properties = fmt.Appendf(nil, `{"v":%d}`, rapid.IntRange(0, 3).Draw(rt, "v"))
	return e
}

// Incremental membership equals a full evaluation after every event and at every
// instant at which something expires, over random rules, events, gaps and
// merges; and nothing changes in between.
func TestIncrementalEqualsFullRecomputation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := compile(t, drawRules(rt)...)
		people := []*body{newBody(c), newBody(c)}
		now := int64(1_700_000_000_000)
		for _, b := range people {
			b.c.All(&b.state, b, now, true, &b.work)
		}
		for range rapid.IntRange(1, 25).Draw(rt, "acts") {
			now += int64(rapid.SampledFrom([]int{0, 1, 60_000, 3_600_000, 7_200_000, 86_400_000, 12_345_678}).Draw(rt, "gap"))
			b := people[rapid.IntRange(0, len(people)-1).Draw(rt, "who")]
			switch rapid.IntRange(0, 9).Draw(rt, "act") {
			case 0: // nothing happens: the truth of this instant, expiry at the instant itself included
				b.reach(rt, now+1)
				b.mustBeTrue(rt, now)
				if due := b.state.NextDue(); due != rule.Never {
					probe := now + rapid.Int64Range(0, due-1-now).Draw(rt, "probe")
					b.mustBeTrue(rt, probe)
				}
			case 1:
				if len(people) < 2 {
					break
				}
				for _, b := range people {
					b.reach(rt, now)
				}
				a, b := people[0], people[1]
				var change profile.Change
				a.prof.Merge(&b.prof, a.s, &change)
				a.state.Merge(&b.state)
				c.All(&a.state, a, now, false, &a.work)
				a.reach(rt, now+1)
				a.mustBeTrue(rt, now)
				people = people[:1]
			default:
				b.see(rt, drawEvent(rt, now), now)
			}
		}
	})
}

func TestExpiryIsExactToTheMillisecond(t *testing.T) {
	t.Parallel()
	b := newBody(compile(t, "cart: {did: A, within: 24h}"))
	at := int64(1_700_000_000_123)
	b.see(t, event.Event{Type: event.Track, Name: "A", Time: time.UnixMilli(at), Received: time.UnixMilli(at)}, at)
	same(t, "in", []string{"cart"}, b.in())
	due := at + 24*3600_000
	same(t, "due", due, b.state.NextDue())
	same(t, "a millisecond before", []string{"cart"}, b.anew(due-1))
	same(t, "at the instant", []string(nil), b.anew(due))
	b.reach(t, due+1)
	same(t, "moves", []segment.Transition{{Segment: "cart", Entered: true, At: at}, {Segment: "cart", At: due}}, b.moves)
}

func TestSegmentsThatReadEachOther(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		lines []string
		err   string
	}{
		{"a circle is named", []string{"a: {in_segment: b}", "b: {in_segment: c}", "c: {not: {in_segment: a}}"}, "a → b → c → a"},
		{"a segment that reads itself", []string{"a: {in_segment: a}"}, "a → a"},
		{"a segment that does not exist", []string{"a: {in_segment: nowhere}"}, `"a" reads "nowhere"`},
		{"any order of writing will do", []string{"a: {in_segment: b}", "b: {in_segment: c}", "c: {did: A}"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, err := segment.Compile(define(t, row.lines...))
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Fatalf("got %v, want an error with %q", err, row.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b := newBody(c)
			b.see(t, event.Event{Type: event.Track, Name: "A", Time: time.UnixMilli(1), Received: time.UnixMilli(1)}, 1)
			var order []string
			for _, m := range b.moves {
				order = append(order, m.Segment)
			}
			same(t, "what is read comes first", []string{"c", "b", "a"}, order)
		})
	}
}

func TestSegmentsThatAreNoMoreAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBody(compile(t, "old: {did: A, within: 24h}", "kept: {did: A}"))
	b.see(t, event.Event{Type: event.Track, Name: "A", Time: time.UnixMilli(1), Received: time.UnixMilli(1)}, 1)
	next := compile(t, "kept: {did: A}", "fresh: {not: {did: B}}")
	b.c = next
	moves := next.All(&b.state, b, 2, true, &b.work)
	same(t, "moves", []segment.Transition{{Segment: "fresh", Entered: true, At: 2, Initial: true}}, append([]segment.Transition(nil), moves...))
	same(t, "gone", []uint32{segment.Key("old")}, b.work.Gone())
	same(t, "in", []string{"fresh", "kept"}, b.in())
	same(t, "due", rule.Never, b.state.NextDue())
}

func TestParseNamesEveryMistake(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"[]", "rule: {did: A}\nowner: me", "title: T", "title: [x]\nrule: {did: A}", "rule: {did: A, where: 7}"} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		if _, problems := segment.Parse("s", &n); len(problems) == 0 || problems[0].Line == 0 || problems[0].Hint == "" {
			t.Errorf("%q: got %v, want a problem with a line and a hint", text, problems)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte{1, 1, 2, 3, 4, 3, 2, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s segment.State
		if s.Decode(b) != nil || len(b) == 0 {
			return
		}
		var again segment.State
		if err := again.Decode(s.Append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}
