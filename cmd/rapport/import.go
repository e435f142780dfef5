package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"rapport/internal/project"
	"rapport/internal/source"
)

type importFlags struct {
	folder, source   string
	mapping          string
	name             string
	database         string
	simulate, digest bool
	keep             bool
	dry              bool
	rows             int
	maxBad           int64
	bad, state       string
	restart          bool
}

func importCommand(c *console) *cobra.Command {
	var fl importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring in a file of events, or play one back",
		Long: `Import reads a CSV file, lines of JSON or a file of fixed width, makes events of
its lines and sends them to a running server, in the bulk lane, which never
delays live events. FILE may be compressed with gzip; - reads standard input.

How lines become events says the mapping: the file: section of a source of kind
file (--config), or a mapping file of its own (--map, with the --source of the
server in whose name the events come). docs/import.md shows both.

Lines that cannot be mapped stop nothing. They are listed with their number and
the reason in FILE.bad.csv, and the command ends with exit code 6.

An import that was interrupted goes on where it stopped when the same command is
given again: how far it came is in FILE.progress until it is done.

Where the mapping makes no message id, a line's is the digest of the whole file
and the number of the line. So the same file again is applied once within the
duplicate window, packed or not and whatever its name is, and another file is
another one. A file that has grown is another file too: give its lines ids of
their own (message_id: in the mapping). Standard input is read once, so there
the digest is that of --name and the first megabyte.

Permission is never made up: a line grants something only if its mapping says
which value means yes, and the line has the time and the evidence of it.

It fails when nothing was taken because every line is bad or was rejected.

With --dry-run nothing is sent: the first lines are shown as what they would
become.

With --simulate nothing is sent to a server: the events are played back in order
of their time, in a data folder of its own, on business time, with everything
that becomes due in between, and the mails are counted instead of delivered. Log and
state are files of that folder, or, with --database, in a PostgreSQL database
that must be empty; both count alike.`,
		Example: `  rapport import --config shop --source orders orders.csv
  rapport import --map people.yaml --source crm --dry-run people.csv.gz
  rapport import --simulate --config examples/cdnow --digest cdnow-master.txt.gz`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case fl.digest && !fl.simulate:
				return usagef("--digest goes with --simulate")
			case fl.folder == "" && fl.mapping == "":
				return usagef("say how lines become events: --config FOLDER with a source of kind file, or --map FILE\nUsage: %s", cmd.UseLine())
			case fl.simulate && fl.folder == "":
				return usagef("--simulate needs the configuration: --config FOLDER")
			case fl.mapping != "" && fl.source == "":
				return usagef("--map needs --source, the source of the server in whose name the events come")
			}
			return c.importFile(cmd.Context(), fl, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&fl.folder, "config", "", "configuration folder with the source")
	f.StringVar(&fl.mapping, "map", "", "mapping file, instead of the one in the source")
	f.StringVar(&fl.source, "source", "", "the source whose mapping is used; may be left out if there is one of kind file")
	f.StringVar(&fl.name, "name", "", "for standard input: what makes its message ids differ from those of other input")
	f.BoolVar(&fl.dry, "dry-run", false, "send nothing, show what the first lines become")
	f.IntVar(&fl.rows, "rows", 10, "with --dry-run: how many lines to show")
	f.Int64Var(&fl.maxBad, "max-bad", -1, "stop when more lines than this are bad; below 0: never")
	f.StringVar(&fl.bad, "bad", "", "where bad lines are listed; FILE.bad.csv if left out")
	f.StringVar(&fl.state, "progress-file", "", "where it is kept how far the import came; FILE.progress if left out")
	f.BoolVar(&fl.restart, "restart", false, "begin with the first line, also where an earlier import was interrupted")
	f.BoolVar(&fl.simulate, "simulate", false, "play the file back on business time instead of sending it")
	f.BoolVar(&fl.digest, "digest", false, "with --simulate: print the digest of who got which journey's mail on which day")
	f.StringVar(&fl.database, "database", "", "with --simulate: an empty PostgreSQL database for log and state, instead of files")
	f.BoolVar(&fl.keep, "keep", false, "with --simulate: keep the data folder that was made and say where it is")
	return cmd
}

// mapped is how an import makes events of lines.
type mapped struct {
	config *project.Config // nil with a mapping file alone
	source string
	format *source.Format
	text   []byte // the mapping as it is written
}

