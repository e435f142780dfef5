package pgstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// How long one statement, and waiting for a lock, may take before the server
// ends it: what hangs is better tried again.
const (
	statementTimeout = "60s"
	lockTimeout      = "20s"
)

// setting is a value of PostgreSQL's configuration that a session wants.
type setting struct{ name, value string }

// settings keep a session within its time, and PostgreSQL to the one way in
// which each statement is meant: by its key. Every statement names rows by an
// indexed key, and a plan made while a table was empty, or anew for each call,
// costs more than it can win.
var settings = []setting{
	{"statement_timeout", statementTimeout},
	{"lock_timeout", lockTimeout},
	{"idle_in_transaction_session_timeout", statementTimeout},
	{"plan_cache_mode", "force_generic_plan"},
	{"enable_seqscan", "off"},
	{"jit", "off"},
}

// pool is a pool of connections that look into one schema.
type pool struct {
	*pgxpool.Pool
	prelude string // what each transaction begins with where sessions are not ours
}

// connect opens a pool of at most n connections. What a session wants is said at
// its start. Where it does not reach the session that way, because a pooler
// stands before the database and shares its sessions, or the database knows no
// such setting, each transaction says it anew, and nothing is prepared.
func connect(ctx context.Context, c Config, schema string, n int32) (*pool, error) {
	address, err := safely(c.URL)
	if err != nil {
		return nil, err
	}
	conf, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, errAddress()
	}
	shared, err := sharesSessions(ctx, conf.ConnConfig, schema)
	if err != nil {
		return nil, fail(err)
	}
	p := &pool{}
	if shared {
		said := conf.ConnConfig.RuntimeParams
		conf.ConnConfig.RuntimeParams = map[string]string{}
		if p.prelude, err = prelude(ctx, conf.ConnConfig, schema, said); err != nil {
			return nil, fail(err)
		}
		if !strings.Contains(address, "default_query_exec_mode=") {
			conf.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
		}
	} else {
		want(conf.ConnConfig.RuntimeParams, schema)
	}
	conf.MaxConns, conf.MinConns = n, 0
	setMissing(conf.ConnConfig.RuntimeParams, "application_name", "rapport")
	if p.Pool, err = pgxpool.NewWithConfig(ctx, conf); err != nil {
		return nil, fail(err)
	}
	return p, nil
}

// want says at the start of a session what it wants.
func want(params map[string]string, schema string) {
	params["search_path"] = schema
	for _, s := range settings {
		setMissing(params, s.name, s.value)
	}
}

func setMissing(p map[string]string, key, value string) {
	if _, ok := p[key]; !ok {
		p[key] = value
	}
}

// Errors that say that a session's start may not hold settings: PgBouncer's own,
// and those of a database that knows no such setting.
const (
	codeProtocol = "08P01"
	codeNoSuch   = "42704"
)

// sharesSessions tries whether what is said at the start of a session is true in
// it: https://www.pgbouncer.org/config.html#ignore_startup_parameters
func sharesSessions(ctx context.Context, like *pgx.ConnConfig, schema string) (bool, error) {
	conf := like.Copy()
	conf.DefaultQueryExecMode = pgx.QueryExecModeExec
	want(conf.RuntimeParams, schema)
	c, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		var said *pgconn.PgError
		if errors.As(err, &said) && (said.Code == codeProtocol || said.Code == codeNoSuch) {
			return true, nil
		}
		return false, err
	}
	defer func() { _ = c.Close(ctx) }() // It was for one question.
	var path string
	err = c.QueryRow(ctx, "SELECT current_setting('search_path')").Scan(&path)
	return path != schema, err
}

// prelude is the statement that says for one transaction what a session would
// have been told: of the settings those that the database knows, and as the
// address says where it does.
func prelude(ctx context.Context, like *pgx.ConnConfig, schema string, address map[string]string) (string, error) {
	conf := like.Copy()
	conf.DefaultQueryExecMode = pgx.QueryExecModeExec
	c, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close(ctx) }() // It was for one question.
	rows, err := c.Query(ctx, "SELECT name FROM pg_settings")
	if err != nil {
		return "", err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", err
	}
	said := []string{fmt.Sprintf("set_config('search_path', '%s', true)", schema)}
	for _, s := range settings {
		value := s.value
		if own, ok := address[s.name]; ok {
			value = strings.ReplaceAll(own, "'", "''")
		}
		if slices.Contains(known, s.name) {
			said = append(said, fmt.Sprintf("set_config('%s', '%s', true)", s.name, value))
		}
	}
	return "SELECT " + strings.Join(said, ", "), nil
}

// opening gives what a transaction begins with.
func (p *pool) opening(begin string, more ...string) []string {
	if p.prelude != "" {
		more = append([]string{p.prelude}, more...)
	}
	return append([]string{begin}, more...)
}

// inTx runs fn in a transaction of its own.
func (p *pool) inTx(ctx context.Context, fn func(pgx.Tx) error) error {
	return fail(pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		if p.prelude != "" {
			if _, err := tx.Exec(ctx, p.prelude); err != nil {
				return err
			}
		}
		return fn(tx)
	}))
}
