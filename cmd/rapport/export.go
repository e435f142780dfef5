package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func personExport(c *console) *cobra.Command {
	var file string
	var page bool
	cmd := &cobra.Command{
		Use:   "export PERSON",
		Short: "Write everything that is held about somebody",
		Long: `Export writes, room by room, what is held about a person: identifiers, traits with
when and by whom they were written, segments with their rules, permission and how it
was given, the timeline, mails with what was in them, who received them, and who
looked. It is what the GDPR asks for in Articles 15 and 20: JSON for machines, or a
page for people. It may be of any size, and is in the trail itself.`,
		Example: `  rapport person export email:ann@shop.example --out ann.json
  rapport person export user_id:42 --page --out ann.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			accept := "application/json"
			if page || strings.HasSuffix(file, ".html") {
				accept = "text/html"
			}
			return c.download(cmd.Context(), path("people", personRef(args[0]), "export"), nil, accept, file)
		},
	}
	cmd.Flags().StringVar(&file, "out", "-", "a new file, or - for standard output; one that ends in .html gets the page")
	cmd.Flags().BoolVar(&page, "page", false, "a page to read instead of JSON")
	return cmd
}
