package profile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"rapport/internal/event"
	"rapport/internal/profile"
	"rapport/internal/rule"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func same[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func schema(t testing.TB, rules ...string) *profile.Schema {
	t.Helper()
	var all []rule.Tally
	for _, text := range rules {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		r, problems := rule.Parse(n.Content[0], rule.Context{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		var err error
		if all, err = rule.Union(all, r.Tallies()...); err != nil {
			t.Fatal(err)
		}
	}
	return profile.NewSchema(all)
}

func identify(traits string, at time.Duration) event.Event {
	return event.Event{Type: event.Identify, Traits: []byte(traits), Time: start.Add(at), Received: start.Add(at)}
}

func fold(p *profile.Profile, s *profile.Schema, e event.Event) profile.Change {
	var o rule.Object
	o.Reset(e.Properties)
	var c profile.Change
	p.Fold(&e, &o, s, nil, &c)
	return c
}

func TestTraitsByEventTime(t *testing.T) {
	t.Parallel()
	type step struct {
		traits string
		at     time.Duration
	}
	for _, row := range []struct {
		name  string
		steps []step
		path  string
		want  string // "" for none
	}{
		{"the later write wins", []step{{`{"plan":"a"}`, 1}, {`{"plan":"b"}`, 2}}, "plan", `"b"`},
		{"an older write that comes late changes nothing", []step{{`{"plan":"a"}`, 2 * time.Hour}, {`{"plan":"b"}`, time.Hour}}, "plan", `"a"`},
		{"of two at one instant the one walked later wins", []step{{`{"plan":"a"}`, 0}, {`{"plan":"b"}`, 0}}, "plan", `"b"`},
		{"null deletes", []step{{`{"plan":"a"}`, 0}, {`{"plan":null}`, time.Hour}}, "plan", ""},
		{"what was deleted stays deleted against an older write", []step{{`{"plan":null}`, 2 * time.Hour}, {`{"plan":"a"}`, time.Hour}}, "plan", ""},
		{"what was deleted comes back with a newer write", []step{{`{"plan":null}`, time.Hour}, {`{"plan":"a"}`, 2 * time.Hour}}, "plan", `"a"`},
		{"one event writes many, each by its own history", []step{{`{"a":1,"b":1}`, 2 * time.Hour}, {`{"b":2,"c":2}`, time.Hour}}, "b", `1`},
		{"camelCase is the same trait", []step{{`{"firstName":"Ada"}`, 0}, {`{"first_name":"Eve"}`, time.Hour}}, "firstName", `"Eve"`},
		{"snake_case finds camelCase", []step{{`{"createdAt":"2026-01-02T00:00:00Z"}`, 0}}, "created_at", `"2026-01-02T00:00:00Z"`},
		{"the name follows from first and last name", []step{{`{"firstName":"Ada","lastName":"Byron"}`, 0}}, "name", `"Ada Byron"`},
		{"a name that was given goes before", []step{{`{"firstName":"Ada","name":"The Countess"}`, 0}}, "name", `"The Countess"`},
		{"an address is lower case without spaces", []step{{`{"email":"  Ada@Shop.Example "}`, 0}}, "email", `"ada@shop.example"`},
		{"an age given as text is a number", []step{{`{"age":"36"}`, 0}}, "age", `36`},
		{"a birthday in Unix seconds is a date", []step{{`{"birthday":1000000000}`, 0}}, "birthday", `"2001-09-09T01:46:40Z"`},
		{"a name loses what turns a line around", []step{{`{"firstName":"A\u202eda\u0000\r\n"}`, 0}}, "first_name", `"Ada"`},
		{"inside an object", []step{{`{"address":{"city":"Paris","postalCode":"75001"}}`, 0}}, "address.postal_code", `"75001"`},
		{"what is not there", []step{{`{"address":{"city":"Paris"}}`, 0}}, "address.country", ""},
		{"traits that are no object are passed over", []step{{`[1]`, 0}}, "plan", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var p profile.Profile
			for _, s := range row.steps {
				fold(&p, profile.NewSchema(nil), identify(s.traits, s.at))
			}
			got, _ := p.Trait(row.path)
			same(t, row.path, row.want, string(got))
			var again profile.Profile
			if err := again.Decode(p.Append(nil)); err != nil {
				t.Fatal(err)
			}
			got, _ = again.Trait(row.path)
			same(t, row.path+" after a restart", row.want, string(got))
		})
	}
}

func TestLimitsAreCountedAndHold(t *testing.T) {
	t.Parallel()
	s := profile.NewSchema(nil)
	for _, row := range []struct {
		name    string
		events  func(yield func(event.Event))
		refused int
		traits  int
	}{
		{"too many traits", func(yield func(event.Event)) {
			for i := range profile.MaxTraits + 10 {
				yield(identify(fmt.Sprintf(`{"t%d":1}`, i), 0))
			}
		}, 10, profile.MaxTraits},
		{"deleted traits count", func(yield func(event.Event)) {
			for i := range profile.MaxTraits + 10 {
				yield(identify(fmt.Sprintf(`{"t%d":null}`, i), 0))
			}
		}, 10, profile.MaxTraits},
		{"a name that is too long", func(yield func(event.Event)) {
			yield(identify(`{"`+strings.Repeat("n", profile.MaxTraitName+1)+`":1,"b":1}`, 0))
		}, 1, 1},
		{"a value that is too long", func(yield func(event.Event)) {
			yield(identify(`{"a":"`+strings.Repeat("v", profile.MaxTraitBytes)+`","b":1}`, 0))
		}, 1, 1},
		{"all values together", func(yield func(event.Event)) {
			for i := range 20 {
				yield(identify(fmt.Sprintf(`{"t%d":"%s"}`, i, strings.Repeat("v", 32<<10)), 0))
			}
		}, 13, 7},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var p profile.Profile
			refused := 0
			row.events(func(e event.Event) { c := fold(&p, s, e); refused += c.Refused })
			same(t, "refused", row.refused, refused)
			same(t, "traits", row.traits, len(p.Traits))
		})
	}
}

