package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func journeyCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "journey",
		Aliases: []string{"journeys"},
		Short:   "List journeys, and explain why somebody did, or did not, get a mail",
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List journeys with how many people are inside",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), c, "/v1/journeys", nil, func(a journeysAnswer) {
				var rows [][]string
				for _, j := range a.Journeys {
					state := c.green("open")
					if j.Stopped {
						state = c.yellow("stopped")
					}
					rows = append(rows, []string{j.Name, state, thousands(j.Inside), thousands(j.Entered), clean(j.Trigger), j.Purpose})
				}
				c.table([]string{"JOURNEY", "STATE", ">INSIDE", ">ENTERED", "TRIGGER", "PURPOSE"}, rows)
			})
		},
	}
	explain := &cobra.Command{
		Use:     "explain JOURNEY PERSON",
		Short:   "Say why somebody did, or did not, get a mail: each gate, value and time",
		Example: "  rapport journey explain abandoned-cart email:ann@shop.example",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := map[string]string{"person": personRef(args[1])}
			return show(cmd.Context(), c, path("journeys", args[0], "explain"), q, c.journeyStory)
		},
	}
	cmd.AddCommand(list, explain)
	return cmd
}

func (c *console) journeyStory(a journeyExplainAnswer) {
	switch {
	case a.Inside && a.Place != nil:
		c.printf("%s is inside %s since %s, at step %s", c.bold(a.Person), c.bold(a.Journey), c.time(a.Place.Entered), a.Place.Step)
		if !a.Place.Until.IsZero() {
			c.printf(" until %s", c.time(a.Place.Until))
		}
		c.printf("\n")
	default:
		c.printf("%s is not inside %s\n", c.bold(a.Person), c.bold(a.Journey))
	}
	if len(a.Gates) > 0 {
		c.printf("\n%s\n", c.dim("GATES, AS THEY STAND NOW"))
		for _, g := range a.Gates {
			mark := c.red("✗")
			if g.OK {
				mark = c.green("✓")
			}
			when := ""
			if !g.At.IsZero() {
				when = c.dim(" " + c.time(g.At))
			}
			c.printf("%s %s  %s%s\n", mark, g.Gate, clean(g.Detail), when)
		}
	}
	if len(a.History) > 0 {
		c.printf("\n")
		var rows [][]string
		for _, n := range a.History {
			rows = append(rows, []string{c.time(n.At), n.What, n.Step, clean(n.Detail)})
		}
		c.table([]string{"AT", "WHAT HAPPENED", "STEP", "BECAUSE"}, rows)
	}
	if len(a.Mails) > 0 {
		c.printf("\n")
		c.mails(a.Mails)
	}
}

// mails prints a list of mails.
func (c *console) mails(list []mailAnswer) {
	var rows [][]string
	for _, m := range list {
		state := c.state(m.State)
		if m.Reason != "" {
			state += fmt.Sprintf(" (%s)", m.Reason)
		}
		from := m.Journey
		if m.Step != "" {
			from += " / " + m.Step
		}
		if from == "" {
			from = "API"
		}
		rows = append(rows, []string{m.ID, c.time(m.Decided), state, m.Template, from, m.Person})
	}
	c.table([]string{"MAIL", "DECIDED", "STATE", "TEMPLATE", "FROM", "PERSON"}, rows)
}

func (c *console) state(s string) string {
	switch s {
	case "accepted":
		return c.green(s)
	case "failed":
		return c.red(s)
	case "skipped", "unknown", "deferred":
		return c.yellow(s)
	}
	return s
}
