package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"rapport/internal/fault"
)

// stateMigrations bring the state's schema forward, one number after the other,
// with the same numbers as those of the embedded store. They are never changed
// once released: what changes gets a new number.
//
// There are no foreign keys, no triggers and no sequences: numbers are given by
// the one writer, so that what is written may be gathered and sent in any order.
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

-- Room on each page lets a body be replaced without touching an index.
CREATE TABLE person(id bigint PRIMARY KEY, body bytea NOT NULL) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.5);
ALTER TABLE person ALTER body SET STORAGE MAIN;
CREATE TABLE timeline(id bigint PRIMARY KEY, body bytea NOT NULL);
ALTER TABLE timeline ALTER body SET STORAGE EXTERNAL;

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
	message_id text NOT NULL, duplicate boolean NOT NULL, steps bigint NOT NULL, story bigint NOT NULL, owed int, busy int)
	WITH (fillfactor = 70);
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
ALTER TABLE seen ALTER body SET STORAGE EXTERNAL;
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
CREATE TABLE violation(source text NOT NULL, event text NOT NULL, property text NOT NULL, code text NOT NULL, detail text NOT NULL,
	n bigint NOT NULL, first bigint NOT NULL, last bigint NOT NULL, PRIMARY KEY(source, event, property, code));
`,
}

// logMigrations do the same for the log's schema.
var logMigrations = []string{`
CREATE TABLE meta(key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE frame(lane int NOT NULL, pos bigint NOT NULL, n int NOT NULL, at bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY(lane, pos));
ALTER TABLE frame ALTER body SET STORAGE EXTERNAL;
INSERT INTO meta VALUES('id', replace(gen_random_uuid()::text, '-', ''));
`}

// migrate makes a schema, brings an older one forward, or refuses a newer one.
func migrate(ctx context.Context, pool *pgxpool.Pool, schema string, steps []string) error {
	return fail(pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// Two processes that begin at once take turns.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", schema); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", schema+".schema_version").Scan(&there); err != nil {
			return err
		}
		version := 0
		if there {
			err := tx.QueryRow(ctx, "SELECT n FROM schema_version").Scan(&version)
			if err != nil {
				return err
			}
		} else if err := newSchema(ctx, tx, schema); err != nil {
			return err
		}
		if version > len(steps) {
			return fault.New(fault.Conflict, "schema_newer",
				"the schema %s has number %d and this program knows up to %d: it was written by a newer version. "+
					"Start that version, or restore the database from a backup made before the upgrade", schema, version, len(steps))
		}
		for i := version; i < len(steps); i++ {
			if _, err := tx.Exec(ctx, steps[i]); err != nil {
				return fmt.Errorf("bring %s to schema %d: %w", schema, i+1, err)
			}
		}
		_, err := tx.Exec(ctx, "UPDATE schema_version SET n = $1", len(steps))
		return err
	}))
}

func newSchema(ctx context.Context, tx pgx.Tx, schema string) error {
	_, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize())
	_, err2 := tx.Exec(ctx, "CREATE TABLE schema_version(n int NOT NULL)")
	_, err3 := tx.Exec(ctx, "INSERT INTO schema_version VALUES(0)")
	return errors.Join(err, err2, err3)
}
