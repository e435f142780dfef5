package pgstore

import (
	"encoding/json"

	"github.com/jackc/pgx/v5"

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
	return (*tx)(s).later(`INSERT INTO breach VALUES($1, $2, $3, $4, $5) ON CONFLICT(id) DO UPDATE SET
		aware = excluded.aware, due = excluded.due, closed = excluded.closed, body = excluded.body`,
		b.ID, b.Aware.UnixMilli(), b.Due.UnixMilli(), millis(b.Closed), body)
}

func (s *breaches) list(where string, args ...any) (out []breach.Breach, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var body []byte
		if err := r.Scan(&body); err != nil {
			return fail(err)
		}
		var b breach.Breach
		err := json.Unmarshal(body, &b)
		out = append(out, b)
		return err
	}, "SELECT body FROM breach "+where, args...)
	return out, err
}

func (s *breaches) Breach(id string) (breach.Breach, bool, error) {
	list, err := s.list("WHERE id = $1", id)
	if err != nil || len(list) == 0 {
		return breach.Breach{}, false, err
	}
	return list[0], true, nil
}

func (s *breaches) Breaches(open bool, limit int) ([]breach.Breach, error) {
	if open {
		return s.list(`WHERE closed IS NULL ORDER BY due, id COLLATE "C" LIMIT $1`, limit)
	}
	return s.list(`ORDER BY aware DESC, id COLLATE "C" DESC LIMIT $1`, limit)
}
