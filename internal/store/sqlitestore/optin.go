package sqlitestore

import (
	"time"

	"rapport/internal/consent"
	"rapport/internal/id"
)

func (p *permissions) PutNotice(n consent.Notice) (bool, error) {
	q := p.c.query("INSERT INTO notice(id, language, version, digest, body, at) VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
	q.text(n.ID)
	q.text(n.Language)
	q.text(n.Version)
	q.text(n.Digest)
	q.text(n.Text)
	q.time(n.At)
	return q.execOne()
}

func (p *permissions) Notices() ([]consent.Notice, error) {
	q := p.c.query("SELECT id, language, version, digest, body, at FROM notice ORDER BY id, language, at, version")
	var out []consent.Notice
	for q.step() {
		out = append(out, consent.Notice{
			ID: q.colText(0), Language: q.colText(1), Version: q.colText(2), Digest: q.colText(3), Text: q.colText(4), At: q.colTime(5),
		})
	}
	return out, q.done()
}

func (p *permissions) PutOptIn(o consent.OptIn) error {
	q := p.c.query("INSERT INTO opt_in(id, address, network, at, expires, confirmed, body) VALUES(?, ?, ?, ?, ?, ?, ?)")
	q.blob(o.ID[:])
	q.blob(o.Address[:])
	q.text(o.Network)
	q.time(o.At)
	q.time(o.Expires)
	q.time(o.Confirmed)
	q.blob(o.Body)
	return q.exec()
}

const optInRows = "SELECT id, address, network, at, expires, confirmed, body FROM opt_in "

func readOptIn(q *query) consent.OptIn {
	return consent.OptIn{
		ID: id.Message(q.colHash(0)), Address: q.colHash(1), Network: q.colText(2), At: q.colTime(3), Expires: q.colTime(4),
		Confirmed: q.colTime(5), Body: q.colBlob(6),
	}
}

func (p *permissions) OptIn(m id.Message) (o consent.OptIn, found bool, err error) {
	q := p.c.query(optInRows + "WHERE id = ?")
	q.blob(m[:])
	if found = q.step(); found {
		o = readOptIn(&q)
	}
	return o, found, q.done()
}

func (p *permissions) OptIns(address id.Hash) (out []consent.OptIn, err error) {
	q := p.c.query(optInRows + "WHERE address = ? ORDER BY at, id")
	q.blob(address[:])
	for q.step() {
		out = append(out, readOptIn(&q))
	}
	return out, q.done()
}

func (p *permissions) CountOptIns(address id.Hash, network string, since time.Time) (byAddress, byNetwork int, err error) {
	q := p.c.query(`SELECT (SELECT count(*) FROM opt_in WHERE address = ? AND at > ?),
		(SELECT count(*) FROM opt_in WHERE network = ? AND network <> '' AND at > ?)`)
	q.blob(address[:])
	q.time(since)
	q.text(network)
	q.time(since)
	if q.step() {
		byAddress, byNetwork = int(q.colInt(0)), int(q.colInt(1))
	}
	return byAddress, byNetwork, q.done()
}

func (p *permissions) ConfirmOptIn(m id.Message, at time.Time) (bool, error) {
	q := p.c.query("UPDATE opt_in SET confirmed = ? WHERE id = ? AND confirmed IS NULL")
	q.time(at)
	q.blob(m[:])
	return q.execOne()
}
