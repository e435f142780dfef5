package sqlitestore

import (
	"time"

	"rapport/internal/destination"
	"rapport/internal/id"
	"rapport/internal/store/rows"
)

// tellings keeps what other systems are told.
type tellings tx

var _ destination.Store = (*tellings)(nil)

func (s *tellings) Tell(it destination.Item) (int64, error) {
	if s.s == nil {
		return 0, errReadOnly
	}
	s.s.toldSeq++
	seq := s.s.toldSeq
	q := s.c.query("INSERT INTO told(seq, kind, flags, name, at, person, subject, body) VALUES(?, ?, ?, ?, ?, ?, ?, ?)")
	q.int(seq)
	q.int(int64(it.Kind))
	q.int(int64(it.Flags))
	q.text(it.Name)
	q.int(it.At.UnixMilli())
	q.int(int64(it.Person))
	var subject []byte
	if it.Subject != (id.Hash{}) {
		subject = it.Subject[:]
	}
	q.blob(subject)
	s.buf = rows.AppendSummed(s.buf[:0], seq, it.Body)
	q.blob(s.buf)
	return seq, q.exec()
}

const toldColumns = "SELECT seq, kind, flags, name, at, person, subject, body FROM told "

func (s *tellings) read(q *query) (it destination.Item, err error) {
	it = destination.Item{
		Seq: q.colInt(0), Kind: destination.Kind(q.colInt(1)), Flags: destination.Flag(q.colInt(2)), Name: q.colText(3),
		At: time.UnixMilli(q.colInt(4)).UTC(), Person: id.Person(q.colInt(5)),
	}
	copy(it.Subject[:], q.colBlob(6))
	it.Body, err = s.c.checked("told", it.Seq, q.colBlob(7))
	return it, err
}

func (s *tellings) Told(after int64, limit int) (out []destination.Item, err error) {
	q := s.c.query(toldColumns + "WHERE seq > ? ORDER BY seq LIMIT ?")
	q.int(after)
	q.int(int64(limit))
	for err == nil && q.step() {
		var it destination.Item
		it, err = s.read(&q)
		out = append(out, it)
	}
	if doneErr := q.done(); err == nil {
		err = doneErr
	}
	return out, err
}

