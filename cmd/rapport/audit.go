package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rapport/internal/audit"
	"rapport/internal/fault"
)

func auditCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Search the trail of what was done, and prove it",
		Long: `Every act that somebody may be asked about later has a row in the trail: permission,
mails, reads of personal data, changes by operators. Rows stand in a Merkle tree
whose signed checkpoints are worth keeping elsewhere: with one of them, and the
public key, anybody can check offline that nothing was changed since.`,
		Example: `  rapport audit list --person email:ann@shop.example
  rapport audit key > trail.key
  rapport audit checkpoint > 2026-03-01.checkpoint        # keep it elsewhere
  rapport audit export > trail.bundle
  rapport audit verify trail.bundle --key trail.key --checkpoint 2026-03-01.checkpoint`,
	}
	cmd.AddCommand(auditList(c), auditPerson(c), auditKey(c), auditCheckpoint(c), auditProve(c), auditExport(c), auditVerify(c))
	return cmd
}

// trailAnswer is a page of the trail.
type trailAnswer struct {
	Rows   []audit.Entry `json:"rows"`
	Cursor string        `json:"cursor"`
}

func auditList(c *console) *cobra.Command {
	var person, actor, act, cursor string
	var when span
	var limit int
	var walked bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List rows, newest first",
		Example: `  rapport audit list --act mail.
  rapport audit list --actor key/k3f9 --since 48h
  rapport audit list --person user_id:42 --act permission.changed`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if person != "" {
				person = personRef(person)
			}
			q := map[string]string{"person": person, "actor": actor, "act": act, "cursor": cursor, "limit": strconv.Itoa(limit)}
			if walked {
				q["walked"] = "true"
			}
			if err := when.into(q, c.now()); err != nil {
				return err
			}
			return show(cmd.Context(), c, path("audit"), q, c.trail)
		},
	}
	f := cmd.Flags()
	f.StringVar(&person, "person", "", "only what concerns this person")
	f.StringVar(&actor, "actor", "", "only what this actor did: key/ID, source/NAME, house/ROOM")
	f.StringVar(&act, "act", "", `only such acts: person.read, or all of a kind: mail.`)
	f.BoolVar(&walked, "walked", false, "also the rows of the walk, one for each batch of the log")
	when.flags(f)
	f.IntVar(&limit, "limit", 50, "how many")
	f.StringVar(&cursor, "cursor", "", "where the last list ended")
	return cmd
}

func (c *console) trail(a trailAnswer) {
	var rows [][]string
	for i := range a.Rows {
		e := &a.Rows[i]
		rows = append(rows, []string{strconv.FormatInt(e.N, 10), c.time(e.At), clean(e.Actor), clean(e.What), clean(e.Object), clean(e.Outcome), clean(string(e.Detail))})
	}
	c.table([]string{">ROW", "AT", "ACTOR", "ACT", "WITH", "OUTCOME", "DETAIL"}, rows)
	c.older(a.Cursor)
}

func auditPerson(c *console) *cobra.Command {
	var page, cursor string
	cmd := &cobra.Command{
		Use:     "person PERSON",
		Short:   "Tell what happened to somebody's data",
		Long:    "The newest 500 rows come first; --cursor with what the list ended on gives those before.",
		Example: "  rapport audit person email:ann@shop.example\n  rapport audit person user_id:42 --html ann.html",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			where := path("people", personRef(args[0]), "trail")
			if page == "" {
				return show(cmd.Context(), c, where, map[string]string{"limit": "500", "cursor": cursor}, c.trail)
			}
			q := url.Values{"limit": {"500"}}
			if cursor != "" {
				q.Set("cursor", cursor)
			}
			return c.download(cmd.Context(), where, q, "text/html", page)
		},
	}
	cmd.Flags().StringVar(&page, "html", "", "write a page for people to read into this file")
	cmd.Flags().StringVar(&cursor, "cursor", "", "where the last list ended")
	return cmd
}

func auditKey(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Print the public key with which checkpoints are checked",
		Long:  "The key is worth keeping where nobody who holds this machine can change it.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), c, path("audit", "key"), nil, func(a struct{ Key string }) { c.printf("%s\n", a.Key) })
		},
	}
}

