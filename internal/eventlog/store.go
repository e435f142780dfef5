package eventlog

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// Lane numbers an ordered strand of the log. Nothing may depend on the order
// between lanes.
type Lane uint8

// The lanes of a node.
const (
	Live Lane = 0
	Bulk Lane = 1 // imports, backfill, expansion: never delays live

	laneCount = 2
)

// String gives the lane's stable name.
func (l Lane) String() string {
	switch l {
	case Live:
		return "live"
	case Bulk:
		return "bulk"
	}
	return strconv.Itoa(int(l))
}

// Frame is one group commit: records First … First+Count-1 of a lane, compressed
// and sealed by this room. At is the business time of the commit; it never goes
// back within a lane.
type Frame struct {
	Lane  Lane
	First int64 // position of the first record; positions begin at 1 and are dense
	Count int
	At    time.Time
	Body  []byte
}

// ErrDamaged is wrapped by a Store's error when its file does not hold what was
// written to it.
var ErrDamaged = errors.New("the file is damaged")

// Store keeps frames. Unlike the accessors of a transaction it is safe for
// concurrent use: one appender and any number of readers.
type Store interface {
	// ID names this log for ever: state remembers it and refuses another.
	ID() string
	// Place says in which files, or where else, the log is kept, for whoever is to
	// keep a copy of a damaged one: "log.db and log.db-wal".
	Place() string
	// Append writes frames durably (fsync) and in one transaction.
	Append(ctx context.Context, frames []Frame) error
	// Read gives frames of a lane from the one that holds position `from`, in
	// order, until about maxBytes; none when the lane ends before it.
	Read(ctx context.Context, lane Lane, from int64, maxBytes int) ([]Frame, error)
	// Tail gives the last position of a lane and the At of its last frame; zero when it is empty.
	Tail(ctx context.Context, lane Lane) (pos int64, at time.Time, err error)
	// First gives the first position still kept, zero when the lane is empty.
	First(ctx context.Context, lane Lane) (int64, error)
	// Drop deletes frames that end before the position and are older than the
	// instant, a few at a time so that appends hardly wait, and tells how many.
	Drop(ctx context.Context, lane Lane, before int64, older time.Time) (int, error)
	Close() error
}
