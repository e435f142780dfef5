package sqlitestore

import (
	"time"

	"rapport/internal/access"
)

type keys tx

var _ access.Store = (*keys)(nil)

func (s *keys) InsertKey(k access.Key) error {
	q := s.c.query("INSERT INTO access_key(id, kind, source, name, hash, created, expires, revoked) VALUES(?, ?, ?, ?, ?, ?, ?, ?)")
	q.text(k.ID)
	q.text(string(k.Kind))
	q.text(k.Source)
	q.text(k.Name)
	q.blob(k.Hash[:])
	q.time(k.Created)
	q.time(k.Expires)
	q.time(k.Revoked)
	return q.exec()
}

func (s *keys) Keys() ([]access.Key, error) {
	q := s.c.query("SELECT id, kind, source, name, hash, created, expires, revoked FROM access_key ORDER BY created, id")
	var out []access.Key
	for q.step() {
		k := access.Key{
			ID: q.colText(0), Kind: access.Kind(q.colText(1)), Source: q.colText(2), Name: q.colText(3),
			Created: q.colTime(5), Expires: q.colTime(6), Revoked: q.colTime(7),
		}
		copy(k.Hash[:], q.colRaw(4))
		out = append(out, k)
	}
	return out, q.done()
}

func (s *keys) RevokeKey(name string, at time.Time) (bool, error) {
	q := s.c.query("UPDATE access_key SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL")
	q.text(name)
	q.time(at)
	return q.execOne()
}
