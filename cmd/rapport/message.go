package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rapport/internal/explain"
)

func messageCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "message",
		Aliases: []string{"messages"},
		Short:   "List mails, and tell the whole story of one",
		Example: `  rapport message list --state failed
  rapport message show msg_06a1…`,
	}
	cmd.AddCommand(messageList(c), messageShow(c))
	return cmd
}

func messageList(c *console) *cobra.Command {
	var person, state, cursor string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List mails, newest first: all, those of a person, or those in a state",
		Example: `  rapport message list
  rapport message list --person email:ann@shop.example
  rapport message list --state unknown`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := map[string]string{"state": state, "cursor": cursor, "limit": strconv.Itoa(limit)}
			if person != "" {
				q["person"] = personRef(person)
			}
			return show(cmd.Context(), c, "/v1/messages", q, func(a mailsAnswer) {
				c.mails(a.Messages)
				c.older(a.Cursor)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&person, "person", "", "only those to this person")
	f.StringVar(&state, "state", "", "only those that stand there: pending, deferred, accepted, failed, skipped, unknown …")
	f.IntVar(&limit, "limit", 50, "how many")
	f.StringVar(&cursor, "cursor", "", "where the last list ended")
	return cmd
}

func messageShow(c *console) *cobra.Command {
	var part string
	cmd := &cobra.Command{
		Use:   "show MAIL",
		Short: "Tell the whole story of a mail: why it was decided, every state with its time, the parts",
		Example: `  rapport message show msg_06a1…
  rapport message show msg_06a1… --part html > mail.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if part != "" && part != "html" && part != "text" && part != "headers" {
				return usagef("--part is html, text or headers, not %q", part)
			}
			return show(cmd.Context(), c, path("messages", args[0]), nil, func(a explain.MailStory) {
				if part != "" {
					c.part(a.Parts, part)
					return
				}
				c.story(a)
			})
		},
	}
	cmd.Flags().StringVar(&part, "part", "", "print one part alone: html, text or headers")
	return cmd
}

// part prints one part of a mail as it was sent.
func (c *console) part(p *explain.Parts, which string) {
	if p == nil {
		return
	}
	switch which {
	case "html":
		c.printf("%s", p.HTML)
	case "text":
		c.printf("%s", p.Text)
	case "headers":
		for _, h := range p.Headers {
			c.printf("%s\n", clean(h[0]+": "+h[1]))
		}
	}
}

func (c *console) story(a explain.MailStory) {
	why := "asked for by the API"
	if a.Journey != "" {
		why = "journey " + a.Journey + ", step " + a.Step
	}
	duplicate := ""
	if a.Duplicate {
		duplicate = c.yellow("possible: it was sent again after an unknown end")
	}
	version := ""
	if a.Version > 0 {
		version = strconv.Itoa(a.Version)
	}
	c.pairs(
		[2]string{"mail", c.bold(a.ID)}, [2]string{"state", c.state(a.State)}, [2]string{"person", a.Person},
		[2]string{"template", a.Template}, [2]string{"purpose", string(a.Purpose)}, [2]string{"class", a.Class},
		[2]string{"why", why}, [2]string{"cause", clean(a.Cause)}, [2]string{"configuration", version},
		[2]string{"provider", a.Provider}, [2]string{"Message-ID", clean(a.MessageID)}, [2]string{"duplicate", duplicate},
	)
	c.printf("\n")
	var rows [][]string
	for _, s := range a.Story {
		detail := ""
		if len(s.Detail) > 0 && string(s.Detail) != "null" {
			detail = short(string(s.Detail), 160)
		}
		rows = append(rows, []string{c.exactly(s.At), c.state(s.State), s.Reason, detail})
	}
	c.table([]string{"AT", "STATE", "REASON", "DETAIL"}, rows)
	if p := a.Parts; p != nil {
		c.printf("\n")
		c.pairs([2]string{"Subject", clean(p.Subject)}, [2]string{"Preheader", clean(p.Preheader)})
		text := strings.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			if r == '\r' {
				return -1
			}
			return []rune(clean(string(r)))[0]
		}, p.Text)
		c.printf("\n%s\n", strings.TrimRight(text, "\n"))
	}
}
