package processor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"rapport/internal/consent"
	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/profile"
	"rapport/internal/rule"
	"rapport/internal/segment"
)

// recordError is a failure that one record caused.
type recordError struct {
	index int
	err   error
}

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// pass is the state of one transaction over a batch.
type pass struct {
	books       *Books
	owed        []id.Message
	consent     []consent.Applied
	hashes      []byte
	runs        []seenRun
	dups        int64
	derived     int64
	merges      int64
	refused     int64
	asides      int64
	withdrawn   int64
	erasedMails int64
	expired     int64 // traits that were kept no longer
	late        int64 // records about somebody who was erased
	gone        []id.Person
	barred      []id.Hash // nothing was kept under them from some record on
	admitted    []id.Hash // and under these it is at the end
	told        bool      // the relay has something to say
	armed       int64     // the earliest instant armed in this pass
}

// walk commits one batch, setting aside what cannot be walked. It returns only
// when the batch is done, the context ends, or nothing at all can be written.
func (w *Walker) walk(ctx context.Context, b *batch) error {
	return w.span(ctx, b, 0, len(b.items), map[int]error{})
}

// waitFirst is how long trouble is waited out at first.
const waitFirst = 5 * time.Millisecond

// span commits items [from, to). Trouble that may pass is waited out; a record
// that fails is set aside; where the whole fails and no record is named (a row
// that cannot be written), halving finds the one.
func (w *Walker) span(ctx context.Context, b *batch, from, to int, aside map[int]error) error {
	for wait := waitFirst; ; {
		n, err := w.try(ctx, b, from, to, aside)
		var bad *recordError
		switch {
		case err == nil && from+n == to:
			return nil
		case err == nil:
			from, wait = from+n, waitFirst
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrMoved), errors.Is(err, ErrNoVersion), errors.Is(err, ErrLost):
			return err
		case temporary(err):
			w.Logger.Warn("walking a batch failed, trying again", "lane", int(b.lane), "first", b.items[from].pos, "error", err)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(wait): // machine time: the store's trouble does not follow business time
			}
			wait = min(2*wait, time.Second)
		case errors.As(err, &bad):
			aside[bad.index] = bad.err
		case to-from > 1:
			mid := (from + to) / 2
			if err := w.span(ctx, b, from, mid, aside); err != nil {
				return err
			}
			from = mid
		case aside[from] != nil:
			return fmt.Errorf("set a record aside: %w", err)
		default:
			aside[from] = err
		}
	}
}

// temporary tells whether the same batch may pass when it is tried again.
func temporary(err error) bool {
	return fault.Temporary(err) || errors.Is(err, context.DeadlineExceeded)
}

// try walks items [from, to) of a batch in one transaction, or the first of them
// where somebody waits for its end or has, and tells how many.
func (w *Walker) try(ctx context.Context, b *batch, from, to int, aside map[int]error) (int, error) {
	if w.short {
		to = min(to, from+shortTurn)
	}
	part := batch{lane: b.lane, first: b.items[from].pos, items: b.items[from:to]}
	if from == 0 && to == len(b.items) {
		part.named = b.named
	}
	next, err := w.nextVersion(ctx, &part, aside, from)
	if err != nil {
		return 0, &recordError{from, err}
	}
	p := pass{armed: rule.Never}
	previous := w.version
	if next != nil {
		w.setVersion(next)
	}
	err = w.Keeper.Write(ctx, b.lane == eventlog.Bulk, func(books Books) error {
		p = pass{books: &books, armed: rule.Never, hashes: p.hashes[:0], runs: p.runs[:0], owed: p.owed[:0], consent: p.consent[:0]}
		part.items = b.items[from:to]
		return w.inside(&p, &part, from, aside)
	})
	if err != nil {
		w.setVersion(previous)
		w.forget()
		return 0, err
	}
	w.committed(&p, &part, next)
	return len(part.items), nil
}

// forget takes back everything that a transaction that was rolled back has left
// in memory.
func (w *Walker) forget() {
	w.set.forget()
	clear(w.batchSeen)
	clear(w.counts)
	clear(w.queue)
	w.queue, w.cascade = w.queue[:0], cascade{}
}

func (w *Walker) setVersion(v *Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version = v
}

// nextVersion compiles the configuration that a batch of one record brings.
func (w *Walker) nextVersion(ctx context.Context, b *batch, aside map[int]error, from int) (*Version, error) {
	it := &b.items[0]
	if it.err != nil || it.e.Type != event.Config || aside[from] != nil {
		return nil, nil //nolint:nilerr // A record that cannot be read brings none; the walk sets it aside.
	}
	number, err := versionNumber(&it.e)
	if err != nil {
		return nil, err
	}
	if number <= w.version.Number {
		return nil, nil
	}
	return w.Load(ctx, number)
}

