package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rapport/internal/fault"
)

// stateMigrations bring the state's schema forward, one number after the other,
// with the same numbers as those of the embedded store. They are never changed
// once released: what changes gets a new number.
//
// There are no foreign keys, no triggers and no sequences: numbers are given by
// the one writer, so that what is written may be gathered and sent in any order.
// Every unique index holds the column by which docs/distribution.md spreads its
// table.
var stateMigrations = []string{`
CREATE TABLE meta(key text PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE counter(what int PRIMARY KEY, n bigint NOT NULL);
-- owner: who may write; n counts the commits, so that one whose answer was lost is known.
CREATE TABLE owner(one int PRIMARY KEY, name uuid NOT NULL, n bigint NOT NULL);

CREATE TABLE ident(h uuid PRIMARY KEY, person bigint NOT NULL);
CREATE TABLE merge(seq bigint PRIMARY KEY, into_person bigint NOT NULL, from_person bigint NOT NULL,
	at bigint NOT NULL, cause text NOT NULL, rule text NOT NULL, moved bytea);
CREATE INDEX merge_into ON merge(into_person);
CREATE INDEX merge_from ON merge(from_person);

CREATE TABLE person(id bigint PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE timeline(id bigint PRIMARY KEY, body bytea NOT NULL);

CREATE TABLE segment_count(segment text PRIMARY KEY, members bigint NOT NULL);
CREATE TABLE backfill(one int PRIMARY KEY, version bigint NOT NULL, next bigint NOT NULL, last bigint NOT NULL, done boolean NOT NULL);

CREATE TABLE alarm(due bigint NOT NULL, person bigint NOT NULL, PRIMARY KEY(due, person));

CREATE TABLE ledger(seq bigint PRIMARY KEY, record text NOT NULL, subject uuid NOT NULL, kind text NOT NULL,
	purpose text NOT NULL, state int NOT NULL, said bigint, at bigint, method text NOT NULL, source text NOT NULL, evidence bytea);
CREATE UNIQUE INDEX ledger_record ON ledger(subject, record, purpose);
CREATE TABLE held(subject uuid NOT NULL, purpose text NOT NULL, state int NOT NULL, seq bigint NOT NULL,
	record text NOT NULL, at bigint, PRIMARY KEY(subject, purpose));
CREATE INDEX held_narrow ON held(subject) WHERE state > 1;
CREATE TABLE suppression(address uuid NOT NULL, purpose text NOT NULL, reason text NOT NULL, at bigint,
	source text NOT NULL, PRIMARY KEY(address, purpose, reason));

CREATE TABLE mail(id uuid PRIMARY KEY, seq bigint NOT NULL, person bigint NOT NULL, class int NOT NULL,
	state int NOT NULL, attempts int NOT NULL, token bigint NOT NULL, lease bigint, due bigint NOT NULL,
	message_id text NOT NULL, duplicate boolean NOT NULL, steps bigint NOT NULL, story bigint NOT NULL, owed int, busy int);
CREATE INDEX mail_owed ON mail(owed, due, id) WHERE owed IS NOT NULL;
CREATE INDEX mail_busy ON mail(id) WHERE busy IS NOT NULL;
CREATE INDEX mail_person ON mail(person);
CREATE INDEX mail_duplicate ON mail(id) WHERE duplicate;
CREATE TABLE intent(seq bigint PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE mail_key(h uuid PRIMARY KEY, id uuid NOT NULL);
CREATE TABLE step(seq bigint PRIMARY KEY, mail bigint NOT NULL, prev bigint NOT NULL, n bigint NOT NULL,
	state int NOT NULL, at bigint, reason text NOT NULL, detail bytea);
CREATE TABLE parts(seq bigint PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE cap(id uuid PRIMARY KEY, person bigint NOT NULL, at bigint NOT NULL);
CREATE INDEX cap_person ON cap(person, at);

CREATE TABLE position(lane int PRIMARY KEY, pos bigint NOT NULL);
CREATE TABLE seen(seq bigint PRIMARY KEY, at bigint NOT NULL, body bytea NOT NULL);
CREATE INDEX seen_at ON seen(at);
CREATE TABLE aside(lane int NOT NULL, pos bigint NOT NULL, at bigint, code text NOT NULL, error text NOT NULL,
	body bytea, PRIMARY KEY(lane, pos));
CREATE INDEX aside_at ON aside(at);
CREATE TABLE relay(seq bigint PRIMARY KEY, body bytea NOT NULL);

CREATE TABLE access_key(id text PRIMARY KEY, kind text NOT NULL, source text NOT NULL, name text NOT NULL,
	hash bytea NOT NULL, created bigint, expires bigint, revoked bigint);

CREATE TABLE reject(id bigint PRIMARY KEY, at bigint, source text NOT NULL, path text NOT NULL, code text NOT NULL,
	detail text NOT NULL, payload bytea, sent boolean NOT NULL);
CREATE INDEX reject_code ON reject(code);

CREATE TABLE version(number bigint PRIMARY KEY, applied bigint, digest text NOT NULL);
CREATE TABLE version_file(number bigint NOT NULL, path text NOT NULL, content bytea NOT NULL, PRIMARY KEY(number, path));
`, `
ALTER TABLE ledger DROP CONSTRAINT ledger_pkey;
ALTER TABLE ledger ADD PRIMARY KEY(subject, seq);
CREATE INDEX ledger_seq ON ledger(seq);
ALTER TABLE schema_version ADD PRIMARY KEY(n);
`, `
CREATE TABLE violation(source text NOT NULL, event text NOT NULL, property text NOT NULL, code text NOT NULL, detail text NOT NULL,
	n bigint NOT NULL, first bigint NOT NULL, last bigint NOT NULL, PRIMARY KEY(source, event, property, code));
`, `
ALTER TABLE aside ADD COLUMN sent boolean NOT NULL DEFAULT false;
`, `
CREATE TABLE group_row(h uuid PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE group_member(h uuid NOT NULL, person bigint NOT NULL, PRIMARY KEY(h, person));
`, `
CREATE TABLE mail_shared(person bigint NOT NULL, mail uuid NOT NULL, PRIMARY KEY(person, mail));
`, `
CREATE TABLE trail(n bigint PRIMARY KEY, at bigint NOT NULL, actor text NOT NULL, act text NOT NULL, subject uuid, leaf bytea NOT NULL, opening bytea);
CREATE INDEX trail_subject ON trail(subject, n) WHERE subject IS NOT NULL;
CREATE TABLE trail_hash(i bigint PRIMARY KEY, h bytea NOT NULL);
CREATE TABLE checkpoint(size bigint PRIMARY KEY, at bigint NOT NULL, note text NOT NULL);
CREATE TABLE checkpoint_left(place text PRIMARY KEY, size bigint NOT NULL);
`, `
CREATE TABLE told(seq bigint PRIMARY KEY, kind int NOT NULL, flags int NOT NULL, name text NOT NULL, at bigint NOT NULL,
	person bigint NOT NULL, subject uuid, body bytea NOT NULL);
CREATE TABLE destination(name text PRIMARY KEY, seq bigint NOT NULL, disabled text NOT NULL, since bigint);
CREATE TABLE told_held(seq bigint NOT NULL, destination text NOT NULL, attempts int NOT NULL, due bigint NOT NULL, dead boolean NOT NULL,
	reason text NOT NULL, status int NOT NULL, PRIMARY KEY(seq, destination));
CREATE INDEX told_held_destination ON told_held(destination, dead, seq);
`, `
ALTER TABLE ledger ADD COLUMN facts bytea, ADD COLUMN expires bigint;
ALTER TABLE held ADD COLUMN expires bigint, ADD COLUMN notice text NOT NULL DEFAULT '';
CREATE TABLE notice(id text NOT NULL, language text NOT NULL, version text NOT NULL, digest text NOT NULL, body text NOT NULL, at bigint,
	PRIMARY KEY(id, language, version));
CREATE TABLE opt_in(id uuid PRIMARY KEY, address uuid NOT NULL, network text NOT NULL, at bigint NOT NULL, expires bigint NOT NULL,
	confirmed bigint, body bytea NOT NULL);
CREATE INDEX opt_in_address ON opt_in(address, at);
CREATE INDEX opt_in_network ON opt_in(network, at) WHERE network <> '';
`, alertTable, `
CREATE TABLE request(id text PRIMARY KEY, kind text NOT NULL, law text NOT NULL, person bigint NOT NULL, subject uuid NOT NULL, received bigint NOT NULL,
	due bigint NOT NULL, closed bigint, outcome text NOT NULL, told bigint NOT NULL, body bytea);
CREATE INDEX request_open ON request(due) WHERE closed IS NULL;
CREATE INDEX request_received ON request(received);
CREATE TABLE barred(h uuid PRIMARY KEY, request text NOT NULL);
`, `
CREATE TABLE breach(id text PRIMARY KEY, aware bigint NOT NULL, due bigint NOT NULL, closed bigint, body bytea NOT NULL);
CREATE INDEX breach_open ON breach(due) WHERE closed IS NULL;
`,
}

