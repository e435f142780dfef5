package project

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Change is one difference between two versions of a folder.
type Change struct {
	Kind   string `json:"kind"` // "workspace", "purposes", "source", "plan", "segment", "journey", "template", "provider", "destination", "notice", "page", "theme"
	Name   string `json:"name,omitempty"`
	Action string `json:"action"` // "added", "changed", "removed" or "reworded"
	Detail string `json:"detail,omitempty"`
}

// The actions. Reworded means that the text changed and its meaning did not.
const (
	Added    = "added"
	Changed  = "changed"
	Removed  = "removed"
	Reworded = "reworded"
)

// String gives the change in one line.
func (c Change) String() string {
	s := c.Action + " " + c.Kind
	if c.Name != "" {
		s += " " + c.Name
	}
	if c.Detail != "" {
		s += ": " + c.Detail
	}
	return s
}

// Diff tells what the new folder changes, by kind and name. Either may be nil:
// then everything was added or removed.
func Diff(old, next *Config) []Change {
	before, after := grouped(old), grouped(next)
	things := slices.Sorted(maps.Keys(before))
	for t := range after {
		if _, ok := before[t]; !ok {
			things = append(things, t)
		}
	}
	slices.SortFunc(things, func(a, b string) int {
		return cmp.Or(slices.Index(kinds, kindOfThing(a))-slices.Index(kinds, kindOfThing(b)), strings.Compare(a, b))
	})
	var out []Change
	for _, t := range things {
		kind, name, _ := strings.Cut(t, "/")
		was, is := before[t], after[t]
		switch {
		case was == nil:
			out = append(out, Change{Kind: kind, Name: name, Action: Added})
		case is == nil:
			out = append(out, Change{Kind: kind, Name: name, Action: Removed})
		case !maps.EqualFunc(was, is, bytes.Equal):
			c := Change{Kind: kind, Name: name, Action: Changed, Detail: changedFiles(was, is)}
			switch kind {
			case "segment":
				c.Action, c.Detail = segmentChange(old, next, name)
			case "journey":
				if old.sameJourney(next, name) {
					c.Action = Reworded
				} else {
					c.Detail = "whoever is inside stays on the version they entered on"
				}
			}
			out = append(out, c)
		}
	}
	return out
}

// segmentChange tells a changed rule from a changed title.
func segmentChange(old, next *Config, name string) (action, detail string) {
	was, is := old.segmentRule(name), next.segmentRule(name)
	if was == is {
		return Reworded, ""
	}
	return Changed, fmt.Sprintf("was %s; is %s", was, is)
}

// sameJourney tells whether both define a journey that means the same.
func (c *Config) sameJourney(o *Config, name string) bool {
	a, ok := c.Journey(name)
	b, also := o.Journey(name)
	return ok && also && a.Same(b)
}

func (c *Config) segmentRule(name string) string {
	for _, d := range c.Segments {
		if d.Name == name {
			return d.Rule.String()
		}
	}
	return ""
}

// changedFiles names the files of a thing that has several.
func changedFiles(was, is map[string][]byte) string {
	if len(was) == 1 && len(is) == 1 {
		return ""
	}
	var names []string
	for p := range is {
		if !bytes.Equal(was[p], is[p]) {
			names = append(names, path.Base(p))
		}
	}
	for p := range was {
		if _, ok := is[p]; !ok {
			names = append(names, path.Base(p)+" (removed)")
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

var kinds = []string{"workspace", "purposes", "source", "plan", "segment", "journey", "template", "provider", "destination", "notice", "page", "theme"}

func kindOfThing(t string) string { kind, _, _ := strings.Cut(t, "/"); return kind }

// grouped gives the files of each thing, under "kind/name".
func grouped(c *Config) map[string]map[string][]byte {
	out := map[string]map[string][]byte{}
	if c == nil {
		return out
	}
	for p, b := range c.Files {
		t := thing(p)
		if out[t] == nil {
			out[t] = map[string][]byte{}
		}
		out[t][p] = b
	}
	return out
}

// thing names what a file belongs to.
func thing(p string) string {
	switch p {
	case "rapport.yaml":
		return "workspace"
	case "purposes.yaml":
		return "purposes"
	case "theme.yaml":
		return "theme"
	}
	dir, rest, _ := strings.Cut(p, "/")
	name, _, _ := strings.Cut(rest, "/")
	return strings.TrimSuffix(dir, "s") + "/" + strings.TrimSuffix(name, ".yaml")
}
