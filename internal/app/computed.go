package app

import (
	"context"
	"fmt"
	"maps"

	"rapport/internal/project"
	"rapport/internal/purview"
)

// computing remembers for what traits may be used that the versions up to one compute,
// or once did. A version that computes them as the one before is not read again.
type computing struct {
	by    []map[string]purview.Use // by number of the version, from 1 on
	files map[string]string        // what the last of them says about it
}

// computedBefore gives for what traits may be used that any version before one
// computes: their values stay when the journey goes.
func (e *editions) computedBefore(ctx context.Context, number int) (map[string]purview.Use, error) {
	c := &e.computing
	for n := len(c.by) + 1; n < number; n++ {
		var former map[string]purview.Use
		if n > 1 {
			former = c.by[n-2]
		}
		files, err := e.files(ctx, n)
		if err != nil {
			return nil, err
		}
		about := aboutComputing(files)
		if files != nil && !maps.Equal(about, c.files) {
			if former, err = project.ComputedIn(files, former); err != nil {
				return nil, fmt.Errorf("configuration %d: %w", n, err)
			}
			c.files = about
		}
		c.by = append(c.by, former)
	}
	if number < 2 {
		return nil, nil //nolint:nilnil // None is an answer.
	}
	return c.by[number-2], nil
}

// aboutComputing picks the files that say what is computed of what, and for what that
// may be used.
func aboutComputing(files map[string][]byte) map[string]string {
	out := map[string]string{}
	for name, body := range files {
		if project.AboutComputing(name) {
			out[name] = string(body)
		}
	}
	return out
}

// files reads those of a stored version, nil for a number that was never used.
func (e *editions) files(ctx context.Context, number int) (files map[string][]byte, err error) {
	v, ok, err := e.version(ctx, number)
	if err != nil || !ok {
		return nil, err
	}
	return v.Files, nil
}

// after reads a folder that is to be the version with a number.
func (e *editions) after(ctx context.Context, number int, files map[string][]byte) (*project.Config, []project.Problem, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	former, err := e.computedBefore(ctx, number)
	if err != nil {
		return nil, nil, err
	}
	config, problems := project.LoadAfter(project.Files(files), former)
	return config, problems, nil
}
