package journey

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"rapport/internal/event"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// Catalog is every journey that somebody may enter or is still inside. It is
// immutable and safe for use by many goroutines.
type Catalog struct {
	flows  map[string][]*flow // by name, oldest version first
	events map[string][]*flow // those that newcomers enter, by the event that begins them
	enters map[string][]*flow // by the segment that is entered
	leaves map[string][]*flow // by the segment that is left
	asked  map[string][]*flow // by their own name, those that a request begins
	dates  []*flow            // those that a date begins, by name
	names  []string           // of the journeys that newcomers enter, sorted
	zone   *time.Location     // of the workspace; nil: UTC
}

// flow is one version of one journey.
type flow struct {
	*Definition
	version int
	current bool // newcomers enter it
}

// Compile makes the catalog of one configuration version. People inside older
// versions need After.
func Compile(version int, defs []*Definition) (*Catalog, error) {
	if len(defs) > MaxJourneys {
		return nil, fmt.Errorf("compile journeys: %d of them, at most %d (MaxJourneys)", len(defs), MaxJourneys)
	}
	c := &Catalog{flows: make(map[string][]*flow, len(defs))}
	for _, d := range defs {
		if d == nil {
			return nil, errors.New("compile journeys: a definition is missing")
		}
		if c.flows[d.name] != nil {
			return nil, fmt.Errorf("compile journeys: two have the name %q", d.name)
		}
		c.flows[d.name] = []*flow{{Definition: d, version: version, current: true}}
	}
	c.index()
	if _, err := c.union(); err != nil {
		return nil, fmt.Errorf("compile journeys: %w", err)
	}
	return c, nil
}

// After gives the catalog that follows an older one: newcomers enter the
// journeys of c, whoever is inside goes on in the version that was entered. A
// journey that means the same as before keeps its old version's number, so that
// a catalog grows only with what really changed.
func (c *Catalog) After(older *Catalog) *Catalog {
	next := &Catalog{flows: make(map[string][]*flow, len(c.flows)), zone: c.zone}
	for name, versions := range older.flows {
		for _, f := range versions {
			next.flows[name] = append(next.flows[name], &flow{Definition: f.Definition, version: f.version})
		}
	}
	for _, name := range c.names {
		f := c.current(name)
		have := next.flows[name]
		if n := len(have); n > 0 && have[n-1].Same(f.Definition) {
			have[n-1] = &flow{Definition: f.Definition, version: have[n-1].version, current: true}
			continue
		}
		next.flows[name] = append(have, &flow{Definition: f.Definition, version: f.version, current: true})
	}
	next.index()
	return next
}

// Keep gives the catalog without those old versions of which inside says that
// nobody is in them. That a journey was stopped is kept.
func (c *Catalog) Keep(inside func(journey string, version int) bool) *Catalog {
	next := &Catalog{flows: make(map[string][]*flow, len(c.flows)), zone: c.zone}
	for name, versions := range c.flows {
		for _, f := range versions {
			if f.current || f.closed || inside(name, f.version) {
				next.flows[name] = append(next.flows[name], f)
			}
		}
	}
	next.index()
	return next
}

// In gives the catalog of a workspace in a zone, on whose clock live all people
// whose own is not known.
func (c *Catalog) In(zone *time.Location) *Catalog {
	own := *c
	own.zone = zone
	return &own
}

func (c *Catalog) index() {
	c.events, c.enters, c.leaves = map[string][]*flow{}, map[string][]*flow{}, map[string][]*flow{}
	c.asked, c.dates = map[string][]*flow{}, nil
	c.names = c.names[:0]
	for name, versions := range c.flows {
		if versions[len(versions)-1].current {
			c.names = append(c.names, name)
		}
	}
	slices.Sort(c.names)
	for _, name := range c.names {
		f := c.current(name)
		if f.closed {
			continue
		}
		index := c.events
		switch f.trigger.kind {
		case OnEnter:
			index = c.enters
		case OnLeave:
			index = c.leaves
		case OnDate:
			c.dates = append(c.dates, f)
			continue
		case OnRequest:
			c.asked[name] = []*flow{f}
			continue
		}
		index[f.trigger.name] = append(index[f.trigger.name], f)
	}
}