// A transaction ends for somebody who said no once it has taken leastTurn and walked
// leastItems, or whatever it has walked by longTurn: however many say so, the walk goes
// on. The next one begins with no more than shortTurn records, so that looking up whom
// they name is short as well.
const (
	leastTurn  = 3 * time.Millisecond
	longTurn   = 10 * leastTurn
	leastItems = 16
	shortTurn  = 64
)

// inside is the transaction: look up, walk each record, save.
func (w *Walker) inside(p *pass, b *batch, from int, aside map[int]error) error {
	w.p, w.failure, w.began, w.short = p, nil, w.Mono(), false
	if err := w.packer.begin(p.books.History); err != nil {
		return err
	}
	if err := w.set.begin(p.books, b); err != nil {
		return err
	}
	p.books.Consent = &foresight{Store: p.books.Consent, set: &w.set}
	for i := range b.items {
		it := &b.items[i]
		if err := aside[from+i]; err != nil {
			if err := w.failed(b.lane, it, err); err != nil {
				return err
			}
		} else if err := w.guarded(it, b.lane); err != nil {
			return &recordError{from + i, err}
		}
		if w.pressed(i + 1) {
			w.short = true
			b.items = b.items[:i+1] // The rest has a transaction of its own, after theirs.
			break
		}
	}
	if w.failure != nil {
		return w.failure
	}
	return w.save(b)
}

// pressed tells whether the transaction in hand, which has walked so many records, is
// to end for somebody who waits.
func (w *Walker) pressed(walked int) bool {
	if w.p.books.Pressed == nil {
		return false
	}
	least := leastTurn
	if walked < leastItems {
		least = longTurn
	}
	return w.Mono().Sub(w.began) >= least && w.p.books.Pressed()
}

// hurries tells whether it had better load nobody more ahead of their turn.
func (w *Walker) hurries() bool { return w.pressed(leastItems) }

func (w *Walker) save(b *batch) error {
	if err := w.packer.Flush(); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	if err := w.set.save(); err != nil {
		return err
	}
	if len(w.counts) > 0 {
		if err := w.p.books.Segment.AddCounts(w.counts); err != nil {
			return fmt.Errorf("count segments: %w", err)
		}
		clear(w.counts)
	}
	if err := w.p.writeSeen(); err != nil {
		return err
	}
	if err := w.p.books.Walk.Advance(b.lane, b.first-1, b.last()); err != nil {
		return err
	}
	if x, ok := w.p.books.Walk.(Witness); ok {
		return x.Walked(b.lane, b.first, b.last(), b.sum())
	}
	return nil
}

// guarded walks one record and turns a panic into its error, so that a defect
// in one record's way never stops the walk.
func (w *Walker) guarded(it *item, lane eventlog.Lane) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = w.panicked(r, "position", it.pos)
		}
	}()
	return w.one(it, lane)
}

// panicked tells of a panic where an operator looks, and makes it an error. What
// was thrown may hold a person's data: only its type is told.
func (w *Walker) panicked(thrown any, what string, value any) error {
	w.Logger.Error("the walk panicked", what, value, "thrown", fmt.Sprintf("%T", thrown), "stack", string(debug.Stack()))
	return fault.New(fault.Internal, "walk_panicked", "the walk of this record panicked; the server's messages have the stack")
}

func (w *Walker) setAside(lane eventlog.Lane, it *item, cause error) error {
	w.p.asides++
	w.Logger.Error("a record was set aside", "lane", int(lane), "position", it.pos, "code", fault.CodeOf(cause))
	return w.p.books.Walk.SetAside(Aside{
		Lane: lane, Pos: it.pos, At: time.UnixMilli(it.at).UTC(), Code: fault.CodeOf(cause), Error: cause.Error(), Body: it.body,
	})
}

// one walks one record, and then whom it has changed in what they permit.
func (w *Walker) one(it *item, lane eventlog.Lane) error {
	w.spoke, w.named, w.denied = w.spoke[:0], w.named[:0], w.denied[:0]
	if err := w.record(it, lane); err != nil {
		return err
	}
	if err := w.leave(&it.e); err != nil {
		return err
	}
	return w.reconsider(&it.e)
}

