// Package sqlitestore keeps the log and the state of one data folder in two
// SQLite files: log.db, where every commit is an fsync, and state.db, with one
// writing connection and a pool of readers. What comes in are calls of the
// rooms' Store interfaces; what goes out are rows and faults. It is the only
// home of SQL for SQLite, and it never decides anything.
package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store/rows"
)

// minVersion is the oldest SQLite this package is right with: 3.51 brought
// wal_checkpoint(NOOP), and fixes of the WAL before it.
const minVersion = 3_051_000

// conn is one connection with its prepared statements. It is used by one
// goroutine at a time.
type conn struct {
	db    *sqlite3.Conn
	stmts map[string]*sqlite3.Stmt
	path  string
	file  string // base name, for errors
	page  string // the damaged page, once damage was met
	tx    *tx    // of a reader, made with its first transaction

	inTx   bool  // the writer is in a transaction
	broken error // why SQLite rolled it back by itself; nothing more may run in it
}

// connConfig says how to open a connection.
type connConfig struct {
	path     string
	file     string // base name, for errors
	vfs      string // "" for plainName
	readonly bool
	pragmas  []string
}

// openConn opens a connection. A file that is not there is made.
func openConn(c connConfig) (*conn, error) {
	if c.vfs == "" {
		registerPlain()
		c.vfs = plainName
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: c.path, RawQuery: "vfs=" + url.QueryEscape(c.vfs)}
	name := u.String()
	flags := sqlite3.OPEN_READWRITE | sqlite3.OPEN_CREATE | sqlite3.OPEN_URI
	if c.readonly {
		flags = sqlite3.OPEN_READWRITE | sqlite3.OPEN_URI
	}
	db, err := sqlite3.OpenFlags(name, flags)
	k := &conn{db: db, stmts: make(map[string]*sqlite3.Stmt), path: c.path, file: c.file}
	if err != nil {
		return nil, k.fail(err)
	}
	pragmas := append([]string{"busy_timeout = 5000", "temp_store = MEMORY"}, c.pragmas...)
	if c.readonly {
		pragmas = append(pragmas, "query_only = ON")
	}
	for _, p := range pragmas {
		if err := k.db.Exec("PRAGMA " + p); err != nil {
			err = k.fail(err)
			return nil, errors.Join(fmt.Errorf("set %s: %w", p, err), k.close())
		}
	}
	return k, nil
}

// enableChecksums makes SQLite keep a checksum in each page, so that a flipped
// bit on the disk is found when the page is read. It must come before the
// first table; a file that has tables stays as it is.
func (c *conn) enableChecksums() error {
	var pages int64
	if err := c.queryInt("PRAGMA page_count", &pages); err != nil {
		return err
	}
	if pages > 0 {
		return nil
	}
	return c.fail(c.db.EnableChecksums("main"))
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	clear(c.stmts)
	return errors.Join(append(errs, c.db.Close())...)
}

// queryInt runs a query that gives one number.
func (c *conn) queryInt(sql string, out *int64) error {
	q := c.query(sql)
	if q.step() {
		*out = q.colInt(0)
	}
	return q.done()
}

// query is one run of a prepared statement: bind in order, then exec, or step
// until false and done. The first error sticks and comes out at the end.
type query struct {
	c   *conn
	s   *sqlite3.Stmt
	n   int
	err error
}

// query prepares a statement once for each connection.
func (c *conn) query(sql string) query {
	if c.broken != nil {
		return query{c: c, err: c.broken}
	}
	s := c.stmts[sql]
	if s == nil {
		var err error
		if s, _, err = c.db.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT); err != nil {
			return query{c: c, err: fmt.Errorf("prepare %.60q: %w", sql, err)}
		}
		c.stmts[sql] = s
	}
	return query{c: c, s: s}
}

func (q *query) int(v int64) {
	q.n++
	if q.err == nil {
		q.err = q.s.BindInt64(q.n, v)
	}
}

func (q *query) text(v string) {
	q.n++
	if q.err == nil {
		q.err = q.s.BindText(q.n, v)
	}
}

func (q *query) bool(v bool) {
	if v {
		q.int(1)
	} else {
		q.int(0)
	}
}

// blob binds bytes; nil binds NULL.
func (q *query) blob(v []byte) {
	q.n++
	if q.err == nil {
		q.err = q.s.BindBlob(q.n, v)
	}
}

// time binds an instant as Unix milliseconds; the zero time binds NULL.
func (q *query) time(t time.Time) {
	if t.IsZero() {
		q.n++
		if q.err == nil {
			q.err = q.s.BindNull(q.n)
		}
		return
	}
	q.int(t.UnixMilli())
}

func (q *query) step() bool { return q.err == nil && q.s.Step() }

func (q *query) colInt(i int) int64 { return q.s.ColumnInt64(i) }

func (q *query) colText(i int) string { return q.s.ColumnText(i) }