func (c *console) importFile(ctx context.Context, fl importFlags, name string) error {
	m, err := c.mapping(fl)
	if err != nil {
		return err
	}
	in, err := c.openFile(name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // It was read to the end or given up.
	if fl.simulate {
		if m.format.Consents() {
			return usagef("a mapping with consent cannot be played back: leave it out, or import into a server of its own")
		}
		return c.simulate(ctx, fl, m, name, in)
	}
	if fl.dry {
		return c.dryRun(ctx, fl, m, name, in)
	}
	content := ""
	if regular(name) || fl.name != "" || !m.format.NamesMessages() {
		if content, err = c.contentOf(fl, name, in); err != nil {
			return err
		}
		m.format = m.format.Of(content)
	}
	return c.send(ctx, fl, m, content, name, in)
}

// mapping finds how lines become events.
func (c *console) mapping(fl importFlags) (*mapped, error) {
	m := &mapped{source: fl.source}
	if fl.folder != "" {
		config, problems, err := c.load(fl.folder)
		if err != nil {
			return nil, err
		}
		if config == nil {
			return nil, c.report(fl.folder, nil, problems, false)
		}
		m.config = config
		if fl.mapping == "" {
			src, err := fileSource(config, fl.source)
			if err != nil {
				return nil, err
			}
			m.source, m.format, m.text = src.Name, src.File, config.Files["sources/"+src.Name+".yaml"]
			return m, nil
		}
	}
	text, err := os.ReadFile(fl.mapping)
	if err != nil {
		return nil, fmt.Errorf("read the mapping: %w", err)
	}
	format, problems := project.ReadMapping(filepath.Base(fl.mapping), text)
	if format == nil {
		return nil, c.report(filepath.Dir(fl.mapping), nil, problems, false)
	}
	m.format, m.text = format, text
	return m, nil
}

// identityBytes is how much of standard input tells what it is.
const identityBytes = 1 << 20

// contentOf gives the short digest that tells one file from all others: nothing
// is sent before it is known. Of input that is read once, only the beginning is
// looked at, and stays to be read.
func (c *console) contentOf(fl importFlags, name string, in *input) (string, error) {
	digest := sha256.New()
	if regular(name) {
		whole, err := c.openFile(name)
		if err != nil {
			return "", err
		}
		defer func() { _ = whole.Close() }() // It was only read.
		if _, err := io.Copy(digest, whole); err != nil {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		return shortDigest(digest), nil
	}
	if fl.name == "" {
		return "", usagef("give input that can be read only once a --name: it becomes part of the message ids, so that other input is not taken for the same")
	}
	buffered := bufio.NewReaderSize(in.Reader, identityBytes)
	first, err := buffered.Peek(identityBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	_, _ = io.WriteString(digest, fl.name+"\n") // A hash never fails to be written to.
	_, _ = digest.Write(first)
	in.Reader = buffered
	return shortDigest(digest), nil
}

func regular(name string) bool {
	file, err := os.Stat(name)
	return name != "-" && err == nil && file.Mode().IsRegular()
}

func shortDigest(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil))[:12] }

func fileSource(config *project.Config, name string) (project.Source, error) {
	var found []project.Source
	for _, s := range config.Sources {
		if s.Kind == project.FileSource && s.File != nil && (name == "" || s.Name == name) {
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && name != "":
		return project.Source{}, usagef("there is no source %q of kind file with a mapping (`file:`) in this configuration", name)
	case len(found) == 0:
		return project.Source{}, usagef("no source of this configuration is of kind file with a mapping (`file:`)")
	}
	return project.Source{}, usagef("several sources are of kind file: name one with --source")
}

// input is a file that is being read, and knows how much of it is.
type input struct {
	io.Reader
	close func() error
	raw   atomic.Int64 // bytes read of the file as it is, packed or not
	size  int64        // of the file; 0: nobody knows
}

// Close closes the file.
func (in *input) Close() error { return in.close() }

// counted counts what is read.
type counted struct {
	io.Reader
	n *atomic.Int64
}

// Read implements io.Reader.
func (r counted) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n.Add(int64(n))
	return n, err
}

// openFile opens a file, compressed or not, or standard input.
func (c *console) openFile(name string) (*input, error) {
	in := &input{close: func() error { return nil }}
	if name == "-" {
		in.Reader = counted{c.in, &in.raw}
		return in, nil
	}
	f, err := os.Open(name) //nolint:gosec // The path is the user's own choice.
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s", name)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		in.size = info.Size()
	}
	in.Reader, in.close = counted{f, &in.raw}, f.Close
	if !strings.HasSuffix(name, ".gz") {
		return in, nil
	}
	z, err := gzip.NewReader(in.Reader)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s is no gzip file: %w", name, err), f.Close())
	}
	in.Reader = z
	return in, nil
}