func (w *Walker) record(it *item, lane eventlog.Lane) error {
	if it.err != nil {
		return fault.Wrap(it.err, fault.Internal, "record_damaged", "the record cannot be read")
	}
	at := time.UnixMilli(it.at)
	if w.inBatch(it.hash, at) || w.seen.has(it.hash, at) {
		w.p.dups++
		return nil
	}
	w.now = w.instantOf(it, lane)
	e := &it.e
	if e.Type == event.GroupChanged { // It knows itself whether it was seen.
		return w.groupChanged(it)
	}
	w.seenNow(it)
	switch e.Type {
	case event.Config:
		return w.applyConfig(e)
	case event.Alarm:
		return w.ring(e)
	case event.Consent:
		return w.permission(e)
	case event.Send:
		return w.send(it)
	case event.Trigger:
		return w.trigger(it)
	case event.Unmerge:
		return w.unmerge(it)
	case event.Rights:
		return w.rightsRecord(it, lane)
	}
	if err := w.permission(e); err != nil {
		return err
	}
	f, err := w.whom(it)
	if err != nil {
		return err
	}
	if f == nil {
		return nil
	}
	initial := e.Flags&event.Bulk != 0
	if err := w.apply(f, e, w.now, initial); err != nil {
		return err
	}
	if err := w.outside(Happening{Who: f.id, Event: e, Initial: initial}); err != nil {
		return err
	}
	return w.settle(f, e.MessageID, initial)
}

// outside lets whoever listens know what was walked, in the same transaction.
func (w *Walker) outside(h Happening) error {
	if w.p.books.Tell == nil {
		return nil
	}
	if err := w.p.books.Tell(h); err != nil {
		return fmt.Errorf("tell what was walked: %w", err)
	}
	return nil
}

// instantOf is when a record holds: the commit of its frame; for bulk, whose
// frames may be far older or newer than what the live lane has shown, the
// instant up to which the live lane is known.
func (w *Walker) instantOf(it *item, lane eventlog.Lane) int64 {
	if lane == eventlog.Bulk {
		return max(w.safe, 1)
	}
	return max(it.at, w.instantFloor)
}

// permission writes what an event says of consent, before anything is decided on it.
func (w *Walker) permission(e *event.Event) error {
	entries := w.Consent.WalkedEvent(e)
	if len(entries) == 0 {
		return nil
	}
	applied, err := w.Consent.ApplyIn(w.p.books.Consent, entries)
	if err != nil {
		return fmt.Errorf("apply permission: %w", err)
	}
	w.p.consent = append(w.p.consent, applied)
	for i := range entries {
		if w.version.Segments.Asking() {
			w.spoke = append(w.spoke, entries[i].Subject)
		}
		if entries[i].State > consent.Granted && !slices.Contains(w.denied, entries[i].Subject) {
			w.denied = append(w.denied, entries[i].Subject)
		}
	}
	return nil
}

// whom resolves an event's person and brings them up to the instant.
func (w *Walker) whom(it *item) (*figure, error) {
	if it.e.Person != 0 {
		f, err := w.set.figure(id.Person(it.e.Person))
		if err == nil && it.e.Type == event.Outcome && len(f.ident.Apart) > 0 {
			f, err = w.whoseMail(f, &it.e)
		}
		if err != nil {
			return nil, err
		}
		return w.unless(f)
	}
	if len(it.ids) == 0 {
		return nil, fault.New(fault.Invalid, "no_user_anon_id", "the event carries no usable identifier")
	}
	ids := it.ids
	if it.alias {
		var err error
		if ids, err = w.aliasOf(it); err != nil {
			return nil, err
		}
	}
	living, err := w.living(ids)
	if err != nil {
		return nil, err
	}
	if len(living) == 0 {
		return w.unless(nil)
	}
	if len(living) < len(ids) {
		identity.Without(&it.e, ids, func(h id.Hash) bool {
			return !slices.ContainsFunc(living, func(x identity.Identifier) bool { return x.Hash == h })
		})
	}
	ids = living
	res, err := w.Resolver.Resolve(&it.e, ids, &w.set, w.now)
	if err != nil {
		return nil, err
	}
	w.p.refused += int64(len(res.Refused))
	f, err := w.set.figure(res.Who)
	if err != nil {
		return nil, err
	}
	return f, w.ready(f, w.now)
}

// unless gives somebody, brought to the instant, unless they were erased: then
// nobody, and the record is dropped.
func (w *Walker) unless(f *figure) (*figure, error) {
	if f == nil || f.erased != 0 {
		w.p.late++
		return nil, nil //nolint:nilnil // Nobody is an answer.
	}
	return f, w.ready(f, w.now)
}