// colBlob gives a copy that is the caller's, nil for NULL.
func (q *query) colBlob(i int) []byte {
	raw := q.s.ColumnRawBlob(i)
	if len(raw) == 0 && q.s.ColumnType(i) == sqlite3.NULL {
		return nil
	}
	return append(make([]byte, 0, len(raw)), raw...)
}

// colHash reads an identifier's hash, or part of it.
func (q *query) colHash(i int) (h id.Hash) {
	copy(h[:], q.s.ColumnRawBlob(i))
	return h
}

// colRaw gives bytes that are valid until the next call.
func (q *query) colRaw(i int) []byte { return q.s.ColumnRawBlob(i) }

func (q *query) colTime(i int) time.Time {
	if q.s.ColumnType(i) == sqlite3.NULL {
		return time.Time{}
	}
	return time.UnixMilli(q.s.ColumnInt64(i)).UTC()
}

// done ends a query that gives rows. It may be called before the last row.
func (q *query) done() error {
	if q.s == nil {
		return q.c.fail(q.err)
	}
	err := q.err
	if stepErr := q.s.Err(); err == nil {
		err = stepErr
	}
	if resetErr := q.s.Reset(); err == nil {
		err = resetErr
	}
	return q.c.fail(err)
}

// exec runs a statement that gives no rows.
func (q *query) exec() error {
	if q.err == nil {
		q.err = q.s.Exec()
	}
	return q.c.fail(q.err)
}

// execOne runs a statement that must change one row, and tells whether it did.
func (q *query) execOne() (bool, error) {
	if err := q.exec(); err != nil {
		return false, err
	}
	return q.c.db.Changes() == 1, nil
}

// run runs a statement without parameters.
func (c *conn) run(sql string) error {
	q := c.query(sql)
	return q.exec()
}

// rollback ends a transaction that failed. SQLite may have done so by itself.
func (c *conn) rollback() error {
	if c.db.GetAutocommit() {
		return nil
	}
	c.broken = nil
	return c.run("ROLLBACK")
}

// fail gives a driver's error the kind that callers branch on.
func (c *conn) fail(err error) error {
	if err == nil {
		return nil
	}
	err = c.kind(err)
	if c.inTx && c.broken == nil && c.db.GetAutocommit() {
		c.broken = err
	}
	return err
}

func (c *conn) kind(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	var code sqlite3.ExtendedErrorCode
	_ = errors.As(err, &code) // An error of no code falls through to the end.
	switch {
	case errors.Is(err, sqlite3.FULL), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e := fault.Wrap(err, fault.Unavailable, "disk_full",
			"the disk that holds %s is full; free space on it, the server then goes on by itself", c.file)
		e.RetryAfter = 2 * time.Second
		return e
	case errors.Is(err, sqlite3.INTERRUPT):
		return fmt.Errorf("%s: %w", c.file, context.Canceled)
	case errors.Is(err, sqlite3.BUSY):
		return fault.Wrap(err, fault.Unavailable, "database_busy", "%s is held by somebody else", c.file)
	case errors.Is(err, sqlite3.CONSTRAINT):
		return fault.Wrap(err, fault.Conflict, "already_there", "%s has such a row already", c.file)
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.NOTADB),
		code == sqlite3.IOERR_DATA, code == sqlite3.IOERR_SHORT_READ, code == sqlite3.IOERR_CORRUPTFS:
		if c.page == "" {
			c.page = damagedPage(c.path)
		}
		return damagedFile(c.file, c.page, err)
	case errors.Is(err, sqlite3.IOERR):
		return fault.Wrap(err, fault.Unavailable, "disk_error",
			"the disk that holds %s refuses to read or write; look at the system's log", c.file)
	}
	return fmt.Errorf("%s: %w", c.file, err)
}

// checked takes the checksum off a body, or says which row is damaged.
func (c *conn) checked(table string, row int64, raw []byte) ([]byte, error) {
	body, err := rows.Unsummed(row, raw)
	if err != nil {
		return nil, damagedFile(c.file, fmt.Sprintf("row %d of %s", row, table), err)
	}
	return body, nil
}

// damagedFile says that a file does not hold what was written, where, and what to do next.
func damagedFile(file, where string, cause error) error {
	if where != "" {
		where = " at " + where
	}
	return fault.Wrap(errors.Join(eventlog.ErrDamaged, cause), fault.Internal, "file_damaged",
		"%s is damaged%s: it does not hold what was written. Stop the server, keep a copy of the data folder, "+
			"check the disk, then restore the folder from a backup", file, where)
}

// checkVersion refuses a SQLite that is too old to be trusted with the data.
func (c *conn) checkVersion() error {
	q := c.query("SELECT sqlite_version()")
	version := ""
	if q.step() {
		version = q.colText(0)
	}
	if err := q.done(); err != nil {
		return err
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(strings.TrimSpace(version), "%d.%d.%d", &major, &minor, &patch); err != nil {
		return fmt.Errorf("sqlite version %q: %w", version, err)
	}
	if major*1_000_000+minor*1000+patch < minVersion {
		return fault.New(fault.Internal, "sqlite_too_old", "sqlite %s is built in; at least 3.51.0 is needed", version)
	}
	return nil
}
