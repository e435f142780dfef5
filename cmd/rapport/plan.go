package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rapport/internal/plan"
	"rapport/internal/plan/survey"
	"rapport/internal/project"
)

func planCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Draft, import, read and try tracking plans",
		Long: `A tracking plan says which events a source may send, with which fields, and what
becomes of the rest; docs/plan.md. Plans stand in the folder plan/ of the
configuration and take effect with it: rapport apply.`,
		Example: `  rapport plan infer --source website > shop/plan/website.yaml
  rapport plan import segment.json > shop/plan/website.yaml
  rapport plan check shop --events yesterday.ndjson --source website
  rapport plan show shop "Order Completed"`,
	}
	cmd.AddCommand(planCheck(c), planInfer(c), planImport(c), planShow(c))
	return cmd
}

func planInfer(c *console) *cobra.Command {
	var source, file string
	var when span
	var limit int
	cmd := &cobra.Command{
		Use:   "infer",
		Short: "Draft a plan from what a source really sends",
		Long: `Infer reads what a running server's log holds of a source, or a file with one
event on each line, and prints a plan that it all keeps to: fields that are
always there are required, those with a few words get an enum. Read it before
you use it: it cannot know what should be sent. Fields that hold personal data
are marked, and no value of them is in the draft.`,
		Example: `  rapport plan infer --source website > shop/plan/website.yaml
  rapport plan infer --source website --since 48h
  rapport plan infer --source website --file events.ndjson`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if source == "" {
				return usagef("--source says whose events the plan is for")
			}
			var of []survey.Source
			if file != "" {
				events, err := c.readEvents(file, source)
				if err != nil {
					return err
				}
				s := survey.New()
				for i := range events {
					s.Add(&events[i])
				}
				of = s.Report()
			} else {
				q := map[string]string{"source": source, "limit": fmt.Sprint(limit)}
				if err := when.into(q, c.now()); err != nil {
					return err
				}
				cl, err := c.client()
				if err != nil {
					return err
				}
				var a sourcesAnswer
				if err := cl.get(cmd.Context(), "/v1/sources/report", q, &a); err != nil {
					return err
				}
				of = a.Sources
			}
			if len(of) == 0 {
				return &exitError{code: exitNotFound, err: fmt.Errorf("nothing of %s is there to draft a plan from", source)}
			}
			return c.printPlan(survey.Draft(of[0]))
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "whose events")
	cmd.Flags().StringVar(&file, "file", "", "instead of asking a server, read events from a file, one JSON object a line; - is standard input")
	when.flags(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 200_000, "how many records of each lane are looked through, newest first")
	return cmd
}

// printPlan writes a plan as its file, or for programs with the file in it.
func (c *console) printPlan(d *plan.Document) error {
	text, err := plan.Write(d)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(map[string]any{"plan": string(text)})
	}
	c.printf("%s", text)
	return nil
}

// judged is what became of the events of a file.
type judged struct {
	Events     int              `json:"events"`
	Effects    map[string]int   `json:"effects"`
	Violations []judgedViolated `json:"violations"`
}

type judgedViolated struct {
	Event       string `json:"event"`
	Kind        string `json:"kind"`
	Field       string `json:"field"`
	Description string `json:"description"`
	Count       int    `json:"count"`
}

func planCheck(c *console) *cobra.Command {
	var events, source string
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Name every mistake in the plans of a folder, and try them on events",
		Long: `Check reads the configuration folder as rapport check does. With --events it
holds each line of a file, a JSON object as SDKs send them, against the plan of
a source and tells what would become of it. Nothing is sent.`,
		Example: `  rapport plan check shop
  rapport plan check shop --source website --events yesterday.ndjson`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			config, problems, err := c.load(args[0])
			if err != nil {
				return err
			}
			if config == nil || events == "" {
				return c.report(args[0], config, problems, false)
			}
			if source == "" {
				return usagef("--events needs --source: whose events they are")
			}
			p := config.Plans.For(source)
			if p == nil {
				return &exitError{code: exitNotFound, err: fmt.Errorf("the source %q follows no plan of %s", source, args[0])}
			}
			return c.tryPlan(p, events, source)
		},
	}
	cmd.Flags().StringVar(&events, "events", "", "a file with one event on each line; - is standard input")
	cmd.Flags().StringVar(&source, "source", "", "whose events they are")
	return cmd
}

// tryPlan tells what would become of events.
func (c *console) tryPlan(p *plan.Plan, file, source string) error {
	events, err := c.readEvents(file, source)
	if err != nil {
		return err
	}
	out := judged{Events: len(events), Effects: map[string]int{}, Violations: []judgedViolated{}}
	at := map[judgedViolated]int{}
	for i := range events {
		v := p.Judge(&events[i], nil)
		out.Effects[v.Effect.String()]++
		for _, x := range v.Violations {
			k := judgedViolated{Event: plan.SafeName(events[i].Name), Kind: x.Kind, Field: x.Field, Description: x.Description}
			if _, there := at[k]; !there {
				at[k] = len(out.Violations)
				out.Violations = append(out.Violations, k)
			}
			out.Violations[at[k]].Count++
		}
	}
	slices.SortStableFunc(out.Violations, func(a, b judgedViolated) int { return b.Count - a.Count })
	if c.json {
		return c.printJSON(out)
	}
	var rows [][]string
	for _, v := range out.Violations {
		rows = append(rows, []string{thousands(int64(v.Count)), clean(v.Event), v.Kind, clean(v.Description)})
	}
	if len(rows) > 0 {
		c.table([]string{">EVENTS", "EVENT", "KIND", "WHAT"}, rows)
		c.printf("\n")
	}
	var parts []string
	for _, effect := range slices.Sorted(maps.Keys(out.Effects)) {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(int64(out.Effects[effect])), effect))
	}
	c.printf("%s: %s\n", count(int64(out.Events), "event", "events"), strings.Join(parts, ", "))
	return nil
}

