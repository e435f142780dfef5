package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"rapport/internal/app"
	"rapport/internal/audit"
	"rapport/internal/backup"
	"rapport/internal/fault"
)

// sealedFor says for whom a backup is encrypted, or by what it is opened.
type sealedFor struct {
	recipients []string // age1…
	identity   string   // a file with AGE-SECRET-KEY-1…
	plain      bool
}

func (c *console) backupPassphrase() (string, error) {
	return c.secretOf("RAPPORT_BACKUP_PASSPHRASE")
}

func (c *console) recipientsOf(s *sealedFor) (out []age.Recipient, err error) {
	for _, text := range s.recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, usagef("--recipient takes an age recipient, age1…: %v", err)
		}
		out = append(out, r)
	}
	word, err := c.backupPassphrase()
	if err != nil {
		return nil, err
	}
	switch {
	case len(out) > 0 && word != "":
		return nil, usagef("encrypt a backup for recipients or under a passphrase, not both")
	case word != "":
		r, err := age.NewScryptRecipient(word)
		return []age.Recipient{r}, err
	case len(out) == 0 && !s.plain:
		return nil, usagef("say for whom the backup is encrypted: --recipient age1…, or a passphrase in RAPPORT_BACKUP_PASSPHRASE or in a file that RAPPORT_BACKUP_PASSPHRASE_FILE names; --plain leaves it readable")
	}
	return out, nil
}

// opened gives what is in a backup file.
func (c *console) opened(in io.Reader, s *sealedFor) (io.Reader, error) {
	if s.plain {
		return in, nil
	}
	word, err := c.backupPassphrase()
	if err != nil {
		return nil, err
	}
	var by []age.Identity
	switch {
	case s.identity != "":
		raw, err := os.ReadFile(s.identity)
		if err != nil {
			return nil, fmt.Errorf("read the identity: %w", err)
		}
		if by, err = age.ParseIdentities(strings.NewReader(string(raw))); err != nil {
			return nil, usagef("--identity names no file of an age identity, AGE-SECRET-KEY-1…")
		}
	case word != "":
		i, err := age.NewScryptIdentity(word)
		if err != nil {
			return nil, err
		}
		by = []age.Identity{i}
	default:
		return nil, usagef("say what opens the backup: --identity FILE, RAPPORT_BACKUP_PASSPHRASE, or --plain where it is not encrypted")
	}
	out, err := age.Decrypt(in, by...)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "backup_closed", "the backup does not open with this: it is for somebody else, damaged, or no backup of ours")
	}
	return out, nil
}

func backupCommand(c *console) *cobra.Command {
	var s sealedFor
	var to string
	var keys bool
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Write a backup of the house, encrypted, while it goes on",
		Long: `Backup writes one file with log, state and what belongs to them, of one instant, and
encrypts it with age. It asks the server, or opens the data folder itself where no
server has it. The keys under which everything is sealed are not in it: they have
backups of their own, with --keys, which must not live longer than you may take to
erase somebody (docs/backup.md). A file is put in its place once it is whole.`,
		Example: `  rapport backup --to /backups/monday.rapport --recipient age1…
  RAPPORT_BACKUP_PASSPHRASE_FILE=words rapport backup --keys --to keys.rapport`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usagef("backup lacks --to FILE")
			}
			for_, err := c.recipientsOf(&s)
			if err != nil {
				return err
			}
			part := backup.Data
			if keys {
				part = backup.Keys
			}
			m, size, err := c.writeBackup(cmd.Context(), to, for_, part)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(m)
			}
			c.pairs([2]string{"backup", to}, [2]string{"of", string(m.Part)}, [2]string{"bytes", thousands(size)}, [2]string{"made", c.time(m.Made)})
			if part == backup.Data {
				c.pairs([2]string{"people", thousands(m.People)}, [2]string{"walked", fmt.Sprintf("live %s, bulk %s", thousands(m.Walked["live"]), thousands(m.Walked["bulk"]))})
				c.printf("\nWithout the keys nobody can read it: rapport backup --keys\n")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "the new file")
	f.StringArrayVar(&s.recipients, "recipient", nil, "age recipient who can open it; may be repeated")
	f.BoolVar(&s.plain, "plain", false, "do not encrypt it")
	f.BoolVar(&keys, "keys", false, "a backup of the keys instead of the data")
	return cmd
}

// writeBackup writes a file beside its place, reads what is written on the way, and
// puts it there once it is whole.
func (c *console) writeBackup(ctx context.Context, to string, recipients []age.Recipient, part backup.Part) (m *backup.Manifest, size int64, err error) {
	if _, err := os.Stat(to); err == nil {
		return nil, 0, usagef("%s is there already: name a new file", to)
	}
	out, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*")
	if err != nil {
		return nil, 0, fmt.Errorf("make %s: %w", to, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(out.Name()) // It is none.
		}
	}()
	var sink io.WriteCloser = out
	if len(recipients) > 0 {
		if sink, err = age.Encrypt(out, recipients...); err != nil {
			return nil, 0, errors.Join(err, out.Close())
		}
	}
	m, err = c.copyBackup(ctx, sink, part)
	if len(recipients) > 0 {
		err = errors.Join(err, sink.Close())
	}
	if err = errors.Join(err, out.Sync()); err != nil {
		return nil, 0, errors.Join(err, out.Close())
	}
	if size, err = out.Seek(0, io.SeekCurrent); err != nil {
		return nil, 0, errors.Join(err, out.Close())
	}
	if err = out.Close(); err != nil {
		return nil, 0, err
	}
	return m, size, os.Rename(out.Name(), to)
}

