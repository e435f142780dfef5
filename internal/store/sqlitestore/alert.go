package sqlitestore

import "rapport/internal/alert"

// alertTable is a migration: what is wrong with the house, and what of that is to be mailed.
const alertTable = `
CREATE TABLE alert(name TEXT NOT NULL, about TEXT NOT NULL, severity TEXT NOT NULL, said TEXT NOT NULL, remedy TEXT NOT NULL,
	since INTEGER, ended INTEGER, mail INTEGER NOT NULL, PRIMARY KEY(name, about)) WITHOUT ROWID;
`

// alerts keeps what is wrong.
type alerts tx

var _ alert.Store = (*alerts)(nil)

func (s *alerts) Alerts() (out []alert.Row, err error) {
	q := s.c.query("SELECT name, about, severity, said, remedy, since, ended, mail FROM alert ORDER BY name, about")
	for q.step() {
		out = append(out, alert.Row{Alert: alert.Alert{
			Name: q.colText(0), About: q.colText(1), Severity: alert.Severity(q.colText(2)), Text: q.colText(3), Do: q.colText(4),
			Since: q.colTime(5), Ended: q.colTime(6),
		}, Mail: alert.Owed(q.colInt(7))})
	}
	return out, q.done()
}

func (s *alerts) PutAlert(r alert.Row) error {
	if s.s == nil {
		return errReadOnly
	}
	q := s.c.query("INSERT OR REPLACE INTO alert(name, about, severity, said, remedy, since, ended, mail) VALUES(?, ?, ?, ?, ?, ?, ?, ?)")
	for _, text := range []string{r.Name, r.About, string(r.Severity), r.Text, r.Do} {
		q.text(text)
	}
	q.time(r.Since)
	q.time(r.Ended)
	q.int(int64(r.Mail))
	return q.exec()
}

func (s *alerts) DropAlert(name, about string) error {
	if s.s == nil {
		return errReadOnly
	}
	q := s.c.query("DELETE FROM alert WHERE name = ? AND about = ?")
	q.text(name)
	q.text(about)
	return q.exec()
}
