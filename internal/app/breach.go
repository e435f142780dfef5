package app

import (
	"context"
	"slices"

	"rapport/internal/breach"
	"rapport/internal/destination"
	"rapport/internal/event"
	"rapport/internal/explain"
	"rapport/internal/project"
	"rapport/internal/store"
)

// breaches is the register of breaches.
func (h *House) breaches() *breach.Register {
	return &breach.Register{Keeper: store.Breaches{State: h.state}, Now: h.clock.Now}
}

// affected finds whom a scope concerns: keys are those of it that read, sources those
// of it and those for which its other keys write. fn, which may be nil, is told of each.
func (h *House) affected(ctx context.Context, s *breach.Scope, keys, sources []string, fn func(*breach.Touched) error) (breach.Affected, error) {
	e := h.edition()
	search := &explain.Search{
		Scope: *s, Keys: keys, Sources: map[string]bool{}, Plans: e.config.Plans, Rows: h.trail.Search, Size: h.trail.Size, Hash: h.resolver.Hash,
	}
	for _, name := range sources {
		search.Sources[name] = true
	}
	var told []project.Destination
	for _, d := range e.config.Destinations {
		if slices.Contains(s.Destinations, d.Name) {
			told = append(told, d)
		}
	}
	if len(told) > 0 {
		search.Wants = func(e *event.Event) bool {
			return slices.ContainsFunc(told, func(d project.Destination) bool { return mayHear(&d, e) })
		}
	}
	sum := breach.NewSum()
	err := h.reader.Touched(ctx, search, sum, fn)
	return sum.Affected(), err
}

// mayHear tells whether a destination may have been told of an entry of a timeline.
// Permission, filters and what its purpose sees are not asked, for they were asked then.
func mayHear(d *project.Destination, e *event.Event) bool {
	if e.Type >= event.Track && e.Type <= event.Alias {
		return destination.Choice(d.Events).Has(e.Name)
	}
	some := func(w project.Wanted) bool { return w.All || len(w.Names) > 0 }
	return some(d.Segments) || some(d.Messages) || some(d.Consent)
}

// knowsDestination tells whether the configuration in effect has a destination.
func (h *House) knowsDestination(name string) bool {
	return slices.ContainsFunc(h.edition().config.Destinations, func(d project.Destination) bool { return d.Name == name })
}
