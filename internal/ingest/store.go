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

// Store keeps rejects. It is one accessor of a transaction and is used by one
// goroutine at a time.
type Store interface {
	AppendReject(r Reject) (int64, error)
	Rejects(code, source string, before int64, limit int) ([]Reject, error)
	Reject(id int64) (Reject, bool, error)
	MarkResent(id int64) error
	RejectCounts() (map[string]int64, error)
	// DropRejects deletes the oldest beyond a number kept.
	DropRejects(keep int) error
}