// tuning is how PostgreSQL itself had better store rows; databases that only
// speak like it do without. It is no part of a schema's number.
var tuning = map[string][]string{
	StateSchema: {
		// Room on each page lets a body be replaced without touching an index.
		"ALTER TABLE person SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.5)",
		"ALTER TABLE mail SET (fillfactor = 70)",
		// What fits twice on a page stays in its row: cut up beside it, it costs twice the writes.
		"ALTER TABLE person SET (toast_tuple_target = 4000)",
		"ALTER TABLE timeline SET (toast_tuple_target = 4000)",
		// Bodies are packed already.
		"ALTER TABLE person ALTER body SET STORAGE MAIN",
		"ALTER TABLE timeline ALTER body SET STORAGE EXTERNAL",
		"ALTER TABLE seen ALTER body SET STORAGE EXTERNAL",
	},
	LogSchema: {"ALTER TABLE frame ALTER body SET STORAGE EXTERNAL"},
}

// logMigrations do the same for the log's schema.
var logMigrations = []string{`
CREATE TABLE meta(key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE frame(lane int NOT NULL, pos bigint NOT NULL, n int NOT NULL, at bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY(lane, pos));
INSERT INTO meta VALUES('id', replace(gen_random_uuid()::text, '-', ''));
`, `
ALTER TABLE schema_version ADD PRIMARY KEY(n);
`}

