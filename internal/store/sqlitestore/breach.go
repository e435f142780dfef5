package sqlitestore

import (
	"encoding/json"

	"rapport/internal/breach"
)

// breaches keeps the register of breaches.
type breaches tx

var _ breach.Store = (*breaches)(nil)

func (s *breaches) Put(b breach.Breach) error {
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	q := s.c.query(`INSERT INTO breach(id, aware, due, closed, body) VALUES(?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET
		aware = excluded.aware, due = excluded.due, closed = excluded.closed, body = excluded.body`)
	q.text(b.ID)
	q.int(b.Aware.UnixMilli())
	q.int(b.Due.UnixMilli())
	q.time(b.Closed)
	q.blob(body)
	return q.exec()
}

func (s *breaches) list(q query) (out []breach.Breach, err error) {
	for q.step() {
		var b breach.Breach
		if err := json.Unmarshal(q.colBlob(0), &b); err != nil {
			_ = q.done() // What cannot be read is the error that counts.
			return nil, err
		}
		out = append(out, b)
	}
	return out, q.done()
}

func (s *breaches) Breach(id string) (breach.Breach, bool, error) {
	q := s.c.query("SELECT body FROM breach WHERE id = ?")
	q.text(id)
	list, err := s.list(q)
	if err != nil || len(list) == 0 {
		return breach.Breach{}, false, err
	}
	return list[0], true, nil
}

func (s *breaches) Breaches(open bool, limit int) ([]breach.Breach, error) {
	sql := "SELECT body FROM breach ORDER BY aware DESC, id DESC LIMIT ?"
	if open {
		sql = "SELECT body FROM breach WHERE closed IS NULL ORDER BY due, id LIMIT ?"
	}
	q := s.c.query(sql)
	q.int(int64(limit))
	return s.list(q)
}
