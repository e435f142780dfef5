package sqlitestore

import (
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/processor"
	"rapport/internal/store/rows"
)

type walk tx

var _ processor.Store = (*walk)(nil)

func (w *walk) LogID() (name string, err error) {
	q := w.c.query("SELECT value FROM meta WHERE key = 'log_id'")
	if q.step() {
		name = q.colText(0)
	}
	return name, q.done()
}

func (w *walk) SetLogID(name string) error {
	old, err := w.LogID()
	if err != nil || old == name {
		return err
	}
	if old != "" {
		return fault.New(fault.Conflict, "log_id_set", "this state belongs to the log %s already", old)
	}
	q := w.c.query("INSERT INTO meta(key, value) VALUES('log_id', ?)")
	q.text(name)
	return q.exec()
}

func (w *walk) Position(lane eventlog.Lane) (pos int64, err error) {
	q := w.c.query("SELECT pos FROM position WHERE lane = ?")
	q.int(int64(lane))
	if q.step() {
		pos = q.colInt(0)
	}
	return pos, q.done()
}

func (w *walk) Advance(lane eventlog.Lane, from, to int64) error {
	q := w.c.query("UPDATE position SET pos = ?3 WHERE lane = ?1 AND pos = ?2")
	q.int(int64(lane))
	q.int(from)
	q.int(to)
	changed, err := q.execOne()
	if err != nil || changed {
		return err
	}
	if from != 0 {
		return processor.ErrMoved
	}
	q = w.c.query("INSERT INTO position(lane, pos) VALUES(?, ?) ON CONFLICT DO NOTHING")
	q.int(int64(lane))
	q.int(to)
	if changed, err = q.execOne(); err == nil && !changed {
		return processor.ErrMoved
	}
	return err
}

func (w *walk) AppendSeen(at time.Time, hashes []byte) error {
	w.buf = rows.AppendSummed(w.buf[:0], at.UnixMilli(), hashes)
	q := w.c.query("INSERT INTO seen(at, body) VALUES(?, ?)")
	q.int(at.UnixMilli())
	q.blob(w.buf)
	return q.exec()
}

func (w *walk) EachSeen(since time.Time, fn func(at time.Time, hashes []byte) error) error {
	q := w.c.query("SELECT at, body FROM seen WHERE at >= ? ORDER BY at, seq")
	q.int(since.UnixMilli())
	for q.step() {
		hashes, err := w.c.checked("seen", q.colInt(0), q.colRaw(1))
		if err == nil {
			err = fn(q.colTime(0), hashes)
		}
		if err != nil {
			_ = q.done() // The first error is the one that counts.
			return err
		}
	}
	return q.done()
}

func (w *walk) DropSeen(before time.Time) error {
	q := w.c.query("DELETE FROM seen WHERE at < ?")
	q.int(before.UnixMilli())
	return q.exec()
}

func (w *walk) SetAside(r processor.Aside) error {
	q := w.c.query(`INSERT INTO aside(lane, pos, at, code, error, body) VALUES(?, ?, ?, ?, ?, ?)
		ON CONFLICT(lane, pos) DO UPDATE SET at = excluded.at, code = excluded.code, error = excluded.error, body = excluded.body`)
	q.int(int64(r.Lane))
	q.int(r.Pos)
	q.time(r.At)
	q.text(r.Code)
	q.text(r.Error)
	q.blob(r.Body)
	return q.exec()
}

func (w *walk) Asides(lane eventlog.Lane, behind int64, limit int) ([]processor.Aside, error) {
	const newest = " ORDER BY at DESC, lane DESC, pos DESC LIMIT ?"
	var q query
	if behind == 0 {
		q = w.c.query("SELECT lane, pos, at, code, error, body, sent FROM aside" + newest)
	} else {
		q = w.c.query(`SELECT lane, pos, at, code, error, body, sent FROM aside
			WHERE (at, lane, pos) < (SELECT at, lane, pos FROM aside WHERE lane = ? AND pos = ?)` + newest)
		q.int(int64(lane))
		q.int(behind)
	}
	q.int(int64(limit))
	var out []processor.Aside
	for q.step() {
		out = append(out, readAside(&q))
	}
	return out, q.done()
}

func (w *walk) Aside(lane eventlog.Lane, pos int64) (a processor.Aside, found bool, err error) {
	q := w.c.query("SELECT lane, pos, at, code, error, body, sent FROM aside WHERE lane = ? AND pos = ?")
	q.int(int64(lane))
	q.int(pos)
	if q.step() {
		a, found = readAside(&q), true
	}
	return a, found, q.done()
}

func (w *walk) EndAside(lane eventlog.Lane, pos int64, drop bool) (bool, error) {
	sql := "UPDATE aside SET sent = 1 WHERE lane = ? AND pos = ?"
	if drop {
		sql = "DELETE FROM aside WHERE lane = ? AND pos = ?"
	}
	q := w.c.query(sql)
	q.int(int64(lane))
	q.int(pos)
	return q.execOne()
}

func readAside(q *query) processor.Aside {
	return processor.Aside{
		Lane: eventlog.Lane(q.colInt(0)), Pos: q.colInt(1), At: q.colTime(2),
		Code: q.colText(3), Error: q.colText(4), Body: q.colBlob(5), Sent: q.colInt(6) != 0,
	}
}

// AppendRelay numbers rows itself, so that a number is never given twice while
// a reader that has seen it lives.
func (w *walk) AppendRelay(body []byte) error {
	if w.s == nil {
		return errReadOnly
	}
	w.s.relaySeq++
	w.buf = rows.AppendSummed(w.buf[:0], w.s.relaySeq, body)
	q := w.c.query("INSERT INTO relay(seq, body) VALUES(?, ?)")
	q.int(w.s.relaySeq)
	q.blob(w.buf)
	return q.exec()
}

func (w *walk) Relay(after int64, limit int) ([]processor.RelayRow, error) {
	q := w.c.query("SELECT seq, body FROM relay WHERE seq > ? ORDER BY seq LIMIT ?")
	q.int(after)
	q.int(int64(limit))
	var out []processor.RelayRow
	for q.step() {
		seq := q.colInt(0)
		body, err := w.c.checked("relay", seq, q.colBlob(1))
		if err != nil {
			_ = q.done() // The first error is the one that counts.
			return nil, err
		}
		out = append(out, processor.RelayRow{Seq: seq, Body: body})
	}
	return out, q.done()
}

func (w *walk) DropRelay(upTo int64) error {
	q := w.c.query("DELETE FROM relay WHERE seq <= ?")
	q.int(upTo)
	return q.exec()
}
