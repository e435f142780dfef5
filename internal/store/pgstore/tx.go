package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/access"
	"rapport/internal/alert"
	"rapport/internal/audit"
	"rapport/internal/breach"
	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/group"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/outbox"
	"rapport/internal/person"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/project"
	"rapport/internal/rights"
	"rapport/internal/segment"
	"rapport/internal/store"
	"rapport/internal/store/rows"
	"rapport/internal/timer"
)

// tx is one transaction: accessors hold no state of their own but in it. What
// they write is gathered; the next question or the commit takes it along.
type tx struct {
	ctx    context.Context //nolint:containedctx // A transaction lives within one call.
	c      *pgx.Conn
	s      *State   // nil in a reader
	begin  []string // not sent yet
	begun  bool
	heard  bool  // a question was answered
	broken error // why nothing more may run in it

	pending    pending
	counts     [counters]int64        // differences, written with the commit
	committing bool                   // COMMIT was sent
	foreseen   foreseen               // what was asked ahead
	changed    changed                // what was sent of names and people
	keys       map[id.Hash]id.Message // of mails, taken in it
}

// The counters: of persons, and of mails in each state, under the state's number.
const (
	countPersons = 0
	counters     = 16
)

var _ store.Tx = (*tx)(nil)

// lead queues what must go before the next statement.
func (t *tx) lead(b *pgx.Batch) {
	for _, sql := range t.begin {
		b.Queue(sql)
	}
	t.begin, t.begun = nil, true
	t.changed.add(&t.pending)
	t.pending.flush(b)
}

// question is one to ask: each is called for every row of its answer, and must
// not use the transaction.
type question struct {
	statement
	each func(pgx.Rows) error
}

// query asks one question.
func (t *tx) query(each func(pgx.Rows) error, sql string, args ...any) error {
	return t.ask(question{statement{sql, args}, each})
}

// ask asks several questions in one round trip.
func (t *tx) ask(questions ...question) (err error) {
	if t.broken != nil {
		return t.broken
	}
	var b pgx.Batch
	t.lead(&b)
	before := b.Len()
	for i := range questions {
		b.Queue(questions[i].sql, questions[i].args...)
	}
	answers := t.c.SendBatch(t.ctx, &b)
	defer func() {
		if closeErr := fail(answers.Close()); err == nil {
			err = closeErr
		}
	}()
	for range before {
		if _, err := answers.Exec(); err != nil {
			return t.breaks(fail(err))
		}
	}
	for i := range questions {
		if err := t.answer(answers, questions[i].each); err != nil {
			return err
		}
	}
	return nil
}

// answer reads the answer to one question.
func (t *tx) answer(answers pgx.BatchResults, each func(pgx.Rows) error) error {
	r, err := answers.Query()
	if err != nil {
		return t.breaks(fail(err))
	}
	defer r.Close()
	for r.Next() {
		t.heard = true
		if err := each(r); err != nil {
			return err
		}
	}
	r.Close()
	t.heard = t.heard || r.Err() == nil
	return t.breaks(fail(r.Err()))
}

// breaks remembers an error after which PostgreSQL takes nothing more.
func (t *tx) breaks(err error) error {
	if err != nil && t.broken == nil {
		t.broken = err
	}
	return err
}

// one reads at most one row into places.
func (t *tx) one(places []any, sql string, args ...any) (found bool, err error) {
	err = t.query(func(r pgx.Rows) error {
		found = true
		return fail(r.Scan(places...))
	}, sql, args...)
	return found, err
}

// later queues a statement without an answer.
func (t *tx) later(sql string, args ...any) error {
	if t.s == nil {
		return errReadOnly
	}
	t.pending.others = append(t.pending.others, statement{sql, args})
	return nil
}

