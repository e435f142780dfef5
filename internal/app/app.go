// Package app is the roof: it opens a data folder, builds every room, runs them
// and stops them in reverse. What comes in are settings; what goes out is a
// running house. It holds wiring and no rule, and it is the only room that
// reads clocks and random sources for the others.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rapport/internal/access"
	"rapport/internal/alert"
	"rapport/internal/audit"
	"rapport/internal/cert"
	"rapport/internal/consent"
	"rapport/internal/content"
	"rapport/internal/delivery"
	"rapport/internal/delivery/devinbox"
	"rapport/internal/destination"
	"rapport/internal/doctor"
	"rapport/internal/eventlog"
	"rapport/internal/explain"
	"rapport/internal/feedback"
	"rapport/internal/fetch"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/journey"
	"rapport/internal/processor"
	"rapport/internal/project"
	"rapport/internal/purview"
	"rapport/internal/ratelimit"
	"rapport/internal/rights"
	"rapport/internal/store"
	"rapport/internal/store/move"
)

// Options say which house to open. Data is required.
type Options struct {
	Data     string               // the data folder
	Database string               // address of a PostgreSQL database that holds log and state; "" for files in the data folder
	Clock    *Clock               // nil: real time
	Logger   *slog.Logger         // nil: none
	Metrics  *prometheus.Registry // nil: a new one
	Secrets  project.Secrets      // where the configuration's references are looked up
	VFS      string               // name of a registered SQLite VFS, for tests
	Public   string               // the address readers reach, where it differs from the configuration's base_url
	Build    string               // the version of the program, for the status
	Cores    int                  // how many mails are signed at a time; 0: as many as there are cores
	Root     RootKey              // seals what is stored
	Wire     delivery.Provider    // takes the place of every provider of the configuration, for simulations

	// Space gives what is free on the disk of the data folder and how large that
	// is; nil asks the system.
	Space func() (free, total int64, err error)
}

// House is an open data folder with every room built. Open, then Run, then Close.
type House struct {
	Options
	clock       *Clock
	logger      *slog.Logger
	keys        *keys
	keyring     *Keyring // nil: nothing is sealed
	logStore    logStore
	state       store.State
	bare        move.House // log and state as they lie there
	copies      sync.Mutex // held by a backup
	trail       *audit.Trail
	checkpoints *operatorMailer // mails them
	log         *eventlog.Log
	hasher      *id.Hasher
	resolver    *identity.Resolver
	consent     *consent.Authority
	walker      *processor.Walker
	reader      *explain.Reader
	access      *access.Keys
	ingest      *ingest.Ingest
	limits      *ratelimit.Keyed
	space       *space
	figures     *figures
	renderer    *content.Renderer
	links       *links
	desk        *feedback.Desk
	editions    *editions
	sender      sender
	office      *destination.Office
	board       *alert.Board
	cleaning    atomic.Pointer[cleaning] // how it last went
	clients     []*fetch.Client          // of the office's destinations
	told        []project.Destination
	toldFrom    *purview.Table          // what they may be told of
	barred      rights.Barred           // of whom nothing is kept any more
	erasures    *erasures               // the same, in a file that no backup of the databases brings back
	again       []id.Hash               // barred by the file alone: the state is older, and may hold them again
	erasedThen  map[id.Hash][]id.Person // who was erased with each name, while that is still to be done again
	settled     chan struct{}           // closed once what had arrived at the start is walked
	inEffect    chan struct{}           // closed once a configuration is
	effect      sync.Once
	doors       http.Handler
	inbox       *devinbox.Inbox
	hello       string
	// certificate keeps the one that the doors are served under, nil without TLS.
	certificate atomic.Pointer[cert.Keeper]
	open        atomic.Pointer[doctor.Doors] // nil while nobody is let in

	mu      sync.Mutex
	current *edition // in effect

	zones     sync.Map // name → *time.Location
	zoneCount atomic.Int64
	applying  sync.Mutex

	closers []func() error
}

