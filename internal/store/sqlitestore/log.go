package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
)

// logSchema is the version of log.db, kept in its user_version.
const logSchema = 1

// dropStep is how many frames retention takes in one transaction.
const dropStep = 64

// LogConfig says where a log is and how it is opened.
type LogConfig struct {
	Path   string       // required
	Logger *slog.Logger // optional
	VFS    string       // name of a registered VFS; "" for the operating system's
	// CheckpointPages is how many pages the WAL gathers before a commit brings
	// them home; zero means 1,000.
	CheckpointPages int
}

// Log keeps frames in log.db. It implements eventlog.Store.
type Log struct {
	id string

	mu sync.Mutex // guards w
	w  *conn

	readers *pool
}

var _ eventlog.Store = (*Log)(nil)

// Place implements eventlog.Store.
func (l *Log) Place() string { return "log.db and log.db-wal" }

// OpenLog opens a log, or makes one that is empty.
func OpenLog(c LogConfig) (*Log, error) {
	if c.Path == "" {
		return nil, errors.New("open log: a path is required")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	base := connConfig{path: c.Path, file: filepath.Base(c.Path), vfs: c.VFS}
	if c.CheckpointPages <= 0 {
		c.CheckpointPages = 1000
	}
	base.pragmas = []string{
		"page_size = 4096", "cache_size = -8192", fmt.Sprintf("wal_autocheckpoint = %d", c.CheckpointPages),
	}
	w, err := openConn(base)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	base.pragmas = []string{"cache_size = -2048"}
	l := &Log{w: w, readers: newPool(base, 3)}
	if err := l.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w", err), w.close())
	}
	return l, nil
}

// prepare makes the tables of a new log and reads the id of an old one.
func (l *Log) prepare() error {
	if err := l.w.checkVersion(); err != nil {
		return err
	}
	if err := l.w.enableChecksums(); err != nil {
		return err
	}
	for _, p := range []string{"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"} {
		if err := l.w.db.Exec(p); err != nil {
			return l.w.fail(err)
		}
	}
	var version int64
	if err := l.w.queryInt("PRAGMA user_version", &version); err != nil {
		return err
	}
	if version > logSchema {
		return newerSchema(l.w.file, version, logSchema)
	}
	if version == 0 {
		err := l.w.db.Exec(`
			BEGIN IMMEDIATE;
			CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
			CREATE TABLE IF NOT EXISTS frame(pos INTEGER PRIMARY KEY, n INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL);
			INSERT OR IGNORE INTO meta VALUES('id', lower(hex(randomblob(16))));
			PRAGMA user_version = 1;
			COMMIT`)
		if err != nil {
			return l.w.fail(err)
		}
	}
	q := l.w.query("SELECT value FROM meta WHERE key = 'id'")
	if q.step() {
		l.id = q.colText(0)
	}
	if err := q.done(); err != nil {
		return err
	}
	if l.id == "" {
		return damagedFile(l.w.file, "its name", errors.New("the log's id is missing"))
	}
	return nil
}

// newerSchema refuses a file that a later version of the program has written.
func newerSchema(file string, have, know int64) error {
	return fault.New(fault.Conflict, "schema_newer",
		"%s has schema %d and this program knows up to %d: it was written by a newer version. "+
			"Start that version, or restore the data folder from a backup made before the upgrade", file, have, know)
}

// Mark notes how far a lane is walked by a state that is durable up to there, so
// that an older state is known for what it is.
func (l *Log) Mark(_ context.Context, lane eventlog.Lane, pos int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.w.query("INSERT INTO meta VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value")
	q.text(fmt.Sprintf("walked/%d", lane))
	q.int(pos)
	return q.exec()
}

// Marked reads what Mark noted last, zero for nothing.
func (l *Log) Marked(_ context.Context, lane eventlog.Lane) (pos int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.w.query("SELECT value FROM meta WHERE key = ?1")
	q.text(fmt.Sprintf("walked/%d", lane))
	if q.step() {
		pos = q.colInt(0)
	}
	return pos, q.done()
}

// ID names this log for ever.
func (l *Log) ID() string { return l.id }

// key is a frame's row: lane in the upper bits, position in the lower 48.
func key(lane eventlog.Lane, pos int64) int64 { return int64(lane)<<48 | pos }

const posMask = 1<<48 - 1

