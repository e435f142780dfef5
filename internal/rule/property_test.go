package rule

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestMain draws more than rapid would by itself, unless it is told how much.
func TestMain(m *testing.M) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "rapid.checks" })
	if !told {
		if err := flag.Set("rapid.checks", "1000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

const start = 1_772_359_200_000 // an instant from which generated histories begin

// drawHistory draws events within some seconds, mostly at the same few instants.
func drawHistory(t *rapid.T, distinct bool) []happening {
	var list []happening
	for range rapid.IntRange(0, 9).Draw(t, "events") {
		at := start + rapid.Int64Range(0, 16).Draw(t, "at")*500 + rapid.Int64Range(-1, 1).Draw(t, "off")
		if distinct && slices.ContainsFunc(list, func(h happening) bool { return h.at == at }) {
			continue
		}
		list = append(list, happening{
			at: at, name: rapid.SampledFrom(asked).Draw(t, "event"), props: drawObject(t, "props"),
		})
	}
	return list
}

// drawPerson draws somebody, as the rule and as the naive reading see them.
func drawPerson(t *rapid.T, distinct bool) (*world, *naive) {
	traits, props := drawObject(t, "traits"), drawObject(t, "property")
	segments := map[string]bool{"buyers": rapid.Bool().Draw(t, "buyer")}
	w := &world{segments: segments}
	w.traits.Reset([]byte(traits))
	w.props.Reset([]byte(props))
	return w, &naive{traits: decode(traits), props: decode(props), segments: segments, history: drawHistory(t, distinct)}
}

// turns are the instants later than now at which q may change its mind about a
// history, and no others.
func turns(q *question, history []happening, now int64) []int64 {
	var list []int64
	for _, h := range history {
		for _, d := range append(q.durations(), 0) {
			if h.at+d > now {
				list = append(list, h.at+d)
			}
		}
	}
	return sortUnique(list)
}

// upTo gives what has happened by an instant.
func upTo(history []happening, now int64) []happening {
	return slices.DeleteFunc(slices.Clone(history), func(h happening) bool { return h.at > now })
}

// checkAt holds an evaluation against the naive reading, now and until it
// expires. The history is what both know.
func checkAt(t *rapid.T, r *Rule, q *question, w *world, n *naive, at At) {
	truth, until := r.Eval(w, at)
	if want := q.holds(n, at); truth != want {
		t.Fatalf("at %d: got %t, want %t\n%s", at.Now-start, truth, want, r.Explain(w, at))
	}
	if until <= at.Now {
		t.Fatalf("at %d: the answer expired at %d", at.Now-start, until-start)
	}
	list := turns(q, n.history, at.Now)
	if until != Never && !slices.Contains(list, until) {
		t.Fatalf("at %d: valid until %d, when nothing happens: %v", at.Now-start, until-start, list)
	}
	for _, turn := range append(list, until-1, start+1_000_000) {
		if turn <= at.Now || turn >= until {
			continue
		}
		if q.holds(n, At{Now: turn, Since: at.Since}) != truth {
			t.Fatalf("at %d: %t until %d, but not at %d\n%s", at.Now-start, truth, until-start, turn-start, r.Explain(w, at))
		}
	}
	e := r.Explain(w, at)
	if e.Truth != truth || e.ValidUntil != until {
		t.Fatalf("Eval says %t until %d, Explain %t until %d", truth, until, e.Truth, e.ValidUntil)
	}
}

// instants are all at which anything may change, and the milliseconds around them.
func instants(q *question, history []happening) []int64 {
	list := []int64{start - 10}
	for _, turn := range turns(q, history, 0) {
		list = append(list, turn-1, turn, turn+1)
	}
	return sortUnique(list)
}

// parseDrawn parses a generated rule and holds its canonical text to its word.
func parseDrawn(t *rapid.T, tb testing.TB, q *question) *Rule {
	text := q.yaml(t)
	r, problems := load(tb, text, journey)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", text, problems)
	}
	again, problems := load(tb, r.String(), journey)
	if len(problems) > 0 || again.String() != r.String() {
		t.Fatalf("%s became %s: %v", r, again, problems)
	}
	if diff := cmp.Diff(r.Tallies(), again.Tallies(), cmp.Comparer(func(a, b *Where) bool { return a.String() == b.String() })); diff != "" {
		t.Fatal(diff)
	}
	return again
}

// TestEvalEqualsFullHistory evaluates random rules from tallies that keep no more
// than the rule says it needs, at every instant at which anything may change.
func TestEvalEqualsFullHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		q := drawQuestion(rt, 3)
		r := parseDrawn(rt, t, &q)
		w, n := drawPerson(rt, false)
		all := n.history
		since := start + rapid.Int64Range(0, 16).Draw(rt, "since")*500
		for _, now := range instants(&q, all) {
			n.history = upTo(all, now)
			w.tallies = count(r.Tallies(), n.history)
			checkAt(rt, r, &q, w, n, At{Now: now, Since: since})
		}
	})
}

