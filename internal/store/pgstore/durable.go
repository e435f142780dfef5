package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// commitDurably lets a transaction's commit wait until it is on the disk, where
// the server, the database or the user is set up to answer before.
const commitDurably = "SET LOCAL synchronous_commit = on"

// asker asks the database one question.
type asker interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// commitsLaxly tells whether a commit is answered before it is on the disk unless
// its transaction says otherwise. A database that knows no such setting commits
// as it always does.
func commitsLaxly(ctx context.Context, db asker) (lax bool, err error) {
	err = db.QueryRow(ctx, "SELECT coalesce(current_setting('synchronous_commit', true), 'on') = 'off'").Scan(&lax)
	return lax, err
}

// durably runs one statement that is on the disk when it is answered.
func (p *pool) durably(ctx context.Context, sql string, args ...any) error {
	if !p.lax {
		_, err := p.Exec(ctx, sql, args...)
		return err
	}
	return p.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, commitDurably); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}

// Unsafe names the settings of a server that let a loss of power take what was
// acknowledged, and which no session can do anything about: fsync, and
// full_page_writes on a file system that may tear a page.
func Unsafe(ctx context.Context, c Config) (off []string, err error) {
	address, err := safely(c.URL)
	if err != nil {
		return nil, err
	}
	conf, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errAddress()
	}
	conf.DefaultQueryExecMode = pgx.QueryExecModeExec // A pooler may stand before it.
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return nil, fail(err)
	}
	defer func() { _ = conn.Close(ctx) }() // It was for one question.
	rows, err := conn.Query(ctx, "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' ORDER BY name")
	if err != nil {
		return nil, fail(err)
	}
	off, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return off, fail(err)
}
