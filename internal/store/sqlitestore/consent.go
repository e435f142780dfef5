package sqlitestore

import (
	"iter"
	"rapport/internal/consent"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

type permissions tx

var _ consent.Store = (*permissions)(nil)

// Foresee has nothing to do: each answer is at hand when it is asked for.
func (p *permissions) Foresee(iter.Seq2[id.Hash, bool]) error { return nil }

func (p *permissions) Append(e consent.Entry) (seq int64, added bool, err error) {
	q := p.c.query(`INSERT INTO ledger(record, subject, kind, purpose, state, said, at, method, source, evidence, facts, expires)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
	q.text(e.Record)
	q.blob(e.Subject[:])
	q.text(e.Kind)
	q.text(string(e.Purpose))
	q.int(int64(e.State))
	q.time(e.Said)
	q.time(e.At)
	q.text(e.Method)
	q.text(e.Source)
	q.blob(e.Evidence)
	q.blob(e.Facts)
	q.time(e.Expires)
	if added, err = q.execOne(); err != nil {
		return 0, false, err
	}
	if !added {
		q = p.c.query("SELECT seq FROM ledger WHERE subject = ? AND record = ? AND purpose = ?")
		q.blob(e.Subject[:])
		q.text(e.Record)
		q.text(string(e.Purpose))
		if q.step() {
			seq = q.colInt(0)
		}
		return seq, false, q.done()
	}
	seq = p.c.db.LastInsertRowID()
	q = p.c.query(`INSERT INTO held(subject, purpose, state, seq, record, at, expires, notice) VALUES(?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT(subject, purpose) DO UPDATE SET state = excluded.state, seq = excluded.seq, record = excluded.record, at = excluded.at,
		expires = excluded.expires, notice = excluded.notice`)
	q.blob(e.Subject[:])
	q.text(string(e.Purpose))
	q.int(int64(e.State))
	q.int(seq)
	q.text(e.Record)
	q.time(e.At)
	q.time(e.Expires)
	q.text(e.Notice())
	return seq, true, q.exec()
}

func (p *permissions) Standing(subject id.Hash) ([]consent.Held, error) {
	q := p.c.query("SELECT purpose, state, seq, record, at, expires, notice FROM held WHERE subject = ? ORDER BY purpose")
	q.blob(subject[:])
	var out []consent.Held
	for q.step() {
		out = append(out, readHeld(&q, 0))
	}
	return out, q.done()
}

func readHeld(q *query, i int) consent.Held {
	return consent.Held{
		Purpose: purpose.Purpose(q.colText(i)), State: consent.State(q.colInt(i + 1)),
		Seq: q.colInt(i + 2), Record: q.colText(i + 3), At: q.colTime(i + 4),
		Expires: q.colTime(i + 5), Notice: q.colText(i + 6),
	}
}

func (p *permissions) Ledger(subject id.Hash) ([]consent.Entry, error) {
	q := p.c.query(`SELECT seq, record, kind, purpose, state, said, at, method, source, evidence, facts, expires
		FROM ledger WHERE subject = ? ORDER BY seq`)
	q.blob(subject[:])
	var out []consent.Entry
	for q.step() {
		out = append(out, consent.Entry{
			Seq: q.colInt(0), Record: q.colText(1), Subject: subject, Kind: q.colText(2),
			Purpose: purpose.Purpose(q.colText(3)), State: consent.State(q.colInt(4)),
			Said: q.colTime(5), At: q.colTime(6), Method: q.colText(7), Source: q.colText(8), Evidence: q.colBlob(9),
			Facts: q.colBlob(10), Expires: q.colTime(11),
		})
	}
	return out, q.done()
}

func (p *permissions) Version() (seq int64, err error) {
	err = p.c.queryInt("SELECT coalesce(max(seq), 0) FROM ledger", &seq)
	return seq, err
}

func (p *permissions) EachNarrowing(fn func(subject id.Hash, h consent.Held) error) error {
	q := p.c.query("SELECT subject, purpose, state, seq, record, at, expires, notice FROM held WHERE state > 1 ORDER BY subject, purpose")
	for q.step() {
		if err := fn(q.colHash(0), readHeld(&q, 1)); err != nil {
			_ = q.done() // fn's error is the one that counts.
			return err
		}
	}
	return q.done()
}

func (p *permissions) Suppress(s consent.Suppression) error {
	q := p.c.query("INSERT INTO suppression(address, purpose, reason, at, source) VALUES(?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
	q.blob(s.Address[:])
	q.text(string(s.Purpose))
	q.text(string(s.Reason))
	q.time(s.At)
	q.text(s.Source)
	return q.exec()
}

func (p *permissions) Unsuppress(address id.Hash, reason consent.Reason) error {
	q := p.c.query("DELETE FROM suppression WHERE address = ? AND reason = ?")
	q.blob(address[:])
	q.text(string(reason))
	return q.exec()
}

func (p *permissions) Suppressions(address id.Hash) ([]consent.Suppression, error) {
	q := p.c.query("SELECT address, purpose, reason, at, source FROM suppression WHERE address = ? ORDER BY purpose, reason")
	q.blob(address[:])
	var out []consent.Suppression
	for q.step() {
		out = append(out, readSuppression(&q))
	}
	return out, q.done()
}

func (p *permissions) EachSuppression(fn func(consent.Suppression) error) error {
	q := p.c.query("SELECT address, purpose, reason, at, source FROM suppression ORDER BY address, purpose, reason")
	for q.step() {
		if err := fn(readSuppression(&q)); err != nil {
			_ = q.done() // fn's error is the one that counts.
			return err
		}
	}
	return q.done()
}

func readSuppression(q *query) consent.Suppression {
	return consent.Suppression{
		Address: q.colHash(0), Purpose: purpose.Purpose(q.colText(1)), Reason: consent.Reason(q.colText(2)),
		At: q.colTime(3), Source: q.colText(4),
	}
}