func planShow(c *console) *cobra.Command {
	var schema bool
	cmd := &cobra.Command{
		Use:   "show DIR [EVENT]",
		Short: "Show the plans of a folder, or one event with its fields",
		Example: `  rapport plan show shop
  rapport plan show shop "Order Completed"
  rapport plan show shop "Order Completed" --schema`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			config, problems, err := c.load(args[0])
			if err != nil {
				return err
			}
			if config == nil {
				return c.report(args[0], config, problems, false)
			}
			if len(args) == 1 {
				return c.listPlans(config)
			}
			return c.showPlanned(config, args[1], schema)
		},
	}
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of its fields")
	return cmd
}

// plannedEvent is a planned event for programs.
type plannedEvent struct {
	Plan     string         `json:"plan"`
	Type     string         `json:"type"`
	Event    string         `json:"event"`
	Says     string         `json:"description,omitempty"`
	Versions []int          `json:"versions"`
	Fields   []plannedField `json:"fields"`
}

type plannedField struct {
	Field     string   `json:"field"`
	Types     []string `json:"types"`
	Required  bool     `json:"required,omitempty"`
	Class     string   `json:"class,omitempty"`
	Purposes  []string `json:"purposes,omitempty"`
	Retention string   `json:"retention,omitempty"`
	Says      string   `json:"description,omitempty"`
}

func (c *console) listPlans(config *project.Config) error {
	var all []plannedEvent
	var rows [][]string
	for _, d := range config.Plans.Documents() {
		for _, e := range d.Events {
			v := viewOfPlanned(d, e)
			all = append(all, v)
			rows = append(rows, []string{v.Plan, v.Type, clean(v.Event), fmt.Sprint(len(v.Fields)), clean(v.Says)})
		}
	}
	if c.json {
		return c.printJSON(map[string]any{"events": all})
	}
	if len(rows) == 0 {
		c.printf("there is no plan; draft one with `rapport plan infer`\n")
		return nil
	}
	c.table([]string{"PLAN", "TYPE", "EVENT", ">FIELDS", "WHAT IT IS"}, rows)
	return nil
}

func viewOfPlanned(d *plan.Document, e *plan.Event) plannedEvent {
	out := plannedEvent{Plan: d.Name, Type: e.Type.String(), Event: e.Name, Says: e.Description, Fields: []plannedField{}}
	for _, v := range e.Versions {
		out.Versions = append(out.Versions, v.Number)
	}
	newest := e.Versions[len(e.Versions)-1]
	for _, path := range newest.Paths() {
		f, a := newest.At(e, path)
		one := plannedField{Field: path, Types: f.Types, Required: f.Required, Class: a.Class.String(), Says: f.Description}
		for _, p := range a.Purposes {
			one.Purposes = append(one.Purposes, string(p))
		}
		if a.Retention > 0 {
			one.Retention = plan.Span(a.Retention)
		}
		out.Fields = append(out.Fields, one)
	}
	return out
}

func (c *console) showPlanned(config *project.Config, name string, schema bool) error {
	found := false
	for _, d := range config.Plans.Documents() {
		for _, e := range d.Events {
			if e.Name != name && e.Type.String() != name {
				continue
			}
			found = true
			if schema {
				for i := range e.Versions {
					c.printf("%s\n", e.Schema(&e.Versions[i]))
				}
				continue
			}
			v := viewOfPlanned(d, e)
			if c.json {
				if err := c.printJSON(v); err != nil {
					return err
				}
				continue
			}
			c.showFields(v)
		}
	}
	if !found {
		return &exitError{code: exitNotFound, err: fmt.Errorf("no plan has the event %q; `rapport plan show` lists those that are planned", name)}
	}
	return nil
}

func (c *console) showFields(v plannedEvent) {
	c.pairs([2]string{"plan", v.Plan}, [2]string{"type", v.Type}, [2]string{"event", clean(v.Event)}, [2]string{"what it is", clean(v.Says)},
		[2]string{"versions", strings.Trim(fmt.Sprint(v.Versions), "[]")})
	c.printf("\n")
	var rows [][]string
	for _, f := range v.Fields {
		must := ""
		if f.Required {
			must = "required"
		}
		rows = append(rows, []string{clean(f.Field), strings.Join(f.Types, ", "), must, f.Class, strings.Join(f.Purposes, ", "), f.Retention, clean(f.Says)})
	}
	c.table([]string{"FIELD", "TYPE", "", "CLASS", "PURPOSES", "KEPT", "WHAT IT MEANS"}, rows)
}

// wireEvent is an event as SDKs send it, as far as a plan looks at it.
type wireEvent struct {
	Type       string          `json:"type"`
	Event      string          `json:"event"`
	Name       string          `json:"name"`
	UserID     string          `json:"userId"`
	Anonymous  string          `json:"anonymousId"`
	GroupID    string          `json:"groupId"`
	Timestamp  string          `json:"timestamp"`
	Properties json.RawMessage `json:"properties"`
	Traits     json.RawMessage `json:"traits"`
	Context    json.RawMessage `json:"context"`
}

// compact gives an object without white space; nil for what is none.
func compact(raw json.RawMessage) []byte {
	var b bytes.Buffer
	if len(raw) == 0 || json.Compact(&b, raw) != nil || b.Len() == 0 || b.Bytes()[0] != '{' {
		return nil
	}
	return b.Bytes()
}
