// Package scenario tests a configuration's journeys as their authors write them
// down. What comes in are scripts: who does what at which instant of business
// time, and exactly which mails leave because of it. The whole house runs each,
// from its doors to a wire that only remembers; what goes out is every mail that
// differs from what was expected. It waits for no clock, sends nothing, and has
// no rule of its own.
package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/fault"
)

// The limits of a script.
const (
	MaxBytes     = 1 << 20               // of one file
	MaxScenarios = 1000                  // in one file
	MaxSteps     = 10_000                // in one scenario
	MaxSpan      = 3660 * 24 * time.Hour // of business time in one scenario: 3660d
	defaultSpan  = 60 * 24 * time.Hour   // how long a scenario runs on after its last step
)

// Script is one file of scenarios.
type Script struct {
	Config    string     `yaml:"config"` // the configuration folder, relative to the file; "": the folder above that has a rapport.yaml
	Start     Moment     `yaml:"start"`
	Scenarios []Scenario `yaml:"scenarios"`
}

// Scenario is what happens, and what must come of it. Each runs in a house of
// its own.
type Scenario struct {
	Name   string  `yaml:"name"`
	Start  Moment  `yaml:"start"` // "": the script's
	Until  Moment  `yaml:"until"` // "": 60 days after the last step or, if that is later, a day after the last mail that is expected
	Steps  []Step  `yaml:"steps"`
	Expect *Expect `yaml:"expect"`
}

// Step is one thing that happens. It is one of Event, Identify, Group, Consent,
// Unsubscribe, Bounce, Trigger and Apply.
type Step struct {
	At     Moment `yaml:"at"`    // "": at once after the step before
	After  string `yaml:"after"` // how long after the step before
	Person string `yaml:"person"`
	Source string `yaml:"source"` // whose key the event comes with; "": a source of kind server

	Event       string         `yaml:"event"`
	Properties  map[string]any `yaml:"properties"`
	Identify    map[string]any `yaml:"identify"`
	Group       string         `yaml:"group"` // a group call, with its traits
	Traits      map[string]any `yaml:"traits"`
	Consent     *Said          `yaml:"consent"`
	Unsubscribe string         `yaml:"unsubscribe"` // an address: its reader follows the link of the last mail
	Bounce      string         `yaml:"bounce"`      // an address: from now on its mailbox does not exist
	Trigger     string         `yaml:"trigger"`     // a journey
	Apply       string         `yaml:"apply"`       // a configuration folder that takes effect
}

// Said is what somebody says about a purpose: granted, refused, withdrawn or objected.
type Said struct {
	Purpose string `yaml:"purpose"`
	State   string `yaml:"state"`
}

// Expect is every mail that must leave, and no other may.
type Expect struct {
	Mails []Expected `yaml:"mails"`
}

// Expected is one mail. What is left empty is not compared; when and to whom
// must be said.
type Expected struct {
	At       Moment `yaml:"at"`
	To       string `yaml:"to"`
	Template string `yaml:"template"`
	Journey  string `yaml:"journey"`
	Step     string `yaml:"step"`
	Subject  string `yaml:"subject"`
	Text     Texts  `yaml:"text"`    // each must stand in the text part
	HTML     Texts  `yaml:"html"`    // each must stand in the HTML part
	Without  Texts  `yaml:"without"` // none may stand in either part
}

// Texts is one text or a list of them.
type Texts []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *Texts) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*t = Texts{n.Value}
		return nil
	}
	var list []string
	err := n.Decode(&list)
	*t = list
	return err
}

// Moment is an instant as it is written: RFC 3339, or a distance from the start
// of the scenario, +4h10m. Days have 24 hours.
type Moment string

// in gives the instant; a distance is counted from the start.
func (m Moment) in(start time.Time) (time.Time, error) {
	if rest, ok := strings.CutPrefix(string(m), "+"); ok {
		d, err := span(rest)
		return start.Add(d), err
	}
	at, err := time.Parse(time.RFC3339Nano, string(m))
	if err != nil {
		return at, fmt.Errorf("%q is no instant: write 2026-03-01T09:00:00+01:00, or +4h after the start", cut(string(m)))
	}
	return at, nil
}

// span reads a duration: Go's units, and d and w for 24 hours and seven times that.
func span(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration: write 30s, 15m, 1h30m, 7d or 2w", cut(s))
	var sum time.Duration
	for rest := s; rest != ""; {
		i := strings.IndexAny(rest, "smhdw")
		if i < 1 || i > 6 {
			return 0, bad
		}
		n := int64(0)
		for _, c := range rest[:i] {
			if c < '0' || c > '9' {
				return 0, bad
			}
			n = 10*n + int64(c-'0')
		}
		unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[rest[i]]
		sum += unit * time.Duration(n)
		if rest = rest[i+1:]; sum > MaxSpan {
			return 0, fmt.Errorf("%q is longer than 3660d (MaxSpan)", cut(s))
		}
	}
	if s == "" {
		return 0, bad
	}
	return sum, nil
}

