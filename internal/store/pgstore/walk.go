package pgstore

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/processor"
	"rapport/internal/store/rows"
)

type walk tx

var _ processor.Store = (*walk)(nil)

func (w *walk) LogID() (string, error) {
	var name []byte
	_, err := (*tx)(w).one([]any{&name}, "SELECT value FROM meta WHERE key = 'log_id'")
	return string(name), err
}

func (w *walk) SetLogID(name string) error {
	old, err := w.LogID()
	if err != nil || old == name {
		return err
	}
	if old != "" {
		return fault.New(fault.Conflict, "log_id_set", "this state belongs to the log %s already", old)
	}
	return (*tx)(w).later("INSERT INTO meta VALUES('log_id', $1)", []byte(name))
}

func (w *walk) Position(lane eventlog.Lane) (pos int64, err error) {
	_, err = (*tx)(w).one([]any{&pos}, "SELECT pos FROM position WHERE lane = $1", int(lane))
	return pos, err
}

// Advance knows where the lanes stand: nobody else moves them while the database
// is ours, which the commit makes sure of.
func (w *walk) Advance(lane eventlog.Lane, from, to int64) error {
	if w.s == nil {
		return errReadOnly
	}
	if int(lane) >= len(w.s.next.walked) {
		return fault.New(fault.Internal, "lane_unknown", "there is no lane %d", lane)
	}
	if w.s.next.walked[lane] != from {
		return processor.ErrMoved
	}
	w.s.next.walked[lane] = to
	return (*tx)(w).later("INSERT INTO position VALUES($1, $2) ON CONFLICT(lane) DO UPDATE SET pos = excluded.pos", int(lane), to)
}

func (w *walk) AppendSeen(at time.Time, hashes []byte) error {
	if w.s == nil {
		return errReadOnly
	}
	w.s.next.seen++
	return (*tx)(w).later("INSERT INTO seen VALUES($1, $2, $3)", w.s.next.seen, at.UnixMilli(), rows.AppendSummed(nil, at.UnixMilli(), hashes))
}

func (w *walk) EachSeen(since time.Time, fn func(at time.Time, hashes []byte) error) error {
	return (*tx)(w).query(func(r pgx.Rows) error {
		var at int64
		var raw pgtype.DriverBytes
		if err := r.Scan(&at, &raw); err != nil {
			return fail(err)
		}
		hashes, err := unsummed("seen", at, raw)
		if err != nil {
			return err
		}
		return fn(unixMilli(at), hashes)
	}, "SELECT at, body FROM seen WHERE at >= $1 ORDER BY at, seq", since.UnixMilli())
}

func unixMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func (w *walk) DropSeen(before time.Time) error {
	return (*tx)(w).later("DELETE FROM seen WHERE at < $1", before.UnixMilli())
}

func (w *walk) SetAside(r processor.Aside) error {
	return (*tx)(w).later(`INSERT INTO aside VALUES($1, $2, $3, $4, $5, $6) ON CONFLICT(lane, pos) DO UPDATE
		SET at = excluded.at, code = excluded.code, error = excluded.error, body = excluded.body`,
		int(r.Lane), r.Pos, millis(r.At), r.Code, r.Error, r.Body)
}

func (w *walk) Asides(lane eventlog.Lane, behind int64, limit int) (out []processor.Aside, err error) {
	const columns, newest = "SELECT lane, pos, at, code, error, body, sent FROM aside ", "ORDER BY at DESC NULLS LAST, lane DESC, pos DESC LIMIT $1"
	sql, args := columns+newest, []any{limit}
	if behind > 0 {
		sql = columns + "WHERE (at, lane, pos) < (SELECT at, lane, pos FROM aside WHERE lane = $2 AND pos = $3) " + newest
		args = append(args, int(lane), behind)
	}
	err = (*tx)(w).query(func(r pgx.Rows) error {
		a, err := readAside(r)
		out = append(out, a)
		return err
	}, sql, args...)
	return out, err
}

func (w *walk) Aside(lane eventlog.Lane, pos int64) (a processor.Aside, found bool, err error) {
	err = (*tx)(w).query(func(r pgx.Rows) error {
		found = true
		a, err = readAside(r)
		return err
	}, "SELECT lane, pos, at, code, error, body, sent FROM aside WHERE lane = $1 AND pos = $2", int(lane), pos)
	return a, found, err
}

func (w *walk) EndAside(lane eventlog.Lane, pos int64, drop bool) (bool, error) {
	if w.s == nil {
		return false, errReadOnly
	}
	sql := "UPDATE aside SET sent = true WHERE lane = $1 AND pos = $2 RETURNING 1"
	if drop {
		sql = "DELETE FROM aside WHERE lane = $1 AND pos = $2 RETURNING 1"
	}
	var one int
	return (*tx)(w).one([]any{&one}, sql, int(lane), pos)
}

func readAside(r pgx.Rows) (a processor.Aside, err error) {
	var lane int16
	var at pgtype.Int8
	err = r.Scan(&lane, &a.Pos, &at, &a.Code, &a.Error, &a.Body, &a.Sent)
	a.Lane, a.At = eventlog.Lane(lane), instant(at)
	return a, fail(err)
}

func (w *walk) AppendRelay(body []byte) error {
	if w.s == nil {
		return errReadOnly
	}
	w.s.next.relay++
	w.pending.relay.add(w.s.next.relay, rows.AppendSummed(nil, w.s.next.relay, body))
	return nil
}

func (w *walk) Relay(after int64, limit int) (out []processor.RelayRow, err error) {
	err = (*tx)(w).query(func(r pgx.Rows) error {
		var row processor.RelayRow
		var raw []byte
		if err := r.Scan(&row.Seq, &raw); err != nil {
			return fail(err)
		}
		var err error
		row.Body, err = unsummed("relay", row.Seq, raw)
		out = append(out, row)
		return err
	}, "SELECT seq, body FROM relay WHERE seq > $1 ORDER BY seq LIMIT $2", after, limit)
	return out, err
}

func (w *walk) DropRelay(upTo int64) error {
	return (*tx)(w).later("DELETE FROM relay WHERE seq <= $1", upTo)
}