// commit sends what is gathered together with the end of the transaction, in one
// round trip. A transaction that neither read nor wrote is nothing.
func (t *tx) commit() error {
	t.pending.count(&t.counts)
	if !t.begun && t.pending.empty() {
		return nil
	}
	t.pending.others = append(t.pending.others, t.s.stillOurs(), statement{sql: "COMMIT"})
	t.committing = true
	tag, err := t.send()
	switch {
	case err == nil && tag.String() == "COMMIT":
	case err == nil: // PostgreSQL answers ROLLBACK where a statement had failed.
		t.committing = false
		return fault.New(fault.Internal, "not_committed", "the database has rolled the transaction back")
	default:
		var said *pgconn.PgError
		t.committing = !errors.As(err, &said) // What it answers is no doubt.
		return err
	}
	t.s.commits++
	t.begun = false
	return nil
}

// rollback ends a transaction that is not to be kept.
func (t *tx) rollback() {
	if !t.begun || t.c.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), 5*time.Second)
	defer cancel()
	_, _ = t.c.Exec(ctx, "ROLLBACK") // A connection that cannot is thrown away with its transaction.
}

// counted reads a counter as it is within the transaction.
func (t *tx) counted(what int) (n int64, err error) {
	_, err = t.one([]any{&n}, "SELECT n FROM counter WHERE what = $1", what)
	return n + t.counts[what], err
}

func uuid(h [16]byte) pgtype.UUID { return pgtype.UUID{Bytes: h, Valid: true} }

func uuids(hs []id.Hash) []pgtype.UUID {
	out := make([]pgtype.UUID, len(hs))
	for i, h := range hs {
		out[i] = uuid(h)
	}
	return out
}

// millis writes an instant; the zero time is NULL.
func millis(t time.Time) pgtype.Int8 {
	if t.IsZero() {
		return pgtype.Int8{}
	}
	return pgtype.Int8{Int64: t.UnixMilli(), Valid: true}
}

func instant(ms pgtype.Int8) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}

// unsummed takes the checksum off a body, or says which row is damaged.
func unsummed(table string, row int64, raw []byte) ([]byte, error) {
	body, err := rows.Unsummed(row, raw)
	if err != nil {
		return nil, fault.Wrap(fmt.Errorf("%w: %w", eventlog.ErrDamaged, err), fault.Internal, "file_damaged",
			"row %d of %s is damaged: it does not hold what was written. Stop the server and restore the database from a backup", row, table)
	}
	return body, nil
}

func (t *tx) Persons() person.Store      { return (*persons)(t) }
func (t *tx) Identity() identity.Store   { return (*idents)(t) }
func (t *tx) Profile() profile.Store     { return (*packs)(t) }
func (t *tx) Segment() segment.Store     { return (*segments)(t) }
func (t *tx) Group() group.Store         { return (*groups)(t) }
func (t *tx) Timer() timer.Store         { return (*alarms)(t) }
func (t *tx) Consent() consent.Store     { return (*permissions)(t) }
func (t *tx) Outbox() outbox.Store       { return (*mails)(t) }
func (t *tx) Processor() processor.Store { return (*walk)(t) }
func (t *tx) Access() access.Store       { return (*keys)(t) }
func (t *tx) Ingest() ingest.Store       { return (*rejects)(t) }
func (t *tx) Project() project.Store     { return (*versions)(t) }
func (t *tx) Audit() audit.Store         { return (*trail)(t) }

func (t *tx) Destination() destination.Store { return (*tellings)(t) }
func (t *tx) Alert() alert.Store             { return (*alerts)(t) }
func (t *tx) Rights() rights.Store           { return (*requests)(t) }
func (t *tx) Breach() breach.Store           { return (*breaches)(t) }

// send sends what is gathered at once, and gives the last answer.
func (t *tx) send() (last pgconn.CommandTag, err error) {
	if t.broken != nil {
		return last, t.broken
	}
	var b pgx.Batch
	t.lead(&b)
	if b.Len() == 0 {
		return last, nil
	}
	answers := t.c.SendBatch(t.ctx, &b)
	for range b.Len() {
		if last, err = answers.Exec(); err != nil {
			break
		}
	}
	if closeErr := answers.Close(); err == nil {
		err = closeErr
	}
	return last, t.breaks(fail(err))
}