func TestAMergeKeepsTheLimits(t *testing.T) {
	t.Parallel()
	s := profile.NewSchema(nil)
	var a, b profile.Profile
	for i := range profile.MaxTraits - 10 {
		fold(&a, s, identify(fmt.Sprintf(`{"a%d":1}`, i), 0))
		fold(&b, s, identify(fmt.Sprintf(`{"b%d":1}`, i), 0))
	}
	var c profile.Change
	a.Merge(&b, s, &c)
	same(t, "traits", profile.MaxTraits, len(a.Traits))
	same(t, "refused", profile.MaxTraits-20, c.Refused)
}

// only is a scope that sees the traits for which it holds.
type only func(path string) bool

func (o only) Trait(path string) bool             { return o(path) }
func (o only) Within(_ string, raw []byte) []byte { return raw }

func TestAViewHidesWhatItsPurposeMayNotSee(t *testing.T) {
	t.Parallel()
	var p profile.Profile
	fold(&p, profile.NewSchema(nil), identify(`{"plan":"pro","address":{"city":"Paris"},"gone":1}`, 0))
	fold(&p, profile.NewSchema(nil), identify(`{"gone":null}`, time.Hour))
	v := p.View("marketing", only(func(path string) bool { return !strings.HasPrefix(path, "address") }))
	if _, ok := v.Trait("address.city"); ok {
		t.Error("a hidden trait was shown")
	}
	if got, _ := v.Trait("plan"); string(got) != `"pro"` {
		t.Errorf("plan: got %s", got)
	}
	var names []string
	v.Each(func(name string, _ []byte, _ int64) { names = append(names, name) })
	same(t, "visible", []string{"plan"}, names)
	var none profile.View
	if _, ok := none.Trait("plan"); ok {
		t.Error("a view of nothing shows something")
	}
	if _, ok := p.View("marketing", only(func(path string) bool { return path == "name" })).Trait("first_name"); ok {
		t.Error("a hidden trait was shown")
	}
	fold(&p, profile.NewSchema(nil), identify(`{"first_name":"Ann","last_name":"Smith"}`, 0))
	if got, _ := p.View("marketing", only(func(path string) bool { return path != "last_name" })).Trait("name"); string(got) != `"Ann"` {
		t.Errorf("a name was joined of what is hidden: %s", got)
	}
}

