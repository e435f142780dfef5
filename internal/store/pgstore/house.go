package pgstore

import (
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/access"
	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/project"
	"rapport/internal/store/rows"
)

// sorted walks a map in order of its keys.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

type keys tx

var _ access.Store = (*keys)(nil)

func (s *keys) InsertKey(k access.Key) error {
	if s.s == nil {
		return errReadOnly
	}
	var one int
	added, err := (*tx)(s).one([]any{&one}, "INSERT INTO access_key VALUES($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING 1",
		k.ID, string(k.Kind), k.Source, k.Name, k.Hash[:], millis(k.Created), millis(k.Expires), millis(k.Revoked))
	if err == nil && !added {
		err = fault.New(fault.Conflict, "already_there", "there is a key %s already", k.ID)
	}
	return err
}

func (s *keys) Keys() (out []access.Key, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var k access.Key
		var kind string
		var hash []byte
		var created, expires, revoked pgtype.Int8
		err := r.Scan(&k.ID, &kind, &k.Source, &k.Name, &hash, &created, &expires, &revoked)
		k.Kind, k.Created, k.Expires, k.Revoked = access.Kind(kind), instant(created), instant(expires), instant(revoked)
		copy(k.Hash[:], hash)
		out = append(out, k)
		return fail(err)
	}, `SELECT id, kind, source, name, hash, created, expires, revoked FROM access_key ORDER BY created NULLS FIRST, id COLLATE "C"`)
	return out, err
}

func (s *keys) RevokeKey(name string, at time.Time) (bool, error) {
	if s.s == nil {
		return false, errReadOnly
	}
	var one int
	return (*tx)(s).one([]any{&one}, "UPDATE access_key SET revoked = $2 WHERE id = $1 AND revoked IS NULL RETURNING 1", name, millis(at))
}

type rejects tx

var _ ingest.Store = (*rejects)(nil)

func (s *rejects) AppendReject(r ingest.Reject) (int64, error) {
	if s.s == nil {
		return 0, errReadOnly
	}
	s.s.next.reject++
	return s.s.next.reject, (*tx)(s).later("INSERT INTO reject VALUES($1, $2, $3, $4, $5, $6, $7, $8)",
		s.s.next.reject, millis(r.At), r.Source, r.Path, r.Code, r.Detail, r.Payload, r.Sent)
}

const rejectRows = "SELECT id, at, source, path, code, detail, payload, sent FROM reject "

// Rejects lists newest first; an empty code or source stands for all, and so
// does a number of zero to begin before.
func (s *rejects) Rejects(q ingest.RejectQuery) (out []ingest.Reject, err error) {
	before := q.Before
	if before <= 0 {
		before = math.MaxInt64
	}
	since, until := rows.Span(q.Since, q.Until)
	err = (*tx)(s).query(func(r pgx.Rows) error {
		one, err := readReject(r)
		out = append(out, one)
		return err
	}, rejectRows+`WHERE id < $1 AND ($2 = '' OR code = $2) AND ($3 = '' OR source = $3)
		AND coalesce(at, 0) >= $4 AND coalesce(at, 0) < $5 ORDER BY id DESC LIMIT $6`,
		before, q.Code, q.Source, since, until, q.Limit)
	return out, err
}

func (s *rejects) Reject(number int64) (out ingest.Reject, found bool, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		found = true
		out, err = readReject(r)
		return err
	}, rejectRows+"WHERE id = $1", number)
	return out, found, err
}

func readReject(r pgx.Rows) (out ingest.Reject, err error) {
	var at pgtype.Int8
	err = r.Scan(&out.ID, &at, &out.Source, &out.Path, &out.Code, &out.Detail, &out.Payload, &out.Sent)
	out.At = instant(at)
	return out, fail(err)
}

func (s *rejects) MarkResent(number int64) error {
	if s.s == nil {
		return errReadOnly
	}
	var one int
	changed, err := (*tx)(s).one([]any{&one}, "UPDATE reject SET sent = true WHERE id = $1 RETURNING 1", number)
	if err == nil && !changed {
		return fault.New(fault.NotFound, "reject_unknown", "there is no rejected event %d", number)
	}
	return err
}

