package sqlitestore

import (
	"time"

	"rapport/internal/id"
	"rapport/internal/rights"
)

// requests keeps what people asked of their data.
type requests tx

var _ rights.Store = (*requests)(nil)

func (s *requests) Put(r rights.Request) error {
	q := s.c.query(`INSERT INTO request(id, kind, law, person, subject, received, due, closed, outcome, told, body)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET kind = excluded.kind, law = excluded.law,
		person = excluded.person, subject = excluded.subject, received = excluded.received, due = excluded.due,
		closed = excluded.closed, outcome = excluded.outcome, told = excluded.told, body = excluded.body`)
	q.text(r.ID)
	q.text(string(r.Kind))
	q.text(string(r.Law))
	q.int(int64(r.Person))
	q.blob(r.Subject[:])
	q.int(r.Received.UnixMilli())
	q.int(r.Due.UnixMilli())
	q.time(r.Closed)
	q.text(r.Outcome)
	q.int(r.Told)
	q.blob(r.Body)
	return q.exec()
}

const requestRows = "SELECT id, kind, law, person, subject, received, due, closed, outcome, told, body FROM request "

func (s *requests) list(q query) (out []rights.Request, err error) {
	for q.step() {
		out = append(out, rights.Request{
			ID: q.colText(0), Kind: rights.Kind(q.colText(1)), Law: rights.Law(q.colText(2)), Person: id.Person(q.colInt(3)),
			Subject: q.colHash(4), Received: time.UnixMilli(q.colInt(5)).UTC(), Due: time.UnixMilli(q.colInt(6)).UTC(),
			Closed: q.colTime(7), Outcome: q.colText(8), Told: q.colInt(9), Body: q.colBlob(10),
		})
	}
	return out, q.done()
}

func (s *requests) Request(name string) (rights.Request, bool, error) {
	q := s.c.query(requestRows + "WHERE id = ?")
	q.text(name)
	list, err := s.list(q)
	if err != nil || len(list) == 0 {
		return rights.Request{}, false, err
	}
	return list[0], true, nil
}

func (s *requests) Requests(x rights.Query) ([]rights.Request, error) {
	sql := requestRows + "WHERE (?1 = '' OR kind = ?1) AND (?2 IS NULL OR subject = ?2) "
	switch {
	case x.Open:
		sql += "AND closed IS NULL AND outcome <> 'unproven' AND (?4 = '' OR (due, id) > (?5, ?4)) ORDER BY due, id LIMIT ?3"
	case x.Awaited:
		sql += "AND closed IS NULL AND outcome = 'unproven' AND (?4 = '' OR (due, id) > (?5, ?4)) ORDER BY due, id LIMIT ?3"
	default:
		sql += "AND (?4 = '' OR (received, id) < (?5, ?4)) ORDER BY received DESC, id DESC LIMIT ?3"
	}
	q := s.c.query(sql)
	q.text(string(x.Kind))
	var subject []byte
	if x.Subject != (id.Hash{}) {
		subject = x.Subject[:]
	}
	q.blob(subject)
	q.int(int64(x.Limit))
	q.text(x.After.ID)
	q.int(x.After.At.UnixMilli())
	return s.list(q)
}

func (s *requests) Forget(people []id.Person, at time.Time) error {
	for _, who := range people {
		q := s.c.query(`UPDATE request SET body = NULL, outcome = CASE WHEN closed IS NULL THEN 'erased' ELSE outcome END, closed = coalesce(closed, ?2)
			WHERE person = ?1 AND NOT (kind = 'erase' AND outcome = 'done')`)
		q.int(int64(who))
		q.int(at.UnixMilli())
		if err := q.exec(); err != nil {
			return err
		}
	}
	return nil
}

func (s *requests) Bar(request string, hashes []id.Hash) error {
	for _, h := range hashes {
		q := s.c.query("INSERT INTO barred(h, request) VALUES(?, ?) ON CONFLICT DO NOTHING")
		q.blob(h[:])
		q.text(request)
		if err := q.exec(); err != nil {
			return err
		}
	}
	return nil
}

func (s *requests) Unbar(h id.Hash) (bool, error) {
	q := s.c.query("DELETE FROM barred WHERE h = ?")
	q.blob(h[:])
	return q.execOne()
}

func (s *requests) EachBarred(fn func(h id.Hash, request string) error) error {
	q := s.c.query("SELECT h, request FROM barred ORDER BY h")
	for q.step() {
		if err := fn(q.colHash(0), q.colText(1)); err != nil {
			_ = q.done() // fn's error is the one that counts.
			return err
		}
	}
	return q.done()
}
