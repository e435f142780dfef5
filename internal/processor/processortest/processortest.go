// Package processortest is what tests of a walk share. What comes in are
// segments and journeys as somebody writes them; what goes out are versions to
// walk under, and a clock that is moved by hand. It opens no store and asserts
// nothing.
package processortest

import (
	"fmt"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/journey"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/purpose"
	"rapport/internal/purview"
	"rapport/internal/rule"
	"rapport/internal/segment"
)

// Compile makes a version of YAML with segments and journeys by name, and what
// segments ask people for.
func Compile(number int, text string) (*processor.Version, error) {
	var raw struct {
		Segments map[string]yaml.Node `yaml:"segments"`
		Journeys map[string]yaml.Node `yaml:"journeys"`

		Asks map[string][]purpose.Purpose `yaml:"asks"` // for which purposes a segment may be used
	}
	if err := yaml.Unmarshal([]byte(text), &raw); err != nil {
		return nil, fmt.Errorf("read version %d: %w", number, err)
	}
	var defs []segment.Definition
	for name, node := range raw.Segments {
		d, problems := segment.Parse(name, &node)
		if len(problems) > 0 {
			return nil, fmt.Errorf("segment %s: %v", name, problems)
		}
		if asks := raw.Asks[name]; asks != nil {
			d.Use, d.Asks = purview.Use{Purposes: asks}, asks
		}
		defs = append(defs, d)
	}
	var flows []*journey.Definition
	for name, node := range raw.Journeys {
		d, problems := journey.Parse(name, &node)
		if len(problems) > 0 {
			return nil, fmt.Errorf("journey %s: %v", name, problems)
		}
		flows = append(flows, d)
	}
	segments, err := segment.Compile(defs)
	if err != nil {
		return nil, fmt.Errorf("compile segments: %w", err)
	}
	journeys, err := journey.Compile(number, flows)
	if err != nil {
		return nil, fmt.Errorf("compile journeys: %w", err)
	}
	tallies, err := rule.Union(segments.Tallies, journeys.Tallies()...)
	if err != nil {
		return nil, fmt.Errorf("join what rules count: %w", err)
	}
	return &processor.Version{Number: number, Schema: profile.NewSchema(tallies), Segments: segments, Journeys: journeys}, nil
}

// Hand is a clock that stands until it is moved, and rings no alarm by itself.
type Hand struct {
	mu  sync.Mutex
	now time.Time
}

var _ processor.Clock = (*Hand)(nil)

// NewHand makes one that stands at an instant.
func NewHand(now time.Time) *Hand { return &Hand{now: now} }

// Now gives the instant at which it stands.
func (h *Hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// After gives what never comes.
func (h *Hand) After(time.Duration) <-chan time.Time { return make(chan time.Time) }

// Set moves it to an instant.
func (h *Hand) Set(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = t
}

// Move moves it on.
func (h *Hand) Move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}