// migrate makes a schema, brings an older one forward, or refuses a newer one.
// Where there is nothing to do it writes nothing, and so needs no right to.
func migrate(ctx context.Context, p *pool, schema string, steps []string) error {
	return p.inTx(ctx, func(tx pgx.Tx) error {
		genuine, err := isPostgreSQL(ctx, tx)
		if err != nil {
			return err
		}
		if genuine { // Two processes that begin at once take turns.
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", schema); err != nil {
				return err
			}
		}
		var there bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", schema+".schema_version").Scan(&there); err != nil {
			return err
		}
		version := 0
		if there {
			if err := tx.QueryRow(ctx, "SELECT n FROM schema_version").Scan(&version); err != nil {
				return err
			}
		} else if err := newSchema(ctx, tx, schema); err != nil {
			return mayNot(err, schema, version, len(steps))
		}
		if version > len(steps) {
			return fault.New(fault.Conflict, "schema_newer",
				"the schema %s has number %d and this program knows up to %d: it was written by a newer version. "+
					"Start that version, or restore the database from a backup made before the upgrade", schema, version, len(steps))
		}
		for i := version; i < len(steps); i++ {
			if _, err := tx.Exec(ctx, steps[i]); err != nil {
				return mayNot(fmt.Errorf("bring %s to schema %d: %w", schema, i+1, err), schema, version, len(steps))
			}
		}
		if version == len(steps) {
			return nil
		}
		if _, err := tx.Exec(ctx, "UPDATE schema_version SET n = $1", len(steps)); err != nil || !genuine {
			return err
		}
		for _, sql := range tuning[schema] {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// isPostgreSQL tells PostgreSQL, and Citus within it, from databases that speak
// its protocol and lack advisory locks and its ways to store rows.
func isPostgreSQL(ctx context.Context, c interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) (bool, error) {
	var version string
	err := c.QueryRow(ctx, "SELECT version()").Scan(&version)
	return err == nil && !strings.Contains(version, "CockroachDB") && !strings.Contains(version, "-YB-"), err
}

// mayNot says what to do where the user may not change the schema.
func mayNot(err error, schema string, has, wants int) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != codeRights {
		return err
	}
	return fault.Wrap(err, fault.Denied, "database_rights",
		"the schema %s has number %d, this program needs %d, and the database's user may not change it: run `rapport database migrate` as the owner", schema, has, wants)
}

func newSchema(ctx context.Context, tx pgx.Tx, schema string) error {
	for _, sql := range []string{
		"CREATE SCHEMA IF NOT EXISTS " + pgx.Identifier{schema}.Sanitize(),
		"CREATE TABLE schema_version(n int NOT NULL)",
		"INSERT INTO schema_version VALUES(0)",
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// Schema is how far one schema of a database is.
type Schema struct {
	Name string `json:"schema"`
	From int    `json:"from"` // its number before
	To   int    `json:"to"`   // and now
}

// Migrate makes the schemas or brings them forward, as their owner does before a
// server starts whose user may not.
func Migrate(ctx context.Context, c Config) ([]Schema, error) {
	out := []Schema{{Name: LogSchema, To: len(logMigrations)}, {Name: StateSchema, To: len(stateMigrations)}}
	for i, steps := range [][]string{logMigrations, stateMigrations} {
		p, err := connect(ctx, c, out[i].Name, 1)
		if err != nil {
			return nil, err
		}
		if err = p.number(ctx, out[i].Name, &out[i].From); err == nil {
			err = migrate(ctx, p, out[i].Name, steps)
		}
		p.Close()
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// number reads how far a schema is; one that is not there is at 0.
func (p *pool) number(ctx context.Context, schema string, n *int) error {
	return p.inTx(ctx, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", schema+".schema_version").Scan(&there); err != nil || !there {
			return err
		}
		return tx.QueryRow(ctx, "SELECT n FROM schema_version").Scan(n)
	})
}

// Grants gives the statements with which the owner of the schemas lets another
// user serve: to read and write rows, and nothing else. They hold for tables
// that a later migration makes too, if the same owner runs it.
func Grants(role string) string {
	who := pgx.Identifier{role}.Sanitize()
	var b strings.Builder
	for _, schema := range []string{LogSchema, StateSchema} {
		fmt.Fprintf(&b, "GRANT USAGE ON SCHEMA %s TO %s;\n", schema, who)
		fmt.Fprintf(&b, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %s;\n", schema, who)
		fmt.Fprintf(&b, "REVOKE INSERT, UPDATE, DELETE ON %s.schema_version FROM %s;\n", schema, who)
		fmt.Fprintf(&b, "ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %s;\n", schema, who)
	}
	return b.String()
}
