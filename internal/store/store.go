// Package store is what a database must offer the house: transactions with one
// accessor for each room. It imports rooms for their Store types only, and holds no
// logic but that of who is forgotten: it alone sees all tables.
package store

import (
	"context"

	"rapport/internal/access"
	"rapport/internal/alert"
	"rapport/internal/audit"
	"rapport/internal/breach"
	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/group"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/outbox"
	"rapport/internal/person"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/project"
	"rapport/internal/rights"
	"rapport/internal/segment"
	"rapport/internal/timer"
)

// Tx is one transaction. Accessors are valid until it ends and are used by one
// goroutine at a time.
type Tx interface {
	Persons() person.Store
	Identity() identity.Store
	Profile() profile.Store
	Segment() segment.Store
	Group() group.Store
	Timer() timer.Store
	Consent() consent.Store
	Outbox() outbox.Store
	Processor() processor.Store
	Access() access.Store
	Ingest() ingest.Store
	Project() project.Store
	Audit() audit.Store
	Destination() destination.Store
	Alert() alert.Store
	Rights() rights.Store
	Breach() breach.Store
}

// Priority orders writers that wait for the one writing connection.
type Priority uint8

// The priorities, most urgent first.
const (
	Narrowing Priority = iota // somebody said no and waits for the answer
	Urgent                    // handing over
	Normal                    // the live walk
	Idle                      // bulk walk, backfill, cleaning
)

// WriteOptions say how a write is to be done.
type WriteOptions struct {
	Priority Priority
	// Durable makes the commit survive power loss before Write returns. Other
	// commits may be lost at power loss, newest first, but never torn.
	Durable bool
	// Once is for an fn that keeps in its own memory what it has done: where the
	// database takes the transaction back, after a deadlock or for what else went
	// on, its caller runs it again. Any other fn may be run again by Write.
	Once bool
}

// CodeRewound is the code of the error of a State whose database has crashed and
// lost commits that were not durable: the process remembers what no longer is,
// and must open the house anew.
const CodeRewound = "database_rewound"

// State is the state store of one data folder. It is safe for concurrent use.
type State interface {
	// Write runs fn in a transaction that may write: there is one at a time. An
	// error from fn rolls everything back and is returned as it is. fn may be run
	// more than once and must begin anew each time; see WriteOptions.Once.
	Write(ctx context.Context, o WriteOptions, fn func(Tx) error) error
	// Waiting tells how many wait to write that are as urgent as p, or more so: a
	// long transaction that can as well end early looks at it.
	Waiting(p Priority) int
	// Ahead reads whom a transaction that comes soon will look up and load, so that a
	// store behind a wire need not be waited for then. What changes meanwhile is asked
	// for again. It gives whom it has read: nobody where nothing is gained by it.
	Ahead(ctx context.Context, hashes []id.Hash, people []id.Person) ([]id.Person, error)
	// Read runs fn in a snapshot that other writers do not disturb. fn must be quick.
	Read(ctx context.Context, fn func(Tx) error) error
	// Meta reads and writes small named values: schema version, the workspace's keys.
	Meta(ctx context.Context, key string) ([]byte, error)
	SetMeta(ctx context.Context, key string, value []byte) error
	Close() error
}
