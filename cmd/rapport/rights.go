package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/audit"
	"rapport/internal/destination"
	"rapport/internal/identity"
	"rapport/internal/processor"
	"rapport/internal/rights"
)

// requestAnswer is what somebody asked of their data, as the API tells it.
type requestAnswer struct {
	ID           string                `json:"id"`
	Kind         rights.Kind           `json:"kind"`
	Law          rights.Law            `json:"law"`
	Person       string                `json:"person,omitempty"`
	Received     time.Time             `json:"received_at"`
	Due          time.Time             `json:"due_at"`
	Closed       time.Time             `json:"closed_at,omitzero"`
	Outcome      string                `json:"outcome,omitempty"`
	Overdue      bool                  `json:"overdue"`
	Unproven     bool                  `json:"unproven,omitempty"`
	ProofUntil   time.Time             `json:"proof_until,omitzero"`
	Result       json.RawMessage       `json:"result,omitempty"`
	Destinations []destination.Reached `json:"destinations,omitempty"`
}

// askedFlags say when and under which law something was asked.
type askedFlags struct{ law, received, note, request string }

func (f *askedFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.law, "law", "gdpr", "whose clock runs: gdpr (one month) or ccpa (45 days)")
	cmd.Flags().StringVar(&f.received, "received", "", "when it was asked, as 2026-03-01; today otherwise")
	cmd.Flags().StringVar(&f.note, "note", "", "why, for whoever reads it later; no personal data")
	cmd.Flags().StringVar(&f.request, "request", "", "the open request that this answers (rapport privacy requests)")
}

func (f *askedFlags) body() (map[string]any, error) {
	out := map[string]any{"law": f.law, "note": f.note}
	if f.request != "" {
		out["request"] = f.request
	}
	if f.received != "" {
		at, err := time.Parse(time.DateOnly, f.received)
		if err != nil {
			return nil, usagef("--received takes a day as 2026-03-01, not %q", f.received)
		}
		out["received_at"] = at
	}
	return out, nil
}

// askOf sends what somebody asked, and shows what came of it.
func (c *console) askOf(cmd *cobra.Command, ref, what string, body map[string]any) error {
	header := map[string]string{"Idempotency-Key": randomKey()}
	return post(cmd.Context(), c, path("people", personRef(ref), what), header, body, func(r requestAnswer) { c.request(&r) })
}

// requestState says in a word how a request stands.
func (c *console) requestState(r *requestAnswer) string {
	switch {
	case r.Overdue:
		return c.red("overdue")
	case !r.Closed.IsZero():
		return r.Outcome
	case r.Unproven:
		return "not proven yet"
	}
	return c.yellow("open")
}

func (c *console) request(r *requestAnswer) {
	state := c.requestState(r)
	if !r.Closed.IsZero() {
		state += " " + c.time(r.Closed)
	} else if r.Unproven {
		state += ": their link works until " + c.time(r.ProofUntil)
	}
	c.pairs([2]string{"request", r.ID}, [2]string{"asks to", string(r.Kind)}, [2]string{"person", r.Person}, [2]string{"received", c.time(r.Received)},
		[2]string{"due", c.time(r.Due) + " (" + string(r.Law) + ")"}, [2]string{"state", state})
	if r.Kind == rights.Erase && r.Outcome == rights.Done {
		var done processor.Erased
		if json.Unmarshal(r.Result, &done) == nil {
			c.erased(&done)
		}
	}
	c.saysWrong(r)
	c.reached(r.Destinations)
}

// saysWrong shows what somebody wrote on the page of preferences.
func (c *console) saysWrong(r *requestAnswer) {
	x := (&rights.Request{Kind: r.Kind, Body: r.Result}).Asked()
	if x == nil {
		return
	}
	c.printf("\n")
	var list [][2]string
	for _, name := range slices.Sorted(maps.Keys(x.Traits)) {
		list = append(list, [2]string{clean(name), clean(string(x.Traits[name]))})
	}
	for _, name := range x.Done {
		list = append(list, [2]string{clean(name), "put right at once"})
	}
	c.pairs(append(list, [2]string{"in their words", clean(x.Text)})...)
	if x.Decided && r.Closed.IsZero() {
		c.printf("\nThe traits are decided; what they wrote waits. Once it is dealt with: rapport privacy request close %s --note …\n", clean(r.ID))
	}
}

