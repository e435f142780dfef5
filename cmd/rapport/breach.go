package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/breach"
)

// breachAnswer is a breach as the API tells it.
type breachAnswer struct {
	breach.Breach
	Overdue bool `json:"overdue"`
}

func privacyBreach(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "breach",
		Short: "Find whom a breach concerns, and keep its clock and register",
		Long: `A breach of personal data is told to the authority within 72 hours of becoming aware
of it (GDPR, Art. 33), and to the people concerned where the risk is high (Art. 34).
These commands find whom it concerns and with which data, keep the clock, draft what
is told, and are the register that Art. 33(5) asks for. docs/breach.md.`,
		Example: `  rapport privacy breach look --key key_3axj7dcr --from 2026-03-01
  rapport privacy breach open --key key_3axj7dcr --from 2026-03-01 --nature "The key was in a public repository."
  rapport privacy breach report breach-1a2b --out draft.md
  rapport privacy breach change breach-1a2b --authority-told 2026-03-03T10:00:00Z
  rapport privacy breach close breach-1a2b`,
	}
	cmd.AddCommand(breachLook(c), breachOpen(c), breachList(c), breachShow(c), breachChange(c), breachPeople(c), breachReport(c), breachClose(c))
	return cmd
}

// scopeFlags say what was open, and when.
type scopeFlags struct {
	from, until                 string
	keys, sources, destinations []string
	everything                  bool
}

func (f *scopeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", "", "since when it was open: 2026-03-01, 2026-03-01T12:00:00Z, or 48h for two days ago")
	cmd.Flags().StringVar(&f.until, "until", "", "until when; to this day without it")
	cmd.Flags().StringArrayVar(&f.keys, "key", nil, "id of a key that somebody else had; may be repeated")
	cmd.Flags().StringArrayVar(&f.sources, "source", nil, "a source whose events others saw; may be repeated")
	cmd.Flags().StringArrayVar(&f.destinations, "destination", nil, "a destination that others read; may be repeated")
	cmd.Flags().BoolVar(&f.everything, "everything", false, "the data folder, the database, or a backup, with their keys")
}

// given tells whether anything but the beginning is.
func (f *scopeFlags) given() bool {
	return f.until != "" || f.everything || len(f.keys)+len(f.sources)+len(f.destinations) > 0
}

// instantOf reads a time, a day, or how long ago.
func instantOf(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at.UTC(), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago).UTC(), nil
	}
	return time.Time{}, usagef("--%s takes a day (2026-03-01), a time (2026-03-01T12:00:00Z), or how long ago (48h), not %q", flag, text)
}

func (f *scopeFlags) scope(now time.Time) (s breach.Scope, err error) {
	s = breach.Scope{Keys: f.keys, Sources: f.sources, Destinations: f.destinations, Everything: f.everything}
	if s.From, err = instantOf("from", f.from, now); err != nil {
		return s, err
	}
	s.Until, err = instantOf("until", f.until, now)
	return s, err
}

// textFlags are what only people can say.
func textFlags(cmd *cobra.Command, t *breach.Texts) {
	cmd.Flags().StringVar(&t.Nature, "nature", "", "what happened; no personal data")
	cmd.Flags().StringVar(&t.Contact, "contact", "", "where more can be obtained: the data protection officer")
	cmd.Flags().StringVar(&t.Consequences, "consequences", "", "what is likely to follow")
	cmd.Flags().StringVar(&t.Measures, "measures", "", "what was done, or will be")
	cmd.Flags().StringVar(&t.Delay, "delay", "", "why it took longer than 72 hours")
	cmd.Flags().StringVar(&t.Reason, "reason", "", "what else belongs into the register")
}

func breachLook(c *console) *cobra.Command {
	var scope scopeFlags
	cmd := &cobra.Command{
		Use:     "look",
		Short:   "Count whom something that was open concerns, and take nothing down",
		Example: "  rapport privacy breach look --destination crm --from 2026-03-01 --until 2026-03-08",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := scope.scope(c.now())
			if err != nil {
				return err
			}
			type answer struct{ Affected breach.Affected }
			c.patient = true // Of many people it takes long.
			return post(cmd.Context(), c, path("breaches")+"?dry_run=true", nil, map[string]any{"scope": s}, func(a answer) { c.affected(&a.Affected) })
		},
	}
	scope.add(cmd)
	return cmd
}

