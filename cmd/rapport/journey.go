package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/explain"
	"rapport/internal/journey"
)

func journeyCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "journey",
		Aliases: []string{"journeys"},
		Short:   "List, explain and test journeys: why somebody did, or did not, get a mail",
		Example: `  rapport journey list
  rapport journey test shop/tests/*.yaml
  rapport journey explain abandoned-cart email:ann@shop.example`,
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List journeys",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), c, "/v1/journeys", nil, func(a journeysAnswer) {
				var rows [][]string
				for _, j := range a.Journeys {
					state := c.green("open")
					if j.Stopped {
						state = c.yellow("stopped")
					}
					rows = append(rows, []string{j.Name, state, clean(j.Trigger), string(j.Purpose), fmt.Sprint(j.Steps)})
				}
				c.table([]string{"JOURNEY", "STATE", "TRIGGER", "PURPOSE", ">STEPS"}, rows)
			})
		},
	}
	var why *string
	explain := &cobra.Command{
		Use:     "explain JOURNEY PERSON",
		Short:   "Say why somebody did, or did not, get a mail: each gate, value and time",
		Example: "  rapport journey explain abandoned-cart email:ann@shop.example",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := map[string]string{"person": personRef(args[1]), "purpose": *why}
			return show(cmd.Context(), c, path("journeys", args[0], "explain"), q, c.journeyStory)
		},
	}
	why = forPurpose(explain)
	cmd.AddCommand(list, explain, journeyTestCommand(c), journeyTriggerCommand(c))
	return cmd
}

func (c *console) journeyStory(a explain.Journey) {
	state := "not inside"
	if a.Inside {
		state = c.green("inside")
	}
	c.printf("%s is %s %s (%s)\n\n", c.bold(a.Person), state, c.bold(a.Journey), c.time(a.At))
	c.gates(a.Why.Children, 0)
	if len(a.Mails) > 0 {
		c.printf("\n")
		c.mails(a.Mails)
	}
}

// gates prints what stood, or stands, in the way, and what did not.
func (c *console) gates(list []journey.Explanation, depth int) {
	marks := map[journey.Answer]string{journey.Yes: c.green("✓"), journey.No: c.red("✗"), journey.Wait: c.yellow("…"), journey.Fact: c.dim("·")}
	for _, g := range list {
		text := clean(g.Text)
		if rest, ok := strings.CutPrefix(text, "could enter now"); ok {
			text = "could enter now: " + string(g.Answer) + rest
		}
		line := strings.Repeat("  ", depth) + marks[g.Answer] + " " + text
		if g.Seen != "" {
			line += c.dim("  ← ") + short(c.stamps(g.Seen), 200)
		}
		if at := c.stamp(g.At); at != "" {
			line += c.dim("  at " + at)
		}
		if until := c.stamp(g.Until); until != "" {
			line += c.dim("  until " + until)
		}
		c.printf("%s\n", line)
		if g.Rule != nil {
			c.explanation(*g.Rule, depth+1)
		}
		c.gates(g.Children, depth+1)
	}
}

// stamp writes an RFC 3339 instant in the local zone.
func (c *console) stamp(s string) string {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return clean(s)
	}
	return c.time(t)
}

var instants = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)

// stamps writes every RFC 3339 instant within a text in the local zone, so that
// a line has one form of them.
func (c *console) stamps(s string) string { return instants.ReplaceAllStringFunc(s, c.stamp) }

// mails prints a list of mails.
func (c *console) mails(list []explain.Mail) {
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
