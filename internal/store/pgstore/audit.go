package pgstore

import (
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"golang.org/x/mod/sumdb/tlog"

	"rapport/internal/audit"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store/rows"
)

// trail keeps rows in the order of their commits: one server writes, so the next
// number is the number of rows.
type trail tx

var _ audit.Store = (*trail)(nil)

func (t *trail) Append(r audit.Row) (int64, error) {
	if t.s == nil {
		return 0, errReadOnly
	}
	n := t.s.next.trail
	t.s.next.trail++
	p := &t.pending.trail
	p.n, p.at = append(p.n, n), append(p.at, r.At.UnixMilli())
	p.actor, p.act = append(p.actor, r.Actor), append(p.act, r.What)
	p.subject = append(p.subject, pgtype.UUID{Bytes: r.Subject, Valid: r.Subject != (id.Hash{})})
	p.leaf, p.opening = append(p.leaf, r.Leaf), append(p.opening, r.Opening)
	return n, nil
}

// rowColumns are what list reads.
const rowColumns = "SELECT n, at, actor, act, subject, leaf, opening FROM trail "

func (t *trail) list(sql string, args ...any) (out []audit.Row, err error) {
	err = (*tx)(t).query(func(r pgx.Rows) error {
		var row audit.Row
		var at int64
		var subject pgtype.UUID
		err := r.Scan(&row.N, &at, &row.Actor, &row.What, &subject, &row.Leaf, &row.Opening)
		row.At, row.Subject = time.UnixMilli(at).UTC(), subject.Bytes
		out = append(out, row)
		return fail(err)
	}, rowColumns+sql, args...)
	return out, err
}

func (t *trail) Rows(from int64, limit int) ([]audit.Row, error) {
	return t.list("WHERE n >= $1 ORDER BY n LIMIT $2", from, limit)
}

func (t *trail) number(sql string, args ...any) (n int64, err error) {
	_, err = (*tx)(t).one([]any{&n}, sql, args...)
	return n, err
}

func (t *trail) Size() (int64, error) {
	return t.number("SELECT coalesce(max(n) + 1, 0) FROM trail")
}

func (t *trail) Search(ask audit.Query) ([]audit.Row, error) {
	before, least := ask.Window()
	from, to := rows.Span(ask.Since, ask.Until)
	const where = `WHERE n < $1 AND n >= $2 AND ($3 = '' OR actor = $3) AND ($4 = '' OR left(act, length($4)) = $4) AND at >= $5 AND at < $6
		AND ($8 OR act <> '` + audit.WalkedAct + `')`
	if len(ask.Subjects) == 0 {
		return t.list(where+" ORDER BY n DESC LIMIT $7", before, least, ask.Actor, ask.What, from, to, ask.Limit, ask.Walked)
	}
	var subjects []pgtype.UUID
	for _, s := range ask.Subjects {
		subjects = append(subjects, uuid(s))
	}
	return t.list(where+" AND subject = ANY($9::uuid[]) ORDER BY n DESC LIMIT $7", before, int64(0), ask.Actor, ask.What, from, to, ask.Limit, ask.Walked, subjects)
}

func (t *trail) Hashed() (int64, error) {
	n, err := t.number("SELECT coalesce(max(i) + 1, 0) FROM trail_hash")
	return audit.HashedRows(n), err
}

func (t *trail) AppendHashes(list []tlog.Hash) error {
	i, err := t.number("SELECT coalesce(max(i) + 1, 0) FROM trail_hash")
	if err != nil {
		return err
	}
	numbers, bodies := make([]int64, len(list)), make([][]byte, len(list))
	for k := range list {
		numbers[k], bodies[k] = i+int64(k), list[k][:]
	}
	return (*tx)(t).later("INSERT INTO trail_hash SELECT * FROM unnest($1::bigint[], $2::bytea[])", numbers, bodies)
}

func (t *trail) Hashes(indexes []int64) ([]tlog.Hash, error) {
	found := map[int64]tlog.Hash{}
	err := (*tx)(t).query(func(r pgx.Rows) error {
		var i int64
		var raw []byte
		if err := r.Scan(&i, &raw); err != nil {
			return fail(err)
		}
		if len(raw) == tlog.HashSize {
			found[i] = tlog.Hash(raw)
		}
		return nil
	}, "SELECT i, h FROM trail_hash WHERE i = ANY($1::bigint[])", indexes)
	if err != nil {
		return nil, err
	}
	out := make([]tlog.Hash, len(indexes))
	for k, i := range indexes {
		h, ok := found[i]
		if !ok {
			return nil, fault.New(fault.Internal, "trail_damaged", "hash %d of the trail's tree is missing", i)
		}
		out[k] = h
	}
	return out, nil
}

func (t *trail) SaveCheckpoint(c audit.Checkpoint) error {
	return (*tx)(t).later("INSERT INTO checkpoint VALUES($1, $2, $3)", c.Size, c.At.UnixMilli(), c.Note)
}

func (t *trail) Checkpoints(above int64, limit int) ([]audit.Checkpoint, error) {
	return t.checkpoints("WHERE size > $1 ORDER BY size LIMIT $2", above, limit)
}

func (t *trail) LastCheckpoint() (c audit.Checkpoint, found bool, err error) {
	list, err := t.checkpoints("WHERE size < $1 ORDER BY size DESC LIMIT $2", math.MaxInt64, 1)
	if len(list) > 0 {
		return list[0], true, err
	}
	return c, false, err
}

func (t *trail) checkpoints(where string, bound int64, limit int) (out []audit.Checkpoint, err error) {
	err = (*tx)(t).query(func(r pgx.Rows) error {
		var c audit.Checkpoint
		var at int64
		err := r.Scan(&c.Size, &at, &c.Note)
		c.At = time.UnixMilli(at).UTC()
		out = append(out, c)
		return fail(err)
	}, "SELECT size, at, note FROM checkpoint "+where, bound, limit)
	return out, err
}

func (t *trail) Left(place string) (int64, error) {
	return t.number("SELECT size FROM checkpoint_left WHERE place = $1", place)
}

func (t *trail) SetLeft(place string, size int64) error {
	return (*tx)(t).later("INSERT INTO checkpoint_left VALUES($1, $2) ON CONFLICT(place) DO UPDATE SET size = excluded.size", place, size)
}
