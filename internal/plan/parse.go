package plan

import (
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
	"rapport/internal/plan/pii"
	"rapport/internal/rule"
)

// Limits of a plan, so that reading one is always quick.
const (
	maxEvents = 2000
	maxLevels = 16
)

// Parse reads a plan's file, plan/<name>.yaml. Every mistake is named at once;
// with one there is no plan.
func Parse(name string, n *yaml.Node) (*Document, []rule.Problem) {
	r := &reader{}
	if n != nil && n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = n.Content[0]
	}
	at := r.mapping(n, "a plan", "title", "description", "sources", "on_violation", "unplanned_events", "unplanned_fields", "violations",
		"events", "pages", "screens", "traits", "group_traits", "context", "personal_data")
	d := &Document{Name: name, Title: r.text(at["title"], "title"), Description: r.text(at["description"], "description"), Rules: r.rules(at)}
	d.Quiet = r.choice(at["violations"], "violations", []string{"event", "count"}) == 1
	d.Sources = r.sources(at["sources"])
	r.events(d, at["events"], event.Track, "events")
	r.events(d, at["pages"], event.Page, "pages")
	r.events(d, at["screens"], event.Screen, "screens")
	r.traits(d, at["traits"], event.Identify)
	r.traits(d, at["group_traits"], event.Group)
	if at["context"] != nil {
		d.Context = r.fields(at["context"], `"context"`, 0)
	}
	d.Personal = r.personal(at["personal_data"])
	if len(d.Events) > maxEvents {
		r.errorf(n, "make two plans, for different sources", "the plan has %d events, at most %d are read", len(d.Events), maxEvents)
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	if _, err := compile(d); err != nil {
		r.errorf(r.lineOf(d, n), "rapport plan show prints the schema of an event", "%v", err)
		return nil, r.problems
	}
	return d, nil
}

// lineOf finds the event whose schema is no schema, by trying each alone.
func (r *reader) lineOf(d *Document, n *yaml.Node) *yaml.Node {
	for _, e := range d.Events {
		if _, err := compile(&Document{Events: []*Event{e}}); err != nil {
			return &yaml.Node{Line: e.Versions[0].Line, Column: 1}
		}
	}
	return n
}

// sources reads whose events a plan judges: a list of names, or names with rules.
func (r *reader) sources(n *yaml.Node) map[string]Rules {
	if n == nil {
		return nil
	}
	out := map[string]Rules{}
	if n.Kind == yaml.MappingNode {
		r.each(n, `"sources"`, func(key, value *yaml.Node) {
			out[key.Value] = r.rules(r.mapping(value, "a source of a plan", "on_violation", "unplanned_events", "unplanned_fields"))
		})
		return out
	}
	for _, name := range r.words(n, "sources") {
		out[name] = Rules{}
	}
	return out
}

// events reads the planned events of one type, by name.
func (r *reader) events(d *Document, n *yaml.Node, t event.Type, what string) {
	r.each(n, strconv.Quote(what), func(key, value *yaml.Node) {
		at := r.mapping(value, "an event", "description", "on_violation", "unplanned_fields", "class", "purposes", "retention", "properties", "schema", "versions")
		e := &Event{Type: t, Name: key.Value, Description: r.text(at["description"], "description"), Rules: r.rules(at), Attribute: r.attribute(at)}
		if at["versions"] == nil {
			e.Versions = []Version{r.version(1, key, at)}
		} else {
			for _, other := range []string{"properties", "schema"} {
				if at[other] != nil {
					r.errorf(at[other], "move it under a version", "an event has %q or \"versions\", not both", other)
				}
			}
			e.Versions = r.versions(at["versions"])
		}
		d.Events = append(d.Events, e)
	})
}

func (r *reader) versions(n *yaml.Node) (out []Version) {
	r.each(n, `"versions"`, func(key, value *yaml.Node) {
		number, err := strconv.Atoi(key.Value)
		if err != nil || number < 1 {
			r.errorf(key, "write 1, 2, …, as context.protocols.event_version says them", "%q is no number of a version", key.Value)
			return
		}
		out = append(out, r.version(number, key, r.mapping(value, "a version", "description", "properties", "schema")))
	})
	slices.SortFunc(out, func(a, b Version) int { return a.Number - b.Number })
	if len(out) == 0 {
		r.errorf(n, "", "\"versions\" has no version")
		out = []Version{{Number: 1}}
	}
	return out
}

func (r *reader) version(number int, at *yaml.Node, of map[string]*yaml.Node) Version {
	v := Version{Number: number, Description: r.text(of["description"], "description"), Line: at.Line}
	v.Fields = r.fields(of["properties"], `"properties"`, 0)
	v.Schema = r.schema(of["schema"])
	return v
}