func (c *console) erased(e *processor.Erased) {
	c.printf("\n")
	c.pairs([2]string{"identifiers", strconv.Itoa(e.Identifiers)}, [2]string{"events", strconv.Itoa(e.Events)},
		[2]string{"mails", fmt.Sprintf("%d, of which %d had not left and do not", e.Mails, e.Withdrawn)},
		[2]string{"rejected events", strconv.Itoa(e.Rejects)}, [2]string{"set aside", strconv.Itoa(e.Asides)})
}

func (c *console) reached(list []destination.Reached) {
	if len(list) == 0 {
		return
	}
	var rows [][]string
	for _, d := range list {
		next := ""
		if !d.Next.IsZero() {
			next = c.time(d.Next)
		}
		rows = append(rows, []string{d.Destination, d.State, strconv.Itoa(d.Attempts), d.Reason, next})
	}
	c.printf("\n")
	c.table([]string{"DESTINATION", "STATE", "ATTEMPTS", "REASON", "NEXT"}, rows)
}

func personErase(c *console) *cobra.Command {
	var asked askedFlags
	var dry, yes bool
	cmd := &cobra.Command{
		Use:   "erase PERSON",
		Short: "Erase somebody: nothing of them is held or kept again",
		Long: `Erase takes a person out of every table: identifiers, traits, timeline, segments,
groups, what was in their mails, how they gave permission, and what was rejected or
set aside. Mails that have not left do not leave. Destinations are told, each with
retries of its own. Of late events nothing is kept, by a keyed hash of each
identifier; a no to mail stands by such a hash. It cannot be taken back.`,
		Example: `  rapport person erase email:ann@shop.example --dry-run
  rapport person erase email:ann@shop.example --received 2026-03-01`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := asked.body()
			if err != nil {
				return err
			}
			if yes && !dry {
				return c.askOf(cmd, args[0], "erase", body)
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			where := path("people", personRef(args[0]), "erase")
			header := map[string]string{"Idempotency-Key": randomKey()}
			var would processor.Erased
			if err := cl.do(cmd.Context(), "POST", where+"?dry_run=true", header, body, &would); err != nil {
				return err
			}
			if dry && c.json {
				return c.printJSON(would)
			}
			if dry {
				c.pairs([2]string{"person", would.Person})
				c.erased(&would)
				return nil
			}
			question := fmt.Sprintf("Erase %s with %d identifiers, %d events and %d mails? It cannot be taken back.", would.Person, would.Identifiers, would.Events, would.Mails)
			if !c.ask(question) {
				return usagef("nothing was erased; say --yes to erase without being asked")
			}
			return c.askOf(cmd, args[0], "erase", body)
		},
	}
	asked.add(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be erased")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func personCorrect(c *console) *cobra.Command {
	var asked askedFlags
	var set, unset []string
	var answered bool
	cmd := &cobra.Command{
		Use:   "correct PERSON",
		Short: "Put traits of somebody right",
		Long: `Correct writes traits as somebody says they are (GDPR, Art. 16). Segments and
destinations follow as after any event. A value that is JSON is taken as such. With
--request alone the values are those that the person named on the page of
preferences (rapport privacy request show ID). What they wrote there in their own words
keeps the request open until --note or --words-answered says that it is dealt with.`,
		Example: `  rapport person correct user_id:42 --set city=Sampletown --set visits=3 --unset nickname
  rapport person correct user_id:42 --request own-1a2b`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := asked.body()
			if err != nil {
				return err
			}
			traits := map[string]any{}
			for _, s := range set {
				name, value, ok := strings.Cut(s, "=")
				if !ok || name == "" {
					return usagef("--set takes TRAIT=VALUE, not %q", s)
				}
				if json.Valid([]byte(value)) {
					traits[name] = json.RawMessage(value)
				} else {
					traits[name] = value
				}
			}
			for _, name := range unset {
				traits[name] = nil
			}
			if answered {
				body["words_answered"] = true
			}
			switch {
			case len(traits) > 0:
				body["traits"] = traits
			case asked.request == "":
				return usagef("person correct lacks --set TRAIT=VALUE or --unset TRAIT, or --request ID of somebody who said what is right")
			}
			return c.askOf(cmd, args[0], "correct", body)
		},
	}
	asked.add(cmd)
	cmd.Flags().StringArrayVar(&set, "set", nil, "TRAIT=VALUE that is right; may be repeated")
	cmd.Flags().BoolVar(&answered, "words-answered", false, "what they wrote in their own words is dealt with")
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "TRAIT to take away; may be repeated")
	return cmd
}

