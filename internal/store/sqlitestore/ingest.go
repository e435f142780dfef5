package sqlitestore

import (
	"math"

	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/store/rows"
)

type rejects tx

var _ ingest.Store = (*rejects)(nil)

func (s *rejects) AppendReject(r ingest.Reject) (int64, error) {
	q := s.c.query("INSERT INTO reject(at, source, path, code, detail, payload, sent) VALUES(?, ?, ?, ?, ?, ?, ?)")
	q.time(r.At)
	q.text(r.Source)
	q.text(r.Path)
	q.text(r.Code)
	q.text(r.Detail)
	q.blob(r.Payload)
	q.bool(r.Sent)
	if err := q.exec(); err != nil {
		return 0, err
	}
	return s.c.db.LastInsertRowID(), nil
}

// Rejects lists newest first; an empty code or source stands for all, and so
// does a number of zero to begin before.
func (s *rejects) Rejects(ask ingest.RejectQuery) ([]ingest.Reject, error) {
	before := ask.Before
	if before <= 0 {
		before = math.MaxInt64
	}
	since, until := rows.Span(ask.Since, ask.Until)
	q := s.c.query(`SELECT id, at, source, path, code, detail, payload, sent FROM reject
		WHERE id < ?1 AND (?2 = '' OR code = ?2) AND (?3 = '' OR source = ?3)
		AND coalesce(at, 0) >= ?4 AND coalesce(at, 0) < ?5 ORDER BY id DESC LIMIT ?6`)
	q.int(before)
	q.text(ask.Code)
	q.text(ask.Source)
	q.int(since)
	q.int(until)
	q.int(int64(ask.Limit))
	var out []ingest.Reject
	for q.step() {
		out = append(out, readReject(&q))
	}
	return out, q.done()
}

func (s *rejects) Reject(number int64) (r ingest.Reject, found bool, err error) {
	q := s.c.query("SELECT id, at, source, path, code, detail, payload, sent FROM reject WHERE id = ?")
	q.int(number)
	if q.step() {
		r, found = readReject(&q), true
	}
	return r, found, q.done()
}

func readReject(q *query) ingest.Reject {
	return ingest.Reject{
		ID: q.colInt(0), At: q.colTime(1), Source: q.colText(2), Path: q.colText(3),
		Code: q.colText(4), Detail: q.colText(5), Payload: q.colBlob(6), Sent: q.colInt(7) != 0,
	}
}

func (s *rejects) MarkResent(number int64) error {
	q := s.c.query("UPDATE reject SET sent = 1 WHERE id = ?")
	q.int(number)
	changed, err := q.execOne()
	if err == nil && !changed {
		return fault.New(fault.NotFound, "reject_unknown", "there is no rejected event %d", number)
	}
	return err
}

func (s *rejects) DropReject(number int64) (bool, error) {
	q := s.c.query("DELETE FROM reject WHERE id = ?")
	q.int(number)
	return q.execOne()
}

func (s *rejects) RejectCounts() (map[string]int64, error) {
	q := s.c.query("SELECT code, count(*) FROM reject GROUP BY code")
	out := make(map[string]int64)
	for q.step() {
		out[q.colText(0)] = q.colInt(1)
	}
	return out, q.done()
}

// DropRejects keeps at least the newest, so that its number is never given again.
func (s *rejects) DropRejects(keep int) (gone [][]byte, err error) {
	q := s.c.query("DELETE FROM reject WHERE id <= (SELECT id FROM reject ORDER BY id DESC LIMIT 1 OFFSET ?) RETURNING payload")
	q.int(int64(max(keep, 1)))
	for q.step() {
		gone = append(gone, q.colBlob(0))
	}
	return gone, q.done()
}

func (s *rejects) AddViolations(list []ingest.Violation) error {
	for i := range list {
		v := &list[i]
		q := s.c.query(`INSERT INTO violation(source, event, property, code, detail, n, first, last) VALUES(?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT(source, event, property, code) DO UPDATE SET detail = excluded.detail, n = n + excluded.n,
			first = min(first, excluded.first), last = max(last, excluded.last)`)
		q.text(v.Source)
		q.text(v.Event)
		q.text(v.Property)
		q.text(v.Code)
		q.text(v.Detail)
		q.int(v.Count)
		q.time(v.First)
		q.time(v.Last)
		if err := q.exec(); err != nil {
			return err
		}
	}
	return nil
}

func (s *rejects) Violations() ([]ingest.Violation, error) {
	q := s.c.query("SELECT source, event, property, code, detail, n, first, last FROM violation")
	var out []ingest.Violation
	for q.step() {
		out = append(out, ingest.Violation{
			Source: q.colText(0), Event: q.colText(1), Property: q.colText(2), Code: q.colText(3), Detail: q.colText(4),
			Count: q.colInt(5), First: q.colTime(6), Last: q.colTime(7),
		})
	}
	return out, q.done()
}
