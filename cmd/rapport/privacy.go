package main

import (
	"cmp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/app"
	"rapport/internal/privacy"
)

func privacyCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "privacy",
		Short: "What a data protection officer asks for",
		Long:  "What is held about one person is written by `rapport person export`, what was done with it by\n`rapport audit person`.",
	}
	cmd.AddCommand(privacyRecord(c), privacyRequests(c), privacyRequest(c), privacyCertificate(c), privacyBreach(c), privacyRetention(c))
	return cmd
}

func privacyRecord(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "record DIR",
		Short: "Write the record of processing activities (GDPR, Art. 30) from a configuration",
		Long: `Record reads a configuration folder and writes, as Markdown or with --json, for each
purpose its legal basis, the sources that collect for it, the events and data that
its segments, journeys and mails use, then recipients, terms and technical measures.
What no configuration says is listed at the end, for you to add. It asks no server.`,
		Example: "  rapport privacy record shop > record.md",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			config, problems, err := c.load(args[0])
			if err != nil {
				return err
			}
			if config == nil {
				return c.report(args[0], nil, problems, false)
			}
			r := privacy.RecordOf(config, c.now())
			if c.json {
				return c.printJSON(r)
			}
			return r.Markdown(c.out)
		},
	}
}

func privacyRetention(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "retention",
		Short: "List what is kept for a term only, and what was taken so far",
		Long: `Retention lists what the configuration in effect keeps for a term only: by the tracking
plan events, properties and traits, by retention in rapport.yaml data of a class or for
a purpose, and what was in mails. A trait ends at the instant at which its term does;
the rest is taken once a day.`,
		Example: "  rapport privacy retention",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			type answer struct {
				Terms  []app.Term
				Traits int64 `json:"traits_expired"`
				Events app.Retention
				Log    int64 `json:"log_seconds"`
			}
			return show(cmd.Context(), c, path("retention"), nil, func(a answer) {
				looked := "not yet"
				if !a.Events.At.IsZero() {
					looked = c.time(a.Events.At)
				}
				c.pairs([2]string{"looked for", looked}, [2]string{"events taken", thousands(a.Events.Taken)},
					[2]string{"events that lost a part", thousands(a.Events.Trimmed)}, [2]string{"mails emptied", thousands(a.Events.Mails)},
					[2]string{"traits ended", thousands(a.Traits) + " since the start"}, [2]string{"the log keeps", (time.Duration(a.Log) * time.Second).String()})
				if len(a.Terms) == 0 {
					c.printf("\nEverything is kept for ever: give events, properties, traits, classes, purposes and mails a retention (docs/plan.md).\n")
					return
				}
				var rows [][]string
				for _, t := range a.Terms {
					rows = append(rows, []string{t.What, clean(cmp.Or(t.Name, "(any)")), strconv.Itoa(t.Days)})
				}
				c.printf("\n")
				c.table([]string{"WHAT", "NAME", ">DAYS"}, rows)
			})
		},
	}
}