// copyBackup has a backup written to w, and holds it to its own digests meanwhile.
func (c *console) copyBackup(ctx context.Context, w io.Writer, part backup.Part) (*backup.Manifest, error) {
	in, pipe := io.Pipe()
	type read struct {
		m   *backup.Manifest
		err error
	}
	done := make(chan read, 1)
	go func() {
		m, err := backup.Read(in, func(string, io.Reader) error { return nil }, unsigned)
		_, _ = io.Copy(io.Discard, in) // What is behind the end must not hold the writer up.
		done <- read{m, err}
	}()
	err := c.takeBackup(ctx, io.MultiWriter(w, pipe), part)
	_ = pipe.CloseWithError(err) // It never fails.
	r := <-done
	if err != nil {
		return nil, err
	}
	return r.m, r.err
}

// unsigned takes the lines of a signature without checking it: this very house has
// just made it.
func unsigned(signed []byte) ([]string, error) { return audit.LinesOf(signed) }

// takeBackup has a backup written by the folder where nobody serves it, else by the server.
func (c *console) takeBackup(ctx context.Context, w io.Writer, part backup.Part) error {
	if c.url == defaultURL {
		h, err := app.Open(ctx, app.Options{Data: c.data, Root: c.root(), Secrets: c.secrets(c.data)}, nil)
		if err == nil {
			return errors.Join(h.Backup(ctx, part, w), h.Close())
		}
		if code := fault.CodeOf(err); code != "folder_held" {
			return err
		}
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	return cl.stream(ctx, path("backup")+"?"+url.Values{"part": {string(part)}}.Encode(), "application/x-tar", w)
}

func restoreCommand(c *console) *cobra.Command {
	var s sealedFor
	var key string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup into a data folder that nobody serves",
		Long: `Restore opens a backup, checks all of it, and puts it into the data folder: data into
one that holds no log and no state, keys into one that holds none. Erasures that the
folder knows of already (erasures.jsonl) are kept: whoever was erased since the
backup is erased again when the server starts.

What was sent after the backup was made is not in it, and is decided again if its
cause is among the events that the state has not walked.`,
		Example: `  rapport restore monday.rapport --data /var/lib/rapport --identity key.txt
  rapport restore keys.rapport --data /var/lib/rapport --identity key.txt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := keyOrNone(key)
			if err != nil {
				return err
			}
			m, err := c.readBackup(args[0], &s, func(in io.Reader) (*backup.Manifest, error) {
				return app.RestoreBackup(cmd.Context(), in, c.data, key)
			})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(m)
			}
			c.pairs([2]string{"restored", string(m.Part)}, [2]string{"into", c.data}, [2]string{"made", c.time(m.Made)})
			if m.Part == backup.Data {
				c.printf("\nNext: bring keys.db and keyset.json back (rapport restore KEYS), and start rapport serve.\n")
			}
			return nil
		},
	}
	openFlags(cmd, &s, &key)
	return cmd
}

func verifyBackupCommand(c *console) *cobra.Command {
	var s sealedFor
	var key string
	cmd := &cobra.Command{
		Use:   "verify-backup FILE",
		Short: "Check a backup, without a server",
		Long: `Verify-backup opens a backup, holds every file to its digest, the digests to the
signature of the house, and reads every page of its databases. It cannot see whether
the backup is the newest, whether the keys that open its contents are kept, or,
without --key, whether somebody who has the passphrase made it up.`,
		Example: "  rapport verify-backup monday.rapport --identity key.txt --key trail.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := keyOrNone(key)
			if err != nil {
				return err
			}
			m, err := c.readBackup(args[0], &s, func(in io.Reader) (*backup.Manifest, error) {
				return app.VerifyBackup(cmd.Context(), in, key)
			})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(m)
			}
			c.printf("%s\n", c.green("the backup is whole"))
			c.pairs([2]string{"of", string(m.Part)}, [2]string{"made", c.time(m.Made)}, [2]string{"people", thousands(m.People)})
			var rows [][]string
			for _, f := range m.Files {
				rows = append(rows, []string{f.Name, thousands(f.Size), f.SHA256[:16] + "…"})
			}
			c.table([]string{"FILE", ">BYTES", "SHA-256"}, rows)
			if key == "" {
				c.printf("\nIt was checked with the key that it brings itself; --key checks it with yours.\n")
			}
			return nil
		},
	}
	openFlags(cmd, &s, &key)
	return cmd
}

// keyOrNone reads the trail's public key where one is given.
func keyOrNone(key string) (string, error) {
	if key == "" {
		return "", nil
	}
	return publicKey(key)
}

func openFlags(cmd *cobra.Command, s *sealedFor, key *string) {
	cmd.Flags().StringVar(&s.identity, "identity", "", "file with the age identity that opens it")
	cmd.Flags().BoolVar(&s.plain, "plain", false, "it is not encrypted")
	cmd.Flags().StringVar(key, "key", "", "the public key of the trail, or a file with it (rapport audit key)")
}

func (c *console) readBackup(name string, s *sealedFor, read func(io.Reader) (*backup.Manifest, error)) (*backup.Manifest, error) {
	f, err := os.Open(name) //nolint:gosec // The user's own file.
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // It was only read.
	in, err := c.opened(f, s)
	if err != nil {
		return nil, err
	}
	return read(in)
}
