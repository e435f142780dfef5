package sqlitestore

import (
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/person"
	"rapport/internal/store/rows"
)

type persons tx

var _ person.Store = (*persons)(nil)

// Foresee has nothing to do: each row is at hand when it is asked for.
func (p *persons) Foresee([]id.Person) error { return nil }

// Load reads rows one by one, in order of id, so that neighbours share a page.
func (p *persons) Load(ids []id.Person, fn func(who id.Person, body []byte) error) error {
	buf := p.buf
	p.buf = nil // So that fn may load further persons.
	defer func() { p.buf = buf }()
	for _, who := range ids {
		q := p.c.query("SELECT body FROM person WHERE id = ?")
		q.int(int64(who))
		found := q.step()
		if found {
			buf = append(buf[:0], q.colRaw(0)...)
		}
		if err := q.done(); err != nil {
			return err
		}
		if !found {
			continue
		}
		body, err := p.c.checked("person", int64(who), buf)
		if err != nil {
			return err
		}
		if err := fn(who, body); err != nil {
			return err
		}
	}
	return nil
}

func (p *persons) Insert(who id.Person, body []byte) error {
	p.buf = rows.AppendSummed(p.buf[:0], int64(who), body)
	q := p.c.query("INSERT INTO person(id, body) VALUES(?, ?)")
	q.int(int64(who))
	q.blob(p.buf)
	if err := q.exec(); err != nil {
		return err
	}
	p.counts[countPersons]++
	return nil
}

func (p *persons) Update(who id.Person, body []byte) error {
	p.buf = rows.AppendSummed(p.buf[:0], int64(who), body)
	q := p.c.query("UPDATE person SET body = ?2 WHERE id = ?1")
	q.int(int64(who))
	q.blob(p.buf)
	changed, err := q.execOne()
	if err == nil && !changed {
		return fault.New(fault.Internal, "person_missing", "%s has no row to update", who)
	}
	return err
}

func (p *persons) After(who id.Person, limit int) ([]id.Person, error) {
	q := p.c.query("SELECT id FROM person WHERE id > ? ORDER BY id LIMIT ?")
	q.int(int64(who))
	q.int(int64(limit))
	var out []id.Person
	for q.step() {
		out = append(out, id.Person(q.colInt(0)))
	}
	return out, q.done()
}

func (p *persons) Count() (int64, error) { return (*tx)(p).counted(countPersons) }
