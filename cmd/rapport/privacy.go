package main

import (
	"github.com/spf13/cobra"

	"rapport/internal/privacy"
)

func privacyCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "privacy",
		Short: "What a data protection officer asks for",
		Long:  "What is held about one person is written by `rapport person export`, what was done with it by\n`rapport audit person`.",
	}
	cmd.AddCommand(privacyRecord(c), privacyRequests(c), privacyRequest(c), privacyCertificate(c))
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
