// Package pgstore keeps the log and the state in one PostgreSQL database, as two
// schemas. What comes in are calls of the rooms' Store interfaces; what goes out
// are rows and faults. It is the only home of SQL for PostgreSQL, and it never
// decides anything. A transaction gathers what is written and sends it with the
// next question or the commit, so that a batch costs a few round trips, not one
// for each row.
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
)

// The schemas of the database.
const (
	LogSchema   = "rapport_log"
	StateSchema = "rapport_state"
)

// Config says which database to open.
type Config struct {
	// URL is a connection string, postgres://user@host/database?…; what it does
	// not say PostgreSQL's usual environment and defaults do.
	URL    string
	Logger *slog.Logger // optional
	// Readers is how many may read at once; zero means eight.
	Readers int
}

var errReadOnly = fault.New(fault.Internal, "read_only", "this transaction may only read")

// errKeyTaken is in the error of a transaction that took a key for a mail which
// another has: run again it asks first.
var errKeyTaken = fmt.Errorf("%w: a mail has this key", errTakenBack)

// errTakenBack is in the error of a transaction that the database took back so
// that another could go on: run again, it has nothing in its way.
var errTakenBack = errors.New("the database took the transaction back")

func errClosed() error { return fault.New(fault.Unavailable, "closed", "the database is closed") }

// fail gives a driver's error the kind that callers branch on. It never holds
// the address of the database, which may name a password.
func fail(err error) error {
	var known *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return failSaid(pg)
	}
	var dial *pgconn.ConnectError
	var wire net.Error
	if errors.As(err, &dial) || errors.As(err, &wire) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || pgconn.SafeToRetry(err) {
		return unreachable()
	}
	return fmt.Errorf("database: %w", err)
}

// unreachable leaves the driver's text out, which names host and user.
func unreachable() error {
	e := fault.New(fault.Unavailable, "database_unreachable",
		"the database cannot be reached; look whether PostgreSQL runs and accepts this address and user")
	e.RetryAfter = 2 * time.Second
	return e
}

// codeRights is what PostgreSQL says where a right is missing.
const codeRights = "42501"

// failSaid sorts what PostgreSQL itself has said, by SQLSTATE:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func failSaid(pg *pgconn.PgError) error {
	said := fmt.Errorf("SQLSTATE %s: %s", pg.Code, pg.Message)
	switch pg.Code {
	case "40001", "40P01": // serialization failure, deadlock
		return fault.Wrap(fmt.Errorf("%w: %w", errTakenBack, said), fault.Unavailable, "database_busy", "the database cannot do this now")
	case "22012": // The commit counts the owner's row and divides by it.
		return errNotOurs
	case "2201E": // Keys of mails are counted too, with a logarithm.
		return fault.Wrap(errKeyTaken, fault.Unavailable, "key_taken", "a mail has one of these keys already; run again, each is asked for")
	case "2201F": // So do the updates of persons, with a root.
		return fault.Wrap(said, fault.Internal, "person_missing", "somebody has no row to update")
	case "53100":
		e := fault.Wrap(said, fault.Unavailable, "disk_full", "the disk that holds the database is full; free space on it, the server then goes on by itself")
		e.RetryAfter = 2 * time.Second
		return e
	case "23505":
		return fault.Wrap(said, fault.Conflict, "already_there", "the database has such a row already")
	case "28P01", "28000", "3D000":
		return fault.Wrap(said, fault.Invalid, "database_refused", "the database refuses this user, password or name")
	case codeRights, "25006":
		return fault.Wrap(said, fault.Denied, "database_rights", "the database's user may not do this; see docs/postgresql.md for the rights it needs")
	case "XX001", "XX002":
		return fault.Wrap(errors.Join(eventlog.ErrDamaged, said), fault.Internal, "file_damaged",
			"the database is damaged: it does not hold what was written. Stop the server and restore the database from a backup")
	}
	switch pg.Code[:2] {
	case "08", "53", "57", "40", "55": // connection, resources, intervention, rollback, lock
		e := fault.Wrap(said, fault.Unavailable, "database_busy", "the database cannot do this now")
		e.RetryAfter = time.Second
		return e
	}
	return fault.Wrap(said, fault.Internal, "database_error", "the database refuses a statement")
}
