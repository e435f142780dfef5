// Package delivery sends what is owed: it claims mails of the outbox, renders
// them, asks permission again, hands them over to a provider and records what
// became of them. What comes in are ids of mails (Wake) and the outbox itself;
// what goes out are mails at a provider, the story of each in the outbox, and
// an event about each end for the log.
//
// A mail is handed over durably before a byte of it leaves, and sent outside of
// any transaction, so that after a crash only the mails that were on the wire
// have an unknown end. It never decides what to send or whom to ask, never
// sends marketing twice, and never applies a result that came too late.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"rapport/internal/id"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

// Config is what a Dispatcher is made of. State, Renderer, Gate, Providers, Now,
// Mono and Logger are required.
type Config struct {
	State      store.State
	Renderer   Renderer
	Gate       Gate
	Suppressor Suppressor // nil: dead addresses are only told in the event
	Providers  map[string]Provider
	Default    string            // the provider of intents that name none; may be empty if there is one only
	Limits     map[string]Limits // by provider
	Rules      outbox.Rules
	Skips      *Skips // where skipped mails are counted; nil: nowhere that is seen

	Now  func() time.Time // business time
	Mono func() time.Time // machine time
	// Until translates an instant of business time to how long that is from now
	// in machine time; nil takes them to run alike.
	Until  func(time.Time) time.Duration
	Zone   func(store.Tx, id.Person) *time.Location // nil: UTC
	Rand   func() float64                           // jitter in [0, 1); nil: a source of our own
	Logger *slog.Logger

	Lease         time.Duration // 0: 15 minutes; longer than any provider's deadline
	RenderTimeout time.Duration // 0: 30 seconds
	UnknownGrace  time.Duration // how long a marketing mail of unknown end is shown as such before it is closed; 0: 15 minutes
	StopWait      time.Duration // how long Run waits for mails on the wire after its context ended; 0: 30 seconds
}

// Dispatcher is the back half's engine. It is safe for concurrent use.
type Dispatcher struct {
	cfg    Config
	lanes  map[string]*lane
	names  []string // of lanes, sorted
	ledger *ledger
	intake intake
	mails  registry
	unsure unsure

	stop     chan struct{} // closed: no more claims
	stopOnce sync.Once
	started  chan struct{} // closed when Run has begun
	ended    chan struct{} // closed when Run has ended
}