// traits reads the traits of people, or of groups.
func (r *reader) traits(d *Document, n *yaml.Node, t event.Type) {
	if n == nil {
		return
	}
	what := `"traits"`
	if t == event.Group {
		what = `"group_traits"`
	}
	d.Events = append(d.Events, &Event{Type: t, Versions: []Version{{Number: 1, Fields: r.fields(n, what, 0), Line: n.Line}}})
}

func (r *reader) fields(n *yaml.Node, what string, level int) map[string]*Field {
	if n == nil {
		return nil
	}
	out := map[string]*Field{}
	r.each(n, what, func(key, value *yaml.Node) {
		out[key.Value] = r.field(value, level+1)
	})
	return out
}

// types are the words of JSON Schema.
var types = []string{"string", "number", "integer", "boolean", "object", "array", "null"}

// field reads a field; a text alone is its type.
func (r *reader) field(n *yaml.Node, level int) *Field {
	f := &Field{}
	if level > maxLevels {
		r.errorf(n, "", "fields are nested deeper than %d levels", maxLevels)
		return f
	}
	if n.Kind == yaml.ScalarNode && !nothing(n) {
		f.Types = r.types(n)
		return f
	}
	at := r.mapping(n, "a field", "type", "required", "description", "enum", "format", "pattern", "minimum", "maximum", "items", "properties",
		"class", "purposes", "retention", "schema")
	f.Types, f.Required, f.Description = r.types(at["type"]), r.truth(at["required"], "required"), r.text(at["description"], "description")
	f.Format, f.Pattern = r.text(at["format"], "format"), r.text(at["pattern"], "pattern")
	f.Minimum, f.Maximum = r.number(at["minimum"], "minimum"), r.number(at["maximum"], "maximum")
	f.Attribute, f.Schema = r.attribute(at), r.schema(at["schema"])
	f.Fields = r.fields(at["properties"], `"properties"`, level)
	if items := at["items"]; items != nil {
		f.Items = r.field(items, level+1)
	}
	if enum := at["enum"]; enum != nil {
		if list, ok := r.value(enum).([]any); ok && len(list) > 0 {
			f.Enum = list
		} else {
			r.errorf(enum, "write for example [EUR, USD]", "\"enum\" must be a list of values")
		}
	}
	return f
}

func (r *reader) types(n *yaml.Node) []string {
	out := r.words(n, "type")
	for _, t := range out {
		if !slices.Contains(types, t) {
			r.errorf(n, didYouMean(t, types), "\"type\" cannot be %q", t)
		}
	}
	return out
}

func (r *reader) schema(n *yaml.Node) map[string]any {
	if n == nil {
		return nil
	}
	out, ok := r.value(n).(map[string]any)
	if !ok {
		r.errorf(n, "", "\"schema\" must be a mapping, a JSON Schema")
	}
	return out
}

// personal reads what is done about personal data.
func (r *reader) personal(n *yaml.Node) *Personal {
	if n == nil {
		return nil
	}
	keys := []string{"default", "places", "client_ip", "user_agent"}
	for _, k := range pii.Kinds() {
		keys = append(keys, k.String())
	}
	at := r.mapping(n, `"personal_data"`, keys...)
	act := func(key string, otherwise Act) Act {
		if i := r.choice(at[key], key, actNames); i >= 0 {
			return Act(i)
		}
		return otherwise
	}
	p := &Personal{Acts: DefaultActs(act("default", Report)), Places: r.words(at["places"], "places")}
	for k, a := range p.Acts {
		p.Acts[k] = act(k.String(), a)
	}
	p.IP = Shorten(max(r.choice(at["client_ip"], "client_ip", []string{"keep", "truncate", "drop"}), 0))
	p.Agent = Shorten(max(r.choice(at["user_agent"], "user_agent", []string{"keep", "reduce", "drop"}), 0))
	return p
}

// Purposes lists the purposes that a plan names, with what names each.
func (d *Document) Purposes() map[string]string {
	out := map[string]string{}
	add := func(a Attribute, what string) {
		for _, p := range a.Purposes {
			if _, there := out[string(p)]; !there {
				out[string(p)] = what
			}
		}
	}
	var walk func(fields map[string]*Field, what string)
	walk = func(fields map[string]*Field, what string) {
		for name, f := range fields {
			for ; f != nil; f = f.Items {
				add(f.Attribute, what+"."+name)
				walk(f.Fields, what+"."+name)
			}
		}
	}
	for _, e := range d.Events {
		add(e.Attribute, e.label())
		for i := range e.Versions {
			walk(e.Versions[i].Fields, e.label())
		}
	}
	walk(d.Context, "context")
	return out
}

// Label names an event for readers: `track "Order Completed"`, `identify`.
func (e *Event) Label() string { return e.label() }
