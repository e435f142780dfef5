package identity_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/identity"
)

// town is a Directory in memory.
type town struct {
	t      testing.TB
	r      *identity.Resolver
	bound  map[id.Hash]id.Person
	people map[id.Person]*identity.Record
	merges []identity.Merge
	ready  []id.Person
	asked  int
	now    int64
}

func newTown(t testing.TB, limits map[string]int) *town {
	h, err := id.NewHasher([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	return &town{t: t, r: identity.New(identity.Config{Hasher: h, Limits: limits}), bound: map[id.Hash]id.Person{}, people: map[id.Person]*identity.Record{}}
}

func (d *town) Who(h id.Hash) (id.Person, error) { d.asked++; return d.bound[h], nil }
func (d *town) Record(who id.Person) (*identity.Record, error) {
	for d.people[who].MergedInto != 0 {
		who = d.people[who].MergedInto
	}
	return d.people[who], nil
}

func (d *town) New() (id.Person, error) {
	who := id.Person(len(d.people) + 1)
	d.people[who] = &identity.Record{Created: d.now}
	return who, nil
}
func (d *town) Ready(who id.Person) error     { d.ready = append(d.ready, who); return nil }
func (d *town) Bind(h id.Hash, who id.Person) { d.bound[h] = who }
func (d *town) Merge(m identity.Merge) error  { d.merges = append(d.merges, m); return nil }
func (d *town) see(e event.Event) identity.Result {
	d.t.Helper()
	d.now++
	if e.Type == 0 {
		e.Type = event.Track
	}
	if e.MessageID == "" {
		e.MessageID = fmt.Sprintf("m%d", d.now)
	}
	res, err := d.r.Resolve(&e, d.r.Of(&e, nil), d, d.now)
	if err != nil {
		d.t.Fatal(err)
	}
	return res
}

func (d *town) names(who id.Person) []string {
	var out []string
	for _, x := range d.people[who].Identifiers {
		out = append(out, x.Kind+":"+x.Value)
	}
	return out
}

func same[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestWhoAnEventIsAbout(t *testing.T) {
	t.Parallel()
	type E = event.Event
	browser := event.FromBrowser
	for _, row := range []struct {
		name    string
		limits  map[string]int
		events  []E
		about   []id.Person // whom each event is about
		names   map[id.Person][]string
		refused []identity.Refusal // by the last event
		merged  []string           // by rule
	}{
		{
			"the user id goes before the address, the address before the device", nil,
			[]E{{UserID: "u"}, {Email: "e@x.example"}, {Anonymous: "a"}, {UserID: "u", Email: "e@x.example", Anonymous: "a"}},
			[]id.Person{1, 2, 3, 1}, map[id.Person][]string{1: {"user_id:u", "email:e@x.example", "anonymous_id:a"}}, nil, []string{"email", "anonymous"},
		}, {
			"a device becomes somebody", nil,
			[]E{{Anonymous: "a"}, {Anonymous: "a", UserID: "u"}},
			[]id.Person{1, 1}, map[id.Person][]string{1: {"anonymous_id:a", "user_id:u"}}, nil, nil,
		}, {
			"two user ids are never joined, not by a device, not by an address", nil,
			[]E{{UserID: "u", Anonymous: "a", Email: "e@x.example"}, {UserID: "v", Anonymous: "a", Email: "e@x.example"}},
			[]id.Person{1, 2}, map[id.Person][]string{1: {"user_id:u", "email:e@x.example", "anonymous_id:a"}, 2: {"user_id:v"}},
			[]identity.Refusal{{Kind: "email", Reason: "two_user_ids"}, {Kind: "anonymous_id", Reason: "two_user_ids"}}, nil,
		}, {
			"an address that two share reaches the one whose it was first", nil,
			[]E{{UserID: "u", Email: "e@x.example"}, {UserID: "v", Email: "e@x.example"}, {Email: "e@x.example"}},
			[]id.Person{1, 2, 1}, nil, nil, nil,
		}, {
			"the sixth device of one person stays for itself", nil,
			[]E{
				{UserID: "u", Anonymous: "a1"}, {UserID: "u", Anonymous: "a2"}, {UserID: "u", Anonymous: "a3"}, {UserID: "u", Anonymous: "a4"},
				{UserID: "u", Anonymous: "a5"}, {UserID: "u", Anonymous: "a6"},
			},
			[]id.Person{1, 1, 1, 1, 1, 1}, nil, []identity.Refusal{{Kind: "anonymous_id", Reason: "limit"}}, nil,
		}, {
			"a merge that would go beyond a limit is refused", map[string]int{"": 2},
			[]E{{Anonymous: "a1"}, {UserID: "u", Anonymous: "a2"}, {UserID: "u", Anonymous: "a3"}, {UserID: "u", Anonymous: "a1"}},
			[]id.Person{1, 2, 2, 2}, nil, []identity.Refusal{{Kind: "anonymous_id", Reason: "limit"}}, nil,
		}, {
			"a limit by kind goes before the limit for all", map[string]int{"": 1, identity.Email: 2},
			[]E{{UserID: "u", Email: "a@x.example", Anonymous: "a"}, {UserID: "u", Email: "b@x.example", Anonymous: "b"}},
			[]id.Person{1, 1}, map[id.Person][]string{1: {"user_id:u", "email:a@x.example", "anonymous_id:a", "email:b@x.example"}},
			[]identity.Refusal{{Kind: "anonymous_id", Reason: "limit"}}, nil,
		}, {
			"nobody may have two user ids, whatever the limits say", map[string]int{identity.UserID: 5, "": 9},
			[]E{{UserID: "u", Anonymous: "a"}, {UserID: "v", Anonymous: "a"}},
			[]id.Person{1, 2}, nil, []identity.Refusal{{Kind: "anonymous_id", Reason: "two_user_ids"}}, nil,
		}, {
			"a kind with the limit zero identifies nobody", map[string]int{"session": 0},
			[]E{{UserID: "u", External: []event.ExternalID{{Type: "session", Value: "s"}}}, {Anonymous: "a", External: []event.ExternalID{{Type: "session", Value: "s"}}}},
			[]id.Person{1, 2}, map[id.Person][]string{1: {"user_id:u"}, 2: {"anonymous_id:a"}}, nil, nil,
		}, {
			"values that broken clients send for everybody are passed over", nil,
			[]E{{UserID: "null", Anonymous: "a"}, {UserID: "0000-0000", Anonymous: "b"}, {UserID: "-1", Anonymous: "c"}, {UserID: "anonymous", Anonymous: "d"}, {UserID: "u", Anonymous: "000"}},
			[]id.Person{1, 2, 3, 4, 5}, map[id.Person][]string{1: {"anonymous_id:a"}, 5: {"user_id:u"}}, nil, nil,
		}, {
			"an id of another system joins", nil,
			[]E{{UserID: "u", External: []event.ExternalID{{Type: "shop", Value: "7"}}}, {Anonymous: "a"}, {Anonymous: "a", External: []event.ExternalID{{Type: "shop", Value: "7"}}}},
			[]id.Person{1, 2, 2}, nil, nil, []string{"external"},
		}, {
			"an alias joins the former device", nil,
			[]E{{Anonymous: "a"}, {UserID: "u"}, {Type: event.Alias, UserID: "u", Previous: "a"}},
			[]id.Person{1, 2, 2}, map[id.Person][]string{2: {"anonymous_id:a", "user_id:u"}}, nil, []string{"alias"},
		}, {
			"a browser may not bind an address to somebody who is known", nil,
			[]E{{UserID: "u"}, {UserID: "u", Email: "thief@x.example", Flags: browser}},
			[]id.Person{1, 1}, map[id.Person][]string{1: {"user_id:u"}}, []identity.Refusal{{Kind: "email", Reason: "browser_key"}}, nil,
		}, {
			"a browser may with a signed user hash", nil,
			[]E{{UserID: "u"}, {UserID: "u", Email: "own@x.example", Flags: browser | event.Verified}},
			[]id.Person{1, 1}, map[id.Person][]string{1: {"user_id:u", "email:own@x.example"}}, nil, nil,
		}, {
			"a browser may say who its own device is", nil,
			[]E{{Anonymous: "a", Flags: browser}, {Anonymous: "a", UserID: "u", Email: "e@x.example", Flags: browser}},
			[]id.Person{1, 1}, map[id.Person][]string{1: {"anonymous_id:a", "user_id:u", "email:e@x.example"}}, nil, nil,
		}, {
			"a browser may not take somebody over by naming their address with a new user id", nil,
			[]E{{Email: "e@x.example"}, {UserID: "thief", Email: "e@x.example", Flags: browser}},
			[]id.Person{1, 2}, map[id.Person][]string{1: {"email:e@x.example"}, 2: {"user_id:thief"}}, []identity.Refusal{{Kind: "email", Reason: "browser_key"}}, nil,
		}, {
			"a browser may not join two who are known", nil,
			[]E{{UserID: "u"}, {Email: "e@x.example", External: []event.ExternalID{{Type: "shop", Value: "7"}}}, {UserID: "u", External: []event.ExternalID{{Type: "shop", Value: "7"}}, Flags: browser}},
			[]id.Person{1, 2, 1}, nil, []identity.Refusal{{Kind: "shop", Reason: "browser_key"}}, nil,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := newTown(t, row.limits)
			var about []id.Person
			var last identity.Result
			for _, e := range row.events {
				last = d.see(e)
				about = append(about, last.Who)
			}
			same(t, "about", row.about, about)
			for who, want := range row.names {
				same(t, fmt.Sprintf("names of %s", who), want, d.names(who))
			}
			if row.refused != nil || last.Refused != nil {
				same(t, "refused", row.refused, last.Refused)
			}
			var rules []string
			for _, m := range d.merges {
				rules = append(rules, m.Rule)
			}
			same(t, "merges", row.merged, rules)
		})
	}
}

func TestTheMergeLogIsEnoughToUndo(t *testing.T) {
	t.Parallel()
	d := newTown(t, nil)
	d.see(event.Event{Anonymous: "a", Email: "e@x.example"})
	before := d.people[1].Append(nil)
	d.see(event.Event{UserID: "u"})
	d.see(event.Event{UserID: "u", Anonymous: "a", MessageID: "the cause"})
	if len(d.merges) != 1 {
		t.Fatalf("%d merges, want one", len(d.merges))
	}
	m := d.merges[0]
	same(t, "cause", "the cause", m.Cause)
	same(t, "into and from", []id.Person{2, 1}, []id.Person{m.Into, m.From})
	same(t, "identifiers that moved", before, m.Moved)
	same(t, "the other says where it went", id.Person(2), d.people[1].MergedInto)
	if !slices.Contains(d.ready, 1) || !slices.Contains(d.ready, 2) {
		t.Errorf("both must be told before identifiers move, got %v", d.ready)
	}
}

func TestTenThousandAliasesCostLittle(t *testing.T) {
	t.Parallel()
	d := newTown(t, nil)
	d.see(event.Event{UserID: "u"})
	for i := range 10_000 {
		a := fmt.Sprintf("a%d", i)
		d.see(event.Event{Anonymous: a})
		d.see(event.Event{Type: event.Alias, UserID: "u", Previous: a})
	}
	same(t, "merges", 5, len(d.merges))
	same(t, "identifiers", 6, len(d.people[1].Identifiers))
	if d.asked > 60_000 {
		t.Errorf("%d look-ups for 20,000 events", d.asked)
	}
}

func TestEverNewKindsAreBounded(t *testing.T) {
	t.Parallel()
	d := newTown(t, nil)
	for i := range 300 {
		last := d.see(event.Event{UserID: "u", External: []event.ExternalID{{Type: fmt.Sprintf("kind%d", i), Value: "v"}}})
		if i >= identity.MaxIdentifiers && len(last.Refused) != 1 {
			t.Fatalf("kind %d was not refused", i)
		}
	}
	same(t, "identifiers", identity.MaxIdentifiers, len(d.people[1].Identifiers))
}

// Whatever is said in whatever order: nobody has two user ids, every identifier
// answers to one living person who has it, permission is asked under the address
// that is mailed, and merges never go in a circle.
func TestIdentitiesHoldTogether(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		d := newTown(t, nil)
		pick := func(label, prefix string, n int) string {
			if k := rapid.IntRange(0, n).Draw(rt, label); k > 0 {
				return fmt.Sprintf("%s%d", prefix, k)
			}
			return ""
		}
		for range rapid.IntRange(1, 40).Draw(rt, "events") {
			e := event.Event{UserID: pick("user", "u", 4), Anonymous: pick("device", "a", 12), Email: pick("address", "e", 6)}
			if x := pick("external", "x", 5); x != "" {
				e.External = []event.ExternalID{{Type: "shop", Value: x}}
			}
			if e.UserID != "" && rapid.IntRange(0, 5).Draw(rt, "alias") == 0 {
				e.Type, e.Previous = event.Alias, pick("former", "a", 12)
			}
			if rapid.IntRange(0, 3).Draw(rt, "browser") == 0 {
				e.Flags = event.FromBrowser
			}
			if e.UserID == "" && e.Anonymous == "" && e.Email == "" && e.External == nil {
				continue
			}
			res := d.see(e)
			if d.people[res.Who].MergedInto != 0 {
				rt.Fatalf("an event is about %s, who is no more", res.Who)
			}
		}
		for who, rec := range d.people {
			users := 0
			for _, x := range rec.Identifiers {
				if x.Kind == identity.UserID {
					users++
				}
				if d.bound[x.Hash] != who {
					rt.Fatalf("%s has %s %s, which answers to %s", who, x.Kind, x.Value, d.bound[x.Hash])
				}
			}
			if users > 1 {
				rt.Fatalf("%s has %d user ids", who, users)
			}
			for _, said := range []string{"", "e1", "e2", "nobody's"} {
				if to := rec.Address(said); to != "" && !slices.Contains(rec.Subjects(), d.r.Hash(identity.Email, to)) {
					rt.Fatalf("%s is mailed at %s, under which their permission is not asked", who, to)
				}
			}
			seen := map[id.Person]bool{}
			for at := who; d.people[at].MergedInto != 0; at = d.people[at].MergedInto {
				if seen[at] {
					rt.Fatalf("%s: merges go in a circle", who)
				}
				seen[at] = true
			}
		}
	})
}

func TestRecordSurvivesItsBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := identity.Record{Created: rapid.Int64Range(0, 1<<50).Draw(rt, "created"), MergedInto: id.Person(rapid.Int64Range(0, 1<<40).Draw(rt, "into"))}
		for range rapid.IntRange(0, 8).Draw(rt, "n") {
			x := identity.Identifier{Kind: rapid.SampledFrom([]string{"user_id", "email", "anonymous_id", "shop", ""}).Draw(rt, "kind"), Value: rapid.String().Draw(rt, "value"), First: rapid.Int64Range(0, 1<<50).Draw(rt, "first")}
			copy(x.Hash[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "hash"))
			r.Identifiers = append(r.Identifiers, x)
		}
		body := r.Append(nil)
		var got identity.Record
		if err := got.Decode(body); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			rt.Fatal(diff)
		}
		for cut := range body {
			var part identity.Record
			_ = part.Decode(body[:cut]) // must not panic
		}
	})
}

func FuzzRecord(f *testing.F) {
	r := identity.Record{Created: time.Now().UnixMilli(), Identifiers: []identity.Identifier{{Kind: "shop", Value: "7"}}}
	f.Add(r.Append(nil))
	f.Add([]byte{1, 0, 0, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, b []byte) {
		var got identity.Record
		if got.Decode(b) != nil || len(b) == 0 {
			return
		}
		var again identity.Record
		if err := again.Decode(got.Append(nil)); err != nil {
			t.Fatal(err)
		}
	})
}
