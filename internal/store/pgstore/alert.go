package pgstore

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/alert"
)

// alertTable is a migration, the same as that of the embedded store.
const alertTable = `
CREATE TABLE alert(name text NOT NULL, about text NOT NULL, severity text NOT NULL, said text NOT NULL, remedy text NOT NULL,
	since bigint, ended bigint, mail int NOT NULL, PRIMARY KEY(name, about));
`

// alerts keeps what is wrong.
type alerts tx

var _ alert.Store = (*alerts)(nil)

func (s *alerts) Alerts() (out []alert.Row, err error) {
	err = (*tx)(s).query(func(r pgx.Rows) error {
		var a alert.Row
		var severity string
		var since, ended pgtype.Int8
		var mail int32
		err := r.Scan(&a.Name, &a.About, &severity, &a.Text, &a.Do, &since, &ended, &mail)
		a.Severity, a.Since, a.Ended, a.Mail = alert.Severity(severity), instant(since), instant(ended), alert.Owed(mail)
		out = append(out, a)
		return fail(err)
	}, `SELECT name, about, severity, said, remedy, since, ended, mail FROM alert ORDER BY name COLLATE "C", about COLLATE "C"`)
	return out, err
}

func (s *alerts) PutAlert(r alert.Row) error {
	return (*tx)(s).later(`INSERT INTO alert VALUES($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name, about) DO UPDATE SET
		severity = excluded.severity, said = excluded.said, remedy = excluded.remedy, since = excluded.since, ended = excluded.ended, mail = excluded.mail`,
		r.Name, r.About, string(r.Severity), r.Text, r.Do, millis(r.Since), millis(r.Ended), int32(r.Mail))
}

func (s *alerts) DropAlert(name, about string) error {
	return (*tx)(s).later("DELETE FROM alert WHERE name = $1 AND about = $2", name, about)
}