func auditCheckpoint(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "checkpoint",
		Short: "Sign the trail as it is now, and print the checkpoint",
		Long: `A checkpoint is what to keep elsewhere: the signed size and root of the tree, with
the hashes of the newest 10,000 rows, by which a row that is changed later is named;
of older ones the range is.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := cl.do(cmd.Context(), "POST", path("audit", "checkpoint"), nil, nil, &raw); err != nil {
				return err
			}
			c.printf("%s\n", raw)
			return nil
		},
	}
}

func auditProve(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "prove ROW",
		Short: "Print a proof that a row is in the signed tree",
		Long:  "The proof is checked offline: rapport audit verify PROOF --key KEY.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.download(cmd.Context(), path("audit", "rows", args[0], "proof"), nil, "application/json", "-")
		},
	}
}

func auditExport(c *console) *cobra.Command {
	var from int64
	var details bool
	var file string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the trail as a bundle that is checked offline",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"from": {strconv.FormatInt(from, 10)}}
			if details {
				q.Set("details", "true")
			}
			return c.download(cmd.Context(), path("audit", "bundle"), q, "application/x-ndjson", file)
		},
	}
	cmd.Flags().Int64Var(&from, "from", 0, "the first row in full; of those before only hashes")
	cmd.Flags().BoolVar(&details, "details", false, "with the details that rows commit to")
	cmd.Flags().StringVar(&file, "out", "-", "file, or - for standard output")
	return cmd
}

func auditVerify(c *console) *cobra.Command {
	var key string
	var checkpoints []string
	cmd := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Check a bundle, a proof, or receipts, offline",
		Long: `Verify asks no server: it needs the bundle, the public key, and, to see what whoever
holds the signing key may have rewritten, checkpoints that were kept elsewhere. It
says what does not hold, and what no check of this bundle can see. The exit code is
1 when something does not hold. A proof and receipts are checked by the checkpoint
within them, and take no other.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := publicKey(key)
			if err != nil {
				return err
			}
			in, err := c.openFile(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // It was only read.
			return c.verify(in, key, kept{checkpoints, cmd.Flags().Lookup("checkpoint").Annotations[ofEnvironment]})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the public key, or a file with it")
	cmd.Flags().StringArrayVar(&checkpoints, "checkpoint", nil, "file of checkpoints that were kept elsewhere, for a bundle; may be repeated")
	return cmd
}

// publicKey reads the key with which what was signed is checked.
func publicKey(key string) (string, error) {
	if key == "" {
		return "", usagef("--key is needed: the public key, or a file with it (rapport audit key)")
	}
	if raw, err := os.ReadFile(key); err == nil { //nolint:gosec // The user's own file.
		key = string(raw)
	}
	return strings.TrimSpace(key), nil
}

// parcels reads checkpoints that were kept elsewhere.
func (c *console) parcels(files []string) (older []audit.Parcel, err error) {
	for _, name := range files {
		raw, err := c.readAll(name)
		if err != nil {
			return nil, err
		}
		list, err := audit.ReadParcels(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		older = append(older, list...)
	}
	return older, nil
}

// kept are files of checkpoints that were kept elsewhere, and the variable that named
// them, if one did.
type kept struct {
	files    []string
	variable []string
}

// forProof refuses checkpoints that were asked for: a proof is held against none. What a
// variable says is said for bundles, and of that it is told.
func (k kept) forProof(c *console) error {
	switch {
	case len(k.files) == 0:
		return nil
	case len(k.variable) == 0:
		return usagef("--checkpoint is for bundles: a proof, as receipts, is held against the checkpoint within it; export a bundle to hold it against an older one")
	}
	c.note("%s is for bundles and was not looked at: this is held against the checkpoint within it", k.variable[0])
	return nil
}

// verify checks a bundle, or the proof of one row.
func (c *console) verify(in io.Reader, key string, elsewhere kept) error {
	const head = `{"bundle"`
	whole := bufio.NewReader(in)
	if is, _ := whole.Peek(len(head)); string(is) != head { // What is shorter is none.
		if err := elsewhere.forProof(c); err != nil {
			return err
		}
		return c.verifyProof(whole, key)
	}
	older, err := c.parcels(elsewhere.files)
	if err != nil {
		return err
	}
	r, err := audit.Verify(whole, key, older)
	if err != nil {
		return fmt.Errorf("check the bundle: %w", err)
	}
	if c.json {
		if err := c.printJSON(r); err != nil {
			return err
		}
	} else {
		c.trailReport(r)
	}
	if len(r.Problems) > 0 {
		return fault.New(fault.Invalid, "trail_broken", "the bundle does not hold (%d problems)", len(r.Problems))
	}
	return nil
}

func (c *console) trailReport(r *audit.Report) {
	c.pairs([2]string{"trail", r.Origin}, [2]string{"rows", thousands(r.Rows)}, [2]string{"in full from", thousands(r.From)},
		[2]string{"checkpoints", fmt.Sprintf("%d in the bundle, %d from elsewhere", r.Checkpoints, r.Older)},
		[2]string{"vouched for", thousands(r.Covered)}, [2]string{"newest", c.time(r.Last)}, [2]string{"root", r.Root})
	c.printf("\n")
	for _, p := range r.Problems {
		c.printf("%s %s\n", c.red("broken"), p)
	}
	if len(r.Problems) == 0 {
		c.printf("%s nothing that this bundle shows was changed\n", c.green("holds"))
	}
	c.printf("\nWhat it cannot see:\n")
	for _, s := range r.CannotSee {
		c.printf("  %s\n", s)
	}
}

// verifyProof checks the proof of one row, or receipts.
func (c *console) verifyProof(in io.Reader, key string) error {
	raw, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("read the proof: %w", err)
	}
	if receipts, err := audit.ReadReceipts(raw); err == nil {
		return c.verifyReceipts(receipts, key)
	}
	var p audit.Proof
	if err := json.Unmarshal(raw, &p); err != nil || p.Checkpoint == "" {
		return usagef("this is neither a bundle nor a proof of the trail, nor receipts")
	}
	t, at, err := p.Check(key)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(map[string]any{"n": p.N, "leaf": p.Leaf, "rows": t.Size, "at": at, "holds": true})
	}
	c.printf("%s row %d is among the %d rows that were signed on %s:\n%s\n", c.green("holds"), p.N, t.Size, c.time(at), clean(string(p.Leaf)))
	return nil
}
