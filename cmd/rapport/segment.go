package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/explain"
	"rapport/internal/rule"
)

func segmentCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "segment",
		Aliases: []string{"segments"},
		Short:   "List segments, and explain why somebody is in one or not",
		Example: `  rapport segment list
  rapport segment explain cart-abandoners email:ann@shop.example`,
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List segments with how many people are in each",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), c, "/v1/segments", nil, func(a segmentsAnswer) {
				var rows [][]string
				for _, s := range a.Segments {
					state := "current"
					if b := s.Backfill; b != nil && b.Done < b.Total {
						state = fmt.Sprintf("backfill %d %%", 100*b.Done/max(b.Total, 1))
					}
					rows = append(rows, []string{s.Segment, thousands(s.People), state, clean(s.Title)})
				}
				c.table([]string{"SEGMENT", ">PEOPLE", "STATE", "TITLE"}, rows)
			})
		},
	}
	var why *string
	explain := &cobra.Command{
		Use:     "explain SEGMENT PERSON",
		Short:   "Say why somebody is in a segment or not, with the values seen and when that will change",
		Example: "  rapport segment explain cart-abandoners email:ann@shop.example",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := map[string]string{"person": personRef(args[1]), "purpose": *why}
			return show(cmd.Context(), c, path("segments", args[0], "explain"), q, func(a explain.Segment) {
				state := c.red("not in")
				if a.In {
					state = c.green("in")
				}
				line := fmt.Sprintf("%s is %s %s", c.bold(a.Person), state, c.bold(a.Segment))
				if a.Since != nil {
					line += " since " + c.time(*a.Since)
				}
				c.printf("%s\n", line)
				if a.Pending {
					c.printf("%s\n", c.yellow("the backfill has not come to this person yet"))
				}
				if a.Until == nil {
					c.printf("%s\n\n", c.dim("time alone does not change that"))
				} else {
					c.printf("%s\n\n", c.dim("if nothing happens, that is asked again at "+c.time(*a.Until)))
				}
				if a.Purposes != nil {
					c.printf("%s\n\n", c.dim("it may be used for "+a.Purposes.String()+", by what it reads"))
				}
				if a.Withheld != "" {
					c.printf("%s\n\n", c.yellow("the rule holds, but the person permits none of that"))
				}
				c.explanation(a.Why, 0)
			})
		},
	}
	why = forPurpose(explain)
	cmd.AddCommand(list, explain)
	return cmd
}

// explanation prints a rule's tree with what each condition saw.
func (c *console) explanation(e rule.Explanation, depth int) {
	mark := c.red("✗")
	if e.Truth {
		mark = c.green("✓")
	}
	text := clean(e.Text)
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		text = strings.TrimSuffix(inner, "}")
	}
	if len(e.Children) > 0 {
		text, _, _ = strings.Cut(text, ":") // The conditions follow below.
	}
	seen := ""
	switch s := string(e.Seen); {
	case e.Note != "":
		seen = c.dim("  ← ") + short(c.stamps(e.Note), 160)
	case s != "" && s != "null":
		seen = c.dim("  ← ") + short(s, 120)
	case len(e.Children) == 0:
		seen = c.dim("  ← nothing")
	}
	c.printf("%s%s %s%s%s\n", strings.Repeat("  ", depth), mark, text, seen, c.dim(c.until(e.ValidUntil)))
	for _, child := range e.Children {
		c.explanation(child, depth+1)
	}
}

// until says when an answer changes by itself, "" when it does not.
func (c *console) until(ms int64) string {
	if ms == rule.Never {
		return ""
	}
	return " until " + c.time(time.UnixMilli(ms))
}
