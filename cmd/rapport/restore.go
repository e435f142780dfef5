package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"rapport/internal/app"
	"rapport/internal/backup"
)

// restoreOptions are the flags of rapport restore.
type restoreOptions struct {
	keys, erasures, identity, key string
	to                            app.RestoreOptions
}

func restoreCommand(c *console) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Fill an empty data folder from a copy",
		Long: `Restore writes what a copy holds into the folder that --data names, which must be
empty, and into the empty database of --database where there is one. --keys names the
copy of the keys; without it their files must be there before a server starts. Where
FILE is itself a copy of keys, they are put into a folder that has none yet.

Whoever was erased since the copy was taken is erased again at the start, if the list
of them is there: give the newest erasures.jsonl that you have with --erasures.
FILE may be s3://BUCKET/PREFIX/NAME. docs/backup.md tells how to practise it.`,
		Example: `  rapport restore data.age --keys keys.age --key trail.pub --erasures erasures.jsonl --data /var/lib/rapport
  rapport restore s3://backups.example/rapport/rapport-0a1b2c3d-20260301T120000.000Z.data.age --identity key.txt --data data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.restore(cmd.Context(), args[0], &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.keys, "keys", "", "the copy of the keys that opens it")
	f.StringVar(&o.erasures, "erasures", "", "a newer erasures.jsonl, out of the data folder that was lost")
	f.BoolVar(&o.to.DropTail, "drop-tail", false, "leave out what had come in and was not walked when the copy was taken: where the keys of those days are gone")
	f.StringVar(&o.key, "key", "", "public key of the house's trail, or a file with it (rapport audit key): a copy that another key signed is refused")
	identityFlag(f, &o.identity)
	databaseFlag(f, &o.to.Database)
	return cmd
}

func (c *console) restore(ctx context.Context, file string, o *restoreOptions) (err error) {
	o.to.Data = c.data
	if o.key != "" {
		if o.to.Key, err = publicKey(o.key); err != nil {
			return err
		}
	}
	if o.erasures != "" {
		if o.to.Newer, err = os.ReadFile(o.erasures); err != nil {
			return fmt.Errorf("read the file of --erasures: %w", err)
		}
	}
	show := newMoving(c)
	o.to.Told = show.at
	var m *backup.Manifest
	fill := func(keys io.Reader) error {
		o.to.Keys = keys
		return c.opened(ctx, file, o.identity, func(r io.Reader) error {
			head, whole, err := backup.Peek(r)
			switch {
			case err != nil:
			case head.Kind == backup.Keys && keys == nil:
				m, err = app.RestoreKeys(whole, c.data, o.to.Key)
			default:
				m, err = app.Restore(ctx, whole, o.to)
			}
			return err
		})
	}
	if o.keys == "" {
		err = fill(nil)
	} else {
		err = c.opened(ctx, o.keys, o.identity, fill)
	}
	show.end()
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(map[string]any{"data": c.data, "manifest": m})
	}
	if m.Head.Kind == backup.Keys {
		c.printf("restored the keys of %s into %s\n", c.time(m.Head.Made), c.data)
		return nil
	}
	c.printf("restored %s rows of %s into %s\n\nNext:\n", thousands(m.Rows()), c.time(m.Head.Made), c.data)
	if o.keys == "" {
		c.printf("- restore the newest copy of the keys into %s too, and put keyset.json beside them if it is not in it\n", c.data)
	}
	if o.erasures == "" {
		c.printf("- if you have a newer erasures.jsonl than the copy's, put it into %s: it erases again who was erased since\n", c.data)
	}
	c.printf("- start the server: it walks what had not been walked, and erases again\n")
	c.printf("- mails that left between the copy and the loss are not known to have left: docs/backup.md\n")
	return nil
}
