package sqlitestore

import (
	"errors"
	"fmt"
)

// migrations bring state.db forward, one number after the other. They are never
// changed once released: what changes gets a new number. docs/format/state.md
// draws the tables.
var migrations = []string{`
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
-- counter spares counting tables: 0 is persons, others are mails in that state.
CREATE TABLE counter(what INTEGER PRIMARY KEY, n INTEGER NOT NULL);

-- identity: who answers to which identifier; the merge log is append-only.
CREATE TABLE ident(h BLOB PRIMARY KEY, person INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE merge(seq INTEGER PRIMARY KEY, into_person INTEGER NOT NULL, from_person INTEGER NOT NULL,
	at INTEGER NOT NULL, cause TEXT NOT NULL, rule TEXT NOT NULL, moved BLOB);
CREATE INDEX merge_into ON merge(into_person);
CREATE INDEX merge_from ON merge(from_person);

-- person: one row a person, in order of creation; timeline: packs of history, written once.
CREATE TABLE person(id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE timeline(id INTEGER PRIMARY KEY, body BLOB NOT NULL);

-- segment
CREATE TABLE segment_count(segment TEXT PRIMARY KEY, members INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE backfill(one INTEGER PRIMARY KEY CHECK(one = 1), version INTEGER NOT NULL, next INTEGER NOT NULL,
	last INTEGER NOT NULL, done INTEGER NOT NULL);

-- timer
CREATE TABLE alarm(due INTEGER NOT NULL, person INTEGER NOT NULL, PRIMARY KEY(due, person)) WITHOUT ROWID;

-- consent: the ledger is append-only, held is what stands.
CREATE TABLE ledger(seq INTEGER PRIMARY KEY, record TEXT NOT NULL, subject BLOB NOT NULL, kind TEXT NOT NULL,
	purpose TEXT NOT NULL, state INTEGER NOT NULL, said INTEGER, at INTEGER, method TEXT NOT NULL,
	source TEXT NOT NULL, evidence BLOB);
CREATE UNIQUE INDEX ledger_record ON ledger(subject, record, purpose);
CREATE TABLE held(subject BLOB NOT NULL, purpose TEXT NOT NULL, state INTEGER NOT NULL, seq INTEGER NOT NULL,
	record TEXT NOT NULL, at INTEGER, PRIMARY KEY(subject, purpose)) WITHOUT ROWID;
CREATE INDEX held_narrow ON held(subject) WHERE state > 1;
CREATE TABLE suppression(address BLOB NOT NULL, purpose TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER,
	source TEXT NOT NULL, PRIMARY KEY(address, purpose, reason)) WITHOUT ROWID;

-- outbox: mail is where each stands, intent what it is, step its story (append-only).
-- owed is the class while pending or deferred, busy is 1 while somebody holds the mail or nobody
-- knows: short indexes of what is unfinished. steps is the length of the story, story its newest row, from which
-- prev leads back: rows are only ever put at the end of the table.
CREATE TABLE mail(id BLOB PRIMARY KEY, seq INTEGER NOT NULL, person INTEGER NOT NULL, class INTEGER NOT NULL,
	state INTEGER NOT NULL, attempts INTEGER NOT NULL, token INTEGER NOT NULL, lease INTEGER, due INTEGER NOT NULL,
	message_id TEXT NOT NULL, duplicate INTEGER NOT NULL, steps INTEGER NOT NULL, story INTEGER NOT NULL, owed INTEGER, busy INTEGER) WITHOUT ROWID;
CREATE INDEX mail_owed ON mail(owed, due) WHERE owed IS NOT NULL;
CREATE INDEX mail_busy ON mail(busy) WHERE busy IS NOT NULL;
CREATE INDEX mail_person ON mail(person);
CREATE INDEX mail_duplicate ON mail(duplicate) WHERE duplicate = 1;
CREATE TABLE intent(seq INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE mail_key(h BLOB PRIMARY KEY, id BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE step(seq INTEGER PRIMARY KEY, mail INTEGER NOT NULL, prev INTEGER NOT NULL, n INTEGER NOT NULL,
	state INTEGER NOT NULL, at INTEGER, reason TEXT NOT NULL, detail BLOB);
CREATE TABLE parts(seq INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE cap(id BLOB PRIMARY KEY, person INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX cap_person ON cap(person, at);

-- processor
CREATE TABLE position(lane INTEGER PRIMARY KEY, pos INTEGER NOT NULL);
CREATE TABLE seen(seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX seen_at ON seen(at);
CREATE TABLE aside(lane INTEGER NOT NULL, pos INTEGER NOT NULL, at INTEGER, code TEXT NOT NULL, error TEXT NOT NULL,
	body BLOB, PRIMARY KEY(lane, pos));
CREATE INDEX aside_at ON aside(at);
CREATE TABLE relay(seq INTEGER PRIMARY KEY, body BLOB NOT NULL);

-- access
CREATE TABLE access_key(id TEXT PRIMARY KEY, kind TEXT NOT NULL, source TEXT NOT NULL, name TEXT NOT NULL,
	hash BLOB NOT NULL, created INTEGER, expires INTEGER, revoked INTEGER);

-- ingest
CREATE TABLE reject(id INTEGER PRIMARY KEY, at INTEGER, source TEXT NOT NULL, path TEXT NOT NULL, code TEXT NOT NULL,
	detail TEXT NOT NULL, payload BLOB, sent INTEGER NOT NULL);
CREATE INDEX reject_code ON reject(code);

-- project
CREATE TABLE version(number INTEGER PRIMARY KEY, applied INTEGER, digest TEXT NOT NULL);
CREATE TABLE version_file(number INTEGER NOT NULL, path TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY(number, path));
`, `
-- PostgreSQL's key of the ledger changes here, so that it can be spread over
-- machines; one file has nothing to spread.
SELECT 1;
`, `
-- ingest: how events that were taken differ from the spec, counted.
CREATE TABLE violation(source TEXT NOT NULL, event TEXT NOT NULL, property TEXT NOT NULL, code TEXT NOT NULL, detail TEXT NOT NULL,
	n INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY(source, event, property, code)) WITHOUT ROWID;
`, `
ALTER TABLE aside ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
`, `
-- group: what is known of each, and who belongs to it.
CREATE TABLE group_row(h BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE group_member(h BLOB NOT NULL, person INTEGER NOT NULL, PRIMARY KEY(h, person)) WITHOUT ROWID;
`, `
-- outbox: mails that are in the story of another person too, who was parted from their own.
CREATE TABLE mail_shared(person INTEGER NOT NULL, mail BLOB NOT NULL, PRIMARY KEY(person, mail)) WITHOUT ROWID;
`, `
-- audit: the trail, the stored hashes of its tree by their index, signed checkpoints, and how far they left.
CREATE TABLE trail(n INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, act TEXT NOT NULL, subject BLOB, leaf BLOB NOT NULL, opening BLOB);
CREATE INDEX trail_subject ON trail(subject, n) WHERE subject IS NOT NULL;
CREATE TABLE trail_hash(i INTEGER PRIMARY KEY, h BLOB NOT NULL);
CREATE TABLE checkpoint(size INTEGER PRIMARY KEY, at INTEGER NOT NULL, note TEXT NOT NULL);
CREATE TABLE checkpoint_left(place TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
`, `
-- destination: what is to be told, once for all who want it; how far each destination is, and under '' the highest number ever
-- given; what of it waits for a destination to be tried again, or was given up.
CREATE TABLE told(seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, flags INTEGER NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL,
	person INTEGER NOT NULL, subject BLOB, body BLOB NOT NULL);
CREATE TABLE destination(name TEXT PRIMARY KEY, seq INTEGER NOT NULL, disabled TEXT NOT NULL, since INTEGER) WITHOUT ROWID;
CREATE TABLE told_held(seq INTEGER NOT NULL, destination TEXT NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL, dead INTEGER NOT NULL,
	reason TEXT NOT NULL, status INTEGER NOT NULL, PRIMARY KEY(seq, destination)) WITHOUT ROWID;
CREATE INDEX told_held_destination ON told_held(destination, dead, seq);
`, `
-- consent: what a statement rests on and until when it holds, the texts that were shown, and what addresses are to confirm.
ALTER TABLE ledger ADD COLUMN facts BLOB;
ALTER TABLE ledger ADD COLUMN expires INTEGER;
ALTER TABLE held ADD COLUMN expires INTEGER;
ALTER TABLE held ADD COLUMN notice TEXT NOT NULL DEFAULT '';
CREATE TABLE notice(id TEXT NOT NULL, language TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL, body TEXT NOT NULL, at INTEGER,
	PRIMARY KEY(id, language, version)) WITHOUT ROWID;
CREATE TABLE opt_in(id BLOB PRIMARY KEY, address BLOB NOT NULL, network TEXT NOT NULL, at INTEGER NOT NULL, expires INTEGER NOT NULL,
	confirmed INTEGER, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX opt_in_address ON opt_in(address, at);
CREATE INDEX opt_in_network ON opt_in(network, at) WHERE network <> '';
`, alertTable, `
-- rights: what people asked of their data, and identifiers under which nothing is kept any more.
CREATE TABLE request(id TEXT PRIMARY KEY, kind TEXT NOT NULL, law TEXT NOT NULL, person INTEGER NOT NULL, subject BLOB NOT NULL, received INTEGER NOT NULL,
	due INTEGER NOT NULL, closed INTEGER, outcome TEXT NOT NULL, told INTEGER NOT NULL, body BLOB) WITHOUT ROWID;
CREATE INDEX request_open ON request(due) WHERE closed IS NULL;
CREATE INDEX request_received ON request(received);
CREATE TABLE barred(h BLOB PRIMARY KEY, request TEXT NOT NULL) WITHOUT ROWID;
`, `
-- breach: the register of breaches of personal data.
CREATE TABLE breach(id TEXT PRIMARY KEY, aware INTEGER NOT NULL, due INTEGER NOT NULL, closed INTEGER, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX breach_open ON breach(due) WHERE closed IS NULL;
`,
}

// Schema is the number of state.db's schema that this program writes.
func Schema() int { return len(migrations) }

// migrate brings an older file forward and refuses a newer one.
func (c *conn) migrate(steps []string) error {
	var version int64
	if err := c.queryInt("PRAGMA user_version", &version); err != nil {
		return err
	}
	if version > int64(len(steps)) {
		return newerSchema(c.file, version, int64(len(steps)))
	}
	for i := int(version); i < len(steps); i++ {
		// Exec stops at the first statement that fails, before COMMIT.
		err := c.db.Exec(fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA user_version = %d; COMMIT", steps[i], i+1))
		if err != nil {
			err = c.fail(err)
			return errors.Join(fmt.Errorf("bring %s to schema %d: %w", c.file, i+1, err), c.rollback())
		}
	}
	return nil
}
