package processor

import (
	"time"

	"rapport/internal/eventlog"
)

// Store keeps where the walk stands, what it has already seen, what it could
// not walk, and what state still has to say to the log. It is one accessor of a
// transaction and is used by one goroutine at a time.
type Store interface {
	// LogID gives the log this state belongs to, "" in a new state; SetLogID writes it once.
	LogID() (string, error)
	SetLogID(string) error
	// Position gives how far a lane is walked; Advance moves it and fails with
	// ErrMoved unless it stood where the caller says.
	Position(lane eventlog.Lane) (int64, error)
	Advance(lane eventlog.Lane, from, to int64) error
	// AppendSeen writes the hashes of one batch (16 bytes each, concatenated) with the newest instant in it.
	AppendSeen(at time.Time, hashes []byte) error
	// EachSeen reads rows not older than the instant, oldest first. hashes is
	// valid only during the call.
	EachSeen(since time.Time, fn func(at time.Time, hashes []byte) error) error
	// DropSeen deletes rows older than the instant.
	DropSeen(before time.Time) error
	// SetAside keeps a record that could not be walked, with its error.
	SetAside(r Aside) error
	// Asides lists them, newest first: from the newest on with position 0, else
	// from behind the one at a position of a lane. Aside reads one.
	Asides(lane eventlog.Lane, behind int64, limit int) ([]Aside, error)
	Aside(lane eventlog.Lane, pos int64) (Aside, bool, error)
	// EndAside marks one as sent again, or with drop takes it away; found is false
	// where there is none.
	EndAside(lane eventlog.Lane, pos int64, drop bool) (found bool, err error)
	// AppendRelay adds what state wants to say to the log, as an encoded event;
	// Relay gives up to limit rows after a number; DropRelay deletes rows up to a number.
	AppendRelay(body []byte) error
	Relay(after int64, limit int) ([]RelayRow, error)
	DropRelay(upTo int64) error
}

// Aside is a record that was set aside.
type Aside struct {
	Lane  eventlog.Lane
	Pos   int64
	At    time.Time
	Code  string
	Error string
	Body  []byte // the encoded event
	Sent  bool   // it was sent again and taken; SetAside does not write it
}

// RelayRow is one encoded event that waits to be appended to the log.
type RelayRow struct {
	Seq  int64
	Body []byte
}

// Witness is what a Store may be too: it is told of each batch that was walked,
// within the batch's transaction. sum is the SHA-256 of the batch's records, each
// behind its length, eight bytes, little end first.
type Witness interface {
	Walked(lane eventlog.Lane, first, last int64, sum [32]byte) error
}
