// Package purview tells what each purpose may see: of people's traits, of the
// properties of events, of segments. What comes in are the tracking plans and what
// is made of their attributes; what goes out is one table of a configuration
// version, and for one purpose what it may see, also out of raw JSON. What no plan
// speaks of may serve every purpose. It decides nothing about a person: that
// somebody permits a purpose is asked in package consent.
package purview

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/profile"
	"rapport/internal/purpose"
)

// Use is what something may be used for.
type Use struct {
	Purposes purpose.Set
	Class    purpose.Class
}

// And gives what holds of something that is made of both.
func (u Use) And(o Use) Use {
	return Use{u.Purposes.And(o.Purposes), max(u.Class, o.Class)}
}

// field is one attribute and those below it. What it says holds for all below.
type field struct {
	use   Use
	below map[string]*field
	bound bool // it, or something below, is not for every purpose, or is sensitive
}

// Binds tells whether something may be hidden.
func (u Use) Binds() bool { return u.Purposes != nil || u.Class == purpose.Sensitive }

// Table is what all plans of a configuration say. It is immutable and safe for
// concurrent use. Nil permits everything.
type Table struct {
	plans    []planned
	computed map[string]Use // traits that journeys make out of others
	made     *field         // the same as what stands below a person, nil for none
	segments map[string]Use

	sensitive bool // something is
}

// planned is one plan: each event in all its versions.
type planned struct {
	traits, groups []*field
	tracks         map[string][]*field
	pages, screens map[string][]*field

	anyPage, anyScreen []*field // of all pages, in order of their names
}

// Of reads the plans. It gives nil where none says for what anything may be used, nor
// that it is sensitive.
func Of(set *plan.Set) *Table {
	t := &Table{}
	speaks := false
	for _, d := range set.Documents() {
		p := planned{tracks: map[string][]*field{}, pages: map[string][]*field{}, screens: map[string][]*field{}}
		for _, e := range d.Events {
			forms := formsOf(e)
			t.sensitive = t.sensitive || slices.ContainsFunc(forms, (*field).isSensitive)
			speaks = speaks || slices.ContainsFunc(forms, func(f *field) bool { return f.bound })
			switch e.Type {
			case event.Identify:
				p.traits = append(p.traits, forms...)
			case event.Group:
				p.groups = append(p.groups, forms...)
			case event.Track:
				p.tracks[e.Name] = forms
			case event.Page:
				p.pages[e.Name] = forms
			case event.Screen:
				p.screens[e.Name] = forms
			}
		}
		p.anyPage, p.anyScreen = all(p.pages), all(p.screens)
		t.plans = append(t.plans, p)
	}
	if !speaks {
		return nil
	}
	return t
}

// all gives the forms of events of all names.
func all(of map[string][]*field) (out []*field) {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		out = append(out, of[name]...)
	}
	return out
}

// formsOf reads the versions of one event.
func formsOf(e *plan.Event) []*field {
	out := make([]*field, 0, len(e.Versions))
	for _, v := range e.Versions {
		own := Use{e.Attribute.Purposes, e.Attribute.Class}
		f := &field{use: own, bound: own.Binds()}
		f.add(v.Fields, e.Type == event.Identify)
		out = append(out, f)
	}
	return out
}

func (f *field) isSensitive() bool {
	if f.use.Class == purpose.Sensitive {
		return true
	}
	for _, child := range f.below {
		if child.isSensitive() {
			return true
		}
	}
	return false
}

// add puts fields below. Both spellings of reserved names are one attribute; people's
// traits are kept under one of them.
func (f *field) add(fields map[string]*plan.Field, traits bool) {
	if len(fields) > 0 && f.below == nil {
		f.below = map[string]*field{}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		x := fields[name]
		child := &field{use: f.use.And(Use{x.Attribute.Purposes, x.Attribute.Class})}
		child.bound = child.use.Binds()
		child.into(x)
		f.bound = f.bound || child.bound
		names := []string{name}
		if twin, ok := profile.Twin(name); ok && !traits {
			names = append(names, twin)
		}
		if traits {
			names[0] = profile.Canonical(name)
		}
		for _, n := range names {
			if old := f.below[n]; old != nil && old != child {
				child.use = child.use.And(old.use) // It was planned under both spellings.
			}
			f.below[n] = child
		}
	}
}

// into adds what stands below a field; the items of a list are no step of a path.
func (f *field) into(x *plan.Field) {
	f.add(x.Fields, false)
	if x.Items != nil {
		inner := &field{use: f.use.And(Use{x.Items.Attribute.Purposes, x.Items.Attribute.Class})}
		if inner.use.Binds() {
			f.use, f.bound = inner.use, true
		}
		f.into(x.Items)
	}
}

// at walks down a path. What is not planned is used as what it stands in.
func (f *field) at(path []string) Use {
	for _, step := range path {
		child := f.below[step]
		if child == nil {
			if isIndex(step) {
				continue
			}
			return f.use
		}
		f = child
	}
	return f.use
}

