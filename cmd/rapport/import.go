package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rapport/internal/app"
	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/project"
	"rapport/internal/source"
	"rapport/internal/telemetry"
)

type importFlags struct {
	folder, source   string
	name             string
	database         string
	simulate, digest bool
	keep             bool
}

func importCommand(c *console) *cobra.Command {
	var fl importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring in a file of events, or play one back",
		Long: `Import reads a file with the mapping of a source of kind file and sends its
events to a running server, in the bulk lane, which never delays live events.
Lines that cannot be mapped are listed and stop nothing. FILE may be compressed
with gzip; - reads standard input.

Where the mapping makes no message id, a line's is the digest of the whole file
and the number of the line. So the same file again is applied once within the
duplicate window, packed or not and whatever its name is, and another file is
another one. A file that has grown is another file too: give its lines ids of
their own (message_id: in the mapping). Standard input is read once, so there
the digest is that of --name and the first megabyte.

It fails when nothing was taken because every line is bad or was rejected.

With --simulate nothing is sent to a server: the events are played back in order
of their time, in a data folder of its own, on business time, with everything
that becomes due in between, and the mails are counted instead of delivered. Log and
state are files of that folder, or, with --database, in a PostgreSQL database
that must be empty; both count alike.`,
		Example: `  rapport import --config shop --source orders orders.csv
  rapport import --simulate --config examples/cdnow --digest cdnow-master.txt.gz`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if fl.digest && !fl.simulate {
				return usagef("--digest goes with --simulate")
			}
			return c.importFile(cmd.Context(), fl, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&fl.folder, "config", "", "configuration folder with the source (required)")
	f.StringVar(&fl.source, "source", "", "the source whose mapping is used; may be left out if there is one of kind file")
	f.StringVar(&fl.name, "name", "", "for standard input: what makes its message ids differ from those of other input")
	f.BoolVar(&fl.simulate, "simulate", false, "play the file back on business time instead of sending it")
	f.BoolVar(&fl.digest, "digest", false, "with --simulate: print the digest of who got which journey's mail on which day")
	f.StringVar(&fl.database, "database", "", "with --simulate: an empty PostgreSQL database for log and state, instead of files")
	f.BoolVar(&fl.keep, "keep", false, "with --simulate: keep the data folder that was made and say where it is")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err) // The flag is defined two lines above.
	}
	return cmd
}