func (s *rejects) DropReject(number int64) (bool, error) {
	if s.s == nil {
		return false, errReadOnly
	}
	var one int
	return (*tx)(s).one([]any{&one}, "DELETE FROM reject WHERE id = $1 RETURNING 1", number)
}

func (s *rejects) RejectCounts() (map[string]int64, error) {
	out := make(map[string]int64)
	err := (*tx)(s).query(func(r pgx.Rows) error {
		var code string
		var n int64
		err := r.Scan(&code, &n)
		out[code] = n
		return fail(err)
	}, "SELECT code, count(*) FROM reject GROUP BY code")
	return out, err
}

// DropRejects keeps at least the newest, so that its number is never given again.
func (s *rejects) DropRejects(keep int) (gone [][]byte, err error) {
	if s.s == nil {
		return nil, errReadOnly
	}
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var payload []byte
		err := r.Scan(&payload)
		gone = append(gone, payload)
		return fail(err)
	}, "DELETE FROM reject WHERE id <= (SELECT id FROM reject ORDER BY id DESC LIMIT 1 OFFSET $1) RETURNING payload", max(keep, 1))
	return gone, err
}

func (s *rejects) AddViolations(list []ingest.Violation) error {
	for i := range list {
		v := &list[i]
		err := (*tx)(s).later(`INSERT INTO violation VALUES($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT(source, event, property, code) DO UPDATE SET detail = excluded.detail, n = violation.n + excluded.n,
			first = least(violation.first, excluded.first), last = greatest(violation.last, excluded.last)`,
			v.Source, v.Event, v.Property, v.Code, v.Detail, v.Count, millis(v.First), millis(v.Last))
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *rejects) Violations() (out []ingest.Violation, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var v ingest.Violation
		var first, last pgtype.Int8
		err := r.Scan(&v.Source, &v.Event, &v.Property, &v.Code, &v.Detail, &v.Count, &first, &last)
		v.First, v.Last = instant(first), instant(last)
		out = append(out, v)
		return fail(err)
	}, "SELECT source, event, property, code, detail, n, first, last FROM violation")
	return out, err
}

type versions tx

var _ project.Store = (*versions)(nil)

func (s *versions) InsertVersion(v project.Version) error {
	if s.s == nil {
		return errReadOnly
	}
	var one int
	added, err := (*tx)(s).one([]any{&one}, "INSERT INTO version VALUES($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1",
		v.Number, millis(v.Applied), v.Digest)
	if err != nil {
		return err
	}
	if !added {
		return fault.New(fault.Conflict, "already_there", "there is a version %d already", v.Number)
	}
	for path, content := range sorted(v.Files) {
		if content == nil {
			content = []byte{}
		}
		if err := (*tx)(s).later("INSERT INTO version_file VALUES($1, $2, $3)", v.Number, path, content); err != nil {
			return err
		}
	}
	return nil
}

const versionRows = "SELECT number, applied, digest FROM version "

func (s *versions) Version(number int) (project.Version, bool, error) {
	return s.read(versionRows+"WHERE number = $1", number)
}

func (s *versions) LatestVersion() (project.Version, bool, error) {
	return s.read(versionRows + "ORDER BY number DESC LIMIT 1")
}

func (s *versions) read(sql string, args ...any) (v project.Version, found bool, err error) {
	var applied pgtype.Int8
	found, err = (*tx)(s).one([]any{&v.Number, &applied, &v.Digest}, sql, args...)
	if err != nil || !found {
		return v, false, err
	}
	v.Applied, v.Files = instant(applied), make(map[string][]byte)
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var path string
		var content []byte
		err := r.Scan(&path, &content)
		v.Files[path] = content
		return fail(err)
	}, "SELECT path, content FROM version_file WHERE number = $1", v.Number)
	return v, true, err
}