// whole is at for what is read with all that stands below it.
func (f *field) whole(path []string) Use {
	out := f.at(path)
	if x := down(f, path); x != nil {
		for _, child := range x.below {
			out = out.And(child.whole(nil))
		}
	}
	return out
}

// Computing gives a table that knows the traits that journeys compute. Where no plan
// says anything any more, some of them may still be for some purposes only.
func (t *Table) Computing(traits map[string]Use) *Table {
	if t == nil {
		t = &Table{}
	}
	out := *t
	out.computed = map[string]Use{}
	for name, use := range traits {
		name = profile.Canonical(name) // as it is kept
		out.computed[name] = use.And(out.computed[name])
		out.sensitive = out.sensitive || use.Class == purpose.Sensitive
	}
	if out.made = nil; len(out.computed) > 0 {
		out.made = &field{below: make(map[string]*field, len(out.computed)), bound: true}
		for name, use := range out.computed {
			out.made.below[name] = &field{use: use, bound: true}
		}
	}
	return &out
}

// Dividing gives a table that knows the segments into which people are divided.
func (t *Table) Dividing(segments map[string]Use) *Table {
	if t == nil {
		return nil
	}
	out := *t
	out.segments = segments
	return &out
}

// Trait gives what the trait at a path of a person may be used for, apart from what
// stands below it.
func (t *Table) Trait(path string) Use { return t.trait(path, (*field).at) }

func (t *Table) trait(path string, use func(*field, []string) Use) (out Use) {
	steps := split(path)
	if t == nil || len(steps) == 0 {
		return out
	}
	steps[0] = profile.Canonical(steps[0])
	groups := steps[0] == profile.GroupTrait || steps[0] == profile.GroupsTrait
	if groups {
		steps = steps[1:]
	} else {
		out = t.computed[steps[0]]
	}
	for i := range t.plans {
		forms := t.plans[i].traits
		if groups {
			forms = t.plans[i].groups
		}
		for _, f := range forms {
			out = out.And(use(f, steps))
		}
	}
	return out
}

// Reads gives what may be done with what follows from the trait at a path: from all
// that stands below it, and from the parts of which a name may be joined.
func (t *Table) Reads(path string) Use {
	out := t.trait(path, (*field).whole)
	if !strings.Contains(path, ".") {
		for _, name := range profile.Reads(path) {
			out = out.And(t.trait(name, (*field).whole))
		}
	}
	return out
}

// Person gives what may be done with what follows from any trait, as where which one
// is read is found out only then.
func (t *Table) Person() (out Use) {
	if t == nil {
		return out
	}
	for _, use := range t.computed {
		out = out.And(use)
	}
	for i := range t.plans {
		for _, forms := range [...][]*field{t.plans[i].traits, t.plans[i].groups} {
			for _, f := range forms {
				out = out.And(f.whole(nil))
			}
		}
	}
	return out
}

// Event gives what an event may be used for that rules know by a name.
func (t *Table) Event(name string) Use { return t.Property(name, "") }

// Property gives the same of one of its properties, apart from what stands below it.
func (t *Table) Property(name, path string) Use { return t.property(name, path, (*field).at) }

// ReadsProperty gives what may be done with what follows from a property and all
// that stands below it, "" for all properties.
func (t *Table) ReadsProperty(name, path string) Use { return t.property(name, path, (*field).whole) }

func (t *Table) property(name, path string, use func(*field, []string) Use) (out Use) {
	if t == nil {
		return out
	}
	steps := split(path)
	for f := range t.named(name) {
		out = out.And(use(f, steps))
	}
	return out
}

// named gives the forms of all events that rules know by a name: views of pages go
// by one, whichever page it was.
func (t *Table) named(name string) iter.Seq[*field] {
	return func(yield func(*field) bool) {
		for i := range t.plans {
			p := &t.plans[i]
			var views []*field
			switch name {
			case profile.PageViewed:
				views = p.anyPage
			case profile.ScreenViewed:
				views = p.anyScreen
			}
			for _, forms := range [...][]*field{p.tracks[name], views} {
				for _, f := range forms {
					if !yield(f) {
						return
					}
				}
			}
		}
	}
}

// forms gives the forms of one event.
func (t *Table) forms(of event.Type, name string) iter.Seq[*field] {
	return func(yield func(*field) bool) {
		for i := range t.plans {
			for _, f := range t.plans[i].forms(of, name) {
				if !yield(f) {
					return
				}
			}
		}
	}
}

func (p *planned) forms(of event.Type, name string) []*field {
	switch of {
	case event.Track:
		return p.tracks[name]
	case event.Page:
		return either(p.pages, name)
	case event.Screen:
		return either(p.screens, name)
	case event.Identify:
		return p.traits
	case event.Group:
		return p.groups
	}
	return nil
}

func either(of map[string][]*field, name string) []*field {
	if f, ok := of[name]; ok {
		return f
	}
	return of["*"]
}

// Segment gives what a segment may be used for.
func (t *Table) Segment(name string) Use {
	if t == nil {
		return Use{}
	}
	return t.segments[name]
}
