package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/fault"
	"rapport/internal/rights"
)

func personExport(c *console) *cobra.Command {
	var file, request string
	var page bool
	cmd := &cobra.Command{
		Use:   "export PERSON",
		Short: "Write everything that is held about somebody",
		Long: `Export writes, room by room, what is held about a person: identifiers, traits with
when and by whom they were written, segments with their rules, permission and how it
was given, the timeline, mails with what was in them, who received them, and who
looked. It is what the GDPR asks for in Articles 15 and 20: JSON for machines, or a
page for people. It may be of any size, and is in the trail itself. With --request it
answers a request that was taken down, and closes it once everything is written.`,
		Example: `  rapport person export email:ann@shop.example --out ann.json
  rapport person export user_id:42 --page --out ann.html
  rapport person export user_id:42 --request req-1a2b --out ann.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			accept := "application/json"
			if page || strings.HasSuffix(file, ".html") {
				accept = "text/html"
			}
			if request != "" {
				if err := c.asksToExport(cmd.Context(), request, personRef(args[0])); err != nil {
					return err
				}
			}
			if err := c.download(cmd.Context(), path("people", personRef(args[0]), "export"), nil, accept, file); err != nil || request == "" {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			return cl.do(cmd.Context(), http.MethodPost, path("requests", request, "close"), nil, map[string]any{"outcome": "done"}, &requestAnswer{})
		},
	}
	cmd.Flags().StringVar(&file, "out", "-", "a new file, or - for standard output; one that ends in .html gets the page")
	cmd.Flags().StringVar(&request, "request", "", "the open request that this answers (rapport privacy requests)")
	cmd.Flags().BoolVar(&page, "page", false, "a page to read instead of JSON")
	return cmd
}

// asksToExport checks that a request waits for a copy of a person: nothing is written
// for another.
func (c *console) asksToExport(ctx context.Context, request, person string) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	var r requestAnswer
	if err := cl.get(ctx, path("requests", request), map[string]string{"person": person}, &r); err != nil {
		return err
	}
	switch {
	case r.Kind != rights.Export:
		return fault.New(fault.Invalid, "other_request", "the request %s asks to %s, not for a copy", request, r.Kind)
	case r.Unproven:
		return fault.New(fault.Conflict, rights.NotProven, "nobody has proven yet that the request %s is theirs: it ends by itself at %s unless they do", request, r.ProofUntil.UTC().Format(time.RFC3339))
	case !r.Closed.IsZero():
		return fault.New(fault.Conflict, "request_closed", "the request %s is closed: it ended as %s", request, r.Outcome)
	}
	return nil
}
