package main

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// reachedState is how far an import came: the content of FILE.progress.
type reachedState struct {
	Version int    `json:"version"` // 1
	Key     string `json:"key"`     // what is imported how and where to
	Line    int64  `json:"line"`    // the last line of which everything is durable
	Sums    sums   `json:"sums"`
	Bad     int64  `json:"bad"`      // lines in the list of bad ones
	BadSize int64  `json:"bad_size"` // bytes of that list
}

// checkpoint keeps how far an import came. It is written behind the server's
// answers: what a crash lets be sent again, the server knows by its ids.
type checkpoint struct {
	path  string // "": nothing is kept
	state reachedState
	now   func() time.Time
	last  time.Time
}

// besides names a file beside the one that is imported.
func besides(fl importFlags, name, chosen, suffix string) string {
	switch {
	case chosen != "":
		return chosen
	case name != "-":
		return name + suffix
	case fl.name != "":
		return filepath.Base(fl.name) + suffix
	}
	return ""
}

func openCheckpoint(fl importFlags, content string, m *mapped, server, name string) (*checkpoint, error) {
	p := &checkpoint{now: time.Now}
	key := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s", content, m.source, server, m.text))
	p.state = reachedState{Version: 1, Key: hex.EncodeToString(key[:16])}
	if content == "" && !regular(name) {
		return p, nil // Nobody could tell whether it is the same input.
	}
	p.path = besides(fl, name, fl.state, ".progress")
	b, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) || fl.restart {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how far the import came: %w", err)
	}
	var old reachedState
	if err := json.Unmarshal(b, &old); err != nil || old.Version != 1 {
		return nil, usagef("%s does not say how far an import came; remove it, or name another with --progress-file", p.path)
	}
	if old.Key == p.state.Key {
		p.state = old
	}
	return p, nil
}

// reached notes that everything up to a line is durable; once a second it is
// written down.
func (p *checkpoint) reached(line int64, sum sums, bad *badList) {
	p.state.Line, p.state.Sums, p.state.Bad, p.state.BadSize = line, sum, bad.count, bad.size
	if t := p.now(); t.Sub(p.last) > time.Second {
		p.last = t
		if p.keep() != nil {
			p.path = "" // A folder that cannot be written to makes no import fail.
		}
	}
}

// keep writes the state so that a crash leaves the old one or the new one.
func (p *checkpoint) keep() error {
	if p.path == "" || p.state.Line == 0 {
		return nil
	}
	b, err := json.Marshal(p.state)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(p.path+".new", p.path)
}

// remove forgets the state of an import that is done.
func (p *checkpoint) remove() error {
	if p.path == "" {
		return nil
	}
	if err := os.Remove(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove how far the import came: %w", err)
	}
	return nil
}

// badList lists bad lines with the reason, in a file that is made with the
// first of them. It holds no content of the lines.
type badList struct {
	c     *console
	path  string
	file  *os.File
	w     *csv.Writer
	count int64
	size  int64
	err   error
}

// shownBad is how many bad lines are also shown at once.
const shownBad = 20

func openBadList(fl importFlags, c *console, name string, done reachedState) (*badList, error) {
	l := &badList{c: c, path: besides(fl, name, fl.bad, ".bad.csv"), count: done.Bad, size: done.BadSize}
	if l.path == "" || done.Bad == 0 {
		return l, nil
	}
	// What was listed behind the last known line comes again.
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("list bad lines: %w", err)
	}
	if err := f.Truncate(done.BadSize); err != nil {
		return nil, errors.Join(fmt.Errorf("list bad lines: %w", err), f.Close())
	}
	if _, err := f.Seek(done.BadSize, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("list bad lines: %w", err), f.Close())
	}
	l.file, l.w = f, csv.NewWriter(f)
	return l, nil
}

// add lists one line; flush tells whether that was possible.
func (l *badList) add(line int64, reason string) {
	l.count++
	if l.count <= shownBad {
		l.c.note("line %d: %s", line, clean(reason))
	}
	if l.path == "" || l.err != nil {
		return
	}
	if l.file == nil {
		if l.file, l.err = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); l.err != nil {
			return
		}
		l.w = csv.NewWriter(l.file)
		_ = l.w.Write([]string{"line", "reason"}) // csv keeps its first error for flush.
	}
	_ = l.w.Write([]string{strconv.FormatInt(line, 10), reason}) // As above.
}

// flush writes what is listed so far.
func (l *badList) flush() error {
	if l.file != nil && l.err == nil {
		l.w.Flush()
		l.err = l.w.Error()
		if info, err := l.file.Stat(); err == nil {
			l.size = info.Size()
		}
	}
	if l.err != nil {
		return fmt.Errorf("list bad lines: %w; name another file with --bad", l.err)
	}
	return nil
}

func (l *badList) close() error {
	if l.file == nil {
		return nil
	}
	return errors.Join(l.flush(), l.file.Close())
}
