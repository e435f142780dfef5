// Package access keeps the keys that callers show: ingest keys that may only
// write, and management keys for everything else. What comes in are secrets;
// what goes out is which key it is, or that it is none. It stores hashes only,
// looks keys up in memory, and never shows a secret a second time.
package access

import "time"

// Kind says what a key may do.
type Kind string

// The kinds of key.
const (
	Ingest  Kind = "ingest"  // write events of one source, from a server
	Browser Kind = "browser" // write events of one source, from a public place
	Manage  Kind = "manage"  // everything but writing events
)

// Key is what the store keeps of one key.
type Key struct {
	ID      string // short public id, shown in lists
	Kind    Kind
	Source  string // for ingest and browser keys
	Name    string
	Hash    [32]byte // SHA-256 of the whole key
	Created time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: valid
}

// Store keeps keys. It is one accessor of a transaction and is used by one
// goroutine at a time.
type Store interface {
	InsertKey(k Key) error
	Keys() ([]Key, error)
	RevokeKey(id string, at time.Time) (bool, error)
}
