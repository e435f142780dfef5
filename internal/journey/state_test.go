package journey

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/event"
)

// track lets something happen to somebody.
func (s *someone) track(name, props string, at int64) {
	s.catchUp(at)
	ev := Event{Type: event.Track, Name: name, Time: at, MessageID: "m"}
	if props != "" {
		ev.Properties = []byte(props)
	}
	s.happen(&ev, at)
}

func reasons(w *world) (out []string) {
	for _, e := range w.effects {
		if e.Kind == Refused || e.Kind == Ended {
			out = append(out, e.Reason)
		}
	}
	return out
}

func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.use(compile(t, 1, parse(t, "keyed", "trigger: {event: E}\npurpose: m\nkey: k\nreentry: once\nsteps: [{wait: 1d}, {send: x}]")))
	s := w.person("ann")
	for i := range MaxPlaces + 3 {
		s.track("E", fmt.Sprintf(`{"k":%d}`, i), zero+int64(i))
	}
	if len(s.state.Places) != MaxPlaces {
		t.Errorf("%d places, at most %d", len(s.state.Places), MaxPlaces)
	}
	if got := reasons(w); len(got) != 3 || got[0] != RefusedPlaces {
		t.Errorf("refusals %v, want three %s", got, RefusedPlaces)
	}
	s.catchUp(zero + 2*day)
	r := s.state.Record("keyed")
	if len(r.Keys) != MaxKeys || len(r.Stays) != KeptStays || len(r.Notes) > MaxNotes {
		t.Errorf("%d keys, %d stays, %d notes are remembered", len(r.Keys), len(r.Stays), len(r.Notes))
	}
	// The merge of two who are full keeps the earliest, too.
	other := w.person("ben")
	for i := range 5 {
		s.track("E", fmt.Sprintf(`{"k":"s%d"}`, i), zero+3*day)
	}
	for i := range MaxPlaces {
		other.track("E", fmt.Sprintf(`{"k":"o%d"}`, i), zero+3*day+1)
	}
	w.merge("ben", "ann", zero+3*day+2)
	if len(s.state.Places) != MaxPlaces {
		t.Errorf("%d places after a merge, at most %d", len(s.state.Places), MaxPlaces)
	}
	if k := s.state.Places[0].Key; k != "s0" {
		t.Errorf("the first place has the key %q, want the earliest", k)
	}
}

func TestRevokedStaysAreRememberedWhileTheirMailsMayLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.use(compile(t, 1, parse(t, "j", `
trigger: {event: E}
reentry: always
purpose: m
exit_when: {event: X}
steps: [{send: a}, {wait: 1h}]
`)))
	s := w.person("ann")
	at := zero
	for range 10 {
		s.track("E", "", at)
		s.track("X", "", at+1)
		at += 3_600_000
	}
	for i := range 10 {
		if place := fmt.Sprintf("j/per_1/%d", i+1); s.state.Live(place, "a") {
			t.Errorf("%s was left by exit_when, its mail must not leave", place)
		}
	}
	at += 2 * day
	s.track("E", "", at)
	s.track("X", "", at+1)
	if n := len(s.state.Record("j").Stays); n != KeptStays {
		t.Errorf("%d stays are remembered though no mail is valid any more, want %d", n, KeptStays)
	}
	for range 2 * MaxStays {
		at++
		s.track("E", "", at)
		s.track("X", "", at)
	}
	if n := len(s.state.Record("j").Stays); n != MaxStays {
		t.Errorf("%d stays are remembered, at most %d", n, MaxStays)
	}
}

func TestTriggerTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.use(compile(t, 1, parse(t, "j", "trigger: {event: E}\nreentry: always\npurpose: m\nsteps: [{send: a}]")))
	s := w.person("ann")
	props := func(n int) string { return `{"x":"` + strings.Repeat("x", n-len(`{"x":""}`)) + `"}` }
	s.track("E", props(MaxTriggerData), zero)
	s.track("E", props(MaxTriggerData+1), zero)
	if got := reasons(w); !slices.Equal(got, []string{"completed", RefusedData}) {
		t.Errorf("got %v, want the first to complete and the second refused", got)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	var defs []*Definition
	for i := range MaxRecords + 2 {
		defs = append(defs, parse(t, fmt.Sprintf("j%03d", i), "trigger: {event: E}\npurpose: m\nsteps: [{wait: 1d}]\nstatus: "+[]string{"running", "stopped"}[min(1, max(0, i-MaxPlaces))]))
	}
	w := newWorld(t)
	w.use(compile(t, 1, defs...))
	s := w.person("ann")
	for i := range MaxRecords {
		s.state.record(fmt.Sprintf("gone%03d", i)).Count = 1
	}
	s.track("E", "", zero)
	if len(s.state.Records) != MaxRecords || len(s.state.Places) != 0 {
		t.Errorf("%d records and %d places", len(s.state.Records), len(s.state.Places))
	}
	if got := reasons(w); len(got) == 0 || got[0] != RefusedJourneys {
		t.Errorf("refusals %v, want %s", got, RefusedJourneys)
	}
	// A merge drops what has no room and stays whole.
	other := w.person("ben")
	other.track("E", "", zero)
	if len(other.state.Places) == 0 {
		t.Fatal("nobody entered")
	}
	w.merge("ben", "ann", zero+1)
	if len(s.state.Records) != MaxRecords || len(s.state.Places) != 0 {
		t.Errorf("after the merge %d records and %d places", len(s.state.Records), len(s.state.Places))
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	text := func(template string) string {
		return "trigger: {event: E}\nreentry: always\npurpose: m\nsteps: [{wait: 1d}, {send: " + template + "}]"
	}
	one := compile(t, 1, parse(t, "j", text("a")), parse(t, "k", text("k")))
	two := compile(t, 2, parse(t, "j", text("b")), parse(t, "k", text("k"))).After(one)
	three := compile(t, 3, parse(t, "j", text("b"))).After(two)
	for _, c := range []struct {
		name string
		c    *Catalog
		j, k []int
		all  []string
	}{
		{"one", one, []int{1}, []int{1}, []string{"j", "k"}},
		{"two", two, []int{1, 2}, []int{1}, []string{"j", "k"}},
		{"three", three, []int{1, 2}, []int{1}, []string{"j"}},
		{"kept", three.Keep(func(j string, v int) bool { return j == "j" && v == 1 }), []int{1, 2}, nil, []string{"j"}},
		{"nobody", three.Keep(func(string, int) bool { return false }), []int{2}, nil, []string{"j"}},
	} {
		if d := cmp.Diff([][]int{c.j, c.k}, [][]int{c.c.Versions("j"), c.c.Versions("k")}); d != "" {
			t.Errorf("%s: versions (-want +got):\n%s", c.name, d)
		}
		if d := cmp.Diff(c.all, c.c.Names()); d != "" {
			t.Errorf("%s: names (-want +got):\n%s", c.name, d)
		}
	}
	// A version that is lost never leaves anybody stuck.
	w := newWorld(t)
	w.use(one)
	s := w.person("ann")
	s.track("E", "", zero)
	w.use(three.Keep(func(string, int) bool { return false }))
	s.catchUp(zero + 2*day)
	if got := reasons(w); !slices.Equal(got, []string{"version_lost", "version_lost"}) || len(s.state.Places) != 0 {
		t.Errorf("got %v and %d places, want both stays to end", got, len(s.state.Places))
	}
}

func TestMaxTriggerAgeOfTheWorkspace(t *testing.T) {
	t.Parallel()
	own := parse(t, "own", "trigger: {event: E}\nmax_trigger_age: 2h\npurpose: m\nsteps: [stop]")
	plain := parse(t, "plain", "trigger: {event: E}\npurpose: m\nsteps: [stop]")
	w := newWorld(t)
	w.use(compile(t, 1, own.WithMaxTriggerAge(time.Minute), plain.WithMaxTriggerAge(time.Minute)))
	s := w.person("ann")
	s.happen(&Event{Type: event.Track, Name: "E", Time: zero, MessageID: "m"}, zero+60_001)
	if got := reasons(w); !slices.Equal(got, []string{"stopped", RefusedOld}) {
		t.Errorf("got %v, want the journey with its own age to be entered and the other refused", got)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	w := storyWorld(t)
	s := w.person("ann")
	s.track("A", `{"n":3}`, zero)
	s.track("B", `{"k":"x"}`, zero+3*3_600_000)
	body := s.state.Append(nil)
	for n := 1; n < len(body); n++ {
		if _, err := Decode(body[:n]); err == nil {
			t.Errorf("a state cut at %d of %d bytes was read", n, len(body))
		}
	}
	if _, err := Decode(append(slices.Clone(body), 0)); err == nil {
		t.Error("a state with a byte too many was read")
	}
	other := slices.Clone(body)
	other[0] = 9
	if _, err := Decode(other); err == nil || !strings.Contains(err.Error(), "format 9") {
		t.Errorf("an unknown format: %v", err)
	}
}

func TestInitialRefusalsLeaveNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.use(compile(t, 1, parse(t, "j", "trigger: {enters: s}\npurpose: m\nsteps: [stop]")))
	s := w.person("ann")
	s.happen(&Event{Type: event.Track, Name: AudienceEntered, Segment: "s", Initial: true, Time: zero}, zero)
	if !s.state.Empty() || s.turn.Changed {
		t.Errorf("a backfill left %+v behind", s.state)
	}
	if got := reasons(w); !slices.Equal(got, []string{RefusedInitial}) {
		t.Errorf("got %v", got)
	}
	// Somebody outside who sends an event of that name begins nothing.
	s.happen(&Event{Type: event.Track, Name: AudienceEntered, Time: zero, Properties: []byte(`{"audience_key":"s"}`)}, zero)
	if !s.state.Empty() {
		t.Errorf("a forged entry left %+v behind", s.state)
	}
}