// Append writes frames durably and in one transaction.
func (l *Log) Append(_ context.Context, frames []eventlog.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return errClosed("log.db")
	}
	if len(frames) == 1 { // One statement commits by itself.
		return l.insert(frames[0])
	}
	if err := l.w.run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, f := range frames {
		if err := l.insert(f); err != nil {
			return errors.Join(err, l.w.rollback())
		}
	}
	if err := l.w.run("COMMIT"); err != nil {
		return errors.Join(err, l.w.rollback())
	}
	return nil
}

func (l *Log) insert(f eventlog.Frame) error {
	q := l.w.query("INSERT INTO frame(pos, n, at, body) VALUES(?, ?, ?, ?)")
	q.int(key(f.Lane, f.First))
	q.int(int64(f.Count))
	q.int(f.At.UnixMilli())
	q.blob(f.Body)
	return q.exec()
}

// Read gives frames from the one that holds a position, until about maxBytes.
func (l *Log) Read(ctx context.Context, lane eventlog.Lane, from int64, maxBytes int) (frames []eventlog.Frame, err error) {
	err = l.readers.with(ctx, func(c *conn) error {
		q := c.query(`SELECT pos, n, at, body FROM frame
			WHERE pos >= coalesce((SELECT max(pos) FROM frame WHERE pos BETWEEN ? AND ?), ?) AND pos <= ? ORDER BY pos`)
		q.int(key(lane, 0))
		q.int(key(lane, from))
		q.int(key(lane, from))
		q.int(key(lane, posMask))
		size := 0
		for (size < maxBytes || len(frames) == 0) && q.step() {
			f := eventlog.Frame{
				Lane: lane, First: q.colInt(0) & posMask, Count: int(q.colInt(1)),
				At: time.UnixMilli(q.colInt(2)).UTC(),
			}
			if f.First+int64(f.Count) <= from {
				continue // Nothing follows the frame before `from`, or a gap does.
			}
			f.Body = q.colBlob(3)
			size += len(f.Body)
			frames = append(frames, f)
		}
		return q.done()
	})
	return frames, err
}

// Tail gives the end of a lane.
func (l *Log) Tail(ctx context.Context, lane eventlog.Lane) (pos int64, at time.Time, err error) {
	err = l.readers.with(ctx, func(c *conn) error {
		q := c.query("SELECT pos, n, at FROM frame WHERE pos BETWEEN ? AND ? ORDER BY pos DESC LIMIT 1")
		q.int(key(lane, 0))
		q.int(key(lane, posMask))
		if q.step() {
			pos = q.colInt(0)&posMask + q.colInt(1) - 1
			at = time.UnixMilli(q.colInt(2)).UTC()
		}
		return q.done()
	})
	return pos, at, err
}

// First gives the first position still kept.
func (l *Log) First(ctx context.Context, lane eventlog.Lane) (pos int64, err error) {
	err = l.readers.with(ctx, func(c *conn) error {
		q := c.query("SELECT pos FROM frame WHERE pos BETWEEN ? AND ? ORDER BY pos LIMIT 1")
		q.int(key(lane, 0))
		q.int(key(lane, posMask))
		if q.step() {
			pos = q.colInt(0) & posMask
		}
		return q.done()
	})
	return pos, err
}

// Drop deletes old frames from the beginning of a lane, a few in a transaction.
func (l *Log) Drop(ctx context.Context, lane eventlog.Lane, before int64, older time.Time) (int, error) {
	total := 0
	for {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		n, err := l.dropSome(lane, before, older)
		total += n
		if err != nil || n < dropStep {
			return total, err
		}
	}
}

func (l *Log) dropSome(lane eventlog.Lane, before int64, older time.Time) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return 0, errClosed("log.db")
	}
	// The oldest frames only, so that an instant that went astray leaves no gap.
	q := l.w.query("SELECT pos, n, at FROM frame WHERE pos BETWEEN ? AND ? ORDER BY pos LIMIT ?")
	q.int(key(lane, 0))
	q.int(key(lane, posMask))
	q.int(dropStep)
	count, last := 0, int64(0)
	for q.step() {
		pos, n, at := q.colInt(0), q.colInt(1), q.colInt(2)
		if pos&posMask+n > before || at >= older.UnixMilli() {
			break
		}
		count, last = count+1, pos
	}
	if err := q.done(); err != nil || count == 0 {
		return 0, err
	}
	d := l.w.query("DELETE FROM frame WHERE pos BETWEEN ? AND ?")
	d.int(key(lane, 0))
	d.int(last)
	return count, d.exec()
}

// Close closes the file after those who still read it. Closing twice is harmless.
func (l *Log) Close() error {
	err := l.readers.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return err
	}
	w := l.w
	l.w = nil
	return errors.Join(err, w.close())
}
