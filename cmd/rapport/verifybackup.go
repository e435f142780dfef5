package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"rapport/internal/app"
)

// verifyOptions are the flags of rapport verify-backup.
type verifyOptions struct{ key, identity, keys, keyset string }

func verifyBackupCommand(c *console) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify-backup FILE",
		Short: "Check that a copy is whole, without a server",
		Long: `Verify-backup decrypts a copy and reads it to its end: every chunk and digest, the
signature of the manifest, that the log goes on where the state ends, the checksums of
rows, and that the trail comes to its root. It says what it cannot see, and exits
with 1 where anything is wrong. FILE may be s3://BUCKET/PREFIX/NAME.

With --keys it practises a restore too: it restores the copy with those keys into a
folder of its own under the system's folder for temporary files (TMPDIR), opens it as
a server does before it serves anybody, reads every row, and takes the folder away,
with those of rehearsals that were killed.`,
		Example: `  rapport verify-backup /backups/rapport-0a1b2c3d-20260301T120000.000Z.data.age --identity key.txt
  rapport verify-backup data.age --identity key.txt --key trail.pub --keys keys.age --keyset keyset.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.verifyBackup(cmd.Context(), args[0], &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "public key of the house's trail, or a file with it (rapport audit key)")
	f.StringVar(&o.keys, "keys", "", "practise a restore with this copy of the keys")
	f.StringVar(&o.keyset, "keyset", "", "with --keys: the file of the root key, where it is not in the copy of the keys")
	identityFlag(f, &o.identity)
	return cmd
}

func (c *console) verifyBackup(ctx context.Context, file string, o *verifyOptions) (err error) {
	if o.key != "" {
		if o.key, err = publicKey(o.key); err != nil {
			return err
		}
	}
	var r *app.BackupReport
	err = c.opened(ctx, file, o.identity, func(in io.Reader) (err error) {
		r, err = app.VerifyBackup(in, o.key)
		return err
	})
	if err != nil {
		return err
	}
	if o.keys != "" {
		x, err := c.rehearse(ctx, file, o)
		if err != nil {
			return fmt.Errorf("the copy is whole, and restoring it was practised in vain: %w", err)
		}
		r.Rehearsed(x)
	}
	if c.json {
		return c.printJSON(r)
	}
	c.backupReport(r)
	return nil
}

// rehearse restores a copy into a folder that is taken away again.
func (c *console) rehearse(ctx context.Context, file string, o *verifyOptions) (out *app.Rehearsal, err error) {
	var keyset []byte
	if o.keyset != "" {
		if keyset, err = os.ReadFile(o.keyset); err != nil {
			return nil, fmt.Errorf("read the file of --keyset: %w", err)
		}
	}
	if !signal.Ignored(syscall.SIGHUP) { // A terminal that is closed leaves no keys behind.
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
	}
	dir, takeAway, err := rehearsalFolder()
	if err != nil {
		return nil, fmt.Errorf("make a folder to restore into: %w", err)
	}
	defer func() { err = errors.Join(err, takeAway()) }()
	err = c.opened(ctx, o.keys, o.identity, func(keys io.Reader) error {
		return c.opened(ctx, file, o.identity, func(in io.Reader) (err error) {
			out, err = app.Rehearse(ctx, in, keys, keyset, app.Options{Data: dir, Root: c.root(), Secrets: c.secrets(dir)})
			return err
		})
	})
	return out, err
}

func (c *console) backupReport(r *app.BackupReport) {
	h := &r.Head
	c.pairs([2]string{"kind", string(h.Kind)}, [2]string{"house", h.House}, [2]string{"made", c.time(h.Made)},
		[2]string{"rows", thousands(r.Rows())}, [2]string{"signed by", h.Key})
	if h.Trail != nil {
		c.pairs([2]string{"trail", fmt.Sprintf("%s rows, root %s", thousands(h.Trail.Size), h.Trail.Root)})
	}
	c.printf("\n")
	for _, s := range r.Checked {
		c.printf("%s %s\n", c.green("ok"), s)
	}
	if x := r.Rehearsal; x != nil {
		c.printf("%s restored with its keys: %s people can be read, and %s cannot, who were erased or came after the keys; %s\n", c.green("ok"),
			thousands(x.People-x.Erased), thousands(x.Erased), count(x.Records, "record waits to be walked", "records wait to be walked"))
	}
	for _, s := range r.Unseen {
		c.printf("%s\n", c.dim("not seen: "+s))
	}
}
