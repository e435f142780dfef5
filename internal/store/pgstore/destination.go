package pgstore

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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
	s.s.next.told++
	seq := s.s.next.told
	p := &s.pending.told
	p.seq, p.kind, p.flags = append(p.seq, seq), append(p.kind, int32(it.Kind)), append(p.flags, int32(it.Flags))
	p.name, p.at, p.person = append(p.name, it.Name), append(p.at, it.At.UnixMilli()), append(p.person, int64(it.Person))
	p.subject = append(p.subject, pgtype.UUID{Bytes: it.Subject, Valid: it.Subject != (id.Hash{})})
	p.body = append(p.body, rows.AppendSummed(nil, seq, it.Body))
	return seq, nil
}

func (s *tellings) list(sql string, args ...any) (out []destination.Item, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var it destination.Item
		var kind, flags int32
		var at, person int64
		var subject pgtype.UUID
		var body []byte
		if err := r.Scan(&it.Seq, &kind, &flags, &it.Name, &at, &person, &subject, &body); err != nil {
			return fail(err)
		}
		it.Kind, it.Flags, it.At = destination.Kind(kind), destination.Flag(flags), time.UnixMilli(at).UTC()
		it.Person, it.Subject = id.Person(person), subject.Bytes
		var err error
		it.Body, err = unsummed("told", it.Seq, body)
		out = append(out, it)
		return err
	}, "SELECT seq, kind, flags, name, at, person, subject, body FROM told "+sql, args...)
	return out, err
}

func (s *tellings) Told(after int64, limit int) ([]destination.Item, error) {
	return s.list("WHERE seq > $1 ORDER BY seq LIMIT $2", after, limit)
}

func (s *tellings) Items(seqs []int64) ([]destination.Item, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	return s.list("WHERE seq = ANY($1::bigint[]) ORDER BY seq", seqs)
}

func (s *tellings) Last() (n int64, err error) {
	if s.s != nil {
		return s.s.next.told, nil
	}
	_, err = (*tx)(s).one([]any{&n}, "SELECT greatest((SELECT coalesce(max(seq), 0) FROM told), (SELECT coalesce(max(seq), 0) FROM destination))")
	return n, err
}

func (s *tellings) Trim(upTo int64, limit int) (n int, erasures [][]byte, err error) {
	if s.s == nil {
		return 0, nil, errReadOnly
	}
	if err := (*tx)(s).later("INSERT INTO destination(name, seq, disabled) VALUES('', $1, '') ON CONFLICT(name) DO UPDATE SET seq = excluded.seq", s.s.next.told); err != nil {
		return 0, nil, err
	}
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var body []byte
		if err := r.Scan(&body); err != nil {
			return fail(err)
		}
		if n++; body != nil {
			erasures = append(erasures, rows.WithoutSum(body))
		}
		return nil
	}, `DELETE FROM told WHERE seq IN (SELECT t.seq FROM told t WHERE t.seq <= $1 AND NOT EXISTS (SELECT 1 FROM told_held h WHERE h.seq = t.seq)
		ORDER BY t.seq LIMIT $2) RETURNING CASE WHEN kind = $3 THEN body END`, upTo, limit, int32(destination.Erasure))
	return n, erasures, err
}

func (s *tellings) Erasures() (out [][]byte, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var body []byte
		err := r.Scan(&body)
		out = append(out, rows.WithoutSum(body))
		return fail(err)
	}, "SELECT body FROM told WHERE kind = $1", int32(destination.Erasure))
	return out, err
}

func (s *tellings) Standings() (out []destination.Standing, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var k destination.Standing
		var since pgtype.Int8
		err := r.Scan(&k.Name, &k.Seq, &k.Disabled, &since)
		k.Since = instant(since)
		out = append(out, k)
		return fail(err)
	}, `SELECT name, seq, disabled, since FROM destination WHERE name <> '' ORDER BY name COLLATE "C"`)
	return out, err
}

func (s *tellings) Begin(name string, after int64) error {
	return (*tx)(s).later("INSERT INTO destination(name, seq, disabled) VALUES($1, $2, '') ON CONFLICT DO NOTHING", name, after)
}

func (s *tellings) Move(name string, seq, _ int64) error {
	return (*tx)(s).later("UPDATE destination SET seq = greatest(seq, $1) WHERE name = $2", seq, name)
}

func (s *tellings) Disable(name, why string, at time.Time) error {
	return (*tx)(s).later("UPDATE destination SET disabled = $1, since = $2 WHERE name = $3", why, millis(at), name)
}

func (s *tellings) Enable(name string) error {
	return (*tx)(s).later("UPDATE destination SET disabled = '', since = NULL WHERE name = $1", name)
}

func (s *tellings) Forget(name string) error {
	if err := (*tx)(s).later("DELETE FROM told_held WHERE destination = $1", name); err != nil {
		return err
	}
	return (*tx)(s).later("DELETE FROM destination WHERE name = $1", name)
}

func (s *tellings) Hold(name string, h destination.Held) error {
	return (*tx)(s).later(`INSERT INTO told_held(seq, destination, attempts, due, dead, reason, status) VALUES($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT(seq, destination) DO UPDATE SET attempts = excluded.attempts, due = excluded.due, dead = excluded.dead, reason = excluded.reason, status = excluded.status`,
		h.Seq, name, h.Attempts, h.Due.UnixMilli(), h.Dead, h.Reason, h.Status)
}

func (s *tellings) Release(name string, seq int64) error {
	return (*tx)(s).later("DELETE FROM told_held WHERE seq = $1 AND destination = $2", seq, name)
}

func (s *tellings) Held(name string, dead bool, after int64, limit int) (out []destination.Held, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var h destination.Held
		var due int64
		err := r.Scan(&h.Seq, &h.Attempts, &due, &h.Dead, &h.Reason, &h.Status)
		h.Due = time.UnixMilli(due).UTC()
		out = append(out, h)
		return fail(err)
	}, "SELECT seq, attempts, due, dead, reason, status FROM told_held WHERE destination = $1 AND dead = $2 AND seq > $3 ORDER BY seq LIMIT $4", name, dead, after, limit)
	return out, err
}

func (s *tellings) CountHeld(name string) (waiting, dead int64, err error) {
	_, err = (*tx)(s).one([]any{&waiting, &dead}, "SELECT count(*) FILTER (WHERE NOT dead), count(*) FILTER (WHERE dead) FROM told_held WHERE destination = $1", name)
	return waiting, dead, err
}

func (s *tellings) Redrive(name string, seqs []int64, due time.Time) (n int64, err error) {
	if s.s == nil {
		return 0, errReadOnly
	}
	_, err = (*tx)(s).one([]any{&n}, `WITH again AS (UPDATE told_held SET dead = false, attempts = 0, due = $1, reason = '', status = 0
		WHERE destination = $2 AND dead AND ($3 OR seq = ANY($4::bigint[])) RETURNING 1) SELECT count(*) FROM again`, due.UnixMilli(), name, seqs == nil, seqs)
	return n, err
}

func (s *tellings) DropDead(before time.Time, limit int) (n int, err error) {
	if s.s == nil {
		return 0, errReadOnly
	}
	_, err = (*tx)(s).one([]any{&n}, `WITH gone AS (DELETE FROM told_held WHERE (seq, destination) IN
		(SELECT seq, destination FROM told_held WHERE dead AND due < $1 LIMIT $2) RETURNING 1) SELECT count(*) FROM gone`, before.UnixMilli(), limit)
	return n, err
}
