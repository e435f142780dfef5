package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/app"
	"rapport/internal/fault"
)

func keysCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Look after the keys under which everything is sealed",
		Long: `Everything that is stored is sealed: each person under a data key of their own,
the data keys under a wrapping key in keys.db, and that under the root key, in
keyset.json or in a key management service. docs/keys.md tells how to keep them.

Status and rotate work on the data folder, or through the server that serves it;
with --url they ask that server. The keys of the API are another thing:
rapport key list.`,
		Example: `  rapport keys status
  rapport keys rotate
  rapport keys export --passphrase-file words --out keyset.age`,
	}
	cmd.AddCommand(keysStatus(c), keysRotate(c), keysExport(c), keysMove(c), keysBegin(c))
	return cmd
}

// onKeys runs here on the keys of the data folder, or there through the server
// that serves it, or that --url names.
func (c *console) onKeys(here func(*app.Keyring) error, there func(*client) error) error {
	if c.url == defaultURL {
		k, err := app.OpenKeys(c.data, c.root())
		if err == nil {
			return errors.Join(here(k), k.Close())
		}
		if code := fault.CodeOf(err); code != "folder_held" {
			return err
		}
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	return there(cl)
}

func keysStatus(c *console) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Tell which keys there are, how old, and what is under each",
		Example: "  rapport keys status --data /var/lib/rapport",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s app.KeyStatus
			err := c.onKeys(func(k *app.Keyring) (err error) {
				s, err = k.Status(cmd.Context())
				return err
			}, func(cl *client) error { return cl.get(cmd.Context(), path("keyring"), nil, &s) })
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(s)
			}
			c.keyStatus(&s)
			return nil
		},
	}
}

func (c *console) keyStatus(s *app.KeyStatus) {
	root := s.Root
	if root == app.FileRoot {
		root = "keyset.json, without a passphrase"
		if s.Passphrase {
			root = "keyset.json, with a passphrase"
		}
	}
	c.pairs([2]string{"root key", root},
		[2]string{"data keys", fmt.Sprintf("%s: people %s, identifiers %s, days of the log %s", thousands(s.Keys), thousands(s.People), thousands(s.Names), thousands(s.Days))})
	c.printf("\n")
	var rows [][]string
	for i, w := range s.Wrapping {
		state := "in use"
		if i < len(s.Wrapping)-1 {
			state = "retires when nothing is under it"
		}
		days := strconv.Itoa(int(s.Now.Sub(w.Made)/(24*time.Hour))) + " days"
		rows = append(rows, []string{strconv.Itoa(w.Number), c.time(w.Made), days, thousands(w.Keys), state})
	}
	c.table([]string{">WRAPPING KEY", "MADE", ">AGE", ">DATA KEYS", "STATE"}, rows)
	switch {
	case s.Rotation.Running:
		c.printf("\na rotation is running: %s data keys are done\n", thousands(s.Rotation.Done))
	case s.Pending && s.RootKeys > 1:
		c.printf("\na rotation of the root key was interrupted: rapport keys rotate --root goes on\n")
	case s.Pending:
		c.printf("\na rotation was interrupted: rapport keys rotate goes on\n")
	}
}

func keysRotate(c *console) *cobra.Command {
	var root bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Take a new wrapping key into use and retire the old one",
		Long: `Rotate makes a new wrapping key, wraps every data key anew under it, and destroys
the former once nothing is under it. A server that serves the folder does so while
it goes on. What was interrupted goes on when the same command is given again, or
when the folder is served.

With --root the root key changes too: keyset.json gets a new key, encrypted under
the passphrase that there is now; a key management service wraps under the newest
version of its key. Older copies of keyset.json then open no newer keys.db.`,
		Example: "  rapport keys rotate\n  rapport keys rotate --root",
		RunE: func(cmd *cobra.Command, _ []string) error {
			show := newMoving(c)
			told := func(done int64) { show.at("wrapping", "data keys", done) }
			err := c.onKeys(func(k *app.Keyring) error { return k.Rotate(cmd.Context(), root, told) },
				func(cl *client) error { return cl.rotate(cmd.Context(), root, told) })
			show.end()
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(map[string]any{"rotated": true, "root": root})
			}
			c.printf("rotated; rapport keys status shows the keys\n")
			return nil
		},
	}
	cmd.Flags().BoolVar(&root, "root", false, "the root key too")
	return cmd
}

