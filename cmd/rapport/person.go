package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rapport/internal/consent"
	"rapport/internal/explain"
	"rapport/internal/purpose"
)

func personCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "person",
		Aliases: []string{"people"},
		Short:   "Look at one person, and say what they permit",
		Long: `Person shows what is known about somebody: identifiers, traits, segments, places
in journeys, permission, and what they did.`,
	}
	cmd.AddCommand(personShow(c), personEvents(c), personConsent(c), personUnmerge(c), personExport(c),
		personCorrect(c), personRestrict(c), personObject(c), personErase(c), personAdmit(c))
	return cmd
}

// forPurpose adds the flag by which somebody is read as a purpose sees them.
func forPurpose(cmd *cobra.Command) *string {
	return cmd.Flags().String("purpose", "", "what this purpose may see, if the person permits it")
}

func personShow(c *console) *cobra.Command {
	var why *string
	cmd := &cobra.Command{
		Use:     "show PERSON",
		Short:   "Show what is known about somebody",
		Example: "  rapport person show email:ann@shop.example",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), c, path("people", personRef(args[0])), map[string]string{"purpose": *why}, c.person)
		},
	}
	why = forPurpose(cmd)
	return cmd
}

func (c *console) person(p explain.Person) {
	c.pairs([2]string{"person", c.bold(p.Name)}, [2]string{"first seen", c.timeOr(p.FirstSeen)}, [2]string{"last seen", c.timeOr(p.LastSeen)},
		[2]string{"events", thousands(p.EventsCount)})
	c.printf("\n")
	var rows [][]string
	for _, i := range p.Identifiers {
		rows = append(rows, []string{i.Kind, clean(i.Value), c.time(i.Since)})
	}
	c.table([]string{"IDENTIFIER", "VALUE", "SINCE"}, rows)
	if len(p.Traits) > 0 {
		rows = nil
		for _, name := range slices.Sorted(maps.Keys(p.Traits)) {
			rows = append(rows, []string{clean(name), value(p.Traits[name])})
		}
		c.printf("\n")
		c.table([]string{"TRAIT", "VALUE"}, rows)
	}
	if len(p.Segments) > 0 {
		rows = nil
		for _, s := range p.Segments {
			rows = append(rows, []string{s.Segment, c.time(s.Since), c.timeOr(s.Until)})
		}
		c.printf("\n")
		c.table([]string{"SEGMENT", "SINCE", "UNTIL, IF NOTHING HAPPENS"}, rows)
	}
	if len(p.Journeys) > 0 {
		rows = nil
		for _, j := range p.Journeys {
			rows = append(rows, []string{j.Journey, c.time(j.Entered), c.timeOr(j.Waits)})
		}
		c.printf("\n")
		c.table([]string{"JOURNEY", "ENTERED", "WAITS UNTIL"}, rows)
	}
	c.permission(p)
}

func (c *console) permission(p explain.Person) {
	if len(p.Permission) > 0 {
		var rows [][]string
		for _, g := range p.Permission {
			allowed := c.red("no")
			if g.Allowed {
				allowed = c.green("yes")
			}
			rows = append(rows, []string{string(g.Purpose), allowed, string(g.Basis), g.State, c.timeOr(g.Since), g.Method})
		}
		c.printf("\n")
		c.table([]string{"PURPOSE", "ALLOWED", "BASIS", "BECAUSE", "SINCE", "BY"}, rows)
	}
	for _, s := range p.Suppressed {
		c.printf("%s %s %s\n", c.red("suppressed:"), s.Reason, c.time(s.At))
	}
	for _, m := range p.Parted {
		c.printf("%s %s\n", c.dim("parted from"), m)
	}
	for _, m := range p.Merged {
		c.printf("%s %s\n", c.dim("merged from"), m)
	}
}

// value prints JSON in one line, text without quotes.
func value(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return clean(s)
	}
	return clean(string(raw))
}