// Open opens a data folder, or makes a new one with this first configuration.
// Where the folder already has a configuration, another one given here is
// applied as Apply does once Run has begun.
func Open(ctx context.Context, o Options, first *project.Config) (_ *House, err error) {
	h := &House{Options: o, clock: o.Clock, logger: o.Logger, settled: make(chan struct{}), inEffect: make(chan struct{})}
	if h.clock == nil {
		h.clock = NewClock(time.Now(), 1)
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if h.Metrics == nil {
		h.Metrics = prometheus.NewRegistry()
	}
	if h.hello, err = os.Hostname(); err != nil || h.hello == "" {
		h.hello = "localhost"
	}
	if h.inbox, err = devinbox.New(devinbox.Config{Now: h.clock.Now, Logger: h.logger}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if err := h.openCellar(ctx); err != nil {
		return nil, err
	}
	if err := h.openBarred(ctx); err != nil {
		return nil, err
	}
	if err := h.firstEdition(ctx, first); err != nil {
		return nil, err
	}
	if err := h.buildWalk(ctx); err != nil {
		return nil, err
	}
	if err := h.mustOpenNewest(ctx); err != nil {
		return nil, err
	}
	if err := h.openBoard(); err != nil {
		return nil, err
	}
	if err := h.buildDoors(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// onClose has something undone when the house is closed, the last one first.
func (h *House) onClose(fn func() error) { h.closers = append(h.closers, fn) }

// firstEdition finds the configuration to begin with, and stores the first one.
func (h *House) firstEdition(ctx context.Context, first *project.Config) error {
	var latest project.Version
	var stored bool
	err := h.state.Read(ctx, func(tx store.Tx) (err error) {
		latest, stored, err = tx.Project().LatestVersion()
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("read the configuration: %w", err)
	case !stored && first == nil:
		return errors.New("this data folder has no configuration yet: name one with --config DIR (`rapport init DIR` makes one)")
	case !stored:
		latest = project.Version{Number: 1, Applied: h.clock.Now(), Digest: first.Digest, Files: first.Files}
		if err := h.storeVersion(ctx, latest); err != nil {
			return err
		}
	}
	number := latest.Number
	err = h.state.Read(ctx, func(tx store.Tx) error {
		fill, ok, err := tx.Segment().Backfill()
		if ok && fill.Version > 0 {
			number = fill.Version
		}
		return err
	})
	if err != nil {
		return err
	}
	if h.current, err = h.editions.edition(ctx, number); err != nil {
		return err
	}
	return h.useTrail(h.current.config)
}

func (h *House) storeVersion(ctx context.Context, v project.Version) error {
	config, _ := project.LoadStored(project.Files(v.Files), nil)
	err := h.state.Write(ctx, store.WriteOptions{Priority: store.Urgent, Durable: true}, func(tx store.Tx) error {
		if config != nil {
			if err := consent.KeepNotices(tx.Consent(), config.Notices, v.Applied); err != nil {
				return err
			}
		}
		return tx.Project().InsertVersion(v)
	})
	if err != nil {
		return fmt.Errorf("store configuration %d: %w", v.Number, err)
	}
	return nil
}

// buildWalk makes the rooms that an event walks through.
func (h *House) buildWalk(ctx context.Context) error {
	var err error
	w := h.current.config.Workspace
	limits := map[string]int{}
	if w.Limits.Identifiers > 0 {
		limits[""] = w.Limits.Identifiers
	}
	h.resolver = identity.New(identity.Config{Hasher: h.hasher, Limits: limits})
	h.consent, err = consent.New(ctx, consent.Config{
		Policy: h.current.config.Policy, Keeper: store.NewPermission(h.state), Hasher: h.hasher, Log: (*journal)(h), Now: h.clock.Now,
	})
	if err != nil {
		return err
	}
	if err := h.openOffice(); err != nil {
		return err
	}
	h.walker, err = processor.New(processor.Config{
		Log: h.log, Keeper: store.Walk{State: h.state}, Resolver: h.resolver, Hasher: h.hasher, Consent: h.consent, Clock: h.clock, Mono: time.Now,
		Logger: h.logger.With("room", "processor"), Window: w.Events.DedupeWindow,
		Load:    h.loadVersion,
		Applied: h.applied,
		Owed:    func(ids []id.Message) { h.sender.wake(ids) },
		Erased:  h.erased,
		Admits:  h.admits,
		Barred:  h.barred.Has,
	})
	if err != nil {
		return err
	}
	if err := h.walker.Open(ctx); err != nil {
		return err
	}
	if err := h.mustBeAsNew(ctx); err != nil {
		return err
	}
	h.reader, err = explain.New(explain.Config{
		Keeper: store.Walk{State: h.state}, Resolver: h.resolver, Consent: h.consent, Version: h.walker.Version, Now: h.clock.Now,
	})
	h.figures = &figures{
		state: h.state, resolver: h.resolver, consent: h.consent,
		journeys: func() *journey.Catalog { return h.walker.Version().Journeys },
		purview:  func() *purview.Table { return h.walker.Version().Purview },
		now:      h.clock.Now,
	}
	return err
}

func (h *House) loadVersion(ctx context.Context, number int) (*processor.Version, error) {
	e, err := h.editions.edition(ctx, number)
	if err != nil {
		return nil, err
	}
	return e.walk, nil
}

// applied lets the rest of the house follow the walk to a configuration.
func (h *House) applied(v *processor.Version) {
	ctx := context.Background()
	e, err := h.editions.edition(ctx, v.Number)
	if err != nil {
		h.logger.Error("the configuration in effect cannot be read", "version", v.Number, "error", err)
		return
	}
	h.mu.Lock()
	h.current = e
	h.mu.Unlock()
	if err := h.consent.SetPolicy(ctx, e.config.Policy); err != nil {
		h.logger.Error("the purposes in effect cannot be read", "version", v.Number, "error", err)
	}
	if h.renderer != nil {
		h.renderer.Use(e.content)
		if _, err := h.links.use(h.base(e.config)); err != nil {
			h.logger.Error("base_url cannot be used; links keep the former one", "error", err)
		}
	}
	h.declareKeys(e.config)
	if err := h.useTrail(e.config); err != nil {
		h.logger.Error("checkpoints of the trail leave as before", "version", v.Number, "error", err)
	}
	h.sender.configure(e)
	if err := h.useDestinations(ctx, e.config); err != nil {
		h.logger.Error("the destinations in effect cannot be told; those before still are", "version", v.Number, "error", err)
	}
	h.effect.Do(func() { close(h.inEffect) })
}

// edition gives the configuration in effect.
func (h *House) edition() *edition {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current
}

// Close closes what Open opened, in reverse. It must come after Run has returned.
func (h *House) Close() error {
	var errs []error
	if h.log != nil {
		errs = append(errs, h.log.Close())
	}
	for i := len(h.closers) - 1; i >= 0; i-- {
		errs = append(errs, h.closers[i]())
	}
	h.closers, h.log = nil, nil
	return errors.Join(errs...)
}

// Clock gives the house's business time.
func (h *House) Clock() *Clock { return h.clock }

// Inbox is the development inbox: what a provider of kind devinbox was given.
func (h *House) Inbox() *devinbox.Inbox { return h.inbox }

// Handler serves every door.
func (h *House) Handler() http.Handler { return h.doors }

// Version gives the number of the configuration in effect.
func (h *House) Version() int { return h.edition().number }