// New checks the configuration and makes a Dispatcher. Nothing happens before Run.
func New(c Config) (*Dispatcher, error) {
	if c.State == nil || c.Renderer == nil || c.Gate == nil || c.Now == nil || c.Mono == nil || c.Logger == nil || len(c.Providers) == 0 {
		return nil, errors.New("delivery: State, Renderer, Gate, Providers, Now, Mono and Logger are required")
	}
	setDefault(&c.Lease, 15*time.Minute)
	setDefault(&c.RenderTimeout, 30*time.Second)
	setDefault(&c.UnknownGrace, 15*time.Minute)
	setDefault(&c.StopWait, 30*time.Second)
	if c.Until == nil {
		now := c.Now
		c.Until = func(t time.Time) time.Duration { return t.Sub(now()) }
	}
	if c.Zone == nil {
		c.Zone = func(store.Tx, id.Person) *time.Location { return time.UTC }
	}
	if c.Skips == nil {
		c.Skips = &Skips{}
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	d := &Dispatcher{
		cfg: c, lanes: map[string]*lane{},
		stop: make(chan struct{}), started: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := d.makeLanes(); err != nil {
		return nil, err
	}
	d.ledger = newLedger(c.State, c.Gate, c.Mono, c.Logger, c.Skips)
	d.intake.init()
	d.mails.init()
	d.unsure.init()
	return d, nil
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// makeLanes gives each provider its lane and checks the names that refer to one.
func (d *Dispatcher) makeLanes() error {
	c := &d.cfg
	for name, p := range c.Providers {
		l := newLane(name, p, c.Limits[name], c.Rand)
		if l.deadline+time.Minute > c.Lease {
			return fmt.Errorf("delivery: lease of %s is too short for provider %q, whose sends may take %s", c.Lease, name, l.deadline)
		}
		d.lanes[name] = l
		d.names = append(d.names, name)
		if len(c.Providers) == 1 && c.Default == "" {
			c.Default = name
		}
	}
	if _, ok := d.lanes[c.Default]; !ok {
		return fmt.Errorf("delivery: default provider %q is not among the providers", c.Default)
	}
	for name, l := range c.Limits {
		if _, ok := d.lanes[name]; !ok {
			return fmt.Errorf("delivery: limits name an unknown provider %q", name)
		}
		if _, ok := d.lanes[l.Fallback]; l.Fallback != "" && (!ok || l.Fallback == name) {
			return fmt.Errorf("delivery: provider %q cannot fall back to %q", name, l.Fallback)
		}
	}
	return nil
}

// Wake says that these mails are owed as of now: it is called right after the
// transaction that inserted them has committed, so that nothing waits for a
// poll. Without ids it makes the Dispatcher look at the outbox and the clock
// again. It never blocks.
func (d *Dispatcher) Wake(ids ...id.Message) { d.intake.wake(ids) }

// Run ends every lease of earlier processes (Recover), then sends what is owed
// until the context ends. Then it claims no more, gives back what it has not
// handed over, waits StopWait for what is on the wire, and says how much of that
// is left to become unknown.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer close(d.ended)
	if err := d.Recover(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop before it began
		}
		return err
	}
	// What has begun goes on after ctx has ended, until the wire is quiet.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var writers, workers, helpers sync.WaitGroup
	writers.Go(d.ledger.run)
	for _, name := range d.names {
		l := d.lanes[name]
		for range l.concurrency {
			workers.Go(func() { d.work(work, l) })
		}
	}
	helpers.Go(func() { d.claimLoop(work) })
	helpers.Go(func() { d.leaseLoop(work) })
	helpers.Go(func() { d.unsureLoop(work) })
	close(d.started)
	d.intake.wake(nil)

	select {
	case <-ctx.Done():
	case <-d.stop:
	}
	onWire := d.windDown()
	cancel()
	d.ledger.yield()
	helpers.Wait()
	workers.Wait()
	d.ledger.close()
	writers.Wait()
	if onWire > 0 {
		d.cfg.Logger.Warn("stopped with mails on the wire: their end is unknown", "mails", onWire)
	}
	return nil
}

// Drain stops claiming, waits until nothing is on the wire, the context ends or
// StopWait has passed, and tells how many mails were left on the wire.
func (d *Dispatcher) Drain(ctx context.Context) int {
	d.stopOnce.Do(func() { close(d.stop) })
	select {
	case <-d.ended:
	case <-ctx.Done():
	}
	return d.mails.onWire()
}

// windDown ends claiming and waits for the wire to become quiet; what is still
// on it after StopWait is left, and counted.
func (d *Dispatcher) windDown() int {
	d.stopOnce.Do(func() { close(d.stop) })
	for _, l := range d.lanes {
		l.queue.close()
	}
	patience := time.NewTimer(d.cfg.StopWait)
	defer patience.Stop()
	for {
		quiet := d.mails.quiet()
		if d.mails.count() == 0 {
			return 0
		}
		select {
		case <-quiet:
		case <-patience.C:
			return d.mails.onWire()
		}
	}
}

// Settle waits until nothing that is due by now is unsent: no mail is claimed,
// none is owed, and no unknown end can be decided yet. Simulations and tests ask it between two instants.
func (d *Dispatcher) Settle(ctx context.Context) error {
	select {
	case <-d.started:
	case <-d.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		calm := d.intake.calmed()
		if idle, err := d.idle(ctx); err != nil || idle {
			return err
		}
		select {
		case <-calm:
		case <-d.mails.quiet():
		case <-d.ended:
			return errors.New("settle: the dispatcher has ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// idle tells whether nothing is claimed and nothing due is owed.
func (d *Dispatcher) idle(ctx context.Context) (bool, error) {
	if d.mails.count() > 0 || d.intake.busy() || d.unsure.open(d.cfg.Now()) {
		return false, nil
	}
	owed := 0
	err := d.cfg.State.Read(ctx, func(tx store.Tx) error {
		list, err := tx.Outbox().Owed(d.cfg.Now(), 1)
		owed = len(list)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for owed mails: %w", err)
	}
	if owed > 0 {
		d.intake.wake(nil)
		return false, nil
	}
	return d.mails.count() == 0 && !d.intake.busy(), nil
}
