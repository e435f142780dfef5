package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
)

func rejectedCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rejected",
		Short: "Read what came in and could not be taken, and send it again",
		Long: `Nothing disappears: what is refused as malformed is counted and kept, with the
reason, and can be sent again after a fix.`,
	}
	cmd.AddCommand(rejectedList(c), rejectedShow(c), rejectedResend(c))
	return cmd
}

func rejectedList(c *console) *cobra.Command {
	var code, source, cursor string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what was refused, newest first, with counts by reason",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := map[string]string{"code": code, "source": source, "cursor": cursor, "limit": strconv.Itoa(limit)}
			return show(cmd.Context(), c, "/v1/rejected", q, func(a rejectsAnswer) {
				var rows [][]string
				for _, code := range slices.Sorted(maps.Keys(a.Counts)) {
					rows = append(rows, []string{code, thousands(a.Counts[code])})
				}
				c.table([]string{"CODE", ">EVER"}, rows)
				c.printf("\n")
				rows = nil
				for _, r := range a.Rejected {
					state := ""
					if r.Sent {
						state = c.green("sent again")
					}
					rows = append(rows, []string{strconv.FormatInt(r.ID, 10), c.time(r.At), r.Source, r.Path, r.Code, clean(r.Detail), state})
				}
				c.table([]string{">ID", "AT", "SOURCE", "PATH", "CODE", "WHAT WAS WRONG", ""}, rows)
				if a.Cursor != "" {
					c.printf("\n%s --cursor %s\n", c.dim("older:"), a.Cursor)
				}
			})
		},
	}
	cmd.Flags().StringVar(&code, "code", "", "only those with this code")
	cmd.Flags().StringVar(&source, "source", "", "only those of this source")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many")
	cmd.Flags().StringVar(&cursor, "cursor", "", "where the last list ended")
	return cmd
}

func rejectedShow(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one with its payload",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), c, path("rejected", args[0]), nil, func(r rejectAnswer) {
				c.pairs([2]string{"id", strconv.FormatInt(r.ID, 10)}, [2]string{"at", c.time(r.At)}, [2]string{"source", r.Source},
					[2]string{"path", r.Path}, [2]string{"code", r.Code}, [2]string{"what was wrong", clean(r.Detail)})
				var text string
				if json.Unmarshal(r.Payload, &text) != nil {
					text = string(r.Payload)
				}
				c.printf("\n%s\n", clean(text))
			})
		},
	}
}

func rejectedResend(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "resend ID...",
		Short: "Send some again, as they came",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			var failed error
			for _, id := range args {
				err := cl.do(cmd.Context(), "POST", path("rejected", id, "resend"), nil, nil, nil)
				switch {
				case err != nil && failed == nil:
					failed = fmt.Errorf("send %s again: %w", id, err)
				case err != nil:
					c.fail(fmt.Errorf("send %s again: %w", id, err))
				case c.json:
					if err := c.printJSON(map[string]any{"id": id, "sent": true}); err != nil {
						return err
					}
				default:
					c.printf("%s was taken\n", id)
				}
			}
			return failed
		},
	}
}
