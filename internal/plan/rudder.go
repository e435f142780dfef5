package plan

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
)

// SpecFile is one file of a RudderStack project as its CLI keeps it.
type SpecFile struct {
	Name string
	Data []byte
}

// ImportSpecs reads the YAML of RudderStack's CLI: tracking plans with the events,
// properties and custom types that they point to, in both forms of the specs
// ("#/properties/group/id" of rudder/v0.1, "#property:id" of rudder/v1), whichever form
// a file points with. It gives a plan for each tracking plan; notes name what could not
// be taken over.
//
// Shapes: github.com/rudderlabs/rudder-iac.
func ImportSpecs(files []SpecFile) (docs []*Document, notes []string, err error) {
	c := catalog{byRef: map[string]*spec{}, also: map[string][]*spec{}}
	for _, f := range files {
		if err := c.read(f); err != nil {
			return nil, c.notes, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	for ref, named := range c.also {
		if c.byRef[ref] == nil && len(named) == 1 {
			c.byRef[ref] = named[0]
		}
	}
	if c.others > 0 {
		c.note("%d files hold nothing of a tracking plan and were left out", c.others)
	}
	if len(c.plans) == 0 {
		return nil, c.notes, errors.New("none of the files is a tracking plan: its kind is tracking-plan or, in older projects, tp")
	}
	names := map[string]string{}
	for _, p := range c.plans {
		d, err := c.document(p)
		if err != nil {
			return nil, c.notes, fmt.Errorf("%s: %w", p.file, err)
		}
		if other := names[d.Name]; other != "" {
			return nil, c.notes, fmt.Errorf("%s: the plan would have the same name, %s, as that of %s: give one another id", p.file, d.Name, other)
		}
		names[d.Name] = p.file
		docs = append(docs, d)
	}
	return docs, c.notes, nil
}

// spec is one thing that others may point to.
type spec struct {
	file string
	of   map[string]any
}

// catalog is all that the files hold.
type catalog struct {
	byRef  map[string]*spec
	also   map[string][]*spec // by the form of reference that the file's own version has not
	plans  []*spec
	notes  []string
	others int
}

func (c *catalog) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.notes, text) {
		c.notes = append(c.notes, text)
	}
}

// specKinds are the lists in files that hold several things, by kind: the list's key,
// how a group of them is named in older references, and one of them in newer.
var specKinds = map[string][3]string{
	"events": {"events", "events", "event"}, "properties": {"properties", "properties", "property"},
	"custom-types": {"types", "custom-types", "custom-type"},
}

// read takes one file up.
func (c *catalog) read(f SpecFile) error {
	v, err := oneDocument(f.Data)
	if err != nil {
		return err
	}
	top, _ := v.(map[string]any)
	kind, version := first(top, "kind"), first(top, "version")
	if kind == "" || !strings.HasPrefix(version, "rudder/") {
		c.others++
		return nil
	}
	if known := []string{"rudder/v1", "rudder/v0.1", "rudder/0.1"}; !slices.Contains(known, version) {
		return fmt.Errorf("its version is %q, and those that can be read are %s", version, strings.Join(known, ", "))
	}
	body, _ := top["spec"].(map[string]any)
	about, _ := top["metadata"].(map[string]any)
	group := first(about, "name")
	switch kind {
	case "tp", "tracking-plan":
		p := &spec{f.Name, body}
		c.plans = append(c.plans, p)
		return c.put(p, "#/tp/"+group, "#/tp/"+first(body, "id"))
	case "events", "properties", "custom-types":
		how := specKinds[kind]
		for _, one := range mapsIn(body[how[0]]) {
			id := first(one, "id")
			if id == "" {
				return fmt.Errorf("one of the %s has no id", how[1])
			}
			ref, other := "#"+how[2]+":"+id, "#/"+how[1]+"/"+group+"/"+id
			if version != "rudder/v1" {
				ref, other = other, ref
			}
			it := &spec{f.Name, one}
			if err := c.put(it, ref); err != nil {
				return err
			}
			c.also[other] = append(c.also[other], it)
		}
	case "categories":
		c.note("categories of events were left out: a plan here has none")
	default:
		c.others++
	}
	return nil
}

func (c *catalog) put(s *spec, refs ...string) error {
	for _, ref := range slices.Compact(refs) {
		if other := c.byRef[ref]; other != nil {
			return fmt.Errorf("%s is in %s already", ref, other.file)
		}
		c.byRef[ref] = s
	}
	return nil
}

