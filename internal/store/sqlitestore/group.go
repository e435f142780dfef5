package sqlitestore

import (
	"rapport/internal/group"
	"rapport/internal/id"
	"rapport/internal/store/rows"
)

type groups tx

var _ group.Store = (*groups)(nil)

func (g *groups) Group(h id.Hash) ([]byte, error) {
	q := g.c.query("SELECT body FROM group_row WHERE h = ?")
	q.blob(h[:])
	var raw []byte
	if q.step() {
		raw = q.colBlob(0)
	}
	if err := q.done(); err != nil || raw == nil {
		return nil, err
	}
	return g.c.checked("group_row", rows.Number(h), raw)
}

func (g *groups) SaveGroup(h id.Hash, body []byte) error {
	g.buf = rows.AppendSummed(g.buf[:0], rows.Number(h), body)
	q := g.c.query("INSERT INTO group_row(h, body) VALUES(?, ?) ON CONFLICT(h) DO UPDATE SET body = excluded.body")
	q.blob(h[:])
	q.blob(g.buf)
	return q.exec()
}

func (g *groups) Join(h id.Hash, who id.Person) error {
	q := g.c.query("INSERT OR IGNORE INTO group_member(h, person) VALUES(?, ?)")
	q.blob(h[:])
	q.int(int64(who))
	return q.exec()
}

func (g *groups) Leave(h id.Hash, who id.Person) error {
	q := g.c.query("DELETE FROM group_member WHERE h = ? AND person = ?")
	q.blob(h[:])
	q.int(int64(who))
	return q.exec()
}

func (g *groups) Members(h id.Hash, behind id.Person, limit int) (out []id.Person, err error) {
	q := g.c.query("SELECT person FROM group_member WHERE h = ? AND person > ? ORDER BY person LIMIT ?")
	q.blob(h[:])
	q.int(int64(behind))
	q.int(int64(limit))
	for q.step() {
		out = append(out, id.Person(q.colInt(0)))
	}
	return out, q.done()
}