func cut(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// Parse reads a script and names every mistake in it.
func Parse(name string, b []byte) (*Script, error) {
	if len(b) > MaxBytes {
		return nil, invalid(name, fmt.Errorf("the file is larger than %d bytes (MaxBytes)", MaxBytes))
	}
	var s Script
	d, err := yaml.NewLoader(bytes.NewReader(b), yaml.WithKnownFields())
	if err == nil {
		err = d.Load(&s)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the file is empty")
	}
	if err != nil {
		return nil, invalid(name, err)
	}
	if err := s.check(); err != nil {
		return nil, invalid(name, err)
	}
	return &s, nil
}

func invalid(name string, err error) error {
	return fault.New(fault.Invalid, "bad_script", "%s cannot be run: %s", name, err)
}

func (s *Script) check() error {
	var errs []error
	if len(s.Scenarios) == 0 {
		errs = append(errs, errors.New("there are no scenarios: write scenarios: and a list beneath it"))
	}
	if len(s.Scenarios) > MaxScenarios {
		return fmt.Errorf("%d scenarios, at most %d (MaxScenarios)", len(s.Scenarios), MaxScenarios)
	}
	taken := map[string]bool{}
	for i := range s.Scenarios {
		sc := &s.Scenarios[i]
		if sc.Name == "" || taken[sc.Name] {
			errs = append(errs, fmt.Errorf("scenario %d: give it a name of its own", i+1))
		}
		taken[sc.Name] = true
		if sc.Start == "" {
			sc.Start = s.Start
		}
		if err := sc.check(); err != nil {
			errs = append(errs, fmt.Errorf("scenario %q: %w", cut(sc.Name), err))
		}
	}
	return errors.Join(errs...)
}

func (s *Scenario) check() error {
	if strings.HasPrefix(string(s.Start), "+") {
		return errors.New("start is an instant, not a distance from itself")
	}
	if s.Expect == nil {
		return errors.New("say what must leave: expect: {mails: […]}, or {mails: []} for nothing")
	}
	if len(s.Steps) > MaxSteps {
		return fmt.Errorf("%d steps, at most %d (MaxSteps)", len(s.Steps), MaxSteps)
	}
	for i := range s.Steps {
		if err := s.Steps[i].check(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	for i, m := range s.Expect.Mails {
		if m.At == "" || m.To == "" {
			return fmt.Errorf("expected mail %d: say when (at) and to whom (to)", i+1)
		}
	}
	_, err := s.plan()
	return err
}

func (s *Step) check() error {
	n, person := 0, false
	for _, is := range [...]struct{ here, person bool }{
		{s.Event != "", true}, {s.Identify != nil, true}, {s.Group != "", true}, {s.Consent != nil, true}, {s.Trigger != "", true},
		{s.Unsubscribe != "", false}, {s.Bounce != "", false}, {s.Apply != "", false},
	} {
		if is.here {
			n++
			person = is.person
		}
	}
	switch {
	case n != 1:
		return fmt.Errorf("a step is one of event, identify, group, consent, unsubscribe, bounce, trigger, apply; here are %d", n)
	case person && s.Person == "":
		return errors.New("say who: person: user_id:ann")
	case s.At != "" && s.After != "":
		return errors.New("at and after exclude each other")
	case s.Properties != nil && s.Event == "" && s.Trigger == "":
		return errors.New("properties belong to event or trigger")
	case s.Traits != nil && s.Group == "":
		return errors.New("traits belong to group; those of a person are written as identify: {…}")
	}
	return nil
}

// timing is a scenario with its instants worked out.
type timing struct {
	start, until time.Time
	steps        []time.Time
	mails        []time.Time
}

// plan works out every instant. Steps never go back in time.
func (s *Scenario) plan() (*timing, error) {
	start, err := s.Start.in(time.Time{})
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	out := &timing{start: start}
	at := start
	for i := range s.Steps {
		next := at
		switch st := &s.Steps[i]; {
		case st.At != "":
			next, err = st.At.in(start)
		case st.After != "":
			var d time.Duration
			d, err = span(st.After)
			next = at.Add(d)
		}
		if err == nil && next.Before(at) {
			err = fmt.Errorf("%s is before the step above it", next.Format(time.RFC3339))
		}
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
		at = next
		out.steps = append(out.steps, at)
	}
	out.until = at.Add(defaultSpan)
	for i, m := range s.Expect.Mails {
		when, err := m.At.in(start)
		if err != nil {
			return nil, fmt.Errorf("expected mail %d: %w", i+1, err)
		}
		out.mails = append(out.mails, when)
		if last := when.Add(24 * time.Hour); last.After(out.until) {
			out.until = last
		}
	}
	if s.Until != "" {
		if out.until, err = s.Until.in(start); err != nil {
			return nil, fmt.Errorf("until: %w", err)
		}
	}
	if out.until.Before(at) || out.until.Sub(start) > MaxSpan {
		return nil, errors.New("until is before the last step, or more than 3660d (MaxSpan) after the start")
	}
	return out, nil
}
