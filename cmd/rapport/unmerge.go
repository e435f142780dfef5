package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rapport/internal/identity"
	"rapport/internal/processor"
)

func personUnmerge(c *console) *cobra.Command {
	var names []string
	var reason string
	var dry bool
	cmd := &cobra.Command{
		Use:   "unmerge PERSON",
		Short: "Part two people who were joined by mistake",
		Long: `The identifiers that you name leave, to somebody new. Every event goes to whom its
identifiers belong, and traits, counts and segments of both are made anew from
their own history. What narrows permission binds both; a permission that was given
stays with the identifier that gave it. Mails of the time together stay in both
stories. No event joins the two again.`,
		Example: `  rapport person unmerge user_id:42 --identifier email:bob@shop.example --identifier anonymous_id:5f3c --dry-run
  rapport person unmerge user_id:42 --identifier email:bob@shop.example --reason "one device, two people"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(names) == 0 {
				return usagef("person unmerge lacks --identifier KIND:VALUE, what leaves; rapport person show lists what is there")
			}
			body := map[string]any{"reason": reason}
			var list []identity.Name
			for _, n := range names {
				kind, value, ok := strings.Cut(n, ":")
				if !ok || kind == "" || value == "" {
					return usagef("--identifier takes KIND:VALUE, not %q", n)
				}
				list = append(list, identity.Name{Kind: kind, Value: value})
			}
			body["identifiers"] = list
			cl, err := c.client()
			if err != nil {
				return err
			}
			where, header := path("people", personRef(args[0]), "unmerge"), map[string]string{}
			if dry {
				where += "?dry_run=true"
			} else {
				header["Idempotency-Key"] = randomKey()
			}
			var out processor.Parted
			if err := cl.do(cmd.Context(), "POST", where, header, body, &out); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(out)
			}
			verb := map[bool]string{true: "would leave", false: "left, as " + out.Parted}[dry]
			c.pairs([2]string{"person", out.Person}, [2]string{"identifiers", strconv.Itoa(out.Identifiers) + " " + verb},
				[2]string{"events that leave", strconv.Itoa(out.Moved)}, [2]string{"events that stay", strconv.Itoa(out.Stayed)},
				[2]string{"noted of both", strconv.Itoa(out.Both)}, [2]string{"lost to retention", thousands(out.Lost)})
			if out.Lost > 0 {
				c.printf("\nTraits that only lost events brought stay with %s; what was counted of them is gone.\n", out.Person)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&names, "identifier", nil, "KIND:VALUE that leaves; may be repeated")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever reads the log")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would come of it")
	return cmd
}
