package journey

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/event"
	"rapport/internal/purpose"
)

var update = flag.Bool("update", false, "write what scenarios do into their files")

// TestScenarios plays testdata/scenarios: each is a story with journeys, a
// script, and beneath each line of the script, indented, what came of it.
//
// A line of a script is an instant ("0d 09:00", counted from a Monday), for a
// second person their name ("@ben"), and one of:
//
//	track NAME {properties} [happened INSTANT]
//	request JOURNEY {properties}
//	enters SEGMENT [initial] · leaves SEGMENT [initial]
//	trait NAME VALUE · forbid PURPOSE REASON · permit PURPOSE
//	outcome NAME {properties}
//	apply VERSION         the sections "journey NAME VERSION" take effect
//	merge NAME            NAME turns out to be the person of the line
//	live PLACE [STEP]     whether a mail of that place may still leave
//	explain JOURNEY       why the person did or did not get a mail
//	notes JOURNEY         what is remembered
//	wait                  time passes, up to and including the instant
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(raw))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(strings.Split(string(raw), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("%s (-file +run):\n%s", file, d)
			}
		})
	}
}

// play runs a scenario and gives its text with what came of it.
func play(t testing.TB, text string) string {
	w := newWorld(t)
	w.compare = true
	sections := map[string]string{}
	var order []string
	head, script, _ := strings.Cut(text, "\n-- script --\n")
	name := ""
	for _, line := range strings.Split(head, "\n") {
		if rest, ok := strings.CutPrefix(line, "-- "); ok {
			name = strings.TrimSuffix(rest, " --")
			order = append(order, name)
			continue
		}
		if name != "" {
			sections[name] += line + "\n"
		}
	}
	for _, s := range order {
		if seg, ok := strings.CutPrefix(s, "segment "); ok {
			w.segment(seg, sections[s])
		}
	}
	w.apply(1, order, sections)
	out := []string{head, "-- script --"}
	for _, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		out = append(out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		w.lines = nil
		w.play(line, order, sections)
		for _, l := range w.lines {
			out = append(out, "    "+strings.ReplaceAll(l, "\n", "\n    "))
		}
	}
	return strings.Join(out, "\n") + "\n"
}

// apply puts a version of the configuration into effect: for each journey the
// section "journey NAME VERSION", else what was in effect before, except those
// of "gone NAME VERSION".
func (w *world) apply(version int, order []string, sections map[string]string) {
	texts := map[string]string{}
	var names []string
	for _, s := range order {
		f := strings.Fields(s)
		if f[0] != "journey" && f[0] != "gone" {
			continue
		}
		v := 1
		if len(f) > 2 {
			v, _ = strconv.Atoi(f[2])
		}
		if v > version {
			continue
		}
		if !slices.Contains(names, f[1]) {
			names = append(names, f[1])
		}
		texts[f[1]] = sections[s]
		if f[0] == "gone" {
			texts[f[1]] = ""
		}
	}
	var defs []*Definition
	for _, n := range names {
		if texts[n] != "" {
			defs = append(defs, parse(w.t, n, texts[n]))
		}
	}
	c := compile(w.t, version, defs...)
	if version > 1 {
		c = c.After(w.catalog)
	}
	w.use(c)
}