func breachOpen(c *console) *cobra.Command {
	var scope scopeFlags
	var texts breach.Texts
	var aware string
	cmd := &cobra.Command{
		Use:     "open",
		Short:   "Take a breach down: its 72 hours run",
		Example: `  rapport privacy breach open --everything --from 2026-03-01 --aware 2h --nature "A laptop with a backup was stolen."`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := scope.scope(c.now())
			if err != nil {
				return err
			}
			body := struct {
				Aware *time.Time   `json:"aware_at,omitempty"`
				Scope breach.Scope `json:"scope"`
				breach.Texts
			}{Scope: s, Texts: texts}
			if aware != "" {
				at, err := instantOf("aware", aware, c.now())
				if err != nil {
					return err
				}
				body.Aware = &at
			}
			c.patient = true
			return post(cmd.Context(), c, path("breaches"), nil, body, c.breach)
		},
	}
	scope.add(cmd)
	textFlags(cmd, &texts)
	cmd.Flags().StringVar(&aware, "aware", "", "when you became aware of it; now without it")
	return cmd
}

func breachList(c *console) *cobra.Command {
	var open bool
	cmd := &cobra.Command{
		Use: "list", Short: "List breaches, the newest first", Example: "  rapport privacy breach list --open", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := map[string]string{}
			if open {
				query["open"] = "true"
			}
			type answer struct{ Breaches []breachAnswer }
			return show(cmd.Context(), c, path("breaches"), query, func(a answer) {
				var rows [][]string
				for i := range a.Breaches {
					b := &a.Breaches[i]
					rows = append(rows, []string{b.ID, c.time(b.Aware), c.time(b.Due), strconv.FormatInt(b.Affected.People, 10), c.stateOf(b)})
				}
				if len(rows) == 0 {
					c.printf("No breaches.\n")
					return
				}
				c.table([]string{"BREACH", "AWARE", "DUE", ">PEOPLE", "STATE"}, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&open, "open", false, "only those that are not closed, the first due first")
	return cmd
}

func breachShow(c *console) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a breach with whom it concerns", Example: "  rapport privacy breach show breach-1a2b", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), c, path("breaches", args[0]), nil, c.breach)
		},
	}
}

func breachChange(c *console) *cobra.Command {
	var scope scopeFlags
	var texts breach.Texts
	var authority, people string
	var count bool
	cmd := &cobra.Command{
		Use:   "change ID",
		Short: "Note what was found out about a breach, or who was told",
		Long: `Change notes texts, and when the authority and the people concerned were told. What
you do not name stays as it is. With --from and what was open, the scope is another
and people are counted anew; --count counts them again in the same.`,
		Example: `  rapport privacy breach change breach-1a2b --authority-told 2026-03-03T10:00:00Z
  rapport privacy breach change breach-1a2b --measures "The key was revoked." --count`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := struct {
				Authority *time.Time    `json:"authority_told_at,omitempty"`
				People    *time.Time    `json:"people_told_at,omitempty"`
				Scope     *breach.Scope `json:"scope,omitempty"`
				Count     bool          `json:"count,omitempty"`
				breach.Texts
			}{Count: count, Texts: texts}
			for _, x := range []struct {
				flag, text string
				to         **time.Time
			}{{"authority-told", authority, &body.Authority}, {"people-told", people, &body.People}} {
				at, err := instantOf(x.flag, x.text, c.now())
				if err != nil {
					return err
				}
				if !at.IsZero() {
					*x.to = &at
				}
			}
			if scope.from == "" && scope.given() {
				return usagef("a scope needs --from, since when it was open; without another scope leave out --until, --key, --source, --destination and --everything")
			}
			if scope.from != "" {
				s, err := scope.scope(c.now())
				if err != nil {
					return err
				}
				body.Scope = &s
			}
			c.patient = true
			return post(cmd.Context(), c, path("breaches", args[0]), nil, body, c.breach)
		},
	}
	scope.add(cmd)
	textFlags(cmd, &texts)
	cmd.Flags().StringVar(&authority, "authority-told", "", "when the authority was told")
	cmd.Flags().StringVar(&people, "people-told", "", "when the people concerned were told")
	cmd.Flags().BoolVar(&count, "count", false, "count people again")
	return cmd
}

func breachPeople(c *console) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "people ID",
		Short: "List whom a breach concerns, so that they can be told",
		Long: `People writes a JSON object a line: the person's number, their address where one is
known, and what of them was within reach. Who reads it is in the trail.`,
		Example: "  rapport privacy breach people breach-1a2b --out concerned.ndjson",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.download(cmd.Context(), path("breaches", args[0], "people"), nil, "application/x-ndjson", file)
		},
	}
	cmd.Flags().StringVar(&file, "out", "-", "a new file, or - for standard output")
	return cmd
}

