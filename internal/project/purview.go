package project

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/journey"
	"rapport/internal/purpose"
	"rapport/internal/purview"
	"rapport/internal/rule"
	"rapport/internal/segment"
)

// crossPurposes finds out for what everything may be used that is made of people's
// attributes, and refuses uses for another purpose.
func (l *loader) crossPurposes() {
	table := purview.Of(l.config.Plans)
	if table == nil && len(l.former) == 0 || l.config.Policy == nil {
		return
	}
	table = l.computed(table)
	u := &uses{l: l, table: table, segments: map[string]purview.Use{}}
	for i := range l.config.Segments {
		u.segment(l.config.Segments[i].Name, nil)
	}
	l.config.Purview = table.Dividing(u.segments)
	for i := range l.config.Segments {
		l.inherit(&l.config.Segments[i], u.segments)
	}
	for _, d := range l.config.Journeys {
		u.journey(d)
	}
	for _, name := range l.templateNames() {
		u.template(name)
	}
	for _, n := range l.in("destinations") {
		if d, ok := l.config.Destination(n.name); ok {
			u.destination(n.file, d)
		}
	}
}

// computed adds the traits that journeys compute: each may be used for what all that
// it is made of may be, and no more than while earlier configurations computed it, for
// values of then are still there. One may be made of another, so it is asked again
// until nothing changes; sets only ever grow smaller.
func (l *loader) computed(table *purview.Table) *purview.Table {
	made := maps.Clone(l.former)
	for changed := true; changed; {
		changed = false
		known := table.Computing(made)
		next := map[string]purview.Use{}
		maps.Copy(next, l.former)
		for _, d := range l.config.Journeys {
			from := begins(d)
			for _, v := range d.Refs().Values {
				use := next[v.Trait]
				for _, path := range v.Reads {
					use = use.And(from.read(known, path))
				}
				next[v.Trait] = use
			}
		}
		for name, use := range next {
			if old := made[name]; old.Class != use.Class || !old.Purposes.Equal(use.Purposes) {
				changed = true
			}
		}
		made = next
	}
	l.config.Computed = maps.Clone(made)
	maps.DeleteFunc(l.config.Computed, func(_ string, use purview.Use) bool { return !use.Binds() })
	return table.Computing(made)
}

// origin is what a journey knows as trigger: the properties of an event, or the date
// in a trait, or what is nobody's attribute.
type origin struct{ event, trait string }

func begins(d *journey.Definition) origin {
	if kind, name := d.Trigger(); kind == journey.OnNamedEvent {
		return origin{event: name}
	}
	return origin{trait: d.DateTrait()}
}

// read gives what may be done with a value that Liquid in a journey reads.
func (o origin) read(table *purview.Table, path string) purview.Use {
	root, rest := cutRoot(path)
	switch {
	case root == "person" && rest == "":
		return table.Person()
	case root == "person":
		return table.Reads(rest)
	case root == "trigger" && o.event != "":
		return table.ReadsProperty(o.event, rest)
	case root == "trigger" && o.trait != "":
		return table.Reads(o.trait)
	}
	return purview.Use{}
}

// sent gives what a template that the journey sends reads of its trigger at a path,
// and what that may be used for.
func (u *uses) sent(o origin, path string) attribute {
	if o.trait != "" {
		return attribute{"the date in " + u.trait(o.trait), u.table.Trait(o.trait)}
	}
	return attribute{fmt.Sprintf("the property %q of %q", path, o.event), u.table.Property(o.event, path)}
}

// cutRoot takes the first name off a path as Liquid has it, and gives the rest as a
// rule has it.
func cutRoot(path string) (root, rest string) {
	i := strings.IndexAny(path, ".[")
	if i < 0 {
		return path, ""
	}
	return path[:i], purview.FromTemplate(strings.TrimPrefix(path[i:], "."))
}

