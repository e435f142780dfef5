package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Each transaction says itself whether its commit waits until it is on the disk: how
// server, database and user are set up may change at any time.
const (
	commitDurably = "SET LOCAL synchronous_commit = on"
	commitAtOnce  = "SET LOCAL synchronous_commit = off"
)

// durably runs one statement that is on the disk when it is answered, in one round trip.
func (p *pool) durably(ctx context.Context, sql string, args ...any) error {
	var b pgx.Batch
	for _, opening := range p.opening("BEGIN") {
		b.Queue(opening)
	}
	b.Queue(commitDurably)
	b.Queue(sql, args...)
	b.Queue("COMMIT")
	answers := p.SendBatch(ctx, &b)
	for range b.Len() {
		if _, err := answers.Exec(); err != nil {
			_ = answers.Close() // It says the same. The pool throws a connection away that is within a transaction.
			return err
		}
	}
	return answers.Close()
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
