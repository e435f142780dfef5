package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing/fstest"

	"rapport/internal/content"
	"rapport/internal/journey"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/project"
	"rapport/internal/rule"
	"rapport/internal/segment"
	"rapport/internal/store"
)

// edition is one configuration version, ready for every room.
type edition struct {
	number  int
	config  *project.Config
	walk    *processor.Version
	content *content.Set
}

// editions compiles configuration versions from the state store and keeps what
// it compiled.
type editions struct {
	state store.State

	mu   sync.Mutex
	made map[int]*edition
}

// olderJourneys is how many former versions are kept for the people inside.
const olderJourneys = 20

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

// journeysBefore gives the journeys of former versions, in which somebody may
// still be, nil when there was none.
func (e *editions) journeysBefore(ctx context.Context, number int) (*journey.Catalog, error) {
	var older *journey.Catalog
	for n := max(1, number-olderJourneys); n < number; n++ {
		made, err := e.compile(ctx, n)
		var gone *missingVersionError
		switch {
		case errors.As(err, &gone):
			continue // stored, but refused before it was in effect
		case err != nil:
			return nil, err
		}
		if older == nil {
			older = made.walk.Journeys
		} else {
			older = made.walk.Journeys.After(older)
		}
	}
	return older, nil
}

// missingVersionError tells that a configuration was never in effect here.
type missingVersionError struct{ number int }

func (m *missingVersionError) Error() string {
	return fmt.Sprintf("configuration %d is not in the state store", m.number)
}

func (e *editions) compile(ctx context.Context, number int) (*edition, error) {
	if made, ok := e.made[number]; ok {
		return made, nil
	}
	var v project.Version
	var ok bool
	err := e.state.Read(ctx, func(tx store.Tx) (err error) {
		v, ok, err = tx.Project().Version(number)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read configuration %d: %w", number, err)
	}
	if !ok {
		return nil, &missingVersionError{number}
	}
	config, problems := project.Load(folder(v.Files))
	if config == nil {
		return nil, &problemsError{problems}
	}
	return build(number, config)
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
	tallies, err := schema(segments, journeys)
	if err != nil {
		return nil, err
	}
	return &edition{
		number: number, config: config,
		walk:    &processor.Version{Number: number, Schema: tallies, Segments: segments, Journeys: journeys},
		content: config.Content(number),
	}, nil
}

func schema(segments *segment.Catalog, journeys *journey.Catalog) (*profile.Schema, error) {
	tallies, err := rule.Union(append([]rule.Tally(nil), segments.Tallies...), journeys.Tallies()...)
	if err != nil {
		return nil, fmt.Errorf("join what rules count: %w", err)
	}
	return profile.NewSchema(tallies), nil
}

// folder shows stored files as a folder.
func folder(files map[string][]byte) fs.FS {
	m := fstest.MapFS{}
	for name, body := range files {
		m[name] = &fstest.MapFile{Data: body, Mode: 0o444}
	}
	return m
}
