package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/spec"
)

func eventCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "event",
		Short: "Look up the events that Segment's spec reserves, and how yours keep to it",
		Long: `Events of these names get properties of the types that the spec gives them:
"12.50" becomes 12.50. What cannot become of the right type is taken as it came,
and counted: violations shows it.`,
		Example: `  rapport event list
  rapport event show "Order Completed"
  rapport event violations --source website`,
	}
	cmd.AddCommand(eventList(c), eventShow(c), eventViolations(c))
	return cmd
}

// reservedAnswer is a reserved event for programs.
type reservedAnswer struct {
	Event      string          `json:"event"`
	Part       string          `json:"part"`
	Says       string          `json:"says"`
	Older      string          `json:"older,omitempty"`
	Needs      [][]string      `json:"needs,omitempty"`
	Properties []reservedField `json:"properties,omitempty"`
}

type reservedField struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

func viewOfReserved(e *spec.Event) reservedAnswer {
	out := reservedAnswer{Event: e.Name, Part: e.Part, Says: e.Says, Older: e.Older, Needs: e.Needs}
	for _, p := range e.Properties {
		out.Properties = append(out.Properties, reservedField{p.Name, p.Kind.String()})
	}
	return out
}

// needsOf writes what an event needs for a reader.
func needsOf(e *spec.Event) string {
	var parts []string
	for _, list := range e.Needs {
		parts = append(parts, spec.Need(list))
	}
	return strings.Join(parts, ", ")
}

func eventList(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the reserved events",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var all []reservedAnswer
			var rows [][]string
			for _, e := range spec.All() {
				all = append(all, viewOfReserved(e))
				rows = append(rows, []string{e.Name, e.Part, needsOf(e), e.Says})
			}
			if c.json {
				return c.printJSON(map[string]any{"events": all})
			}
			c.table([]string{"EVENT", "PART", "NEEDS", "SAYS"}, rows)
			return nil
		},
	}
}

func eventShow(c *console) *cobra.Command {
	return &cobra.Command{
		Use:     "show EVENT",
		Short:   "Show a reserved event with its properties and their types",
		Example: `  rapport event show "Order Completed"`,
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, typed string) (names []string, _ cobra.ShellCompDirective) {
			for _, e := range spec.All() {
				if len(args) == 0 && strings.HasPrefix(e.Name, typed) {
					names = append(names, e.Name)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			e, match := spec.Known(args[0])
			if match == spec.None {
				return fmt.Errorf("no event %q is reserved: it may have any properties; `rapport event list` lists those that are", args[0])
			}
			if c.json {
				return c.printJSON(viewOfReserved(e))
			}
			pairs := [][2]string{{"event", e.Name}, {"part", e.Part}, {"says", e.Says}}
			if e.Older != "" {
				pairs = append(pairs, [2]string{"in V1", e.Older})
			}
			if len(e.Needs) > 0 {
				pairs = append(pairs, [2]string{"needs", needsOf(e)})
			}
			c.pairs(pairs...)
			c.printf("\n")
			var rows [][]string
			for _, p := range e.Properties {
				rows = append(rows, []string{p.Name, p.Kind.String()})
			}
			c.table([]string{"PROPERTY", "TYPE"}, rows)
			return nil
		},
	}
}

type violationsAnswer struct {
	Violations []struct {
		Source   string    `json:"source"`
		Event    string    `json:"event"`
		Property string    `json:"property"`
		Code     string    `json:"code"`
		Detail   string    `json:"detail"`
		Count    int64     `json:"count"`
		Last     time.Time `json:"last"`
	} `json:"violations"`
}

func eventViolations(c *console) *cobra.Command {
	var source, event, code string
	cmd := &cobra.Command{
		Use:   "violations",
		Short: "List how events that were taken differ from the spec",
		Long: `Counted, the most frequent first. property_converted
lost nothing; property_wrong_type was left as it came; property_missing tells
little; event_older_name and event_near_name are hints on names.`,
		Example: `  rapport event violations
  rapport event violations --source website --code property_wrong_type`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := map[string]string{"source": source, "event": event, "code": code}
			return show(cmd.Context(), c, "/v1/violations", q, func(a violationsAnswer) {
				if len(a.Violations) == 0 {
					c.printf("every event has been as the spec has it\n")
					return
				}
				var rows [][]string
				for _, v := range a.Violations {
					rows = append(rows, []string{thousands(v.Count), c.time(v.Last), v.Source, v.Event, v.Property, v.Code, clean(v.Detail)})
				}
				c.table([]string{">EVENTS", "LAST", "SOURCE", "EVENT", "PROPERTY", "CODE", "WHAT"}, rows)
			})
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "only those of this source")
	cmd.Flags().StringVar(&event, "event", "", "only those of this event")
	cmd.Flags().StringVar(&code, "code", "", "only those with this code")
	return cmd
}
