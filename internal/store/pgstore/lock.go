package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport/internal/fault"
)

// DatabaseLock keeps a second server off a database. It is a session's advisory
// lock on a connection of its own, so it ends with the process, however that
// ends. Where a pooler shares sessions it may be lost; the owner's row then still
// keeps a second writer out of every commit.
type DatabaseLock struct{ c *pgx.Conn }

// lockKey is "rapport" in a number.
const lockKey = 0x726170706f7274

// How often, and how far apart, a held lock is asked for.
const (
	lockTries = 20
	lockPause = 100 * time.Millisecond
)

// Lock takes the database for this process, or says that another has it.
func Lock(ctx context.Context, c Config) (*DatabaseLock, error) {
	address, err := safely(c.URL)
	if err != nil {
		return nil, err
	}
	conf, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errAddress()
	}
	setMissing(conf.RuntimeParams, "application_name", "rapport lock")
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return nil, fail(err)
	}
	held, err := tryLock(ctx, conn)
	if err == nil && held {
		return &DatabaseLock{conn}, nil
	}
	_ = conn.Close(ctx) // Nothing was written.
	if err != nil {
		return nil, fail(err)
	}
	return nil, fault.New(fault.Conflict, "database_held",
		"another server works on this database: stop it first, or name another database")
}

// tryLock asks for the lock for a moment: the session of a process that was
// killed ends a little later than the process.
func tryLock(ctx context.Context, conn *pgx.Conn) (held bool, err error) {
	for range lockTries {
		if err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(lockKey)).Scan(&held); err != nil || held {
			return held, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(lockPause):
		}
	}
	return false, nil
}

// Release lets go of the database.
func (l *DatabaseLock) Release() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// The end of the session lets go too, but only when the database notices it.
	_, _ = l.c.Exec(ctx, "SELECT pg_advisory_unlock($1)", int64(lockKey))
	return l.c.Close(ctx)
}