// inherit gives a segment what it may be used for, and whom it asks.
func (l *loader) inherit(d *segment.Definition, of map[string]purview.Use) {
	d.Use = of[d.Name]
	if d.Use.Purposes == nil {
		return
	}
	for _, p := range l.config.Policy.Purposes() {
		if d.Use.Purposes.Serves(p.Name) {
			d.Asks = append(d.Asks, p.Name)
		}
	}
	if f := l.parsed["segments/"+d.Name+".yaml"]; f != nil && len(d.Asks) == 0 {
		d.Asks = []purpose.Purpose{""} // No purpose has this name, so nobody permits it.
		f.problem(f.find("rule"), l.outside, "ask less, or give what it reads a purpose in common in the plan", "what this segment reads has no purpose in common: nobody may use it")
	}
}

// uses finds out what may be used for what.
type uses struct {
	l        *loader
	table    *purview.Table
	segments map[string]purview.Use // as far as they are known
}

// attribute is one thing that is read, as it is called, with what it may be used for.
type attribute struct {
	what string
	use  purview.Use
}

// reads lists what a rule reads: traits, what is counted of events, and segments.
func (u *uses) reads(traits []string, tallies []rule.Tally, segments []string, path []string) (out []attribute) {
	for _, t := range traits {
		out = append(out, attribute{u.trait(t), u.table.Reads(t)})
	}
	for i := range tallies {
		out = append(out, u.counts(&tallies[i])...)
	}
	for _, s := range segments {
		out = append(out, attribute{fmt.Sprintf("the segment %q", s), u.segment(s, path)})
	}
	return out
}

// trait names one for readers: one that no plan limits may be because of what it was
// made of in an earlier configuration.
func (u *uses) trait(path string) string {
	name, _, _ := strings.Cut(path, ".")
	if _, was := u.l.former[name]; was {
		return fmt.Sprintf("the trait %q, which was computed once,", path)
	}
	return fmt.Sprintf("the trait %q", path)
}

func (u *uses) counts(t *rule.Tally) []attribute {
	out := []attribute{{fmt.Sprintf("the event %q", t.Event), u.table.Event(t.Event)}}
	for _, p := range t.Reads() {
		out = append(out, attribute{fmt.Sprintf("the property %q of %q", p, t.Event), u.table.ReadsProperty(t.Event, p)})
	}
	return out
}

// segment gives what all that a segment reads may be used for. A circle, which is
// refused elsewhere, ends here.
func (u *uses) segment(name string, path []string) purview.Use {
	if use, ok := u.segments[name]; ok || slices.Contains(path, name) {
		return use
	}
	var out purview.Use
	for _, a := range u.reasons(name, path) {
		out = out.And(a.use)
	}
	u.segments[name] = out
	return out
}