func (s *tellings) Items(seqs []int64) (out []destination.Item, err error) {
	for _, seq := range seqs {
		q := s.c.query(toldColumns + "WHERE seq = ?")
		q.int(seq)
		if q.step() {
			var it destination.Item
			it, err = s.read(&q)
			out = append(out, it)
		}
		if doneErr := q.done(); err == nil {
			err = doneErr
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *tellings) Last() (n int64, err error) {
	if s.s != nil {
		return s.s.toldSeq, nil
	}
	err = s.c.queryInt("SELECT max(coalesce((SELECT max(seq) FROM told), 0), coalesce((SELECT max(seq) FROM destination), 0))", &n)
	return n, err
}

func (s *tellings) Trim(upTo int64, limit int) (n int, erasures [][]byte, err error) {
	if s.s == nil {
		return 0, nil, errReadOnly
	}
	q := s.c.query("INSERT INTO destination(name, seq, disabled) VALUES('', ?, '') ON CONFLICT(name) DO UPDATE SET seq = excluded.seq")
	q.int(s.s.toldSeq)
	if err := q.exec(); err != nil {
		return 0, nil, err
	}
	q = s.c.query(`DELETE FROM told WHERE seq IN (SELECT t.seq FROM told t WHERE t.seq <= ? AND NOT EXISTS (SELECT 1 FROM told_held h WHERE h.seq = t.seq)
		ORDER BY t.seq LIMIT ?) RETURNING CASE WHEN kind = ? THEN body END`)
	q.int(upTo)
	q.int(int64(limit))
	q.int(int64(destination.Erasure))
	for ; q.step(); n++ {
		if body := q.colBlob(0); body != nil {
			erasures = append(erasures, rows.WithoutSum(body))
		}
	}
	return n, erasures, q.done()
}

func (s *tellings) Erasures() (out [][]byte, err error) {
	q := s.c.query("SELECT body FROM told WHERE kind = ?")
	q.int(int64(destination.Erasure))
	for q.step() {
		out = append(out, rows.WithoutSum(q.colBlob(0)))
	}
	return out, q.done()
}

func (s *tellings) Standings() (out []destination.Standing, err error) {
	q := s.c.query("SELECT name, seq, disabled, since FROM destination WHERE name != '' ORDER BY name")
	for q.step() {
		out = append(out, destination.Standing{Name: q.colText(0), Seq: q.colInt(1), Disabled: q.colText(2), Since: q.colTime(3)})
	}
	return out, q.done()
}

func (s *tellings) Begin(name string, after int64) error {
	q := s.c.query("INSERT INTO destination(name, seq, disabled) VALUES(?, ?, '') ON CONFLICT DO NOTHING")
	q.text(name)
	q.int(after)
	return q.exec()
}

func (s *tellings) Move(name string, seq, _ int64) error {
	q := s.c.query("UPDATE destination SET seq = max(seq, ?) WHERE name = ?")
	q.int(seq)
	q.text(name)
	return q.exec()
}

func (s *tellings) Disable(name, why string, at time.Time) error {
	q := s.c.query("UPDATE destination SET disabled = ?, since = ? WHERE name = ?")
	q.text(why)
	q.time(at)
	q.text(name)
	return q.exec()
}

func (s *tellings) Enable(name string) error {
	q := s.c.query("UPDATE destination SET disabled = '', since = NULL WHERE name = ?")
	q.text(name)
	return q.exec()
}

func (s *tellings) Forget(name string) error {
	for _, sql := range []string{"DELETE FROM told_held WHERE destination = ?", "DELETE FROM destination WHERE name = ?"} {
		q := s.c.query(sql)
		q.text(name)
		if err := q.exec(); err != nil {
			return err
		}
	}
	return nil
}

func (s *tellings) Hold(name string, h destination.Held) error {
	q := s.c.query(`INSERT INTO told_held(seq, destination, attempts, due, dead, reason, status) VALUES(?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT(seq, destination) DO UPDATE SET attempts = excluded.attempts, due = excluded.due, dead = excluded.dead, reason = excluded.reason, status = excluded.status`)
	q.int(h.Seq)
	q.text(name)
	q.int(int64(h.Attempts))
	q.int(h.Due.UnixMilli())
	q.bool(h.Dead)
	q.text(h.Reason)
	q.int(int64(h.Status))
	return q.exec()
}

func (s *tellings) Release(name string, seq int64) error {
	q := s.c.query("DELETE FROM told_held WHERE seq = ? AND destination = ?")
	q.int(seq)
	q.text(name)
	return q.exec()
}

func (s *tellings) Held(name string, dead bool, after int64, limit int) (out []destination.Held, err error) {
	q := s.c.query("SELECT seq, attempts, due, dead, reason, status FROM told_held WHERE destination = ? AND dead = ? AND seq > ? ORDER BY seq LIMIT ?")
	q.text(name)
	q.bool(dead)
	q.int(after)
	q.int(int64(limit))
	for q.step() {
		out = append(out, destination.Held{
			Seq: q.colInt(0), Attempts: int(q.colInt(1)), Due: time.UnixMilli(q.colInt(2)).UTC(), Dead: q.colInt(3) != 0, Reason: q.colText(4), Status: int(q.colInt(5)),
		})
	}
	return out, q.done()
}

func (s *tellings) CountHeld(name string) (waiting, dead int64, err error) {
	q := s.c.query("SELECT coalesce(sum(dead = 0), 0), coalesce(sum(dead), 0) FROM told_held WHERE destination = ?")
	q.text(name)
	if q.step() {
		waiting, dead = q.colInt(0), q.colInt(1)
	}
	return waiting, dead, q.done()
}

func (s *tellings) Redrive(name string, seqs []int64, due time.Time) (n int64, err error) {
	const sql = "UPDATE told_held SET dead = 0, attempts = 0, due = ?, reason = '', status = 0 WHERE destination = ? AND dead = 1"
	if seqs == nil {
		q := s.c.query(sql)
		q.int(due.UnixMilli())
		q.text(name)
		if err := q.exec(); err != nil {
			return 0, err
		}
		return s.c.db.Changes(), nil
	}
	for _, seq := range seqs {
		q := s.c.query(sql + " AND seq = ?")
		q.int(due.UnixMilli())
		q.text(name)
		q.int(seq)
		changed, err := q.execOne()
		if err != nil {
			return n, err
		}
		if changed {
			n++
		}
	}
	return n, nil
}

func (s *tellings) DropDead(before time.Time, limit int) (int, error) {
	q := s.c.query("DELETE FROM told_held WHERE (seq, destination) IN (SELECT seq, destination FROM told_held WHERE dead = 1 AND due < ? LIMIT ?)")
	q.int(before.UnixMilli())
	q.int(int64(limit))
	if err := q.exec(); err != nil {
		return 0, err
	}
	return int(s.c.db.Changes()), nil
}