func personEvents(c *console) *cobra.Command {
	var limit int
	var cursor string
	var why *string
	cmd := &cobra.Command{
		Use:     "events PERSON",
		Short:   "List what somebody did, newest first",
		Example: "  rapport person events user_id:42 --limit 50",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := map[string]string{"limit": strconv.Itoa(limit), "cursor": cursor, "purpose": *why}
			return show(cmd.Context(), c, path("people", personRef(args[0]), "events"), q, func(a eventsAnswer) {
				var rows [][]string
				for _, e := range a.Events {
					differs := ""
					if len(e.Violations) > 0 {
						differs = c.yellow(clean(e.Violations[0].Detail))
					}
					rows = append(rows, []string{c.time(e.Time), e.Type, clean(e.Name), e.Source, short(string(e.Properties), 80), differs})
				}
				c.table([]string{"AT", "TYPE", "NAME", "SOURCE", "PROPERTIES", ""}, rows)
				c.older(a.Cursor)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	cmd.Flags().StringVar(&cursor, "cursor", "", "where the last list ended")
	why = forPurpose(cmd)
	return cmd
}

// short cuts text to so many characters.
func short(s string, most int) string {
	r := []rune(clean(s))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most-1]) + "…"
}

func personConsent(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "consent PERSON PURPOSE granted|refused|withdrawn|objected",
		Short: "Record what somebody said about a purpose",
		Long: `Consent records what somebody told you, for example on the phone. What narrows
(refused, withdrawn, objected) holds as soon as this returns. After a grant it
says what still keeps mails from them, such as an unsubscribed address.`,
		Example: "  rapport person consent email:ann@shop.example marketing.newsletter withdrawn",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			states := []string{"granted", "refused", "withdrawn", "objected"}
			if !slices.Contains(states, args[2]) {
				return usagef("what was said is one of granted, refused, withdrawn, objected, not %q", args[2])
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			body := map[string]string{"subject": personRef(args[0]), "purpose": args[1], "state": args[2]}
			var raw json.RawMessage
			if err := cl.do(cmd.Context(), "POST", "/v1/consent", nil, body, &raw); err != nil {
				return err
			}
			if c.json && len(raw) > 0 {
				return c.printJSON(raw)
			}
			if c.json {
				return c.printJSON(body)
			}
			c.printf("recorded: %s %s\n", args[1], args[2])
			if args[2] == "granted" {
				c.stillStands(cmd.Context(), cl, personRef(args[0]), args[1], raw)
			}
			return nil
		},
	}
}

// stillStands tells what keeps mails for a purpose from somebody who has just
// granted it. Of whom nothing is known there is nothing to tell.
func (c *console) stillStands(ctx context.Context, cl *client, who, why string, recorded json.RawMessage) {
	var at struct {
		Position int64 `json:"position"`
	}
	_ = json.Unmarshal(recorded, &at) // Without a position what holds now is shown.
	query := map[string]string{}
	if at.Position > 0 {
		query["min_position"] = strconv.FormatInt(at.Position, 10)
	}
	var p explain.Person
	if err := cl.get(ctx, path("people", who), query, &p); err != nil {
		c.printf("whether something else stands against it could not be asked: rapport person show %s\n", who)
		return
	}
	stands, unsubscribed := false, false
	for _, g := range p.Permission {
		if g.Purpose.Of(purpose.Purpose(why)) && !g.Allowed {
			stands = true
			c.printf("%s no mail for %s: %s\n", c.yellow("still"), g.Purpose, g.State)
		}
	}
	for _, s := range p.Suppressed {
		if own := s.Purpose; own == "" || own == "*" || own.Of(purpose.Purpose(why)) {
			stands, unsubscribed = true, unsubscribed || s.Reason == consent.Unsubscribed
			c.printf("%s the address is suppressed: %s, since %s\n", c.yellow("still"), s.Reason, c.time(s.At))
		}
	}
	if stands && unsubscribed && !strings.HasPrefix(who, "email:") {
		c.printf("they unsubscribed this address: when they asked for mail again, record the grant for email:ADDRESS\n")
	}
}