func (w *world) play(line string, order []string, sections map[string]string) {
	now, rest := w.instant(line)
	if now < w.now {
		w.t.Fatalf("%s: time runs backwards", line)
	}
	w.now = now
	who := "ann"
	if r, ok := strings.CutPrefix(rest, "@"); ok {
		who, rest, _ = strings.Cut(r, " ")
	}
	s := w.person(who)
	for _, name := range slices.Sorted(maps.Keys(w.people)) {
		w.people[name].catchUp(now)
	}
	verb, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
	ev := Event{Type: event.Track, Time: now, MessageID: "m" + clock(now)}
	switch verb {
	case "track", "outcome", "request":
		rest, happened, late := strings.Cut(rest, " happened ")
		if late {
			ev.Time, _ = w.instant(happened + " ")
		}
		name, props, has := strings.Cut(rest, "{")
		ev.Name = strings.TrimSpace(name)
		if has {
			ev.Properties = []byte("{" + props)
			if !json.Valid(ev.Properties) {
				w.t.Fatalf("%s: no JSON", line)
			}
		}
		switch verb {
		case "outcome":
			ev.Type = event.Outcome
		case "request":
			ev.Type = event.Trigger
		}
		s.happen(&ev, now)
	case "enters", "leaves":
		ev.Name = map[string]string{"enters": AudienceEntered, "leaves": AudienceExited}[verb]
		ev.Segment, rest, _ = strings.Cut(rest, " ")
		ev.Initial = rest == "initial"
		s.member[ev.Segment] = verb == "enters"
		s.happen(&ev, now)
	case "trait":
		name, value, _ := strings.Cut(rest, " ")
		s.fold([]byte(`{"` + name + `":` + value + `}`))
		ev.Type = event.Identify
		s.happen(&ev, now)
	case "forbid":
		p, why, _ := strings.Cut(rest, " ")
		s.forbid[purpose.Purpose(p)] = why
	case "permit":
		delete(s.forbid, purpose.Purpose(rest))
	case "apply":
		v, err := strconv.Atoi(rest)
		if err != nil {
			w.t.Fatal(err)
		}
		w.apply(v, order, sections)
		for _, name := range slices.Sorted(maps.Keys(w.people)) {
			x := w.people[name]
			x.turn.Begin(x, &x.state, now)
			w.catalog.Change(&x.turn)
			w.catalog.Arm(&x.turn, false)
			x.settle(now)
			x.time(now)
		}
	case "merge":
		w.merge(rest, who, now)
	case "live":
		place, step, _ := strings.Cut(rest, " ")
		w.lines = append(w.lines, strconv.FormatBool(w.catalog.Live(&s.state, place, step)))
	case "notes":
		w.notes(s, rest)
	case "explain":
		s.turn.Begin(s, &s.state, now)
		w.lines = append(w.lines, strings.TrimRight(w.catalog.Explain(rest, &s.turn).String(), "\n"))
	case "wait":
		s.tick(now)
	default:
		w.t.Fatalf("%s: unknown verb %q", line, verb)
	}
}

func (w *world) notes(s *someone, journey string) {
	r := s.state.Record(journey)
	if r == nil {
		w.lines = append(w.lines, "nothing")
		return
	}
	for _, n := range r.Notes {
		l := clock(n.At) + " " + n.Kind.String()
		if n.Occurrence > 0 {
			l += " #" + strconv.FormatInt(n.Occurrence, 10)
		}
		if n.Step != "" {
			l += " " + n.Step
		}
		if n.Times > 1 {
			l += " ×" + strconv.FormatInt(n.Times, 10)
		}
		if said := n.Said(); said != "" {
			l += ": " + said
		}
		w.lines = append(w.lines, l)
	}
}

// instant reads "3d 09:30" or "3d 09:30:15" at the beginning of a line.
func (w *world) instant(line string) (at int64, rest string) {
	f := strings.SplitN(line, " ", 3)
	if len(f) < 2 || !strings.HasSuffix(f[0], "d") {
		w.t.Fatalf("%q: no instant", line)
	}
	days, err := strconv.ParseInt(strings.TrimSuffix(f[0], "d"), 10, 64)
	if err != nil {
		w.t.Fatalf("%q: %v", line, err)
	}
	at = zero + days*day
	for i, part := range strings.Split(f[1], ":") {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			w.t.Fatalf("%q: %v", line, err)
		}
		at += n * [...]int64{3_600_000, 60_000, 1000}[i]
	}
	if len(f) == 3 {
		rest = f[2]
	}
	return at, rest
}
