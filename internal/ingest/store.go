package ingest

import "time"

// Reject is something that came in and could not be taken: kept whole, so that
// it can be read, mended and sent again.
type Reject struct {
	ID      int64
	At      time.Time
	Source  string
	Path    string // the route it came by
	Code    string // the rejection's stable code
	Detail  string // what was wrong, without values
	Payload []byte // as it came, at most the event limit
	Sent    bool   // it was sent again and taken
}

// Violation is one way in which events of a source are not as the spec has
// them. They were taken all the same.
type Violation struct {
	Source   string
	Event    string // the reserved event
	Property string // "price", "products.price"; "" where the event's name is meant
	Code     string
	Detail   string // what is the matter, without values
	Count    int64  // events
	First    time.Time
	Last     time.Time
}

// Store keeps rejects, and counts violations. It is one accessor of a transaction and is used by one
// goroutine at a time.
type Store interface {
	AppendReject(r Reject) (int64, error)
	// Rejects lists newest first. The limit is set.
	Rejects(q RejectQuery) ([]Reject, error)
	Reject(id int64) (Reject, bool, error)
	MarkResent(id int64) error
	// DropReject deletes one; found is false where there is none.
	DropReject(id int64) (found bool, err error)
	RejectCounts() (map[string]int64, error)
	// DropRejects deletes the oldest beyond a number kept, and gives their payloads as they were kept.
	DropRejects(keep int) ([][]byte, error)
	// AddViolations adds to what is counted by source, event, property and code;
	// of the times the earliest first and the latest last stay.
	AddViolations(list []Violation) error
	// Violations lists all of them, in any order.
	Violations() ([]Violation, error)
}
