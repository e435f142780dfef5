package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/audit"
	"rapport/internal/consent"
	"rapport/internal/fault"
)

func consentCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "consent",
		Short: "Tell what people said, ask them to confirm, and give them receipts",
		Long: `Every word on permission is a record that is never changed: who, what, when, under
which version of which notice, on which basis, and how it is proven (ISO/IEC TS 27560).`,
		Example: `  rapport consent list email:ann@shop.example
  rapport consent receipts email:ann@shop.example --out receipts.json
  rapport audit verify receipts.json --key trail.key
  rapport consent confirm ann@shop.example --purpose marketing.newsletter --language de
  rapport consent notices`,
	}
	cmd.AddCommand(consentList(c), consentReceipts(c), consentConfirm(c), consentNotices(c))
	return cmd
}

func consentList(c *console) *cobra.Command {
	return &cobra.Command{
		Use:     "list PERSON",
		Short:   "List the records of what somebody said, oldest first",
		Example: "  rapport consent list email:ann@shop.example\n  rapport consent list user_id:42 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), c, path("consent"), map[string]string{"subject": personRef(args[0])}, c.said)
		},
	}
}

func (c *console) said(h consent.History) {
	var rows [][]string
	for _, r := range append(h.All(), h.Awaited...) {
		notice, until := "–", "–"
		if r.Notice != nil {
			notice = r.Notice.Name()
		}
		if !r.ValidUntil.IsZero() {
			until = c.time(r.ValidUntil)
		}
		var purposes []string
		for _, p := range r.Purposes {
			purposes = append(purposes, string(p))
		}
		rows = append(rows, []string{
			c.time(r.Time), r.Type, strings.Join(purposes, " "), string(r.Basis), r.Kind, r.Method, clean(notice), until, clean(r.Evidence.IP), clean(r.ID),
		})
	}
	c.table([]string{"AT", "EVENT", "PURPOSE", "BASIS", "OF", "BY", "NOTICE", "VALID UNTIL", "NETWORK", "RECORD"}, rows)
}

func consentReceipts(c *console) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "receipts PERSON",
		Short: "Write signed receipts of what somebody said, which anybody can check offline",
		Long: `A receipt is the record, and the proof that it is in the signed tree of the trail.
The person gets the same from the page of their preferences. It is checked without
any server: rapport audit verify FILE --key KEY.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.download(cmd.Context(), path("consent", "receipts"), url.Values{"subject": {personRef(args[0])}}, "application/json", file)
		},
	}
	cmd.Flags().StringVar(&file, "out", "-", "file, or - for standard output")
	return cmd
}

func consentConfirm(c *console) *cobra.Command {
	var in struct {
		Email    string   `json:"email"`
		Purposes []string `json:"purposes"`
		Language string   `json:"language,omitempty"`
		Form     string   `json:"form,omitempty"`
	}
	cmd := &cobra.Command{
		Use:   "confirm EMAIL",
		Short: "Ask an address whether it is its owner's (double opt-in)",
		Long: `The address gets one mail with a link, and nothing else until the button behind
the link was pressed. The template is consent.confirm_with of rapport.yaml.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(in.Purposes) == 0 {
				return usagef("--purpose is needed: what the address is to confirm")
			}
			in.Email = args[0]
			cl, err := c.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := cl.do(cmd.Context(), "POST", path("consent", "confirm"), nil, in, &raw); err != nil {
				return err
			}
			return present(c, raw, func(a struct {
				Mail  string
				Until time.Time
			}) {
				c.printf("%s the link works until %s; the mail is %s\n", c.green("asked"), c.time(a.Until), a.Mail)
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&in.Purposes, "purpose", nil, "what is to be confirmed; may be repeated")
	f.StringVar(&in.Language, "language", "", "language of the mail and the page: en, de")
	f.StringVar(&in.Form, "form", "", "the form on which it was said, for the record")
	return cmd
}

func consentNotices(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "notices",
		Short: "List every text that was ever shown with a choice, with its digest",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), c, path("notices"), nil, func(a struct {
				Notices []struct {
					ID, Version, Language, SHA256 string
					Since                         time.Time
					InEffect                      bool `json:"in_effect"`
				}
			}) {
				var rows [][]string
				for _, n := range a.Notices {
					now := ""
					if n.InEffect {
						now = "yes"
					}
					rows = append(rows, []string{n.ID, n.Version, n.Language, c.time(n.Since), now, n.SHA256})
				}
				c.table([]string{"NOTICE", "VERSION", "LANGUAGE", "SINCE", "IN EFFECT", "SHA-256"}, rows)
			})
		},
	}
}

// verifyReceipts checks what was given to a person.
func (c *console) verifyReceipts(list *audit.Receipts, key string) error {
	type line struct {
		Record string    `json:"record"`
		Holds  bool      `json:"holds"`
		Signed time.Time `json:"signed,omitzero"`
		Why    string    `json:"why,omitempty"`
	}
	var out []line
	broken := 0
	for i := range list.List {
		r := &list.List[i]
		var about consent.Record
		if err := json.Unmarshal(r.Record, &about); err != nil {
			return usagef("receipt %d holds no record", i+1)
		}
		l := line{Record: fmt.Sprintf("%s %s on %s", about.Type, joined(about), c.time(about.Time)), Holds: true}
		if _, at, err := r.Check(key); err != nil {
			l.Holds, l.Why, broken = false, err.Error(), broken+1
		} else {
			l.Signed = at
		}
		out = append(out, l)
	}
	if c.json {
		if err := c.printJSON(map[string]any{"receipts": out, "unproven": list.Unproven}); err != nil {
			return err
		}
	} else {
		for _, l := range out {
			if l.Holds {
				c.printf("%s %s, signed on %s\n", c.green("holds"), clean(l.Record), c.time(l.Signed))
			} else {
				c.printf("%s %s: %s\n", c.red("broken"), clean(l.Record), l.Why)
			}
		}
		if list.Unproven > 0 {
			c.printf("%d records are from before there were receipts\n", list.Unproven)
		}
	}
	switch {
	case broken > 0:
		return fault.New(fault.Invalid, "receipt_broken", "%d of %d receipts do not hold", broken, len(list.List))
	case len(out) == 0:
		return fault.New(fault.Invalid, "no_receipts", "there is no receipt in it")
	}
	return nil
}

func joined(r consent.Record) string {
	var out []string
	for _, p := range r.Purposes {
		out = append(out, string(p))
	}
	return strings.Join(out, " ")
}