func (c *console) importFile(ctx context.Context, fl importFlags, name string) error {
	config, problems, err := c.load(fl.folder)
	if err != nil {
		return err
	}
	if config == nil {
		return c.report(fl.folder, nil, problems, false)
	}
	src, err := fileSource(config, fl.source)
	if err != nil {
		return err
	}
	in, err := c.openFile(name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // It was read to the end or given up.
	if fl.simulate {
		return c.simulate(ctx, fl, config, src, name, in)
	}
	format := src.File
	if !format.NamesMessages() {
		content, rest, err := c.contentOf(fl, name, in)
		if err != nil {
			return err
		}
		format, in = format.Of(content), rest
	}
	return c.send(ctx, src, format, name, in)
}

// identityBytes is how much of standard input tells what it is.
const identityBytes = 1 << 20

// contentOf gives the short digest that tells one file from all others, and the
// input as it is to be read: nothing is sent before it is known.
func (c *console) contentOf(fl importFlags, name string, in io.ReadCloser) (string, io.ReadCloser, error) {
	digest := sha256.New()
	if file, err := os.Stat(name); name != "-" && err == nil && file.Mode().IsRegular() {
		whole, err := c.openFile(name)
		if err != nil {
			return "", nil, err
		}
		defer func() { _ = whole.Close() }() // It was only read.
		if _, err := io.Copy(digest, whole); err != nil {
			return "", nil, fmt.Errorf("read %s: %w", name, err)
		}
		return shortDigest(digest), in, nil
	}
	if fl.name == "" {
		return "", nil, usagef("give input that can be read only once a --name: it becomes part of the message ids, so that other input is not taken for the same")
	}
	buffered := bufio.NewReaderSize(in, identityBytes)
	first, err := buffered.Peek(identityBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", nil, fmt.Errorf("read standard input: %w", err)
	}
	_, _ = io.WriteString(digest, fl.name+"\n") // A hash never fails to be written to.
	_, _ = digest.Write(first)
	return shortDigest(digest), struct {
		io.Reader
		io.Closer
	}{buffered, in}, nil
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

// openFile opens a file, compressed or not, or standard input.
func (c *console) openFile(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(c.in), nil
	}
	f, err := os.Open(name) //nolint:gosec // The path is the user's own choice.
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s", name)
	}
	if err != nil || !strings.HasSuffix(name, ".gz") {
		return f, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s is no gzip file: %w", name, err), f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

// playedAnswer is what --json prints of a simulation.
type playedAnswer struct {
	Lines  int64            `json:"lines"`
	Bad    int64            `json:"bad_lines"`
	Events int64            `json:"events"`
	Mails  map[string]int64 `json:"mails"`
	Digest string           `json:"digest,omitempty"`
	Took   string           `json:"took"`
	Data   string           `json:"data,omitempty"`
}

func (c *console) simulate(ctx context.Context, fl importFlags, config *project.Config, src project.Source, name string, in io.Reader) (err error) {
	began := time.Now()
	dir, err := os.MkdirTemp("", "rapport-simulate-")
	if err != nil {
		return fmt.Errorf("make a data folder: %w", err)
	}
	if !fl.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	logger, err := telemetry.NewLogger(telemetry.LogConfig{Out: c.err, Level: 4})
	if err != nil {
		return err
	}
	first := time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	house, err := app.Open(ctx, app.Options{Data: dir, Database: fl.database, Clock: app.NewClock(first, 0), Logger: logger, Secrets: c.secrets(fl.folder)}, config)
	if fault.CodeOf(err) == "keys_missing" { // The folder is new, so it is the database that is not.
		return fault.New(fault.Conflict, "database_used",
			"the database holds a workspace already, and a file is played back into an empty one only: name another database")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, house.Close()) }()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- house.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	if err := house.Begin(ctx, config); err != nil {
		return err
	}
	play := app.Playback{House: house, Source: src.Name, Format: src.File, Progress: c.progress()}
	played, err := play.Run(ctx, filepath.Base(name), in)
	if err != nil {
		return err
	}
	return c.played(fl, played, dir, time.Since(began))
}

// progress gives a line that is written over again, where somebody watches.
func (c *console) progress() func(done, total int64, now time.Time) {
	if !c.asks {
		return nil
	}
	last := time.Time{}
	return func(done, total int64, now time.Time) {
		if t := c.now(); t.Sub(last) > 100*time.Millisecond || done == total {
			last = t
			_, _ = fmt.Fprintf(c.err, "\r%s of %s events, %s ", thousands(done), thousands(total), now.Format(time.DateOnly))
			if done == total {
				_, _ = fmt.Fprintln(c.err)
			}
		}
	}
}

func (c *console) played(fl importFlags, p *app.Played, dir string, took time.Duration) (err error) {
	a := playedAnswer{Lines: p.Lines, Bad: p.Bad, Events: p.Lines - p.Bad, Mails: p.Mails, Took: took.Round(10 * time.Millisecond).String()}
	if fl.digest {
		a.Digest = p.Digest
	}
	if fl.keep {
		a.Data = dir
	}
	if a.Lines > 0 && a.Bad == a.Lines {
		defer func() { err = errors.Join(err, errAllBad) }()
	}
	if c.json {
		return c.printJSON(a)
	}
	c.printf("%s lines, %s bad, %s events in %s\n", thousands(a.Lines), thousands(a.Bad), thousands(a.Events), a.Took)
	for _, j := range p.Journeys() {
		c.printf("%-20s %8s mails\n", j, thousands(p.Mails[j]))
	}
	if a.Digest != "" {
		c.printf("%s\n", a.Digest)
	}
	if a.Data != "" {
		c.printf("data folder: %s\n", a.Data)
	}
	return nil
}

// batchLines is how many lines go to the server in one request.
const batchLines = 500

// send maps the file and gives it to a running server.
func (c *console) send(ctx context.Context, src project.Source, format *source.Format, name string, in io.Reader) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	var batch []json.RawMessage
	var sum sums
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		var a sums
		err := cl.do(ctx, "POST", path("import", src.Name), nil, map[string]any{"batch": batch}, &a)
		sum.Accepted, sum.Denied, sum.Rejected = sum.Accepted+a.Accepted, sum.Denied+a.Denied, sum.Rejected+a.Rejected
		batch = batch[:0]
		return err
	}
	show := c.progress()
	err = format.Read(ctx, filepath.Base(name), in, func(l source.Line) error {
		sum.Lines++
		if l.Err != nil {
			sum.Bad++
			if sum.Bad <= 20 {
				_, _ = fmt.Fprintf(c.err, "line %d: %v\n", l.Number, l.Err) // A warning nobody sees stops nothing.
			}
			return nil
		}
		batch = append(batch, wireOf(&l.Event))
		if show != nil {
			show(sum.Lines, sum.Lines+1, l.Event.Time)
		}
		if len(batch) < batchLines {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	return c.sent(sum)
}

var errAllBad = errors.New("nothing was taken: hold the mapping of the source against the file")

// sums is what became of the lines of a file.
type sums struct {
	Lines    int64 `json:"lines"`
	Bad      int64 `json:"bad_lines"`
	Accepted int64 `json:"accepted"`
	Denied   int64 `json:"denied"`
	Rejected int64 `json:"rejected"`
}

func (c *console) sent(a sums) error {
	if c.json {
		if err := c.printJSON(a); err != nil {
			return err
		}
	} else {
		lines := " lines"
		if a.Lines == 1 {
			lines = " line"
		}
		c.printf("%s: %s accepted, %s refused for permission, %s rejected (see `rapport rejected list`), %s bad\n",
			thousands(a.Lines)+lines, thousands(a.Accepted), thousands(a.Denied), thousands(a.Rejected), thousands(a.Bad))
	}
	if a.Lines > 0 && a.Bad+a.Rejected == a.Lines {
		return errAllBad
	}
	return nil
}

// wireOf writes an event as Segment's SDKs would.
func wireOf(e *event.Event) json.RawMessage {
	m := map[string]any{"type": e.Type.String(), "messageId": e.MessageID, "timestamp": e.Time.Format(time.RFC3339Nano)}
	for k, v := range map[string]string{"event": e.Name, "userId": e.UserID, "anonymousId": e.Anonymous} {
		if v != "" {
			m[k] = v
		}
	}
	if len(e.Properties) > 0 {
		m["properties"] = json.RawMessage(e.Properties)
	}
	switch {
	case e.Type == event.Identify:
		traits := map[string]json.RawMessage{}
		if len(bytes.TrimSpace(e.Traits)) > 0 {
			_ = json.Unmarshal(e.Traits, &traits) // The mapping wrote it.
		}
		if e.Email != "" {
			traits["email"], _ = json.Marshal(e.Email) // A string always marshals.
		}
		m["traits"] = traits
	case e.Email != "":
		m["context"] = map[string]any{"traits": map[string]string{"email": e.Email}}
	}
	b, _ := json.Marshal(m) // Strings and valid JSON always marshal.
	return b
}