// askEvery is how often a server is asked how far it is.
const askEvery = 200 * time.Millisecond

// rotate has a server rotate its keys and waits until it has.
func (cl *client) rotate(ctx context.Context, root bool, told func(int64)) error {
	where := path("keyring", "rotation")
	if err := cl.do(ctx, "POST", where, nil, map[string]bool{"root": root}, nil); err != nil {
		return err
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		var turn app.Rotation
		if err := cl.get(ctx, where, nil, &turn); err != nil {
			return err
		}
		told(turn.Done)
		if !turn.Running && turn.Error != "" {
			return fault.New(fault.Unavailable, "not_rotated", "%s; the same command goes on", turn.Error)
		}
		if !turn.Running {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func keysExport(c *console) *cobra.Command {
	var out, words string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the root key for safe keeping, under a passphrase",
		Long: `Export writes keyset.json encrypted under a passphrase of its own (age, scrypt),
never without one. The file is a keyset.json itself: put in place of a lost one, with
that passphrase in RAPPORT_KEYS_PASSPHRASE, it opens the copy of keys.db. Keep both
apart from the data, and the passphrase apart from both. The server may run.`,
		Example: "  rapport keys export --passphrase-file words --out keyset.age",
		RunE: func(*cobra.Command, []string) error {
			if words == "" {
				return usagef("--passphrase-file is needed: a file with the passphrase under which the root key is written")
			}
			word, err := secretFile("--passphrase-file", words)
			if err != nil {
				return err
			}
			raw, err := app.ExportKeyset(c.data, c.root(), word)
			if err != nil {
				return err
			}
			if out == "-" {
				c.printf("%s", raw)
				return nil
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // The operator names the file.
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s is there already: name another file, so that no export is lost", out)
			}
			if err != nil {
				return fmt.Errorf("write the root key: %w", err)
			}
			_, err = f.Write(raw)
			if err == nil {
				err = f.Sync()
			}
			return errors.Join(err, f.Close())
		},
	}
	cmd.Flags().StringVar(&words, "passphrase-file", "", "file with the passphrase for the export")
	cmd.Flags().StringVar(&out, "out", "-", "file to write, or - for standard output")
	return cmd
}

func keysMove(c *console) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "move",
		Short: "Bring everything under a root key elsewhere",
		Long: `Move wraps the wrapping keys under another root key: one in a key management
service, or one in keyset.json. Stop the server first. What was interrupted goes on
when the same command is given again, or when the folder is served.`,
		Example: `  rapport keys move --to aws-kms://arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
  rapport keys move --to file`,
		RunE: func(*cobra.Command, []string) error {
			if to == "" {
				return usagef("--to is needed: file, or aws-kms://…, gcp-kms://…, hcvault://…")
			}
			k, err := app.OpenKeys(c.data, c.root())
			if err != nil {
				return err
			}
			if err := errors.Join(k.Move(to), k.Close()); err != nil {
				return err
			}
			c.printf("the root key is %s now\n", to)
			if to != app.FileRoot {
				c.printf("%s\n", c.dim("keyset-former.json, if there is one, opens copies of keys.db from before: destroy it with the last of those"))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "where the root key is to be")
	return cmd
}

func keysBegin(c *console) *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:   "begin",
		Short: "Seal from now on what a data folder holds that was not sealed",
		Long: `Begin makes the keys of a data folder that was served unsealed, or by a rapport
that did not seal. What is written from then on is sealed; what is there stays as it
is until it is written again. There is no way back. Stop the server first.`,
		Example: "  rapport keys begin --data /var/lib/rapport",
		RunE: func(*cobra.Command, []string) error {
			o := c.root()
			o.Address = at
			k, err := app.BeginSealing(c.data, o)
			if err != nil {
				return err
			}
			c.printf("sealed from now on; rapport keys export keeps the root key\n")
			return k.Close()
		},
	}
	rootKeyFlag(cmd.Flags(), &at)
	return cmd
}
