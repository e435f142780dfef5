package sqlitestore

import (
	"rapport/internal/access"
	"rapport/internal/alert"
	"rapport/internal/audit"
	"rapport/internal/breach"
	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/group"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/outbox"
	"rapport/internal/person"
	"rapport/internal/processor"
	"rapport/internal/profile"
	"rapport/internal/project"
	"rapport/internal/rights"
	"rapport/internal/segment"
	"rapport/internal/store"
	"rapport/internal/timer"
)

// tx is one transaction, or the frame that the transactions of a connection
// share: accessors hold no state of their own but in it.
type tx struct {
	c      *conn
	s      *State          // nil in a reader
	counts [counters]int64 // differences, written with the commit
	buf    []byte          // for bodies on their way in or out
}

// The counters: of persons, and of mails in each state, under the state's number.
const (
	countPersons = 0
	counters     = 16
)

func newTx(c *conn, s *State) *tx { return &tx{c: c, s: s} }

// flush writes what was gathered during the transaction.
func (t *tx) flush() error {
	for what, n := range t.counts {
		if n == 0 {
			continue
		}
		q := t.c.query("INSERT INTO counter(what, n) VALUES(?, ?) ON CONFLICT(what) DO UPDATE SET n = n + excluded.n")
		q.int(int64(what))
		q.int(n)
		if err := q.exec(); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) reset() { t.counts = [counters]int64{} }

// counted reads a counter as it is within the transaction.
func (t *tx) counted(what int) (int64, error) {
	q := t.c.query("SELECT n FROM counter WHERE what = ?")
	q.int(int64(what))
	n := t.counts[what]
	if q.step() {
		n += q.colInt(0)
	}
	return n, q.done()
}

var _ store.Tx = (*tx)(nil)

func (t *tx) Persons() person.Store      { return (*persons)(t) }
func (t *tx) Identity() identity.Store   { return (*idents)(t) }
func (t *tx) Profile() profile.Store     { return (*packs)(t) }
func (t *tx) Segment() segment.Store     { return (*segments)(t) }
func (t *tx) Group() group.Store         { return (*groups)(t) }
func (t *tx) Timer() timer.Store         { return (*alarms)(t) }
func (t *tx) Consent() consent.Store     { return (*permissions)(t) }
func (t *tx) Outbox() outbox.Store       { return (*mails)(t) }
func (t *tx) Processor() processor.Store { return (*walk)(t) }
func (t *tx) Access() access.Store       { return (*keys)(t) }
func (t *tx) Ingest() ingest.Store       { return (*rejects)(t) }
func (t *tx) Project() project.Store     { return (*versions)(t) }
func (t *tx) Audit() audit.Store         { return (*trail)(t) }

func (t *tx) Destination() destination.Store { return (*tellings)(t) }
func (t *tx) Alert() alert.Store             { return (*alerts)(t) }
func (t *tx) Rights() rights.Store           { return (*requests)(t) }
func (t *tx) Breach() breach.Store           { return (*breaches)(t) }
