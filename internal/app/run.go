package app

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/outbox"
	"rapport/internal/profile"
	"rapport/internal/store"
)

// Run starts every room and waits until the context ends or one of them fails.
// Then it stops them in reverse: doors are the caller's, the walk goes on until
// what is on the wire has come to an end.
func (h *House) Run(ctx context.Context) error {
	walking, stopWalk := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWalk()
	sending, stopSend := context.WithCancel(ctx)
	defer stopSend()

	var inner, outer sync.WaitGroup
	failed := make(chan error, 8)
	start := func(group *sync.WaitGroup, run func(context.Context) error, with context.Context) {
		group.Go(func() {
			if err := run(with); err != nil {
				failed <- err
			}
		})
	}
	start(&inner, h.log.Run, walking)
	if err := h.walker.LoadSeen(walking); err != nil {
		stopWalk()
		inner.Wait()
		return err
	}
	start(&inner, h.walker.Run, walking)
	start(&inner, h.walker.RunRelay, walking)
	start(&inner, h.housekeeping, walking)
	start(&inner, h.trail.Run, walking)
	start(&inner, h.runKeys, walking)
	start(&outer, h.ringing, sending)
	start(&outer, h.startSending, sending)
	start(&outer, h.startTelling, sending)
	start(&outer, h.startAlerting, sending)

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stopSend()
	outer.Wait() // the dispatcher waits for the wire itself
	if merr := h.mark(walking); merr != nil && err == nil {
		h.logger.Warn("how far the walk is could not be noted in the log", "error", merr)
	}
	stopWalk()
	inner.Wait()
	return err
}

// ringing rings what is due as business time runs; whoever moves the clock by
// hand rings by hand.
func (h *House) ringing(ctx context.Context) error {
	if !h.clock.running(ctx) {
		return nil
	}
	return h.walker.RunAlarms(ctx)
}

// startSending begins to claim mails once everything that had arrived when the
// process began is walked: a withdrawal may be among it.
func (h *House) startSending(ctx context.Context) error {
	if err := h.eraseAgain(ctx); err != nil {
		return err
	}
	for _, lane := range []eventlog.Lane{eventlog.Live, eventlog.Bulk} {
		tail, _ := h.log.Tail(lane)
		if lane == eventlog.Bulk && tail-h.walker.Walked(lane) > 10_000 {
			continue // a long import: what narrows in it was applied at the door
		}
		if err := h.walker.Wait(ctx, lane, tail); err != nil {
			return nil //nolint:nilerr // The house stops before it has begun to send.
		}
	}
	if err := h.forgetAgain(ctx); err != nil {
		return err
	}
	h.consent.Settled()
	close(h.settled)
	return h.sender.run(ctx, h)
}

// housekeeping does what needs no hurry: retention of the log and of the
// duplicate window, and following a stepped wall clock.
func (h *House) housekeeping(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	last, retained := h.clock.Now(), time.Time{} // A start looks once, and then each day does.
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if ahead := h.clock.Follow(time.Now()); ahead > time.Minute || ahead < -time.Minute {
			h.logger.Warn("the wall clock was stepped", "ahead", ahead.Round(time.Second).String())
		}
		err := h.mark(ctx)
		if fault.KindOf(err) == fault.Conflict {
			return err // The database is no longer this process's own.
		}
		if err != nil && ctx.Err() == nil {
			h.logger.Warn("how far the walk is could not be noted in the log", "error", err)
		}
		now := h.clock.Now()
		if now.Sub(last) < 10*time.Minute {
			continue
		}
		last = now
		err = h.clean(ctx, now)
		if err == nil && now.Sub(retained) >= 24*time.Hour {
			if err = h.retain(ctx); err == nil {
				retained = now
			}
		}
		h.cleaning.Store(&cleaning{err})
		if err != nil && ctx.Err() == nil {
			h.logger.Warn("cleaning failed, trying again later", "error", err)
		}
	}
}

// lanes are those of one node.
var lanes = []eventlog.Lane{eventlog.Live, eventlog.Bulk}

// mark notes in the log how far the state has walked, once that is durable: a
// state that comes back older has lost what it decided since.
func (h *House) mark(ctx context.Context) error {
	var walked [2]int64
	for _, lane := range lanes {
		walked[lane] = h.walker.Walked(lane)
	}
	// A durable write makes everything before it durable too.
	err := h.state.SetMeta(ctx, "marked", strconv.AppendInt(nil, walked[eventlog.Live], 10))
	for _, lane := range lanes {
		if err == nil {
			err = h.logStore.Mark(ctx, lane, walked[lane])
		}
	}
	return err
}

// mustBeAsNew refuses a state that has walked less than the log knows of.
func (h *House) mustBeAsNew(ctx context.Context) error {
	for _, lane := range lanes {
		marked, err := h.logStore.Marked(ctx, lane)
		if err != nil {
			return err
		}
		if walked := h.walker.Walked(lane); walked < marked {
			return fault.New(fault.Conflict, "state_older",
				"state.db has walked lane %d up to %d, and had come to %d once: it is damaged or older than its log; restore both from one backup, for walking on would decide again what was decided",
				lane, walked, marked)
		}
	}
	return nil
}

