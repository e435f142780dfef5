package audit

import (
	"math"
	"sort"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"rapport/internal/id"
)

// Store keeps the trail. It is one accessor of a transaction and is used by one
// goroutine at a time.
type Store interface {
	// Append adds a row behind all others and gives its number. Rows are numbered
	// in the order in which their transactions commit, without gaps.
	Append(r Row) (int64, error)
	// Rows reads up to limit rows from a number on.
	Rows(from int64, limit int) ([]Row, error)
	// Forget takes away what opens the commitments of a subject's rows. The rows and
	// the tree stay as they are.
	Forget(subject id.Hash) error
	// Size is the number of rows.
	Size() (int64, error)
	// Search lists rows, newest first.
	Search(q Query) ([]Row, error)
	// Hashed is for how many rows the tree's hashes are stored.
	Hashed() (int64, error)
	// AppendHashes stores the hashes that a row adds to the tree, in the order of
	// tlog.StoredHashes, behind those that are there.
	AppendHashes(h []tlog.Hash) error
	// Hashes reads stored hashes by their indexes (tlog.StoredHashIndex).
	Hashes(indexes []int64) ([]tlog.Hash, error)
	// SaveCheckpoint keeps a signed checkpoint; Checkpoints lists those that are
	// for more than so many rows, oldest first.
	SaveCheckpoint(c Checkpoint) error
	Checkpoints(above int64, limit int) ([]Checkpoint, error)
	// LastCheckpoint gives the newest, false when there is none.
	LastCheckpoint() (Checkpoint, bool, error)
	// Left tells for how many rows the newest checkpoint is that a place outside
	// the machine has; SetLeft notes it.
	Left(place string) (int64, error)
	SetLeft(place string, size int64) error
}

// Query selects rows, newest first.
type Query struct {
	Subjects []id.Hash // any of these; none: all
	Actor    string    // "": any
	What     string    // "": any; "person." stands for all that begins so
	Walked   bool      // also the rows of the walk, of which there are as many as batches
	Since    time.Time // zero: from the first
	Until    time.Time // before; zero: to the last
	Before   int64     // only numbers below; negative: from the newest
	Newest   int64     // the number of rows, for a search from the newest on
	Limit    int
}

// Checkpoint is the signed size and root of the tree at an instant.
type Checkpoint struct {
	Size int64
	At   time.Time
	Note string // in the form of C2SP tlog-checkpoint, signed as golang.org/x/mod/sumdb/note does
}

// WalkedAct is what the rows of the walk say.
const WalkedAct = "log.walked"

// SearchedRows is how far back a search looks that names no subject: it goes on
// from there with Before.
const SearchedRows = 100_000

// Window gives between which numbers a search that names no subject looks: from
// the second up to before the first.
func (q *Query) Window() (before, least int64) {
	before = q.Before
	if before < 0 {
		before = math.MaxInt64
	}
	if q.Newest > 0 && before > q.Newest {
		before = q.Newest
	}
	return before, max(before-SearchedRows, 0)
}

// HashedRows gives for how many rows so many stored hashes are: the inverse of
// tlog.StoredHashCount.
func HashedRows(hashes int64) int64 {
	return int64(sort.Search(int(hashes), func(n int) bool { return tlog.StoredHashCount(int64(n)+1) > hashes }))
}
