package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func rejectedCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rejected",
		Short: "Read what came in and could not be taken, and send it again",
		Long: `Nothing disappears: what is refused as malformed is counted and kept, with the
reason, and can be sent again after a fix. What was taken but could then not be
walked is set aside with its error: --set-aside lists it.`,
		Example: `  rapport rejected list --source website
  rapport rejected list --set-aside
  rapport rejected show live/4711
  rapport rejected show 17
  rapport rejected resend 17 --with mended.json
  rapport rejected resend --all --code event_not_defined --set event=Seen --dry-run
  rapport rejected resend live/4711
  rapport rejected drop 18`,
	}
	cmd.AddCommand(rejectedList(c), rejectedShow(c), rejectedResend(c), rejectedDrop(c))
	return cmd
}

func rejectedList(c *console) *cobra.Command {
	var code, source, cursor string
	var when span
	var limit int
	var aside bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what was refused, newest first, with counts by reason",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if aside {
				if code != "" || source != "" || !when.empty() {
					return usagef("--set-aside goes with --limit and --cursor alone")
				}
				return c.listAsides(cmd.Context(), cursor, limit)
			}
			q := map[string]string{"code": code, "source": source, "cursor": cursor, "limit": strconv.Itoa(limit)}
			if err := when.into(q, c.now()); err != nil {
				return err
			}
			return show(cmd.Context(), c, "/v1/rejected", q, func(a rejectsAnswer) {
				var rows [][]string
				for _, code := range slices.Sorted(maps.Keys(a.Counts)) {
					rows = append(rows, []string{code, thousands(a.Counts[code])})
				}
				c.table([]string{"CODE", ">EVER"}, rows)
				c.printf("\n")
				rows = nil
				for _, r := range a.Rejected {
					rows = append(rows, []string{strconv.FormatInt(r.ID, 10), c.time(r.At), r.Source, r.Path, r.Code, clean(r.Detail), sentAgain(c, r.Sent)})
				}
				c.table([]string{">ID", "AT", "SOURCE", "PATH", "CODE", "WHAT WAS WRONG", ""}, rows)
				c.older(a.Cursor)
			})
		},
	}
	cmd.Flags().StringVar(&code, "code", "", "only those with this code")
	cmd.Flags().StringVar(&source, "source", "", "only those of this source")
	when.flags(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 50, "how many")
	cmd.Flags().StringVar(&cursor, "cursor", "", "where the last list ended")
	cmd.Flags().BoolVar(&aside, "set-aside", false, "instead, what was taken and could not be walked")
	return cmd
}

func rejectedShow(c *console) *cobra.Command {
	var bare bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one with its payload; LANE/POSITION shows what was set aside",
		Example: "  rapport rejected show 17\n  rapport rejected show live/4711\n  rapport rejected show 17 --payload > 17.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lane, position, ok := strings.Cut(args[0], "/"); ok {
				return c.showAside(cmd.Context(), lane, position, bare)
			}
			return show(cmd.Context(), c, path("rejected", args[0]), nil, func(r rejectAnswer) {
				var text string
				if json.Unmarshal(r.Payload, &text) != nil {
					text = string(r.Payload)
				}
				if bare {
					c.printf("%s\n", text)
					return
				}
				c.pairs([2]string{"id", strconv.FormatInt(r.ID, 10)}, [2]string{"at", c.time(r.At)}, [2]string{"source", r.Source},
					[2]string{"path", r.Path}, [2]string{"code", r.Code}, [2]string{"what was wrong", clean(r.Detail)})
				c.printf("\n%s\n", clean(text))
			})
		},
	}
	cmd.Flags().BoolVar(&bare, "payload", false, "print the payload alone, as it came")
	return cmd
}

// readAll reads a file, or standard input for -; what is empty mends nothing.
func (c *console) readAll(name string) ([]byte, error) {
	in, err := c.openFile(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // It was only read.
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, usagef("%s is empty: there is no payload in it", name)
	}
	return b, nil
}