func (h *House) clean(ctx context.Context, now time.Time) error {
	events := h.edition().config.Workspace.Events
	_, err := h.log.Expire(ctx, h.walker.Walked, events.KeepLog)
	since, serr := h.walker.SeenSince(ctx)
	if err = errors.Join(err, serr); err != nil {
		return err
	}
	err = h.state.Write(ctx, store.WriteOptions{Priority: store.Idle}, func(tx store.Tx) error {
		return tx.Processor().DropSeen(since)
	})
	return errors.Join(err, h.dropUses(ctx, now.Add(-outbox.LongestWindow)), h.office.Clean(ctx), h.requests().Lapse(ctx))
}

// sender owns the dispatcher and makes a new one when a configuration changes
// how mails leave.
type sender struct {
	mu      sync.Mutex
	now     *delivery.Dispatcher
	changed chan struct{}
	next    *edition
	skips   delivery.Skips // of all dispatchers since the start
}

func (s *sender) wake(ids []id.Message) {
	s.mu.Lock()
	d := s.now
	s.mu.Unlock()
	if d != nil {
		d.Wake(ids...)
	}
}

// configure tells that another configuration is in effect.
func (s *sender) configure(e *edition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = e
	if s.changed != nil {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// dispatcher gives the one that sends now, nil before sending began.
func (s *sender) dispatcher() *delivery.Dispatcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *sender) run(ctx context.Context, h *House) error {
	s.mu.Lock()
	s.changed = make(chan struct{}, 1)
	s.mu.Unlock()
	for e := h.edition(); ; {
		d, err := h.newDispatcher(e)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.now = d
		s.mu.Unlock()
		inner, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- d.Run(inner) }()
		next, err := s.until(ctx, e, done)
		stop()
		if next == nil {
			if err == nil {
				err = <-done
			}
			return err
		}
		if err := <-done; err != nil {
			return err
		}
		e = next
	}
}

// until waits for a configuration that changes how mails leave, or the end.
func (s *sender) until(ctx context.Context, e *edition, done chan error) (*edition, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case err := <-done:
			done <- nil
			if err == nil && ctx.Err() == nil {
				err = errors.New("sending has stopped by itself")
			}
			return nil, err
		case <-s.changed:
			s.mu.Lock()
			next := s.next
			s.mu.Unlock()
			if !sameWays(e, next) {
				return next, nil
			}
		}
	}
}

// sameWays tells whether two configurations send alike.
func sameWays(a, b *edition) bool {
	x, y := a.config.Workspace.Sending, b.config.Workspace.Sending
	return a == b || (reflect.DeepEqual(a.config.Providers, b.config.Providers) && x.Provider == y.Provider &&
		x.Quiet == y.Quiet && slices.Equal(x.Caps, y.Caps) && a.config.Workspace.TimeZone.String() == b.config.Workspace.TimeZone.String())
}

func (h *House) newDispatcher(e *edition) (*delivery.Dispatcher, error) {
	ways, limits, err := h.waysOut(e.config)
	if err != nil {
		return nil, err
	}
	sending := e.config.Workspace.Sending
	return delivery.New(delivery.Config{
		State: telling{h.state, h.walker.RelayWaits}, Renderer: h.renderer, Gate: h.figures, Suppressor: h.figures,
		Providers: ways, Default: sending.Provider, Limits: limits,
		Rules: outbox.Rules{Caps: sending.Caps, Quiet: sending.Quiet}, Skips: &h.sender.skips,
		Now: h.clock.Now, Mono: time.Now, Until: h.clock.Until,
		Zone:   h.zoneOf(e),
		Logger: h.logger.With("room", "delivery"),
	})
}

// zoneOf gives the zone on whose clock a reader's quiet hours are: the person's
// own where their `timezone` trait names one, else the workspace's.
func (h *House) zoneOf(e *edition) func(store.Tx, id.Person) *time.Location {
	workspace, quiet := e.config.Workspace.TimeZone, e.config.Workspace.Sending.Quiet
	return func(tx store.Tx, who id.Person) *time.Location {
		if quiet == (outbox.Quiet{}) {
			return workspace
		}
		_, r, _, err := row(tx, who)
		if err != nil {
			return workspace // Whoever cannot be read is found out by the gate.
		}
		var p profile.Profile
		if p.Decode(r.Profile) != nil {
			return workspace
		}
		name := p.Text("timezone")
		if name == "" || name == "Local" {
			return workspace
		}
		if known, ok := h.zones.Load(name); ok {
			return known.(*time.Location)
		}
		zone, err := time.LoadLocation(name)
		if err != nil {
			zone = workspace
		}
		if h.zoneCount.Add(1) < maxZones {
			h.zones.Store(name, zone)
		}
		return zone
	}
}

// maxZones bounds what is remembered of zone names: the database has about 600,
// traits may hold anything.
const maxZones = 1000

// telling is a state store that tells when something was written: what sending
// writes, the relay may have to say.
type telling struct {
	store.State
	wrote func()
}

// Write implements store.State.
func (t telling) Write(ctx context.Context, o store.WriteOptions, fn func(store.Tx) error) error {
	err := t.State.Write(ctx, o, fn)
	if err == nil {
		t.wrote()
	}
	return err
}

// journal appends the house's own records to the live lane.
type journal House

// AppendEvent implements consent.Log and its like.
func (j *journal) AppendEvent(ctx context.Context, e *event.Event) error {
	_, _, err := j.log.Append(ctx, eventlog.Live, [][]byte{e.Append(nil)})
	return err
}
