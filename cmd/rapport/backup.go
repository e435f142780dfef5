package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rapport/internal/app"
	"rapport/internal/backup"
	"rapport/internal/fault"
)

// Lives of copies of keys: as long as one lives, an erasure can be undone by it, and
// the law gives one month to erase.
const (
	keysKept     = 48 * time.Hour
	keysKeptMost = 28 * 24 * time.Hour
)

// backupOptions are the flags of rapport backup.
type backupOptions struct {
	to, database string
	keys, root   bool
	lock         backup.Lock
	keep         backup.Keep
}

func backupCommand(c *console) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Write an encrypted copy of log and state, or of the keys",
		Long: `Backup writes what the server holds as it is at one instant: the state, and of the
log what it has not walked yet. The server may run, and is asked then; of a house
that nobody serves the data folder, and --database beside it, are read. The copy is
encrypted for --recipient (age), or under the passphrase in
RAPPORT_BACKUP_PASSPHRASE or in the file that RAPPORT_BACKUP_PASSPHRASE_FILE names.

The keys that open it are not in it. With --keys they are written instead, from the
data folder of this machine: they live for --keep-for, 48 hours if nothing is said,
for a copy of keys from before somebody was erased brings their data back. A later
copy into the same folder or bucket takes them away, with every version that a
bucket keeps; where --to is a single FILE nothing does but you. With --root the root
key (keyset.json) is written too; without it nothing opens.

--to names a folder, a file, or s3://BUCKET/PREFIX with AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL_S3. Of what lies there
--keep, --keep-daily, --keep-weekly and --keep-monthly say what stays. docs/backup.md.`,
		Example: `  rapport backup --to /backups --recipient age1… --keep-daily 14 --keep-monthly 12
  rapport backup --keys --to /backups-of-keys --recipient age1…
  rapport backup --to s3://backups.example/rapport --recipient age1… --keep-for 720h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.backup(cmd.Context(), &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "a folder, a file, or s3://BUCKET/PREFIX")
	f.BoolVar(&o.keys, "keys", false, "the keys, and not the data")
	f.BoolVar(&o.root, "root", false, "with --keys: the root key too, where it is in keyset.json")
	f.StringArrayVar(&o.lock.Recipients, "recipient", nil, "who can read it: a public key of age, age1…; may be repeated")
	keepFlags(f, &o.keep)
	databaseFlag(f, &o.database)
	cmd.AddCommand(backupListCommand(c))
	return cmd
}

func keepFlags(f *pflag.FlagSet, k *backup.Keep) {
	f.IntVar(&k.Last, "keep", 0, "so many of the newest copies there stay; without any of these four all do")
	f.IntVar(&k.Daily, "keep-daily", 0, "of so many days the newest copy stays")
	f.IntVar(&k.Weekly, "keep-weekly", 0, "of so many weeks the newest copy stays")
	f.IntVar(&k.Monthly, "keep-monthly", 0, "of so many months the newest copy stays")
	f.DurationVar(&k.For, "keep-for", 0, "copies there that are older go in any case; 0: none, and with --keys 48h")
}

func databaseFlag(f *pflag.FlagSet, database *string) {
	f.StringVar(database, "database", "", "address of the PostgreSQL database that holds log and state (postgres://USER@HOST/NAME); a password belongs into RAPPORT_DATABASE or PGPASSWORD")
}

// check completes the flags, or says what is wrong with them.
func (o *backupOptions) check(c *console) (err error) {
	k := &o.keep
	switch {
	case o.to == "":
		return usagef("backup lacks --to: a folder, a file, or s3://BUCKET/PREFIX")
	case o.root && !o.keys:
		return usagef("--root is written with --keys: the root key stays apart from the data")
	case min(k.Last, k.Daily, k.Weekly, k.Monthly) < 0 || k.For < 0:
		return usagef("what --keep… says is not negative")
	}
	if o.keys && k.For == 0 {
		k.For = keysKept
	}
	if o.keys && k.For > keysKeptMost {
		return usagef("copies of keys are kept for %s at most: whoever is erased comes back by one that is older, and there is a month to erase", keysKeptMost)
	}
	if o.lock.Passphrase, err = c.backupPassphrase(); err != nil {
		return err
	}
	return o.lock.Check()
}

// backup writes one copy, and takes away those whose time has come.
func (c *console) backup(ctx context.Context, o *backupOptions) error {
	if err := o.check(c); err != nil {
		return err
	}
	p, name, err := c.place(o.to, false)
	if err != nil {
		return err
	}
	one := name != ""
	m, name, err := c.takeBackup(ctx, o, p, name)
	if err != nil {
		return err
	}
	gone, err := c.tidyBackups(ctx, p, m, o.keep)
	if err != nil {
		return fmt.Errorf("%s is written: %w", name, err)
	}
	alone := o.keys && one
	if c.json {
		out := map[string]any{"name": name, "manifest": m, "taken_away": gone}
		if alone {
			out["delete_by"] = m.Head.Made.Add(o.keep.For)
		}
		return c.printJSON(out)
	}
	c.printf("%s: %s, %s rows, of %s\n", name, m.Head.Kind, thousands(m.Rows()), c.time(m.Head.Made))
	for _, g := range gone {
		c.printf("%s\n", c.dim("taken away: "+g))
	}
	if alone {
		c.printf("nothing takes this file away but you: delete it by %s, for while it is there an erasure can be undone; in a folder or a bucket the next copy does it\n",
			c.time(m.Head.Made.Add(o.keep.For)))
	}
	return nil
}

// tidyBackups takes away, behind a new copy, those whose time has come, and what the
// killed left.
func (c *console) tidyBackups(ctx context.Context, p backup.Place, m *backup.Manifest, keep backup.Keep) ([]string, error) {
	gone, err := backup.Prune(ctx, p, m.Head.House, m.Head.Kind, keep, m.Head.Made)
	left, leftErr := backup.Tidy(ctx, p, m.Head.House, m.Head.Kind, c.now())
	var f *fault.Error
	if errors.As(leftErr, &f) && f.Code == "bucket_uploads" { // A rule of the bucket may see to it.
		_, _ = fmt.Fprintf(c.err, "rapport: %s\n", f.Detail) // Whoever closed it does not want to hear of it.
		leftErr = nil
	}
	return append(gone, left...), errors.Join(err, leftErr)
}

// errTaken ends whoever writes on after nobody reads any more.
var errTaken = errors.New("the copy has ended")

// takeBackup puts a copy where it is kept, and notes that beside what it is of.
func (c *console) takeBackup(ctx context.Context, o *backupOptions, p backup.Place, name string) (*backup.Manifest, string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	read, write := io.Pipe()
	type end struct {
		here bool
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		here, err := c.copyOf(ctx, o, write)
		ended <- end{here, errors.Join(err, write.CloseWithError(err))}
	}()
	m, name, err := keepCopy(ctx, p, name, read, o.lock)
	_ = read.CloseWithError(errTaken) // It never fails.
	from := <-ended
	if from.err != nil && !errors.Is(from.err, errTaken) {
		return nil, "", from.err // What was read broke off because of it.
	}
	if err == nil && from.here {
		err = app.NoteBackup(c.data, m.Head.Kind, m.Head.Made)
	}
	return m, name, err
}

// keepCopy puts a stream where it is kept, if it proves to be a whole copy.
func keepCopy(ctx context.Context, p backup.Place, name string, r io.Reader, l backup.Lock) (m *backup.Manifest, as string, err error) {
	head, whole, err := backup.Peek(r)
	if err != nil {
		return nil, "", err
	}
	if name == "" {
		name = backup.Name(head.House, head.Kind, head.Made)
	}
	err = p.Put(ctx, name, func(w io.Writer) error {
		locked, err := backup.Encrypt(w, l)
		if err != nil {
			return err
		}
		if m, err = backup.Read(io.TeeReader(whole, locked), backup.Taker{}); err != nil {
			return err
		}
		return locked.Close()
	})
	return m, name, err
}

// copyOf writes a copy as it is: of what nobody serves, which is here, or through the
// server, which notes it itself.
func (c *console) copyOf(ctx context.Context, o *backupOptions, w io.Writer) (here bool, err error) {
	if o.keys {
		return true, app.BackupKeys(c.data, versionText(), o.root, w)
	}
	var not error
	if c.url == defaultURL {
		not = app.BackupFolder(ctx, c.data, o.database, versionText(), w)
		switch fault.CodeOf(not) {
		case "folder_held", "database_held", "no_house": // Or its data are in a database that is served.
		default:
			return true, not
		}
	}
	cl, err := c.client()
	if err == nil {
		err = cl.stream(ctx, path("backup"), "application/x-tar", w)
	}
	if err != nil && fault.CodeOf(not) == "no_house" && (errors.Is(err, errNoServer) || cl == nil) {
		return false, not
	}
	return false, err
}