// current gives the version that newcomers enter, nil when the journey is gone.
func (c *Catalog) current(name string) *flow {
	versions := c.flows[name]
	if n := len(versions); n > 0 && versions[n-1].current {
		return versions[n-1]
	}
	return nil
}

// flow gives the version that a place was entered on, nil when it is not known.
func (c *Catalog) flow(p *Place) *flow {
	versions := c.flows[p.Journey]
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].version == p.Version {
			return versions[i]
		}
	}
	return nil
}

// left tells whether a definition that lets nobody stay came after a version.
func (c *Catalog) left(name string, version int) bool {
	versions := c.flows[name]
	for i := len(versions) - 1; i >= 0 && versions[i].version > version; i-- {
		if versions[i].change == ExitOnChange {
			return true
		}
	}
	return false
}

// stopped tells whether a definition that was stopped came after a version:
// whoever was inside it then has ended, also where the journey runs again.
func (c *Catalog) stopped(name string, version int) bool {
	versions := c.flows[name]
	for i := len(versions) - 1; i >= 0 && versions[i].version >= version; i-- {
		if versions[i].closed {
			return true
		}
	}
	return false
}

// Names lists the journeys that newcomers enter, sorted.
func (c *Catalog) Names() []string { return slices.Clone(c.names) }

// Definition gives the newest definition of a journey, nil when there is none.
func (c *Catalog) Definition(name string) *Definition {
	if f := c.current(name); f != nil {
		return f.Definition
	}
	return nil
}

// Purposes lists for what all versions of a journey that are known are: what is
// remembered of somebody may be of any of them.
func (c *Catalog) Purposes(name string) []purpose.Purpose {
	var out []purpose.Purpose
	for _, f := range c.flows[name] {
		out = append(out, f.purpose)
	}
	return out
}

// Versions lists the versions of a journey that are known, oldest first.
func (c *Catalog) Versions(name string) []int {
	var out []int
	for _, f := range c.flows[name] {
		out = append(out, f.version)
	}
	return out
}

// Tallies gives what must be counted for all versions of all journeys, each
// once. Where two versions want two tallies of one number, which Compile cannot
// see, the older version's is counted.
func (c *Catalog) Tallies() []rule.Tally {
	set, _ := c.union() // It gives all that go together.
	return set
}

func (c *Catalog) union() (set []rule.Tally, err error) {
	names := make([]string, 0, len(c.flows))
	for name := range c.flows {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, f := range c.flows[name] {
			var bad error
			if set, bad = rule.Union(set, f.refs.Tallies...); bad != nil {
				err = errors.Join(err, bad)
			}
		}
	}
	return set, err
}

// Begins tells whether an event of this name, or this segment's entry or exit,
// begins any journey: a person who is in none needs no turn for any other event.
func (c *Catalog) Begins(ev *Event) bool { return len(c.triggers(ev)) > 0 }

func (c *Catalog) triggers(ev *Event) []*flow {
	if ev.Type == event.Trigger {
		return c.asked[ev.Name]
	}
	if ev.Segment == "" {
		return c.events[ev.Name]
	}
	switch ev.Name {
	case AudienceEntered:
		return c.enters[ev.Segment]
	case AudienceExited:
		return c.leaves[ev.Segment]
	}
	return nil
}

// Live tells whether the mail that a step of a place decided may still leave:
// as State.Live, and its journey is not stopped meanwhile. It is the question
// of the gate at hand-over.
func (c *Catalog) Live(s *State, place, step string) bool {
	name, twin, _ := parsePlaceID(place)
	for i := range s.Places {
		if p := &s.Places[i]; p.Journey == name && p.is(twin) && (c.stopped(name, p.Version) || c.left(name, p.Version)) {
			return false
		}
	}
	if f := c.current(name); f != nil && f.closed {
		return false
	}
	return s.Live(place, step)
}

// Step gives the name of the step at which a place stands, "" when the version
// that was entered is no longer known.
func (c *Catalog) Step(p *Place) string {
	if f := c.flow(p); f != nil && p.Node >= 0 && p.Node < len(f.nodes) {
		return f.nodes[p.Node].id
	}
	return ""
}
