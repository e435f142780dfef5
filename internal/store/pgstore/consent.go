package pgstore

import (
	"cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"iter"
	"slices"

	"rapport/internal/consent"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

type permissions tx

var _ consent.Store = (*permissions)(nil)

// foreseen is what a transaction has read ahead. Whatever changes something in it
// forgets that.
type foreseen struct {
	people  map[id.Person][]byte // nil: there is no such row
	held    map[id.Hash][]consent.Held
	against map[id.Hash][]consent.Suppression
	version int64
	known   bool // version is
}

func (p *permissions) Foresee(subjects iter.Seq2[id.Hash, bool]) error {
	f := &p.foreseen
	if f.held == nil {
		f.held, f.against = map[id.Hash][]consent.Held{}, map[id.Hash][]consent.Suppression{}
	}
	var questions []question
	var open, mailed []id.Hash
	for h, address := range subjects {
		if _, ok := f.held[h]; !ok {
			f.held[h] = nil
			open = append(open, h)
		}
		if _, ok := f.against[h]; address && !ok {
			f.against[h] = nil
			mailed = append(mailed, h)
		}
	}
	if len(open) > 0 {
		questions = append(questions, question{statement{heldRows + `WHERE subject = ANY($1::uuid[]) ORDER BY subject, purpose COLLATE "C"`, []any{uuids(open)}},
			func(r pgx.Rows) error {
				subject, h, err := readHeld(r)
				f.held[subject] = append(f.held[subject], h)
				return err
			}})
	}
	if len(mailed) > 0 {
		questions = append(questions, p.suppressions(mailed, func(s consent.Suppression) { f.against[s.Address] = append(f.against[s.Address], s) }))
	}
	if !f.known {
		f.known = true
		questions = append(questions, question{newest, func(r pgx.Rows) error { return fail(r.Scan(&f.version)) }})
	}
	if len(questions) == 0 {
		return nil
	}
	err := (*tx)(p).ask(questions...)
	if err != nil {
		*f = foreseen{}
	}
	return err
}

// said brings what was read ahead to what an entry has changed in it.
func (f *foreseen) said(e *consent.Entry, seq int64) {
	f.version = seq
	held, ok := f.held[e.Subject]
	if !ok {
		return
	}
	now := consent.Held{
		Purpose: e.Purpose, State: e.State, Seq: seq, Record: e.Record, Notice: e.Notice(), At: instant(millis(e.At)), Expires: instant(millis(e.Expires)),
	}
	i, found := slices.BinarySearchFunc(held, e.Purpose, func(h consent.Held, p purpose.Purpose) int { return cmp.Compare(h.Purpose, p) })
	held = slices.Clone(held) // Whoever asked before has the old one.
	if found {
		held[i] = now
	} else {
		held = slices.Insert(held, i, now)
	}
	f.held[e.Subject] = held
}

// newest asks for the number of the newest row of the ledger.
var newest = statement{sql: "SELECT coalesce(max(seq), 0) FROM ledger"}

func (p *permissions) Append(e consent.Entry) (seq int64, added bool, err error) {
	if p.s == nil {
		return 0, false, errReadOnly
	}
	found, err := (*tx)(p).one([]any{&seq}, "SELECT seq FROM ledger WHERE subject = $1 AND record = $2 AND purpose = $3",
		uuid(e.Subject), e.Record, string(e.Purpose))
	if err != nil || found {
		return seq, false, err
	}
	p.s.next.ledger++
	seq = p.s.next.ledger
	p.foreseen.said(&e, seq)
	err = (*tx)(p).later("INSERT INTO ledger VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
		seq, e.Record, uuid(e.Subject), e.Kind, string(e.Purpose), int(e.State), millis(e.Said), millis(e.At), e.Method, e.Source, e.Evidence, e.Facts, millis(e.Expires))
	if err != nil {
		return 0, false, err
	}
	return seq, true, (*tx)(p).later(`INSERT INTO held VALUES($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT(subject, purpose) DO UPDATE
		SET state = excluded.state, seq = excluded.seq, record = excluded.record, at = excluded.at, expires = excluded.expires, notice = excluded.notice`,
		uuid(e.Subject), string(e.Purpose), int(e.State), seq, e.Record, millis(e.At), millis(e.Expires), e.Notice())
}

func (p *permissions) Standing(subject id.Hash) (out []consent.Held, err error) {
	if held, ok := p.foreseen.held[subject]; ok {
		return held, nil
	}
	err = (*tx)(p).query(func(r pgx.Rows) error {
		_, h, err := readHeld(r)
		out = append(out, h)
		return err
	}, heldRows+`WHERE subject = $1 ORDER BY purpose COLLATE "C"`, uuid(subject))
	return out, err
}

const heldRows = "SELECT subject, purpose, state, seq, record, at, expires, notice FROM held "

func readHeld(r pgx.Rows) (subject id.Hash, h consent.Held, err error) {
	var who pgtype.UUID
	var p string
	var state int16
	var at, expires pgtype.Int8
	err = r.Scan(&who, &p, &state, &h.Seq, &h.Record, &at, &expires, &h.Notice)
	h.Purpose, h.State, h.At, h.Expires = purpose.Purpose(p), consent.State(state), instant(at), instant(expires)
	return who.Bytes, h, fail(err)
}

func (p *permissions) Ledger(subject id.Hash) (out []consent.Entry, err error) {
	err = (*tx)(p).query(func(r pgx.Rows) error {
		e := consent.Entry{Subject: subject}
		var purp string
		var state int16
		var said, at, expires pgtype.Int8
		err := r.Scan(&e.Seq, &e.Record, &e.Kind, &purp, &state, &said, &at, &e.Method, &e.Source, &e.Evidence, &e.Facts, &expires)
		e.Purpose, e.State, e.Said, e.At, e.Expires = purpose.Purpose(purp), consent.State(state), instant(said), instant(at), instant(expires)
		out = append(out, e)
		return fail(err)
	}, "SELECT seq, record, kind, purpose, state, said, at, method, source, evidence, facts, expires FROM ledger WHERE subject = $1 ORDER BY seq", uuid(subject))
	return out, err
}

func (p *permissions) Version() (seq int64, err error) {
	if p.foreseen.known {
		return p.foreseen.version, nil
	}
	_, err = (*tx)(p).one([]any{&seq}, newest.sql)
	return seq, err
}

func (p *permissions) EachNarrowing(fn func(subject id.Hash, h consent.Held) error) error {
	return (*tx)(p).query(func(r pgx.Rows) error {
		subject, h, err := readHeld(r)
		if err != nil {
			return err
		}
		return fn(subject, h)
	}, heldRows+`WHERE state > 1 ORDER BY subject, purpose COLLATE "C"`)
}

func (p *permissions) Suppress(s consent.Suppression) error {
	delete(p.foreseen.against, s.Address)
	return (*tx)(p).later("INSERT INTO suppression VALUES($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
		uuid(s.Address), string(s.Purpose), string(s.Reason), millis(s.At), s.Source)
}

func (p *permissions) Unsuppress(address id.Hash, reason consent.Reason) error {
	delete(p.foreseen.against, address)
	return (*tx)(p).later("DELETE FROM suppression WHERE address = $1 AND reason = $2", uuid(address), string(reason))
}

const suppressionRows = "SELECT address, purpose, reason, at, source FROM suppression "

func (p *permissions) Suppressions(address id.Hash) (out []consent.Suppression, err error) {
	if against, ok := p.foreseen.against[address]; ok {
		return against, nil
	}
	err = (*tx)(p).ask(p.suppressions([]id.Hash{address}, func(s consent.Suppression) { out = append(out, s) }))
	return out, err
}

// suppressions asks what stands against addresses.
func (p *permissions) suppressions(addresses []id.Hash, each func(consent.Suppression)) question {
	return question{statement{suppressionRows + `WHERE address = ANY($1::uuid[]) ORDER BY address, purpose COLLATE "C", reason COLLATE "C"`, []any{uuids(addresses)}},
		func(r pgx.Rows) error {
			s, err := readSuppression(r)
			if err == nil {
				each(s)
			}
			return err
		}}
}

func (p *permissions) EachSuppression(fn func(consent.Suppression) error) error {
	return (*tx)(p).query(func(r pgx.Rows) error {
		s, err := readSuppression(r)
		if err != nil {
			return err
		}
		return fn(s)
	}, suppressionRows+`ORDER BY address, purpose COLLATE "C", reason COLLATE "C"`)
}

func readSuppression(r pgx.Rows) (s consent.Suppression, err error) {
	var address pgtype.UUID
	var p, reason string
	var at pgtype.Int8
	err = r.Scan(&address, &p, &reason, &at, &s.Source)
	s.Address, s.Purpose, s.Reason, s.At = address.Bytes, purpose.Purpose(p), consent.Reason(reason), instant(at)
	return s, fail(err)
}
