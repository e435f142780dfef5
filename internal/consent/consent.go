// Package consent is the authority on permission: the ledger of what people
// said, the suppression list, and the one question that every gate asks,
// Decide. What comes in are statements (from events, links, the API and GPC
// signals) and questions; what goes out are durable ledger rows and decisions
// with their reason, legal basis, record and version. Default deny; an error
// denies. It never sends, never renders, and keeps no address, only keyed
// hashes.
package consent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// Keeper runs functions over the consent rows of the state store. The roof
// joins it to store.State.
type Keeper interface {
	// Write runs fn in a transaction that is urgent, and durable before it
	// returns. An error from fn rolls everything back.
	Write(ctx context.Context, fn func(Store) error) error
	// Narrow is Write for what narrows: it goes before everything else, and may
	// share its transaction with other Narrows. fn may be run more than once.
	Narrow(ctx context.Context, fn func(Store) error) error
	// Read runs fn in a snapshot.
	Read(ctx context.Context, fn func(Store) error) error
}

// Log takes records of the house's own making (event.Consent) into the live
// lane, durably.
type Log interface {
	AppendEvent(ctx context.Context, ev *event.Event) error
}

// Config is what an Authority needs.
type Config struct {
	Policy *Policy
	Keeper Keeper
	Hasher *id.Hasher
	Log    Log              // needed by Submit only; may be nil where nothing is submitted
	Now    func() time.Time // business time
}

// Authority answers every question about permission and takes every statement.
// It is safe for concurrent use; questions on the hot path take no lock.
type Authority struct {
	keeper Keeper
	hasher *id.Hasher
	log    Log
	now    func() time.Time

	view    atomic.Pointer[view]
	version atomic.Int64
	tick    atomic.Int64 // orders what transactions did, drawn inside them

	mu       sync.Mutex          // guards writing to the view
	coming   map[statement]int64 // grants that stand in the log and are not yet walked, by arrival
	unsaid   map[statement]bool  // walked words of one instant that changed nothing and were not written down
	unsaidAt int64               // that instant
	settled  atomic.Bool         // the log has been walked up to where it stood at the start
	counts   [countKinds]atomic.Uint64
}

// view is one policy with the picture made for it.
type view struct {
	policy  *Policy
	picture *picture
}

// statement names what a grant that is on its way would change.
type statement struct {
	subject id.Hash
	purpose purpose.Purpose
}

// New reads all narrowings and suppressions and is then ready to answer.
func New(ctx context.Context, c Config) (*Authority, error) {
	switch {
	case c.Policy == nil:
		return nil, errors.New("consent: Config.Policy is missing")
	case c.Keeper == nil:
		return nil, errors.New("consent: Config.Keeper is missing")
	case c.Hasher == nil:
		return nil, errors.New("consent: Config.Hasher is missing")
	case c.Now == nil:
		return nil, errors.New("consent: Config.Now is missing")
	}
	a := &Authority{keeper: c.Keeper, hasher: c.Hasher, log: c.Log, now: c.Now, coming: map[statement]int64{}, unsaid: map[statement]bool{}}
	if err := a.SetPolicy(ctx, c.Policy); err != nil {
		return nil, err
	}
	return a, nil
}

// Policy gives the policy that holds now. It must not be changed.
func (a *Authority) Policy() *Policy { return a.view.Load().policy }

// Version is the number of the newest ledger row this process knows of.
func (a *Authority) Version() int64 { return a.version.Load() }

// SetPolicy lets another policy hold, and reads the picture anew for it.
func (a *Authority) SetPolicy(ctx context.Context, p *Policy) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	pic := newPicture(a.tick.Load())
	err := a.keeper.Read(ctx, func(st Store) error {
		version, err := st.Version()
		if err != nil {
			return err
		}
		if version > a.version.Load() {
			a.version.Store(version)
		}
		return pic.load(p, st)
	})
	if err != nil {
		return fmt.Errorf("load permissions: %w", err)
	}
	a.view.Store(&view{policy: p, picture: pic})
	return nil
}

// Settled tells the authority that the log is walked up to where it stood when
// the process began. Until then a "no" that changes nothing is written down
// nevertheless, for a grant that arrived before it may still come out of the log.
func (a *Authority) Settled() { a.settled.Store(true) }

// Count names something worth watching.
type Count uint8

// The counts.
const (
	GrantsRefused  Count = iota // grants that a browser key may not give
	GrantsOvertake              // grants that lost because a narrower word came later or at the same instant
	NarrowingsMade              // narrowings written before their 2xx
	countKinds
)

// Counted gives how often something happened since the start.
func (a *Authority) Counted(c Count) uint64 { return a.counts[c].Load() }