func TestSeenTimesAndTalliesInAnyOrder(t *testing.T) {
	t.Parallel()
	rules := []string{
		"{did: Bought, count: 3, within: 24h}", "{did: Bought, before: 24h}", "{did: Bought, where: {value: {gt: 5}}, within: 48h}",
		"{did: Bought, sum: {property: value, gte: 20}}", "{did: Bought, within: 48h, avg: {property: value, gt: 3}}",
		"{did: Bought, first: {property: value, is: 1}}", "{did: Bought, within: 48h, last: {property: value, is: 1}}",
	}
	s := schema(t, rules...)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "n")
		var events []event.Event
		for i := range n {
			// No two at one time: which of them is the first is told by their order.
			at := start.Add(time.Duration(rapid.IntRange(-100, 100).Draw(rt, "hours"))*time.Hour + time.Duration(i)*time.Millisecond)
			events = append(events, event.Event{
				Type: event.Track, Name: rapid.SampledFrom([]string{"Bought", "Looked"}).Draw(rt, "name"),
				Properties: fmt.Appendf(nil, `{"value":%d}`, rapid.IntRange(0, 9).Draw(rt, "value")), Time: at, Received: start,
			})
		}
		var inOrder, shuffled, left, right profile.Profile
		for _, e := range events {
			fold(&inOrder, s, e)
		}
		for i, k := range rapid.Permutation(seq(n)).Draw(rt, "order") {
			fold(&shuffled, s, events[k])
			if i%2 == 0 {
				fold(&left, s, events[k])
			} else {
				fold(&right, s, events[k])
			}
		}
		var c profile.Change
		left.Merge(&right, s, &c)
		var kept profile.Profile
		if err := kept.Decode(inOrder.Append(nil)); err != nil {
			rt.Fatal(err)
		}
		for what, p := range map[string]*profile.Profile{"late and out of order": &shuffled, "merged": &left, "kept": &kept} {
			if diff := cmp.Diff(inOrder, *p, cmpopts.EquateEmpty()); diff != "" {
				rt.Fatalf("%s (-in order +it):\n%s", what, diff)
			}
		}
	})
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// packs is a Store in memory.
type packs struct{ bodies [][]byte }

func (s *packs) RewritePack(n int64, body []byte) error {
	s.bodies[n-1] = append([]byte(nil), body...)
	return nil
}
func (s *packs) LastPack() (int64, error) { return int64(len(s.bodies)), nil }
func (s *packs) AppendPack(n int64, body []byte) error {
	if n != int64(len(s.bodies))+1 {
		return fmt.Errorf("pack %d after %d", n, len(s.bodies))
	}
	s.bodies = append(s.bodies, append([]byte(nil), body...))
	return nil
}

func (s *packs) Pack(n int64) ([]byte, error) {
	if n < 1 || n > int64(len(s.bodies)) {
		return nil, nil
	}
	return s.bodies[n-1], nil
}

func timeline(t testing.TB, s profile.Store, heads []profile.Pointer) []string {
	t.Helper()
	var out []string
	err := profile.History(s, heads, func(_ profile.Pointer, e *event.Event) (bool, error) {
		out = append(out, strings.Clone(e.Name))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestHistoryKeepsStrandsApartUntilTheyMerge(t *testing.T) {
	t.Parallel()
	s := &packs{}
	p, err := profile.NewPacker(s)
	if err != nil {
		t.Fatal(err)
	}
	var heads [2]profile.Pointer
	var want []string
	for i := range 700 {
		name := fmt.Sprintf("e%d", i)
		at := start.Add(time.Duration(i) * time.Second)
		e := event.Event{Type: event.Track, Name: name, UserID: "u", Anonymous: fmt.Sprintf("a%d", i%2), Time: at, Received: at, Context: []byte(`{"ip":"x"}`)}
		if heads[i%2], err = p.Add(1, &e, heads[i%2]); err != nil {
			t.Fatal(err)
		}
		want = append([]string{name}, want...)
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	same(t, "both strands, newest first", want, timeline(t, s, heads[:]))
	same(t, "one strand", 350, len(timeline(t, s, heads[:1])))
	err = profile.History(s, heads[:1], func(_ profile.Pointer, e *event.Event) (bool, error) {
		if e.UserID != "u" || e.Anonymous != "a0" || e.Context != nil {
			t.Fatalf("an event must keep its identifiers, and no context: %+v", e)
		}
		return false, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestADamagedPackIsNamed(t *testing.T) {
	t.Parallel()
	s := &packs{}
	p, _ := profile.NewPacker(s)
	e := event.Event{Type: event.Track, Name: "e", Time: start, Received: start}
	head, err := p.Add(1, &e, 0)
	if err == nil {
		err = p.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	whole := append([]byte(nil), s.bodies[0]...)
	for i := range whole {
		s.bodies[0] = append([]byte(nil), whole...)
		s.bodies[0][i] ^= 0x10
		err := profile.History(s, []profile.Pointer{head}, func(profile.Pointer, *event.Event) (bool, error) { return true, nil })
		if err == nil || !strings.Contains(err.Error(), "history pack 1") {
			t.Fatalf("byte %d flipped: got %v, want an error that names the pack", i, err)
		}
	}
	s.bodies[0] = nil // retention took it
	same(t, "what retention took ends the timeline", nil, timeline(t, s, []profile.Pointer{head}))
}

func FuzzProfile(f *testing.F) {
	var p profile.Profile
	e := identify(`{"plan":"pro"}`, 0)
	p.Fold(&e, nil, profile.NewSchema(nil), nil, &profile.Change{})
	f.Add(p.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got profile.Profile
		if got.Decode(b) != nil || len(b) == 0 {
			return
		}
		var again profile.Profile
		if err := again.Decode(got.Append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}