func breachReport(c *console) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "report ID",
		Short: "Draft what authority and people are told (GDPR, Art. 33 and 34)",
		Long: `Report writes Markdown with each point that Art. 33(3) and 34(2) ask for: what the
server knows is filled in, what only you can say is marked where it is missing.`,
		Example: "  rapport privacy breach report breach-1a2b --out draft.md",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.download(cmd.Context(), path("breaches", args[0], "report"), nil, "text/markdown", file)
		},
	}
	cmd.Flags().StringVar(&file, "out", "-", "a new file, or - for standard output")
	return cmd
}

func breachClose(c *console) *cobra.Command {
	var outcome, reason string
	cmd := &cobra.Command{
		Use: "close ID", Short: "End a breach: it was told, or need not be", Args: cobra.ExactArgs(1),
		Example: `  rapport privacy breach close breach-1a2b
  rapport privacy breach close breach-1a2b --outcome not_required --reason "The key was never used."`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return post(cmd.Context(), c, path("breaches", args[0], "close"), nil, map[string]string{"outcome": outcome, "reason": reason}, c.breach)
		},
	}
	cmd.Flags().StringVar(&outcome, "outcome", breach.Told, "told or not_required")
	cmd.Flags().StringVar(&reason, "reason", "", "why nobody need be told")
	return cmd
}

func (c *console) stateOf(b *breachAnswer) string {
	switch {
	case b.Overdue:
		return c.red("overdue")
	case !b.Closed.IsZero():
		return b.Outcome
	case !b.Authority.IsZero():
		return "authority told"
	}
	return c.yellow("open")
}

func (c *console) breach(b breachAnswer) {
	orNot := func(t time.Time) string {
		if t.IsZero() {
			return "not yet"
		}
		return c.time(t)
	}
	scope := openOf(&b.Scope)
	until := "this day"
	if !b.Scope.Until.IsZero() {
		until = c.time(b.Scope.Until)
	}
	c.pairs([2]string{"breach", b.ID}, [2]string{"aware", c.time(b.Aware)}, [2]string{"due", c.time(b.Due)}, [2]string{"state", c.stateOf(&b)},
		[2]string{"authority told", orNot(b.Authority)}, [2]string{"people told", orNot(b.People)},
		[2]string{"open", clean(strings.Join(scope, ", "))}, [2]string{"from", c.time(b.Scope.From) + " to " + until})
	for _, t := range [][2]string{
		{"nature", b.Nature}, {"contact", b.Contact}, {"consequences", b.Consequences}, {"measures", b.Measures}, {"delay", b.Delay}, {"reason", b.Reason},
	} {
		if t[1] != "" {
			c.pairs([2]string{t[0], clean(t[1])})
		}
	}
	c.affected(&b.Affected)
}

// openOf names what was open.
func openOf(s *breach.Scope) (out []string) {
	if s.Everything {
		out = append(out, "everything")
	}
	for _, l := range []struct {
		what  string
		names []string
	}{{"key ", s.Keys}, {"source ", s.Sources}, {"destination ", s.Destinations}} {
		for _, n := range l.names {
			out = append(out, l.what+n)
		}
	}
	return out
}

func (c *console) affected(a *breach.Affected) {
	people := thousands(a.People)
	if a.AtMost {
		people = "at most " + people
	}
	if a.Gone > 0 {
		people += ", and " + thousands(a.Gone) + " of whom nothing is held any more"
	}
	c.printf("\n")
	c.pairs([2]string{"people", people})
	for _, l := range []struct {
		title string
		list  []breach.Count
	}{{"DATA", a.Kinds}, {"CLASS", a.Classes}, {"ATTRIBUTE", a.Attributes}, {"ACT", a.Acts}, {"ACT THAT NAMES NOBODY", a.Nameless}} {
		if len(l.list) == 0 {
			continue
		}
		var rows [][]string
		for _, x := range l.list {
			rows = append(rows, []string{clean(x.Name), some(x.People), some(x.Records)})
		}
		c.printf("\n")
		c.table([]string{l.title, ">PEOPLE", ">RECORDS"}, rows)
	}
}

// some writes a number, and nothing where there is none.
func some(n int64) string {
	if n == 0 {
		return ""
	}
	return thousands(n)
}
