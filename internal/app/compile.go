package app

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/content"
	"rapport/internal/journey"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/project"
	"rapport/internal/rule"
	"rapport/internal/segment"
	"rapport/internal/store"
	"rapport/internal/wording"
)

// edition is one configuration version, ready for every room.
type edition struct {
	number  int
	applied time.Time // zero: not yet
	config  *project.Config
	walk    *processor.Version
	content *content.Set
	book    *wording.Book
	kept    *kept
}

// editions compiles configuration versions from the state store and keeps what
// it compiled.
type editions struct {
	state store.State

	mu   sync.Mutex
	made map[int]*edition

	computing  computing
	recipients recipients
}

// edition gives a version that was stored.
func (e *editions) edition(ctx context.Context, number int) (*edition, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if made, ok := e.made[number]; ok {
		return made, nil
	}
	out, err := e.compile(ctx, number)
	if err != nil {
		return nil, err
	}
	older, err := e.journeysBefore(ctx, number)
	if err != nil {
		return nil, err
	}
	if older != nil {
		out.walk.Journeys = out.walk.Journeys.After(older)
		if out.walk.Schema, err = schema(out.walk.Segments, out.walk.Journeys); err != nil {
			return nil, err
		}
	}
	e.made[number] = out
	return out, nil
}

// journeysBefore gives the journeys of all former versions, in which somebody
// may still be, nil when there was none. Versions whose journeys are those of
// the version before add nothing, so that people inside keep the number they
// entered on however often the rest was changed.
func (e *editions) journeysBefore(ctx context.Context, number int) (*journey.Catalog, error) {
	var older *journey.Catalog
	was := map[string]string{}
	for n := 1; n < number; n++ {
		files, err := e.journeyFiles(ctx, n)
		if err != nil {
			return nil, err
		}
		if files == nil || maps.Equal(files, was) {
			continue
		}
		was = files
		next, err := journey.Compile(n, parseJourneys(files))
		if err != nil {
			return nil, fmt.Errorf("compile the journeys of configuration %d: %w", n, err)
		}
		if older == nil {
			older = next
		} else {
			older = next.After(older)
		}
	}
	return older, nil
}

// journeyFiles reads the journeys of a stored version, nil for a number that
// was never used.
func (e *editions) journeyFiles(ctx context.Context, number int) (files map[string]string, err error) {
	all, err := e.files(ctx, number)
	if all == nil || err != nil {
		return nil, err
	}
	files = map[string]string{}
	for name, body := range all {
		if dir, file := path.Split(name); dir == "journeys/" && path.Ext(file) == ".yaml" {
			files[strings.TrimSuffix(file, ".yaml")] = string(body)
		}
	}
	return files, nil
}

// parseJourneys reads journeys that were in effect once. One that a newer
// program no longer reads is left out: whoever is inside is told so.
func parseJourneys(files map[string]string) []*journey.Definition {
	var out []*journey.Definition
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var root yaml.Node
		if yaml.Unmarshal([]byte(files[name]), &root) != nil {
			continue
		}
		if d, problems := journey.Parse(name, &root); d != nil && len(problems) == 0 {
			out = append(out, d)
		}
	}
	return out
}

func (e *editions) compile(ctx context.Context, number int) (*edition, error) {
	if made, ok := e.made[number]; ok {
		return made, nil
	}
	v, ok, err := e.version(ctx, number)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: configuration %d", processor.ErrNoVersion, number)
	}
	former, err := e.computedBefore(ctx, number)
	if err != nil {
		return nil, err
	}
	config, problems := project.LoadStored(project.Files(v.Files), former)
	if config == nil {
		return nil, &problemsError{problems}
	}
	out, err := build(number, config)
	if err == nil {
		out.applied = v.Applied
	}
	return out, err
}

// problemsError is a configuration that does not hold together.
type problemsError struct{ problems []project.Problem }

func (p *problemsError) Error() string {
	n := project.Errors(p.problems)
	for _, q := range p.problems {
		if q.Severity == project.Error {
			return fmt.Sprintf("%d mistakes in the configuration, first %s:%d: %s", n, q.File, q.Line, q.Message)
		}
	}
	return "the configuration does not hold together"
}

// build compiles a checked configuration.
func build(number int, config *project.Config) (*edition, error) {
	segments, err := segment.Compile(config.Segments)
	if err != nil {
		return nil, fmt.Errorf("compile segments: %w", err)
	}
	flows := make([]*journey.Definition, 0, len(config.Journeys))
	for _, d := range config.Journeys {
		flows = append(flows, d.WithMaxTriggerAge(config.Workspace.Events.MaxTriggerAge))
	}
	journeys, err := journey.Compile(number, flows)
	if err != nil {
		return nil, err
	}
	journeys = journeys.In(config.Workspace.TimeZone)
	tallies, err := schema(segments, journeys)
	if err != nil {
		return nil, err
	}
	keeps := keptBy(config)
	return &edition{
		number: number, config: config, kept: keeps,
		walk:    &processor.Version{Number: number, Schema: tallies, Segments: segments, Journeys: journeys, Terms: keeps.plan.Traits, Purview: config.Purview},
		content: config.Content(number),
		book:    config.Book(),
	}, nil
}

func schema(segments *segment.Catalog, journeys *journey.Catalog) (*profile.Schema, error) {
	tallies, err := rule.Union(append([]rule.Tally(nil), segments.Tallies...), journeys.Tallies()...)
	if err != nil {
		return nil, fmt.Errorf("join what rules count: %w", err)
	}
	return profile.NewSchema(tallies), nil
}
