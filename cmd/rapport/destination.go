package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rapport/internal/destination"
)

func destinationCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "destination",
		Short: "See how other systems are told what happens, and mend it",
		Long: `Destinations are other systems that are told what happens here, by signed
webhooks: docs/destinations.md. Each has a queue of its own. What cannot be told
is tried again for days and then kept as a dead letter, which can be driven again.`,
		Example: `  rapport destination list
  rapport destination status crm
  rapport destination test crm
  rapport destination dead crm
  rapport destination redrive crm 4711 4712
  rapport destination redrive crm --all
  rapport destination enable crm`,
	}
	cmd.AddCommand(destinationList(c), destinationStatus(c), destinationTest(c), destinationDead(c), destinationRedrive(c), destinationEnable(c))
	return cmd
}

func destinationList(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List destinations with how they do",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), c, "/v1/destinations", nil, func(a destinationsAnswer) {
				var rows [][]string
				for i := range a.Destinations {
					d := &a.Destinations[i]
					rows = append(rows, []string{d.Name, stateOf(d), thousands(d.Behind), thousands(d.Waiting), thousands(d.Dead), thousands(d.Counts[destination.Delivered]), d.Last})
				}
				c.table([]string{"NAME", "STATE", ">BEHIND", ">WAITING", ">DEAD", ">DELIVERED", "LAST"}, rows)
			})
		},
	}
}

func stateOf(d *destination.Line) string {
	if d.Reason == "" {
		return d.State
	}
	return d.State + " (" + d.Reason + ")"
}

func destinationStatus(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "status DESTINATION",
		Short: "Show how one does, with its counts since the start",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), c, path("destinations", args[0]), nil, func(d destination.Line) { c.destinationLine(&d) })
		},
	}
}

func (c *console) destinationLine(d *destination.Line) {
	pairs := [][2]string{{"name", d.Name}, {"state", stateOf(d)}, {"purpose", d.Purpose}}
	if !d.Since.IsZero() {
		pairs = append(pairs, [2]string{"since", c.time(d.Since)})
	}
	if !d.Until.IsZero() {
		pairs = append(pairs, [2]string{"nothing before", c.time(d.Until)})
	}
	pairs = append(pairs, [2]string{"behind", thousands(d.Behind)}, [2]string{"waiting", thousands(d.Waiting)}, [2]string{"dead letters", thousands(d.Dead)})
	if !d.At.IsZero() {
		last := d.Last
		if d.Status != 0 {
			last += " " + strconv.Itoa(d.Status)
		}
		pairs = append(pairs, [2]string{"last attempt", strings.TrimSpace(last) + " at " + c.time(d.At)})
	}
	c.pairs(pairs...)
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(d.Counts)) {
		rows = append(rows, []string{name, thousands(d.Counts[name])})
	}
	if len(rows) > 0 {
		c.printf("\n")
		c.table([]string{"SINCE THE START", ">COUNT"}, rows)
	}
}

func destinationTest(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "test DESTINATION",
		Short: "Send a signed message that says nothing, once, and tell what was answered",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := cl.do(cmd.Context(), "POST", path("destinations", args[0], "test"), nil, nil, &raw); err != nil {
				return err
			}
			var t destination.Trial
			if err := json.Unmarshal(raw, &t); err != nil {
				return err
			}
			err = present(c, raw, func(destination.Trial) {
				if t.Delivered {
					c.printf("%s took %s and answered %d\n", args[0], t.ID, t.Status)
				}
			})
			if err == nil && !t.Delivered {
				err = fmt.Errorf("%s did not take %s: %s", args[0], t.ID, strings.TrimSpace(t.Reason+" "+statusText(t.Status)))
			}
			return err
		},
	}
}

func statusText(status int) string {
	if status == 0 {
		return ""
	}
	return strconv.Itoa(status)
}

func destinationDead(c *console) *cobra.Command {
	var limit int
	var cursor string
	cmd := &cobra.Command{
		Use:   "dead DESTINATION",
		Short: "List its dead letters, oldest first",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), c, path("destinations", args[0], "dead"), map[string]string{"cursor": cursor, "limit": strconv.Itoa(limit)}, func(a deadAnswer) {
				var rows [][]string
				for _, l := range a.Dead {
					rows = append(rows, []string{strconv.FormatInt(l.Seq, 10), c.time(l.At), l.Type, clean(l.Name), l.Person, strconv.Itoa(l.Attempts), strings.TrimSpace(l.Reason + " " + statusText(l.Status)), c.time(l.Died)})
				}
				c.table([]string{">SEQ", "AT", "TYPE", "NAME", "PERSON", ">ATTEMPTS", "REASON", "GIVEN UP"}, rows)
				c.older(a.Cursor)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how many")
	cmd.Flags().StringVar(&cursor, "cursor", "", "where the last list ended")
	return cmd
}

func destinationRedrive(c *console) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "redrive DESTINATION [SEQ...]",
		Short: "Have dead letters told again, through the filters and the permission of today",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 1) {
				return usagef("name dead letters by their SEQ, or all of them with --all")
			}
			body := map[string]any{"all": all}
			if !all {
				var seqs []int64
				for _, a := range args[1:] {
					n, err := strconv.ParseInt(a, 10, 64)
					if err != nil {
						return usagef("%q is no SEQ: `rapport destination dead %s` lists them", a, args[0])
					}
					seqs = append(seqs, n)
				}
				body["seqs"] = seqs
			}
			return post(cmd.Context(), c, path("destinations", args[0], "redrive"), nil, body, func(a redriveAnswer) { c.printf("%s dead letters are told again\n", thousands(a.Redriven)) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every dead letter of the destination")
	return cmd
}

func destinationEnable(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "enable DESTINATION",
		Short: "Let one go on that is disabled or held back, from where it stopped",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return post(cmd.Context(), c, path("destinations", args[0], "enable"), nil, nil, func(d destination.Line) { c.destinationLine(&d) })
		},
	}
}
