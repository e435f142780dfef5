package sqlitestore

import (
	"math"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"rapport/internal/audit"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store/rows"
)

// trail keeps rows in the order of their commits: one connection writes, so the
// next number is the number of rows.
type trail tx

var _ audit.Store = (*trail)(nil)

func (t *trail) Append(r audit.Row) (int64, error) {
	if t.s == nil {
		return 0, errReadOnly
	}
	n := t.s.trail
	q := t.c.query("INSERT INTO trail(n, at, actor, act, subject, leaf, opening) VALUES(?, ?, ?, ?, ?, ?, ?)")
	q.int(n)
	q.int(r.At.UnixMilli())
	q.text(r.Actor)
	q.text(r.What)
	var subject []byte
	if r.Subject != (id.Hash{}) {
		subject = r.Subject[:]
	}
	q.blob(subject)
	q.blob(r.Leaf)
	q.blob(r.Opening)
	if err := q.exec(); err != nil {
		return 0, err
	}
	t.s.trail++
	return n, nil
}

// rowColumns are what readRow reads.
const rowColumns = "n, at, actor, act, subject, leaf, opening"

func readRow(q *query) audit.Row {
	r := audit.Row{
		N: q.colInt(0), At: time.UnixMilli(q.colInt(1)).UTC(), Actor: q.colText(2), What: q.colText(3), Leaf: q.colBlob(5), Opening: q.colBlob(6),
	}
	copy(r.Subject[:], q.colBlob(4))
	return r
}

func (t *trail) Rows(from int64, limit int) (out []audit.Row, err error) {
	q := t.c.query("SELECT " + rowColumns + " FROM trail WHERE n >= ? ORDER BY n LIMIT ?")
	q.int(from)
	q.int(int64(limit))
	for q.step() {
		out = append(out, readRow(&q))
	}
	return out, q.done()
}

func (t *trail) Size() (n int64, err error) {
	err = t.c.queryInt("SELECT coalesce(max(n) + 1, 0) FROM trail", &n)
	return n, err
}

func (t *trail) Search(ask audit.Query) ([]audit.Row, error) {
	if len(ask.Subjects) == 0 {
		return t.search(ask, nil)
	}
	var out []audit.Row
	for i := range ask.Subjects {
		one, err := t.search(ask, ask.Subjects[i][:])
		if err != nil {
			return nil, err
		}
		out = append(out, one...)
	}
	return rows.NewestRows(out, ask.Limit), nil
}

func (t *trail) search(ask audit.Query, subject []byte) (out []audit.Row, err error) {
	sql := "SELECT " + rowColumns + ` FROM trail WHERE n < ?1 AND n >= ?2 AND (?3 = '' OR actor = ?3) AND (?4 = '' OR substr(act, 1, length(?4)) = ?4)
		AND at >= ?5 AND at < ?6 AND (?8 OR act != '` + audit.WalkedAct + `')`
	if subject != nil {
		sql += " AND subject = ?9"
	}
	before, least := ask.Window()
	if subject != nil {
		least = 0 // Their own index leads to their rows.
	}
	from, to := rows.Span(ask.Since, ask.Until)
	q := t.c.query(sql + " ORDER BY n DESC LIMIT ?7")
	q.int(before)
	q.int(least)
	q.text(ask.Actor)
	q.text(ask.What)
	q.int(from)
	q.int(to)
	q.int(int64(ask.Limit))
	q.bool(ask.Walked)
	if subject != nil {
		q.blob(subject)
	}
	for q.step() {
		out = append(out, readRow(&q))
	}
	return out, q.done()
}

func (t *trail) Hashed() (int64, error) {
	n, err := t.hashes()
	return audit.HashedRows(n), err
}

// hashes is the number of stored hashes.
func (t *trail) hashes() (n int64, err error) {
	err = t.c.queryInt("SELECT coalesce(max(i) + 1, 0) FROM trail_hash", &n)
	return n, err
}

func (t *trail) AppendHashes(list []tlog.Hash) error {
	i, err := t.hashes()
	if err != nil {
		return err
	}
	for k := range list {
		q := t.c.query("INSERT INTO trail_hash(i, h) VALUES(?, ?)")
		q.int(i + int64(k))
		q.blob(list[k][:])
		if err := q.exec(); err != nil {
			return err
		}
	}
	return nil
}

func (t *trail) Hashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for k, i := range indexes {
		q := t.c.query("SELECT h FROM trail_hash WHERE i = ?")
		q.int(i)
		found := q.step() && copy(out[k][:], q.colRaw(0)) == tlog.HashSize
		if err := q.done(); err != nil {
			return nil, err
		}
		if !found {
			return nil, fault.New(fault.Internal, "trail_damaged", "hash %d of the trail's tree is missing", i)
		}
	}
	return out, nil
}

func (t *trail) SaveCheckpoint(c audit.Checkpoint) error {
	q := t.c.query("INSERT INTO checkpoint(size, at, note) VALUES(?, ?, ?)")
	q.int(c.Size)
	q.int(c.At.UnixMilli())
	q.text(c.Note)
	return q.exec()
}

func (t *trail) Checkpoints(above int64, limit int) ([]audit.Checkpoint, error) {
	return t.checkpoints("WHERE size > ? ORDER BY size LIMIT ?", above, limit)
}

func (t *trail) LastCheckpoint() (c audit.Checkpoint, found bool, err error) {
	list, err := t.checkpoints("WHERE size < ? ORDER BY size DESC LIMIT ?", math.MaxInt64, 1)
	if len(list) > 0 {
		return list[0], true, err
	}
	return c, false, err
}

func (t *trail) checkpoints(where string, bound int64, limit int) (out []audit.Checkpoint, err error) {
	q := t.c.query("SELECT size, at, note FROM checkpoint " + where)
	q.int(bound)
	q.int(int64(limit))
	for q.step() {
		out = append(out, audit.Checkpoint{Size: q.colInt(0), At: time.UnixMilli(q.colInt(1)).UTC(), Note: q.colText(2)})
	}
	return out, q.done()
}

func (t *trail) Left(place string) (n int64, err error) {
	q := t.c.query("SELECT size FROM checkpoint_left WHERE place = ?")
	q.text(place)
	if q.step() {
		n = q.colInt(0)
	}
	return n, q.done()
}

func (t *trail) SetLeft(place string, size int64) error {
	q := t.c.query("INSERT INTO checkpoint_left(place, size) VALUES(?, ?) ON CONFLICT(place) DO UPDATE SET size = excluded.size")
	q.text(place)
	q.int(size)
	return q.exec()
}
