package pgstore

import (
	"github.com/jackc/pgx/v5"

	"rapport/internal/group"
	"rapport/internal/id"
	"rapport/internal/store/rows"
)

type groups tx

var _ group.Store = (*groups)(nil)

func (g *groups) Group(h id.Hash) ([]byte, error) {
	var raw []byte
	found, err := (*tx)(g).one([]any{&raw}, "SELECT body FROM group_row WHERE h = $1", uuid(h))
	if err != nil || !found {
		return nil, err
	}
	return unsummed("group_row", rows.Number(h), raw)
}

func (g *groups) SaveGroup(h id.Hash, body []byte) error {
	return (*tx)(g).later("INSERT INTO group_row VALUES($1, $2) ON CONFLICT(h) DO UPDATE SET body = excluded.body",
		uuid(h), rows.AppendSummed(nil, rows.Number(h), body))
}

func (g *groups) Join(h id.Hash, who id.Person) error {
	return (*tx)(g).later("INSERT INTO group_member VALUES($1, $2) ON CONFLICT(h, person) DO NOTHING", uuid(h), int64(who))
}

func (g *groups) Leave(h id.Hash, who id.Person) error {
	return (*tx)(g).later("DELETE FROM group_member WHERE h = $1 AND person = $2", uuid(h), int64(who))
}

func (g *groups) Members(h id.Hash, behind id.Person, limit int) (out []id.Person, err error) {
	err = (*tx)(g).query(func(r pgx.Rows) error {
		var who int64
		err := r.Scan(&who)
		out = append(out, id.Person(who))
		return fail(err)
	}, "SELECT person FROM group_member WHERE h = $1 AND person > $2 ORDER BY person LIMIT $3", uuid(h), int64(behind), limit)
	return out, err
}
