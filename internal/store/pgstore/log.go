package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport/internal/eventlog"
)

// dropStep is how many frames retention takes in one transaction.
const dropStep = 64

// Log keeps frames. It implements eventlog.Store.
type Log struct {
	id   string
	pool *pool

	closed atomic.Bool
}

var _ eventlog.Store = (*Log)(nil)

// Place implements eventlog.Store.
func (l *Log) Place() string { return "the database (its schema " + LogSchema + ")" }

// logConnections are one that appends, and a few that read.
const logConnections = 4

// OpenLog opens a log, makes one that is empty, or brings an older one forward.
func OpenLog(ctx context.Context, c Config) (*Log, error) {
	pool, err := connect(ctx, c, LogSchema, logConnections)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &Log{pool: pool}
	if err = migrate(ctx, pool, LogSchema, logMigrations); err == nil {
		err = fail(pool.QueryRow(ctx, "SELECT value FROM rapport_log.meta WHERE key = 'id'").Scan(&l.id))
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open log: %w", err)
	}
	return l, nil
}

// Mark notes how far a lane is walked by a state that is durable up to there, so
// that an older state is known for what it is.
func (l *Log) Mark(ctx context.Context, lane eventlog.Lane, pos int64) error {
	_, err := l.pool.Exec(ctx, "INSERT INTO rapport_log.meta VALUES($1, $2) ON CONFLICT(key) DO UPDATE SET value = excluded.value", marked(lane), fmt.Sprint(pos))
	return l.fail(err)
}

// Marked reads what Mark noted last, zero for nothing.
func (l *Log) Marked(ctx context.Context, lane eventlog.Lane) (pos int64, err error) {
	err = l.pool.QueryRow(ctx, "SELECT value::bigint FROM rapport_log.meta WHERE key = $1", marked(lane)).Scan(&pos)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return pos, l.fail(err)
}

func marked(lane eventlog.Lane) string { return fmt.Sprintf("walked/%d", lane) }

// ID names this log for ever.
func (l *Log) ID() string { return l.id }

func (l *Log) fail(err error) error {
	if err != nil && l.closed.Load() {
		return errClosed()
	}
	return fail(err)
}

// Append writes frames in one statement, and so durably and in one transaction.
func (l *Log) Append(ctx context.Context, frames []eventlog.Frame) error {
	var lanes, counts []int32
	var first, at []int64
	var bodies [][]byte
	for _, f := range frames {
		lanes, counts = append(lanes, int32(f.Lane)), append(counts, int32(f.Count))
		first, at, bodies = append(first, f.First), append(at, f.At.UnixMilli()), append(bodies, f.Body)
	}
	err := l.pool.durably(ctx, "INSERT INTO rapport_log.frame SELECT * FROM unnest($1::int[], $2::bigint[], $3::int[], $4::bigint[], $5::bytea[])",
		lanes, first, counts, at, bodies)
	return l.fail(err)
}

// Read gives frames from the one that holds a position, until about maxBytes.
func (l *Log) Read(ctx context.Context, lane eventlog.Lane, from int64, maxBytes int) (frames []eventlog.Frame, err error) {
	// The running sum ends the reading in the database: nothing is sent for naught.
	r, err := l.pool.Query(ctx, `SELECT pos, n, at, body FROM (
			SELECT pos, n, at, body, sum(length(body)) OVER (ORDER BY pos) - length(body) AS before FROM (
				SELECT pos, n, at, body FROM rapport_log.frame WHERE lane = $1
				AND pos >= coalesce((SELECT max(pos) FROM rapport_log.frame WHERE lane = $1 AND pos <= $2), $2) ORDER BY pos LIMIT $4) near) sized
		WHERE (before < $3 OR pos <= $2) AND pos + n > $2 ORDER BY pos`, int(lane), from, maxBytes, readMost)
	if err != nil {
		return nil, l.fail(err)
	}
	defer r.Close()
	for r.Next() {
		f := eventlog.Frame{Lane: lane}
		var at int64
		if err := r.Scan(&f.First, &f.Count, &at, &f.Body); err != nil {
			return nil, fail(err)
		}
		f.At = unixMilli(at)
		frames = append(frames, f)
	}
	return frames, l.fail(r.Err())
}

// readMost bounds how many frames one reading looks at.
const readMost = 512

// Tail gives the end of a lane.
func (l *Log) Tail(ctx context.Context, lane eventlog.Lane) (pos int64, at time.Time, err error) {
	var ms int64
	err = l.pool.QueryRow(ctx, "SELECT pos + n - 1, at FROM rapport_log.frame WHERE lane = $1 ORDER BY pos DESC LIMIT 1", int(lane)).Scan(&pos, &ms)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, time.Time{}, nil
	}
	return pos, unixMilli(ms), l.fail(err)
}

// First gives the first position still kept.
func (l *Log) First(ctx context.Context, lane eventlog.Lane) (pos int64, err error) {
	err = l.pool.QueryRow(ctx, "SELECT coalesce(min(pos), 0) FROM rapport_log.frame WHERE lane = $1", int(lane)).Scan(&pos)
	return pos, l.fail(err)
}

// Drop deletes old frames from the beginning of a lane, a few in a transaction.
func (l *Log) Drop(ctx context.Context, lane eventlog.Lane, before int64, older time.Time) (int, error) {
	total := 0
	for {
		// The oldest frames only, so that an instant that went astray leaves no gap.
		tag, err := l.pool.Exec(ctx, `WITH oldest AS (SELECT pos, n, at FROM rapport_log.frame WHERE lane = $1 ORDER BY pos LIMIT $4),
			stays AS (SELECT min(pos) AS pos FROM oldest WHERE pos + n > $2 OR at >= $3)
			DELETE FROM rapport_log.frame WHERE lane = $1 AND pos IN (SELECT o.pos FROM oldest o, stays s WHERE s.pos IS NULL OR o.pos < s.pos)`,
			int(lane), before, older.UnixMilli(), dropStep)
		if err != nil {
			return total, l.fail(err)
		}
		n := int(tag.RowsAffected())
		if total += n; n < dropStep {
			return total, nil
		}
	}
}

// Close waits for those who still read. Closing twice is harmless.
func (l *Log) Close() error {
	l.closed.Store(true)
	l.pool.Close()
	return nil
}