// ready brings a person to the configuration in effect and does everything
// that is due before the instant, each thing at its own.
func (w *Walker) ready(f *figure, now int64) error {
	if f.prof.Version < w.version.Number {
		if err := w.bring(f, now); err != nil {
			return err
		}
	}
	return w.catchUp(f, now)
}

// bring recounts a person for rules they were not counted for yet. Entries that
// come of it are initial: they happened when the rule was written, not now.
func (w *Walker) bring(f *figure, now int64) error {
	if err := w.packer.Flush(); err != nil { // entries of this very batch are history too
		return fmt.Errorf("write history: %w", err)
	}
	if err := f.prof.Recount(w.p.books.History, w.version.Schema); err != nil {
		return fmt.Errorf("recount %s: %w", f.id, err)
	}
	f.prof.Version = w.version.Number
	w.set.touch(f)
	w.subject.f, w.subject.props = f, nil
	w.turn.Begin(&w.subject, &f.jour, now)
	w.version.Journeys.Change(&w.turn)
	w.version.Journeys.Arm(&w.turn, false)
	if err := w.effects(f, now); err != nil {
		return err
	}
	if err := w.everySegment(f, now, true, "configuration"); err != nil {
		return err
	}
	return w.settle(f, fmt.Sprintf("version/%d/%d", w.version.Number, f.id), true)
}

// apply folds one event into a person and lets segments and journeys follow.
func (w *Walker) apply(f *figure, e *event.Event, now int64, initial bool) error {
	w.set.touch(f)
	w.props.Reset(e.Properties)
	w.subject.f, w.subject.props = f, &w.props
	f.prof.Fold(e, &w.props, w.version.Schema, guard(f, e, f.ident.Known()), &w.change)
	w.p.refused += int64(w.change.Refused)
	if err := w.remember(f, e); err != nil {
		return err
	}
	traits, tallies := w.change.Traits, w.change.Tallies
	if e.Type == event.Group {
		joined, err := w.joins(f, e, false)
		if err != nil {
			return err
		}
		traits = append(traits, joined...)
	}
	changed := segment.Changes{Tallies: tallies, Traits: traits}
	w.transitions(f, w.version.Segments.Apply(&f.seg, &w.subject, changed, now, initial, &w.work), e.MessageID)
	if len(changed.Traits) > 0 {
		w.armDates(f, now, !initial)
	}
	return w.journeyEvent(f, e, now, initial)
}

// remember writes the event into the person's history.
func (w *Walker) remember(f *figure, e *event.Event) error {
	var prev profile.Pointer
	if len(f.prof.Heads) > 0 {
		prev = f.prof.Heads[0]
	}
	at, err := w.packer.Add(f.id, e, prev)
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	if len(f.prof.Heads) == 0 {
		f.prof.Heads = append(f.prof.Heads, at)
	} else {
		f.prof.Heads[0] = at
	}
	return nil
}

// guard keeps a public key that proves nothing from changing the address of
// somebody who is known.
func guard(f *figure, e *event.Event, known bool) profile.Guard {
	if !known || e.Flags&event.FromBrowser == 0 || e.Flags&event.Verified != 0 || e.Type != event.Identify {
		return nil
	}
	if _, has := f.prof.Trait("email"); !has {
		return nil
	}
	return func(name string) bool { return name != "email" }
}

// transitions turns entries and exits into derived events of the person.
func (w *Walker) transitions(f *figure, moved []segment.Transition, cause string) {
	if len(moved) == 0 {
		return
	}
	w.set.touch(f)
	for _, t := range moved {
		w.queue = append(w.queue, derivedAudience(t, cause))
		if t.Entered {
			w.counts[t.Segment]++
		} else {
			w.counts[t.Segment]--
		}
	}
}

// everySegment evaluates all segments for a person. Who was in a segment that is
// no more leaves its size.
func (w *Walker) everySegment(f *figure, now int64, initial bool, cause string) error {
	w.transitions(f, w.version.Segments.All(&f.seg, &w.subject, now, initial, &w.work), cause)
	for _, key := range w.work.Gone() {
		name, ok := w.former[key]
		if !ok {
			sizes, err := w.p.books.Segment.Counts()
			if err != nil {
				return fmt.Errorf("read sizes of segments: %w", err)
			}
			for name := range sizes {
				w.former[segment.Key(name)] = name
			}
			if name, ok = w.former[key]; !ok {
				continue
			}
		}
		w.set.touch(f)
		w.counts[name]--
	}
	return nil
}
