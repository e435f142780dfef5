package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// resendFlags are what resend is told.
type resendFlags struct {
	with         string
	edit, all    bool
	code, source string
	when         span
	dry          bool
	mend         mending
}

func rejectedResend(c *console) *cobra.Command {
	var fl resendFlags
	cmd := &cobra.Command{
		Use:     "resend ID...",
		Aliases: []string{"redrive"},
		Short:   "Send some again, as they came or mended",
		Long: `Resend takes what was refused, or set aside (LANE/POSITION), once more: as it
came, after the configuration or the server was mended; with --with the payload as
you have mended it; with --edit in your editor; or with --set and --patch the kept
payload with changes. A path names members with dots; a number is a place in a
list, the first is 0. It goes through the gates of today, keeps the time at which
it first came, and is applied once however often it is sent. --dry-run says what
would become of it. --all takes everything with a code, of a source, or of a span of
time. What came alone in a batch is mended as if it had come by itself; a path, or a
patch, that begins with "batch" means the batch.`,
		Args: cobra.ArbitraryArgs,
		Example: `  rapport rejected resend 17 18
  rapport rejected resend 17 --set userId=42
  rapport rejected resend 18 --set 'batch.0.event=Order Completed'
  rapport rejected resend --all --code event_not_defined --set event=Seen --dry-run
  rapport rejected resend live/4711 --edit
  rapport rejected show 17 --payload > 17.json   # mend it, then
  rapport rejected resend 17 --with 17.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := fl.check(args); err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			if fl.all {
				if args, err = cl.rejectIDs(cmd.Context(), &fl, c.now()); err != nil {
					return err
				}
			}
			return c.resendEach(cmd.Context(), cl, args, &fl)
		},
	}
	f := cmd.Flags()
	f.StringVar(&fl.with, "with", "", "file with the mended payload, or - for standard input")
	f.StringArrayVar(&fl.mend.set, "set", nil, "path=value to set in the kept payload; may be repeated")
	f.StringVar(&fl.mend.patch, "patch", "", "file with a JSON merge patch for the kept payload, or - for standard input")
	f.BoolVar(&fl.edit, "edit", false, "mend the kept payload in $VISUAL or $EDITOR")
	f.BoolVar(&fl.all, "all", false, "everything that was refused and not sent again, with --code, --source, --since or --until")
	f.StringVar(&fl.code, "code", "", "with --all: only those with this code")
	f.StringVar(&fl.source, "source", "", "with --all: only those of this source")
	fl.when.flags(f)
	f.BoolVar(&fl.dry, "dry-run", false, "only say what would become of it")
	return cmd
}

func (fl *resendFlags) check(args []string) error {
	ways := 0
	for _, set := range []bool{fl.with != "", fl.edit, !fl.mend.empty()} {
		if set {
			ways++
		}
	}
	switch {
	case fl.all && (len(args) > 0 || fl.code == "" && fl.source == "" && fl.when.empty()):
		return usagef("--all goes with --code, --source, --since or --until, and without IDs")
	case !fl.all && (fl.code != "" || fl.source != "" || !fl.when.empty()):
		return usagef("--code, --source, --since and --until go with --all")
	case !fl.all && len(args) == 0:
		return usagef("rejected resend lacks an ID; rapport rejected list shows them")
	case ways > 1:
		return usagef("the payload is mended in one way: --with, --edit, or --set and --patch")
	case fl.with != "" && (len(args) > 1 || fl.all):
		return usagef("--with mends one: name one ID")
	case fl.mend.patch == "-" && (len(args) > 1 || fl.all):
		return usagef("standard input can be read once: name one ID, or a file")
	}
	return nil
}

// rejectIDs lists what was refused and not sent again, oldest first.
func (cl *client) rejectIDs(ctx context.Context, fl *resendFlags, now time.Time) (ids []string, err error) {
	q := map[string]string{"code": fl.code, "source": fl.source, "limit": "200"}
	if err := fl.when.into(q, now); err != nil {
		return nil, err
	}
	for cursor := ""; ; {
		var page rejectsAnswer
		q["cursor"] = cursor
		if err := cl.get(ctx, path("rejected"), q, &page); err != nil {
			return nil, err
		}
		for _, r := range page.Rejected {
			if !r.Sent {
				ids = append([]string{strconv.FormatInt(r.ID, 10)}, ids...)
			}
		}
		if cursor = page.Cursor; cursor == "" {
			return ids, nil
		}
	}
}

// resent is what became of one.
type resent struct {
	ID       string `json:"id"`
	Sent     bool   `json:"sent"`
	DryRun   bool   `json:"dry_run,omitempty"`
	Accepted int    `json:"accepted"`
	Denied   int    `json:"denied"`
}

// resendEach sends one after the other; one that fails holds up no other.
func (c *console) resendEach(ctx context.Context, cl *client, ids []string, fl *resendFlags) error {
	var failed error
	for _, id := range ids {
		got, err := cl.resend(ctx, c, id, fl)
		switch {
		case err != nil && failed == nil:
			failed = fmt.Errorf("send %s again: %w", id, err)
		case err != nil:
			c.fail(fmt.Errorf("send %s again: %w", id, err))
		case c.json:
			if err := c.printJSON(got); err != nil {
				return err
			}
		default:
			c.printf("%s\n", got.text())
		}
	}
	if len(ids) == 0 && !c.json {
		c.printf("nothing is to be sent again\n")
	}
	return failed
}

func (r *resent) text() string {
	verb := "was taken"
	if r.DryRun {
		verb = "would be taken"
	}
	if r.Denied > 0 && r.Accepted == 0 {
		verb = map[bool]string{false: "was held back by permission", true: "would be held back by permission"}[r.DryRun]
	}
	return r.ID + " " + verb
}

// resourceOf gives the path of what was refused, or set aside.
func resourceOf(id string) []string {
	if lane, position, ok := strings.Cut(id, "/"); ok {
		return []string{"set-aside", lane, position}
	}
	return []string{"rejected", id}
}

// resend sends one again: mended, or as it came.
func (cl *client) resend(ctx context.Context, c *console, id string, fl *resendFlags) (*resent, error) {
	var body any
	switch {
	case fl.with != "":
		mended, err := c.readAll(fl.with)
		if err != nil {
			return nil, err
		}
		body = mended
	case fl.edit || !fl.mend.empty():
		payload, err := cl.payload(ctx, id)
		if err != nil {
			return nil, err
		}
		if fl.edit {
			payload, err = c.editedEvent(ctx, payload)
		} else {
			payload, err = fl.mend.apply(c, payload)
		}
		if err != nil {
			return nil, err
		}
		body = payload
	}
	out := resent{ID: id}
	where := path(append(resourceOf(id), "resend")...)
	if fl.dry {
		where += "?dry_run=true"
	}
	var got struct {
		Sent     bool `json:"sent"`
		DryRun   bool `json:"dry_run"`
		Accepted int  `json:"accepted"`
		Denied   int  `json:"denied"`
	}
	err := cl.do(ctx, "POST", where, nil, body, &got)
	out.Sent, out.DryRun, out.Accepted, out.Denied = got.Sent, got.DryRun, got.Accepted, got.Denied
	return &out, err
}

// payload reads what is kept of one.
func (cl *client) payload(ctx context.Context, id string) ([]byte, error) {
	var kept struct{ Payload json.RawMessage }
	if err := cl.do(ctx, "GET", path(resourceOf(id)...), nil, nil, &kept); err != nil {
		return nil, err
	}
	if kept.Payload == nil {
		return nil, usagef("%s is no event of a source: it can be sent again as it is, or dropped", id)
	}
	var text string
	if json.Unmarshal(kept.Payload, &text) == nil {
		return []byte(text), nil // What is no JSON comes as a text.
	}
	return kept.Payload, nil
}

// editedEvent lets the user mend an event in an editor, without the batch around it
// if it came alone in one.
func (c *console) editedEvent(ctx context.Context, payload []byte) ([]byte, error) {
	doc, err := decodeJSON(payload)
	if err != nil || !single(doc) {
		return c.edited(ctx, payload)
	}
	list := doc.(map[string]any)[batchKey].([]any)
	one, err := encodeJSON(list[0])
	if err != nil {
		return nil, err
	}
	after, err := c.edited(ctx, one)
	if err != nil {
		return nil, err
	}
	if list[0], err = decodeJSON(after); err != nil {
		return nil, usagef("what was edited is no JSON: %v", err)
	}
	return encodeJSON(doc)
}

// edited lets the user mend a payload in an editor.
func (c *console) edited(ctx context.Context, payload []byte) ([]byte, error) {
	editor, ok := c.env("VISUAL")
	if !ok || editor == "" {
		if editor, ok = c.env("EDITOR"); !ok || editor == "" {
			return nil, usagef("--edit needs an editor: set VISUAL or EDITOR")
		}
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, payload, "", "  ") != nil {
		pretty.Reset()
		pretty.Write(payload)
	}
	f, err := os.CreateTemp("", "rapport-*.json") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make a file to edit: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // It has been read.
	_, err = f.Write(pretty.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("write a file to edit: %w", err)
	}
	words := append(strings.Fields(editor), f.Name())
	cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // The user's own editor.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("the editor %s: %w", words[0], err)
	}
	after, err := os.ReadFile(f.Name())
	switch {
	case err != nil:
		return nil, fmt.Errorf("read what was edited: %w", err)
	case bytes.Equal(after, pretty.Bytes()):
		return nil, usagef("nothing was changed in the editor; send it again without --edit")
	}
	return bytes.TrimSpace(after), nil
}

func rejectedDrop(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "drop ID...",
		Short: "Forget some for good",
		Long:  "Drop deletes what was refused, or set aside (LANE/POSITION), with its payload.\nIt is gone for good; its count by code stays in the metrics.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			for _, id := range args {
				if err := cl.do(cmd.Context(), "DELETE", path(resourceOf(id)...), nil, nil, nil); err != nil {
					return fmt.Errorf("drop %s: %w", id, err)
				}
				if !c.json {
					c.printf("%s is gone\n", id)
				}
			}
			return nil
		},
	}
}
