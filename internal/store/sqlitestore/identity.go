package sqlitestore

import (
	"fmt"

	"rapport/internal/id"
	"rapport/internal/identity"
)

type idents tx

var _ identity.Store = (*idents)(nil)

func (s *idents) Lookup(hashes []id.Hash, out []id.Person) error {
	if len(hashes) != len(out) {
		return fmt.Errorf("look up %d identifiers into %d places", len(hashes), len(out))
	}
	for i := range hashes {
		q := s.c.query("SELECT person FROM ident WHERE h = ?")
		q.blob(hashes[i][:])
		out[i] = 0
		if q.step() {
			out[i] = id.Person(q.colInt(0))
		}
		if err := q.done(); err != nil {
			return err
		}
	}
	return nil
}

func (s *idents) Bind(h id.Hash, who id.Person) error {
	q := s.c.query("INSERT INTO ident(h, person) VALUES(?, ?) ON CONFLICT(h) DO UPDATE SET person = excluded.person")
	q.blob(h[:])
	q.int(int64(who))
	return q.exec()
}

func (s *idents) Unbind(h id.Hash) error {
	q := s.c.query("DELETE FROM ident WHERE h = ?")
	q.blob(h[:])
	return q.exec()
}

func (s *idents) LastPerson() (id.Person, error) {
	var last int64
	err := s.c.queryInt("SELECT coalesce(max(id), 0) FROM person", &last)
	return id.Person(last), err
}

func (s *idents) AppendMerge(m identity.Merge) error {
	q := s.c.query("INSERT INTO merge(into_person, from_person, at, cause, rule, moved) VALUES(?, ?, ?, ?, ?, ?)")
	q.int(int64(m.Into))
	q.int(int64(m.From))
	q.int(m.At.UnixMilli())
	q.text(m.Cause)
	q.text(m.Rule)
	q.blob(m.Moved)
	return q.exec()
}

func (s *idents) Merges(who id.Person) ([]identity.Merge, error) {
	q := s.c.query(`SELECT into_person, from_person, at, cause, rule, moved FROM merge
		WHERE into_person = ?1 OR from_person = ?1 ORDER BY seq`)
	q.int(int64(who))
	var out []identity.Merge
	for q.step() {
		out = append(out, identity.Merge{
			Into: id.Person(q.colInt(0)), From: id.Person(q.colInt(1)), At: q.colTime(2),
			Cause: q.colText(3), Rule: q.colText(4), Moved: q.colBlob(5),
		})
	}
	return out, q.done()
}