func personRestrict(c *console) *cobra.Command {
	var asked askedFlags
	var lift bool
	cmd := &cobra.Command{
		Use:   "restrict PERSON",
		Short: "Keep somebody's data and use them for nothing",
		Long: `Restrict has somebody's data kept and not used (GDPR, Art. 18): no journey, no mail,
no pixel and no destination, for any purpose, until --lift. What they do is still
kept. It holds when the command ends.`,
		Example: `  rapport person restrict user_id:42 --note "disputes an invoice"
  rapport person restrict user_id:42 --lift`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := asked.body()
			if err != nil {
				return err
			}
			what := "restrict"
			if lift {
				what = "lift"
			}
			return c.askOf(cmd, args[0], what, body)
		},
	}
	asked.add(cmd)
	cmd.Flags().BoolVar(&lift, "lift", false, "end the restriction")
	return cmd
}

func personObject(c *console) *cobra.Command {
	var asked askedFlags
	var purposes []string
	cmd := &cobra.Command{
		Use:   "object PERSON",
		Short: "Write down that somebody objects to a purpose, or to all",
		Long: `Object writes under each identifier of a person that they object (GDPR, Art. 21): to
the purposes that you name, or to all to which one may. An objection outranks any
other basis and any later yes of a list. It holds when the command ends.`,
		Example: `  rapport person object email:ann@shop.example
  rapport person object user_id:42 --purpose marketing.newsletter`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := asked.body()
			if err != nil {
				return err
			}
			if len(purposes) > 0 {
				body["purposes"] = purposes
			}
			return c.askOf(cmd, args[0], "object", body)
		},
	}
	asked.add(cmd)
	cmd.Flags().StringArrayVar(&purposes, "purpose", nil, "a purpose; may be repeated, all without it")
	return cmd
}

func personAdmit(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "admit KIND:VALUE",
		Short: "Keep events under an identifier again whose person was erased",
		Long: `Admit is for somebody who was erased and comes back by their own will: events under
the identifier that you name are kept again, about somebody new.`,
		Example: "  rapport person admit email:ann@shop.example",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, value, ok := strings.Cut(args[0], ":")
			if !ok || kind == "" || value == "" {
				return usagef("person admit takes KIND:VALUE, not %q", args[0])
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			if err := cl.do(cmd.Context(), "POST", path("admit"), nil, identity.Name{Kind: kind, Value: value}, nil); err != nil {
				return err
			}
			c.printf("Events under this %s are kept again.\n", clean(kind))
			return nil
		},
	}
}

func privacyRequests(c *console) *cobra.Command {
	var open, unproven bool
	var kind string
	cmd := &cobra.Command{
		Use:     "requests",
		Short:   "List what people asked of their data, and until when it is due",
		Example: "  rapport privacy requests --open",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := map[string]string{}
			if open {
				query["open"] = "true"
			}
			if unproven {
				query["unproven"] = "true"
			}
			if kind != "" {
				query["kind"] = kind
			}
			type answer struct {
				Requests []requestAnswer `json:"requests"`
			}
			return show(cmd.Context(), c, path("requests"), query, func(a answer) {
				var rows [][]string
				for i := range a.Requests {
					r := &a.Requests[i]
					rows = append(rows, []string{r.ID, string(r.Kind), r.Person, c.time(r.Received), c.time(r.Due), c.requestState(r)})
				}
				if len(rows) == 0 {
					c.printf("No requests.\n")
					return
				}
				c.table([]string{"REQUEST", "ASKS TO", "PERSON", "RECEIVED", "DUE", "STATE"}, rows)
			})
		},
	}
	cmd.Flags().BoolVar(&open, "open", false, "only those that wait, the first due first")
	cmd.Flags().BoolVar(&unproven, "unproven", false, "only those of which nobody has proven yet that they are theirs")
	cmd.MarkFlagsMutuallyExclusive("open", "unproven")
	cmd.Flags().StringVar(&kind, "kind", "", "only those that ask to export, correct, erase, restrict, lift or object")
	return cmd
}

