package sqlitestore

import (
	"maps"
	"slices"

	"rapport/internal/segment"
)

type segments tx

var _ segment.Store = (*segments)(nil)

func (s *segments) AddCounts(delta map[string]int64) error {
	for _, name := range slices.Sorted(maps.Keys(delta)) {
		q := s.c.query(`INSERT INTO segment_count(segment, members) VALUES(?, ?)
			ON CONFLICT(segment) DO UPDATE SET members = members + excluded.members`)
		q.text(name)
		q.int(delta[name])
		if err := q.exec(); err != nil {
			return err
		}
	}
	return nil
}

func (s *segments) Counts() (map[string]int64, error) {
	q := s.c.query("SELECT segment, members FROM segment_count")
	out := make(map[string]int64)
	for q.step() {
		out[q.colText(0)] = q.colInt(1)
	}
	return out, q.done()
}

func (s *segments) SaveBackfill(b segment.Backfill) error {
	q := s.c.query(`INSERT INTO backfill(one, version, next, last, done) VALUES(1, ?, ?, ?, ?)
		ON CONFLICT(one) DO UPDATE SET version = excluded.version, next = excluded.next, last = excluded.last, done = excluded.done`)
	q.int(int64(b.Version))
	q.int(b.Next)
	q.int(b.Last)
	q.bool(b.Done)
	return q.exec()
}

func (s *segments) Backfill() (b segment.Backfill, found bool, err error) {
	q := s.c.query("SELECT version, next, last, done FROM backfill")
	if q.step() {
		found = true
		b = segment.Backfill{Version: int(q.colInt(0)), Next: q.colInt(1), Last: q.colInt(2), Done: q.colInt(3) != 0}
	}
	return b, found, q.done()
}