func (u *uses) reasons(name string, path []string) []attribute {
	i := slices.IndexFunc(u.l.config.Segments, func(d segment.Definition) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	r := u.l.config.Segments[i].Rule
	return u.reads(r.Traits(), r.Tallies(), r.Segments(), append(slices.Clip(path), name))
}

// refuse reports a use for a purpose that what is used does not serve.
func (u *uses) refuse(f *file, at *yaml.Node, a attribute, why purpose.Purpose) {
	if !a.use.Purposes.Serves(why) {
		message, hint := refusal(a, why)
		f.problem(at, u.l.outside, hint, "%s", message)
	}
}

// refusal says what may not be, and what to do instead.
func refusal(a attribute, why purpose.Purpose) (message, hint string) {
	hint = "leave it out, "
	if len(a.use.Purposes) > 0 {
		hint += fmt.Sprintf("do this for %s, ", a.use.Purposes)
	}
	return fmt.Sprintf("%s may be used for %s, not for %q", a.what, a.use.Purposes, why),
		hint + fmt.Sprintf("or add %q to its purposes in the plan", why)
}

// named gives a segment with what in it is the reason, where a purpose may not use it.
func (u *uses) named(name string, why purpose.Purpose) attribute {
	a := attribute{fmt.Sprintf("the segment %q", name), u.segments[name]}
	for _, r := range u.reasons(name, nil) {
		if !r.use.Purposes.Serves(why) {
			a.what += " (it reads " + r.what + ")"
			break
		}
	}
	return a
}

// journey holds everything that a journey asks against its purpose.
func (u *uses) journey(d *journey.Definition) {
	f, why, refs := u.l.parsed["journeys/"+d.Name()+".yaml"], d.Purpose(), d.Refs()
	from := begins(d)
	for _, r := range refs.Traits {
		u.refuse(f, at(r.Line, r.Column), attribute{u.trait(r.Name), u.table.Reads(r.Name)}, why)
	}
	for _, r := range refs.Properties {
		if from.event != "" {
			u.refuse(f, at(r.Line, r.Column), attribute{fmt.Sprintf("the property %q of %q", r.Name, from.event), u.table.ReadsProperty(from.event, r.Name)}, why)
		}
	}
	for i := range refs.Tallies {
		where := f.root
		for _, r := range refs.Events {
			if r.Name == refs.Tallies[i].Event {
				where = at(r.Line, r.Column)
			}
		}
		for _, a := range u.counts(&refs.Tallies[i]) {
			u.refuse(f, where, a, why)
		}
	}
	for _, r := range refs.Segments {
		u.refuse(f, f.nameAt(r), u.named(r.Name, why), why)
	}
	for _, v := range refs.Values {
		for _, path := range v.Reads {
			u.refuse(f, at(v.Line, v.Column), attribute{fmt.Sprintf("%q", path), from.read(u.table, path)}, why)
		}
	}
}

// template holds what a template reads against its purpose, and what it reads of the
// event that began a journey against the purpose for which that sends it.
func (u *uses) template(name string) {
	t := u.l.config.Templates[name]
	if t == nil {
		return
	}
	for _, s := range t.Spots {
		root, rest := cutRoot(s.Path)
		switch {
		case rest == "":
		case root == "person":
			use := u.table.Trait(rest) // A view takes out what is hidden below it.
			if rest == "name" {
				use = u.table.Reads(rest)
			}
			if !use.Purposes.Serves(t.Purpose) {
				message, hint := refusal(attribute{u.trait(rest), use}, t.Purpose)
				u.l.report.add(Problem{File: u.l.templateFile(name, s.File), Line: s.Line, Column: s.Column, Severity: u.l.outside, Message: message, Hint: hint})
			}
		case root == "trigger":
			for _, d := range u.l.config.Journeys {
				from := begins(d)
				for _, send := range d.Refs().Sends {
					a := u.sent(from, rest)
					if from == (origin{}) || send.Template != name || a.use.Purposes.Serves(send.Purpose) {
						continue
					}
					message, hint := refusal(a, send.Purpose)
					u.l.report.add(Problem{
						File: u.l.templateFile(name, s.File), Line: s.Line, Column: s.Column, Severity: u.l.outside,
						Message: message + ", for which the journey " + d.Name() + " sends this", Hint: hint,
					})
				}
			}
		}
	}
}

// destination refuses what a destination asks for by name and may not be told. Of
// all that it wants otherwise it is told what its purpose may see.
func (u *uses) destination(f *file, d Destination) {
	for _, name := range d.Segments.Names {
		u.refuse(f, findItem(f.find("segments"), name), u.named(name, d.Purpose), d.Purpose)
	}
	for _, name := range d.Events.Names {
		a := attribute{fmt.Sprintf("the event %q", name), u.table.Event(name)}
		if u.refuse(f, findItem(f.find("events"), name), a, d.Purpose); !a.use.Purposes.Serves(d.Purpose) {
			continue
		}
		for _, path := range d.Where.Reads() {
			u.refuse(f, f.find("where"), attribute{fmt.Sprintf("the property %q of %q", path, name), u.table.ReadsProperty(name, path)}, d.Purpose)
		}
	}
}
