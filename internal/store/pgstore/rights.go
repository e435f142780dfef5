package pgstore

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/id"
	"rapport/internal/rights"
)

// requests keeps what people asked of their data.
type requests tx

var _ rights.Store = (*requests)(nil)

func (s *requests) Put(r rights.Request) error {
	return (*tx)(s).later(`INSERT INTO request VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT(id) DO UPDATE SET
		kind = excluded.kind, law = excluded.law, person = excluded.person, subject = excluded.subject, received = excluded.received,
		due = excluded.due, closed = excluded.closed, outcome = excluded.outcome, told = excluded.told, body = excluded.body`,
		r.ID, string(r.Kind), string(r.Law), int64(r.Person), uuid(r.Subject), r.Received.UnixMilli(), r.Due.UnixMilli(),
		millis(r.Closed), r.Outcome, r.Told, []byte(r.Body))
}

func (s *requests) list(where string, args ...any) (out []rights.Request, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var x rights.Request
		var kind, law string
		var person, received, due int64
		var subject pgtype.UUID
		var closed pgtype.Int8
		var body []byte
		err := r.Scan(&x.ID, &kind, &law, &person, &subject, &received, &due, &closed, &x.Outcome, &x.Told, &body)
		x.Kind, x.Law, x.Person, x.Subject = rights.Kind(kind), rights.Law(law), id.Person(person), subject.Bytes
		x.Received, x.Due, x.Closed, x.Body = unixMilli(received), unixMilli(due), instant(closed), body
		out = append(out, x)
		return fail(err)
	}, "SELECT id, kind, law, person, subject, received, due, closed, outcome, told, body FROM request "+where, args...)
	return out, err
}

func (s *requests) Request(name string) (rights.Request, bool, error) {
	list, err := s.list("WHERE id = $1", name)
	if err != nil || len(list) == 0 {
		return rights.Request{}, false, err
	}
	return list[0], true, nil
}

func (s *requests) Requests(q rights.Query) ([]rights.Request, error) {
	where := "WHERE ($1 = '' OR kind = $1) AND ($2::uuid IS NULL OR subject = $2::uuid) "
	const behind = `AND ($4 = '' OR (due, id COLLATE "C") > ($5::bigint, $4)) ORDER BY due, id COLLATE "C" LIMIT $3`
	switch {
	case q.Open:
		where += "AND closed IS NULL AND outcome <> 'unproven' " + behind
	case q.Awaited:
		where += "AND closed IS NULL AND outcome = 'unproven' " + behind
	default:
		where += `AND ($4 = '' OR (received, id COLLATE "C") < ($5::bigint, $4)) ORDER BY received DESC, id COLLATE "C" DESC LIMIT $3`
	}
	return s.list(where, string(q.Kind), pgtype.UUID{Bytes: q.Subject, Valid: q.Subject != (id.Hash{})}, q.Limit, q.After.ID, q.After.At.UnixMilli())
}

func (s *requests) Forget(people []id.Person, at time.Time) error {
	return (*tx)(s).later(`UPDATE request SET body = NULL, outcome = CASE WHEN closed IS NULL THEN 'erased' ELSE outcome END,
		closed = coalesce(closed, $2::bigint) WHERE person = ANY($1::bigint[]) AND NOT (kind = 'erase' AND outcome = 'done')`, int64s(people), at.UnixMilli())
}

func (s *requests) Bar(request string, hashes []id.Hash) error {
	if len(hashes) == 0 {
		return nil
	}
	return (*tx)(s).later("INSERT INTO barred SELECT h, $2 FROM unnest($1::uuid[]) h ON CONFLICT DO NOTHING", uuids(hashes), request)
}

func (s *requests) Unbar(h id.Hash) (found bool, err error) {
	var n int
	_, err = (*tx)(s).one([]any{&n}, "WITH gone AS (DELETE FROM barred WHERE h = $1 RETURNING 1) SELECT count(*) FROM gone", uuid(h))
	return n > 0, err
}

func (s *requests) EachBarred(fn func(h id.Hash, request string) error) error {
	return (*tx)(s).query(func(r pgx.Rows) error {
		var h pgtype.UUID
		var request string
		if err := r.Scan(&h, &request); err != nil {
			return fail(err)
		}
		return fn(h.Bytes, request)
	}, "SELECT h, request FROM barred ORDER BY h")
}
