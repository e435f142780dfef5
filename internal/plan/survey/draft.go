package survey

import (
	"cmp"
	"slices"
	"strings"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/purpose"
)

// needed is how much of its events must have a field until a draft asks for it,
// and how many events there must be until a draft believes what it sees.
const (
	needed  = 0.9999
	trusted = 20
)

// Draft makes a tracking plan of what a source sends: to be read, and put right,
// by somebody who knows what it should send. It changes nothing that comes:
// everything is taken, and told.
func Draft(s Source) *plan.Document {
	d := &plan.Document{
		Name: s.Source, Title: "What " + s.Source + " sends", Sources: map[string]plan.Rules{s.Source: {}},
		Description: "Drafted from what came. Read every line, and say what becomes of the rest: on_violation, unplanned_events, unplanned_fields.",
		Personal:    &plan.Personal{Acts: plan.DefaultActs(plan.Report)},
	}
	for _, k := range s.Kinds {
		t, ok := event.ParseType(k.Type)
		if !ok || t == event.Alias {
			continue
		}
		e := &plan.Event{Type: t, Name: k.Name, Versions: []plan.Version{{Number: 1, Fields: fields(k)}}}
		if t == event.Identify || t == event.Group {
			for _, f := range e.Versions[0].Fields {
				f.Required = false // Calls bring what is new or has changed.
			}
		}
		d.Events = append(d.Events, e)
	}
	slices.SortStableFunc(d.Events, func(a, b *plan.Event) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name)) })
	return d
}

// fields makes a tree of the paths of an event.
func fields(k Kind) map[string]*plan.Field {
	out := map[string]*plan.Field{}
	for _, f := range k.Fields { // By path, so that what is above comes first.
		steps := strings.Split(f.Path, ".")
		at := out
		for i, step := range steps {
			name, list := strings.CutSuffix(step, "[]")
			if i == len(steps)-1 {
				at[name] = planned(f, k.Count)
				break
			}
			above := at[name]
			if above == nil { // Its name holds a dot, or it is beyond what was counted.
				break
			}
			if list {
				if above.Items == nil {
					above.Items = &plan.Field{Types: []string{"object"}}
				}
				above = above.Items
			}
			if above.Fields == nil {
				above.Fields = map[string]*plan.Field{}
			}
			at = above.Fields
		}
	}
	return out
}

func planned(f Field, count int64) *plan.Field {
	out := &plan.Field{Required: f.Filled >= needed && count >= trusted}
	for _, t := range []string{"string", "number", "integer", "boolean", "object", "array", "null"} {
		if f.Types[t] > 0 && (t != "integer" || f.Types["number"] == 0) {
			out.Types = append(out.Types, t)
		}
	}
	for _, v := range f.Values {
		if !strings.Contains(v, `\`) {
			out.Enum = append(out.Enum, v)
		}
	}
	if len(out.Enum) != len(f.Values) || count < trusted || slices.Contains(out.Types, "null") {
		out.Enum = nil
	}
	if f.Personal != "" {
		out.Attribute.Class = purpose.Personal
		out.Description = "holds personal data (" + f.Personal + "): should it?"
	}
	return out
}