// TestEvalNeverCountsTheFuture evaluates at instants before events that the
// tallies already know.
func TestEvalNeverCountsTheFuture(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		q := drawQuestion(rt, 2)
		r := parseDrawn(rt, t, &q)
		w, n := drawPerson(rt, false)
		tallies := r.Tallies()
		for i := range tallies {
			tallies[i].Keep, tallies[i].Oldest, tallies[i].Samples = MaxCount, MaxCount, MaxSamples
		}
		w.tallies = count(tallies, n.history)
		since := start + rapid.Int64Range(0, 16).Draw(rt, "since")*500
		for _, now := range instants(&q, n.history) {
			checkAt(rt, r, &q, w, n, At{Now: now, Since: since})
		}
	})
}

// TestValidUntilIsExact holds a single did to the millisecond: it does change at
// the instant that it names.
func TestValidUntilIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		q := drawDid(rt)
		q.measures = nil // a count and a measure may turn at different instants
		r := parseDrawn(rt, t, &q)
		w, n := drawPerson(rt, true)
		all := n.history
		since := start + rapid.Int64Range(0, 16).Draw(rt, "since")*500
		for _, now := range instants(&q, all) {
			n.history = upTo(all, now)
			w.tallies = count(r.Tallies(), n.history)
			truth, until := r.Eval(w, At{Now: now, Since: since})
			if until != Never && q.holds(n, At{Now: until, Since: since}) == truth {
				rt.Fatalf("at %d: %t until %d, but nothing changes then\n%s", now-start, truth, until-start, r)
			}
		}
	})
}

// TestTallyKnowsNoOrder counts the same events in different orders, in one state
// and in two that are merged.
func TestTallyKnowsNoOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(-20, 20), 0, 12).Draw(rt, "times")
		of := Tally{Keep: rapid.IntRange(0, 5).Draw(rt, "keep"), Oldest: rapid.IntRange(0, 5).Draw(rt, "oldest")}
		var one, left, right TallyState
		for _, at := range times {
			one.Add(at, &of)
			if rapid.Bool().Draw(rt, "left") {
				left.Add(at, &of)
			} else {
				right.Add(at, &of)
			}
		}
		kept := right.Append(nil)
		left.Merge(right, &of)
		if diff := cmp.Diff(kept, right.Append(nil)); diff != "" {
			rt.Fatalf("merging changed the other state: %s", diff)
		}
		slices.Sort(times)
		want := TallyState{Count: int64(len(times)), Oldest: slices.Clone(times[:min(of.Oldest, len(times))])}
		if len(times) > 0 {
			want.First = times[0]
		}
		slices.Reverse(times)
		want.Times = slices.Clone(times[:min(of.Keep, len(times))])
		for name, got := range map[string]*TallyState{"one": &one, "merged": &left, "decoded": redecode(rt, &one)} {
			if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(*got)); diff != "" {
				rt.Fatalf("%s (-want +got): %s", name, diff)
			}
		}
	})
}

// redecode writes a state and reads it into one that holds something else.
func redecode(t *rapid.T, s *TallyState) *TallyState {
	b := s.Append([]byte{})
	other := TallyState{Count: 9, First: 9, Times: []int64{9, 8, 7}, Oldest: []int64{1}}
	rest, err := other.Decode(append(slices.Clone(b), 42))
	if err != nil || len(rest) != 1 || rest[0] != 42 {
		t.Fatalf("decode: %v, %v", rest, err)
	}
	for i := range b {
		if _, err := new(TallyState).Decode(b[:i]); err == nil {
			t.Fatalf("a state cut off at %d of %d was read", i, len(b))
		}
	}
	return &other
}

// TestInsertShrinks gives Insert more than may be kept, as after a rule began to
// need less.
func TestInsertShrinks(t *testing.T) {
	t.Parallel()
	if got := Insert([]int64{9, 7, 5, 3}, 8, 2); !slices.Equal(got, []int64{9, 8}) {
		t.Errorf("got %v", got)
	}
	if got := Insert([]int64{9, 7}, 8, 0); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if got := Insert(nil, 8, -1); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// TestExplanationTravels sends an explanation through JSON.
func TestExplanationTravels(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		q := drawQuestion(rt, 2)
		r := parseDrawn(rt, t, &q)
		w, n := drawPerson(rt, false)
		w.tallies = count(r.Tallies(), n.history)
		e := r.Explain(w, At{Now: start + 4000, Since: start})
		b, err := json.Marshal(e)
		if err != nil {
			rt.Fatal(err)
		}
		var back Explanation
		if err := json.Unmarshal(b, &back); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(e.String(), back.String()); diff != "" {
			rt.Fatal(diff)
		}
	})
}