// oneDocument reads a YAML file that holds one document.
func oneDocument(data []byte) (any, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var n, more yaml.Node
	switch err := d.Decode(&n); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("it is no YAML: %w", err)
	}
	if d.Decode(&more) == nil {
		return nil, errors.New("it holds several documents (---): a spec is a file of its own")
	}
	var r reader
	if len(n.Content) == 0 {
		return nil, nil
	}
	v := r.value(n.Content[0])
	if len(r.problems) > 0 {
		return nil, fmt.Errorf("line %d: %s", r.problems[0].Line, r.problems[0].Message)
	}
	return v, nil
}

// mapsIn gives the mappings of a list.
func mapsIn(v any) (out []map[string]any) {
	list, _ := v.([]any)
	for _, one := range list {
		if m, ok := one.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// document makes a plan of one tracking plan.
func (c *catalog) document(p *spec) (*Document, error) {
	id := cmp.Or(first(p.of, "id"), first(p.of, "display_name"))
	f := foreign{d: &Document{Name: Slug(id), Title: first(p.of, "display_name"), Description: first(p.of, "description")}}
	rules, err := c.rules(p)
	if err != nil {
		return nil, err
	}
	for _, rule := range rules {
		if err := c.rule(&f, rule); err != nil {
			return nil, fmt.Errorf("the rule %q: %w", first(rule, "id"), err)
		}
	}
	for _, n := range f.notes {
		c.note("%s: %s", f.d.Name, n)
	}
	if len(f.d.Events) == 0 {
		return nil, errors.New("the plan has no event")
	}
	if _, err := compile(f.d); err != nil {
		return nil, err
	}
	return f.d, nil
}

// Slug makes the name of a plan's file of an id.
func Slug(id string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		}
		return '-'
	}, id), "-_")
}

// rules lists the rules of a plan, those of other plans that it includes among them.
func (c *catalog) rules(p *spec) (out []map[string]any, err error) {
	for _, rule := range mapsIn(p.of["rules"]) {
		includes, ok := rule["includes"].(map[string]any)
		if !ok {
			out = append(out, rule)
			continue
		}
		ref := first(includes, "$ref")
		of, which, ok := strings.Cut(ref, "/event_rule/")
		other := c.byRef[of]
		if !ok || other == nil {
			return nil, fmt.Errorf("it includes %q, which none of the files has", ref)
		}
		found := false
		for _, one := range mapsIn(other.of["rules"]) {
			if _, again := one["includes"]; !again && (which == "*" || first(one, "id") == which) {
				out, found = append(out, one), true
			}
		}
		if !found {
			return nil, fmt.Errorf("it includes %q, and there is no such rule", ref)
		}
	}
	return out, nil
}

// rule adds the event of one rule.
func (c *catalog) rule(f *foreign, rule map[string]any) error {
	ref, about := first(rule, "event"), rule
	if m, ok := rule["event"].(map[string]any); ok { // as it was before rudder/v1
		ref, about = first(m, "$ref"), m
	}
	e := c.byRef[ref]
	if e == nil {
		return c.missing("an event", ref)
	}
	kind := strings.ToLower(cmp.Or(first(e.of, "event_type"), "track"))
	t, known := event.ParseType(kind)
	if !known || t == event.Alias {
		c.note("%s: %q is of the type %q, which is not planned here", f.d.Name, first(e.of, "name", "id"), kind)
		return nil
	}
	part := "properties"
	if t == event.Identify || t == event.Group {
		part = "traits"
	}
	switch where := first(about, "identity_section"); {
	case where == "" || part == "properties" && where == "properties" || part == "traits" && where != "properties":
	default:
		c.note("%s: the rule %q reads the %s of a %s; a plan here has its %s", f.d.Name, first(rule, "id"), where, kind, part)
	}
	schema, err := c.object(rule, nil)
	if err != nil {
		return err
	}
	for _, key := range [...]string{"additional_properties", "allow_unplanned"} {
		if about[key] == true {
			schema["additionalProperties"] = true
		}
	}
	f.event(t, first(e.of, "name"), first(e.of, "description"), 1, map[string]any{"properties": map[string]any{part: schema}})
	return nil
}

func (c *catalog) missing(what, ref string) error {
	if ref == "" {
		return fmt.Errorf("it points to no %s", strings.TrimPrefix(strings.TrimPrefix(what, "an "), "a "))
	}
	if len(c.also[ref]) > 1 {
		return fmt.Errorf("it points to %s %q, of which there are several: name the group too, as in #/events/GROUP/ID", what, ref)
	}
	return fmt.Errorf("it points to %s %q, which none of the files has: give the whole folder of the project", what, ref)
}
