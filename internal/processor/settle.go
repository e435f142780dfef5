package processor

import (
	"fmt"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/journey"
	"rapport/internal/segment"
)

// Bounds of what one record may set off (architecture: derived events).
const (
	maxRounds  = 16
	maxDerived = 64
)

// cascade is how far derived events have gone since one cause.
type cascade struct {
	depth    int // of settle within settle: a journey's set step is worked off in place
	rounds   int
	events   int
	sequence int // of ids
	parent   string
}

// settle works derived events off, round by round, until none is left. Inside
// another settle it goes on with that one's cause and bounds.
func (w *Walker) settle(f *figure, parent string, initial bool) error {
	if len(w.queue) == 0 {
		return nil
	}
	c := &w.cascade
	if c.depth == 0 {
		*c = cascade{parent: parent}
	}
	c.depth++
	defer func() { w.cascade.depth-- }()
	var own []derived // the buffer belongs to the outermost
	if c.depth == 1 {
		own = w.round
	}
	for len(w.queue) > 0 {
		own = append(own[:0], w.queue...)
		w.queue = w.queue[:0]
		if c.rounds++; c.rounds > 1 { // The first round is the record's own doing, as wide as there are segments.
			c.events += len(own)
		}
		if c.rounds > maxRounds || c.events > maxDerived {
			return fault.New(fault.Limited, "derived_loop",
				"segments and journeys set each other off without end, last %q (at most %d rounds and %d events, max_derived)",
				own[0].name(), maxRounds, maxDerived)
		}
		for i := range own {
			d := &own[i]
			w.p.derived++
			c.sequence++
			d.event.MessageID = fmt.Sprintf("%s/%d", c.parent, c.sequence)
			d.event.Source = reserved
			if d.event.Type == event.Track { // an entry or an exit; told before what it sets off
				if err := w.outside(Happening{f.id, &d.event, d.about, d.event.Name == journey.AudienceEntered, initial || d.initial, d.reason}); err != nil {
					return err
				}
			}
			if err := w.apply(f, &d.event, d.event.Received.UnixMilli(), initial || d.initial); err != nil {
				return err
			}
		}
	}
	if c.depth == 1 {
		w.round = own
	}
	return nil
}

// catchUp does what the person has armed for instants before now, in order, at
// those instants.
func (w *Walker) catchUp(f *figure, now int64) error {
	for range maxCatchUp {
		due := min(f.seg.NextDue(), f.jour.NextDue(), f.prof.NextExpiry(w.version.Terms))
		if due >= now {
			return nil
		}
		w.set.touch(f)
		w.subject.f, w.subject.props = f, nil
		cause := fmt.Sprintf("due/%d/%d", f.id, due)
		if f.seg.NextDue() == due {
			w.transitions(f, w.version.Segments.Expire(&f.seg, &w.subject, due, &w.work), cause)
		} else if f.jour.NextDue() != due {
			w.expire(f, due, cause)
		} else if err := w.journeyTime(f, due); err != nil {
			return err
		}
		if err := w.settle(f, cause, false); err != nil {
			return err
		}
	}
	return fault.New(fault.Limited, "catch_up", "more than %d things were due for one person at once (max_catch_up)", maxCatchUp)
}

// expire takes away traits that are kept no longer, and lets segments follow.
func (w *Walker) expire(f *figure, due int64, cause string) {
	w.change.Traits = w.change.Traits[:0]
	f.prof.Expire(w.version.Terms, due, &w.change)
	w.p.expired += int64(len(w.change.Traits))
	w.transitions(f, w.version.Segments.Apply(&f.seg, &w.subject, segment.Changes{Traits: w.change.Traits}, due, false, &w.work), cause)
	w.armDates(f, due, true)
}

// armDates works out anew at which dates journeys begin, since traits have changed.
func (w *Walker) armDates(f *figure, now int64, late bool) {
	if w.version.Journeys.Dated() {
		w.turn.Begin(&w.subject, &f.jour, now)
		w.version.Journeys.Arm(&w.turn, late)
	}
}

const maxCatchUp = 20_000
