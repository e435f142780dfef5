package sqlitestore

import (
	"rapport/internal/profile"
	"rapport/internal/store/rows"
)

type packs tx

var _ profile.Store = (*packs)(nil)

func (p *packs) LastPack() (last int64, err error) {
	err = p.c.queryInt("SELECT coalesce(max(id), 0) FROM timeline", &last)
	return last, err
}

func (p *packs) AppendPack(pack int64, body []byte) error {
	p.buf = rows.AppendSummed(p.buf[:0], pack, body)
	q := p.c.query("INSERT INTO timeline(id, body) VALUES(?, ?)")
	q.int(pack)
	q.blob(p.buf)
	return q.exec()
}

func (p *packs) Pack(pack int64) ([]byte, error) {
	q := p.c.query("SELECT body FROM timeline WHERE id = ?")
	q.int(pack)
	var raw []byte
	if q.step() {
		raw = q.colBlob(0)
	}
	if err := q.done(); err != nil || raw == nil {
		return nil, err
	}
	return p.c.checked("timeline", pack, raw)
}
