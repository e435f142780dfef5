package pgstore

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/consent"
	"rapport/internal/id"
)

func (p *permissions) PutNotice(n consent.Notice) (bool, error) {
	there := 0
	found, err := (*tx)(p).one([]any{&there}, "SELECT 1 FROM notice WHERE id = $1 AND language = $2 AND version = $3", n.ID, n.Language, n.Version)
	if err != nil || found {
		return false, err
	}
	return true, (*tx)(p).later("INSERT INTO notice VALUES($1, $2, $3, $4, $5, $6)", n.ID, n.Language, n.Version, n.Digest, n.Text, millis(n.At))
}

func (p *permissions) Notices() (out []consent.Notice, err error) {
	err = (*tx)(p).query(func(r pgx.Rows) error {
		var n consent.Notice
		var at pgtype.Int8
		err := r.Scan(&n.ID, &n.Language, &n.Version, &n.Digest, &n.Text, &at)
		n.At = instant(at)
		out = append(out, n)
		return fail(err)
	}, `SELECT id, language, version, digest, body, at FROM notice ORDER BY id COLLATE "C", language COLLATE "C", at, version COLLATE "C"`)
	return out, err
}

func (p *permissions) PutOptIn(o consent.OptIn) error {
	return (*tx)(p).later("INSERT INTO opt_in VALUES($1, $2, $3, $4, $5, $6, $7)",
		uuid(o.ID), uuid(o.Address), o.Network, millis(o.At), millis(o.Expires), millis(o.Confirmed), o.Body)
}

func (p *permissions) optIns(where string, args ...any) (out []consent.OptIn, err error) {
	err = (*tx)(p).query(func(r pgx.Rows) error {
		var o consent.OptIn
		var name, address pgtype.UUID
		var at, expires, confirmed pgtype.Int8
		err := r.Scan(&name, &address, &o.Network, &at, &expires, &confirmed, &o.Body)
		o.ID, o.Address, o.At, o.Expires, o.Confirmed = name.Bytes, address.Bytes, instant(at), instant(expires), instant(confirmed)
		out = append(out, o)
		return fail(err)
	}, "SELECT id, address, network, at, expires, confirmed, body FROM opt_in "+where, args...)
	return out, err
}

func (p *permissions) OptIn(m id.Message) (o consent.OptIn, found bool, err error) {
	list, err := p.optIns("WHERE id = $1", uuid(m))
	if err != nil || len(list) == 0 {
		return o, false, err
	}
	return list[0], true, nil
}

func (p *permissions) OptIns(address id.Hash) ([]consent.OptIn, error) {
	return p.optIns("WHERE address = $1 ORDER BY at, id", uuid(address))
}

func (p *permissions) CountOptIns(address id.Hash, network string, since time.Time) (byAddress, byNetwork int, err error) {
	_, err = (*tx)(p).one([]any{&byAddress, &byNetwork}, `SELECT (SELECT count(*) FROM opt_in WHERE address = $1 AND at > $3),
		(SELECT count(*) FROM opt_in WHERE network = $2 AND network <> '' AND at > $3)`, uuid(address), network, millis(since))
	return byAddress, byNetwork, err
}

func (p *permissions) ConfirmOptIn(m id.Message, at time.Time) (bool, error) {
	o, found, err := p.OptIn(m)
	if err != nil || !found || !o.Confirmed.IsZero() {
		return false, err
	}
	return true, (*tx)(p).later("UPDATE opt_in SET confirmed = $1 WHERE id = $2 AND confirmed IS NULL", millis(at), uuid(m))
}