func privacyRequest(c *console) *cobra.Command {
	cmd := &cobra.Command{Use: "request", Short: "Take down, show and close what somebody asked of their data"}
	var asked askedFlags
	var kind string
	open := &cobra.Command{
		Use:     "open PERSON",
		Short:   "Take down a request that is answered later: its clock runs",
		Example: "  rapport privacy request open user_id:42 --kind export --received 2026-03-01",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := asked.body()
			if err != nil {
				return err
			}
			body["kind"], body["person"] = kind, personRef(args[0])
			return c.sendRequest(cmd, path("requests"), body)
		},
	}
	asked.add(open)
	open.Flags().StringVar(&kind, "kind", "export", "export, correct, erase, restrict, lift or object")
	look := &cobra.Command{
		Use: "show ID", Short: "Show a request, and how far destinations are", Args: cobra.ExactArgs(1),
		Example: "  rapport privacy request show req-1a2b",
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd.Context(), c, path("requests", args[0]), nil, func(r requestAnswer) { c.request(&r) })
		},
	}
	var outcome, note string
	end := &cobra.Command{
		Use: "close ID", Short: "Note that a request was answered", Args: cobra.ExactArgs(1),
		Example: `  rapport privacy request close req-1a2b --outcome refused --note "identity not proven"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.sendRequest(cmd, path("requests", args[0], "close"), map[string]any{"outcome": outcome, "note": note})
		},
	}
	end.Flags().StringVar(&outcome, "outcome", "done", "done or refused")
	end.Flags().StringVar(&note, "note", "", "why; no personal data")
	cmd.AddCommand(open, look, end)
	return cmd
}

func (c *console) sendRequest(cmd *cobra.Command, where string, body map[string]any) error {
	return post(cmd.Context(), c, where, nil, body, func(r requestAnswer) { c.request(&r) })
}

func privacyCertificate(c *console) *cobra.Command {
	var file, check, key string
	cmd := &cobra.Command{
		Use:   "certificate [ID]",
		Short: "Write the signed certificate of an erasure, or check one",
		Long: `Certificate writes what an erasure came to and how far each destination is, signed
with the key of the trail. With --check it checks one, and asks no server.`,
		Example: `  rapport privacy certificate erase-1a2b --out erased.txt
  rapport privacy certificate --check erased.txt --key trail.key`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if check != "" {
				return c.checkCertificate(check, key)
			}
			if len(args) != 1 {
				return usagef("name the erasure: rapport privacy requests --kind erase lists them")
			}
			return c.download(cmd.Context(), path("requests", args[0], "certificate"), nil, "text/plain", file)
		},
	}
	cmd.Flags().StringVar(&file, "out", "-", "a new file, or - for standard output")
	cmd.Flags().StringVar(&check, "check", "", "a certificate to check")
	cmd.Flags().StringVar(&key, "key", "", "the public key of the trail, or a file with it (rapport audit key)")
	return cmd
}

func (c *console) checkCertificate(file, key string) error {
	key, err := publicKey(key)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(file) //nolint:gosec // The path is the operator's own choice.
	if err != nil {
		return err
	}
	lines, err := audit.OpenCertificate(raw, key)
	if err != nil {
		return err
	}
	c.printf("%s\n", c.green("signed by this key:"))
	for _, l := range lines {
		c.printf("  %s\n", clean(l))
	}
	return nil
}
