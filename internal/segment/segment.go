// Package segment keeps memberships true: definitions, incremental evaluation
// with the instant at which each answer expires, and backfill. What comes in
// are the changes that an event made to a person; what goes out are entries and
// exits, each with the instant it is true from. It never sends, never polls and
// never reads a clock.
package segment

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/profile"
	"rapport/internal/purpose"
	"rapport/internal/purview"
	"rapport/internal/rule"
)

// Definition is one segment as somebody wrote it.
type Definition struct {
	Name  string // the file's name; also the audience key
	Title string
	Note  string
	Rule  *rule.Rule
	// Use is what all that the rule reads may be used for. Asks are the declared purposes
	// in it: one of them must be permitted by whoever is in the segment. Whoever knows
	// the tracking plans fills both in; without them nobody is asked.
	Use  purview.Use
	Asks []purpose.Purpose
}

// Parse reads a segment's file: title, note and rule.
func Parse(name string, n *yaml.Node) (Definition, []rule.Problem) {
	d := Definition{Name: name}
	var problems []rule.Problem
	if n != nil && n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	if n == nil || n.Kind != yaml.MappingNode {
		return d, []rule.Problem{{Line: 1, Column: 1, Message: "a segment is a mapping", Hint: "write title: and rule:"}}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch key.Value {
		case "title", "note":
			if value.Kind != yaml.ScalarNode {
				problems = append(problems, rule.Problem{Line: value.Line, Column: value.Column, Message: key.Value + " is a text", Hint: key.Value + ": People who …"})
				continue
			}
			if key.Value == "title" {
				d.Title = value.Value
			} else {
				d.Note = value.Value
			}
		case "rule":
			r, more := rule.Parse(value, rule.Context{})
			d.Rule, problems = r, append(problems, more...)
		default:
			problems = append(problems, rule.Problem{Line: key.Line, Column: key.Column, Message: fmt.Sprintf("unknown key %q", key.Value), Hint: "a segment has title, note and rule"})
		}
	}
	if d.Rule == nil && len(problems) == 0 {
		problems = append(problems, rule.Problem{Line: n.Line, Column: n.Column, Message: "the segment has no rule", Hint: "write rule: and the conditions below it"})
	}
	return d, problems
}

// MaxSegments is how many segments a workspace may have.
const MaxSegments = 2000

// Catalog is all segments of one configuration version, compiled. It is
// immutable and safe for concurrent use.
type Catalog struct {
	segs      []compiled // in order of evaluation: what is read comes first
	byKey     map[uint32]int
	byName    map[string]int
	byTally   map[uint32][]int
	byTrait   map[string][]int
	bySegment map[int][]int
	asking    []int        // those that depend on what people permit
	Tallies   []rule.Tally // united, in order of id
}

type compiled struct {
	Definition
	key uint32 // hash of the name: what the row keeps
}

// Compile orders the definitions by what they read of each other.
func Compile(defs []Definition) (*Catalog, error) {
	if len(defs) > MaxSegments {
		return nil, fmt.Errorf("%d segments: a workspace has at most %d (max_segments)", len(defs), MaxSegments)
	}
	ordered, err := order(defs)
	if err != nil {
		return nil, err
	}
	c := &Catalog{byKey: map[uint32]int{}, byName: map[string]int{}, byTally: map[uint32][]int{}, byTrait: map[string][]int{}, bySegment: map[int][]int{}}
	for i, d := range ordered {
		s := compiled{Definition: d, key: hash32(d.Name)}
		if other, taken := c.byKey[s.key]; taken {
			return nil, fmt.Errorf("segments %q and %q have the same hash: rename one of them", ordered[other].Name, d.Name)
		}
		c.segs = append(c.segs, s)
		c.byKey[s.key], c.byName[d.Name] = i, i
		if len(d.Asks) > 0 {
			c.asking = append(c.asking, i)
		}
		tallies := d.Rule.Tallies()
		for _, t := range tallies {
			c.byTally[t.ID] = append(c.byTally[t.ID], i)
		}
		if c.Tallies, err = rule.Union(c.Tallies, tallies...); err != nil {
			return nil, err
		}
		for _, path := range d.Rule.Traits() {
			for _, name := range profile.Reads(path) {
				if !slices.Contains(c.byTrait[name], i) {
					c.byTrait[name] = append(c.byTrait[name], i)
				}
			}
		}
		for _, name := range d.Rule.Segments() {
			dep := c.byName[name]
			c.bySegment[dep] = append(c.bySegment[dep], i)
		}
	}
	return c, nil
}

// Key gives the number under which a person's row keeps a segment.
func Key(name string) uint32 { return hash32(name) }

func hash32(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // A hash never fails to be written to.
	return h.Sum32()
}

// order sorts definitions so that each comes after those it reads; a cycle or
// an unknown name is an error that names it.
func order(defs []Definition) ([]Definition, error) {
	byName := map[string]Definition{}
	names := make([]string, 0, len(defs))
	for _, d := range defs {
		byName[d.Name] = d
		names = append(names, d.Name)
	}
	slices.Sort(names)
	const visiting, done = 1, 2
	mark := map[string]int{}
	var out []Definition
	var visit func(name string, path []string) error
	visit = func(name string, path []string) error {
		d, ok := byName[name]
		switch {
		case !ok:
			return fmt.Errorf("segment %q reads %q, which does not exist", path[len(path)-1], name)
		case mark[name] == visiting:
			return fmt.Errorf("segments read each other in a circle: %s → %s", strings.Join(path, " → "), name)
		case mark[name] == done:
			return nil
		}
		mark[name] = visiting
		for _, dep := range d.Rule.Segments() {
			if err := visit(dep, append(path, name)); err != nil {
				return err
			}
		}
		mark[name] = done
		out = append(out, d)
		return nil
	}
	for _, name := range names {
		if err := visit(name, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Names lists all segments, sorted.
func (c *Catalog) Names() []string {
	out := make([]string, 0, len(c.segs))
	for i := range c.segs {
		out = append(out, c.segs[i].Name)
	}
	slices.Sort(out)
	return out
}

// Definition finds a segment by name.
func (c *Catalog) Definition(name string) (Definition, bool) {
	i, ok := c.byName[name]
	if !ok {
		return Definition{}, false
	}
	return c.segs[i].Definition, true
}

// Asking tells whether any segment depends on what people permit.
func (c *Catalog) Asking() bool { return len(c.asking) > 0 }

// Len is the number of segments.
func (c *Catalog) Len() int { return len(c.segs) }
