package segment

import (
	"math/bits"
	"slices"

	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// Transition is one entry or exit.
type Transition struct {
	Segment string
	Entered bool
	At      int64  // the instant from which it is true
	Initial bool   // caused by backfill, a changed definition or a bulk import
	Reason  string // of an exit: ByConsent, or "" where only the rule does not hold any more
}

// ByConsent is the reason of an exit, whatever the rule says: the person permits none of
// the purposes for which the segment may be used.
const ByConsent = "consent"

// Permit tells whether the person in hand permits one of some purposes for data of a
// class, and until when if nothing is said meanwhile.
type Permit func(purposes []purpose.Purpose, class purpose.Class, now int64) (ok bool, until int64)

// Changes says what an event touched.
type Changes struct {
	Tallies []uint32
	Traits  []string
}

// Work is scratch space for evaluating, one for each walker. The zero value is
// ready.
type Work struct {
	Permit Permit   // asked of whoever a rule holds for; nil: everything is permitted
	open   []uint64 // bit i: segment i is to be evaluated
	out    []Transition
	gone   []uint32 // keys of segments that are no more and that somebody was in
}

// Gone gives the keys of the memberships that the last All has forgotten,
// because their segments are no more.
func (w *Work) Gone() []uint32 { return w.gone }

func (w *Work) reset(n int) {
	words := (n + 63) / 64
	if cap(w.open) < words {
		w.open = make([]uint64, words)
	}
	w.open = w.open[:words]
	clear(w.open)
	w.out, w.gone = w.out[:0], w.gone[:0]
}

func (w *Work) mark(i int) { w.open[i/64] |= 1 << (i % 64) }

// Subject is the person that segments ask about: rule.Subject, whose Member is
// answered by Catalog.Member over the same State.
type Subject = rule.Subject

// Apply evaluates at an instant exactly the segments that depend on what
// changed, and those that depend on memberships that moved thereby. The result
// is valid until the next call with the same Work.
func (c *Catalog) Apply(s *State, who Subject, changed Changes, now int64, initial bool, w *Work) []Transition {
	w.reset(len(c.segs))
	for _, id := range changed.Tallies {
		for _, i := range c.byTally[id] {
			w.mark(i)
		}
	}
	for _, name := range changed.Traits {
		for _, i := range c.byTrait[name] {
			w.mark(i)
		}
	}
	c.run(s, who, now, initial, w)
	return w.out
}

// Expire evaluates what expires at or before the instant, at that instant.
func (c *Catalog) Expire(s *State, who Subject, now int64, w *Work) []Transition {
	w.reset(len(c.segs))
	s.entries = slices.DeleteFunc(s.entries, func(e entry) bool {
		i, known := c.byKey[e.key]
		if e.until > now {
			return false
		}
		if known {
			w.mark(i)
		}
		return !known // a segment that is no more
	})
	c.run(s, who, now, false, w)
	return w.out
}

// All evaluates every segment, as a backfill (initial) and a merge (not
// initial) do. Memberships of segments that are no more are forgotten.
func (c *Catalog) All(s *State, who Subject, now int64, initial bool, w *Work) []Transition {
	w.reset(len(c.segs))
	for i := range c.segs {
		w.mark(i)
	}
	s.entries = slices.DeleteFunc(s.entries, func(e entry) bool {
		_, known := c.byKey[e.key]
		if !known && e.in {
			w.gone = append(w.gone, e.key)
		}
		return !known
	})
	c.run(s, who, now, initial, w)
	return w.out
}

// Reconsider evaluates every segment that depends on what somebody permits, as when
// they have said something of it.
func (c *Catalog) Reconsider(s *State, who Subject, now int64, initial bool, w *Work) []Transition {
	w.reset(len(c.segs))
	for _, i := range c.asking {
		w.mark(i)
	}
	c.run(s, who, now, initial, w)
	return w.out
}

// run works the marked segments off in their order, so that each is asked once
// and after all that it reads.
func (c *Catalog) run(s *State, who Subject, now int64, initial bool, w *Work) {
	for word := 0; word < len(w.open); word++ {
		for w.open[word] != 0 {
			bit := bits.TrailingZeros64(w.open[word])
			w.open[word] &^= 1 << bit
			i := word*64 + bit
			if c.one(s, i, who, now, initial, w) {
				for _, dep := range c.bySegment[i] {
					w.mark(dep) // dep > i: the order of evaluation
				}
			}
		}
	}
}

// one evaluates segment i and tells whether membership moved.
func (c *Catalog) one(s *State, i int, who Subject, now int64, initial bool, w *Work) bool {
	seg := &c.segs[i]
	in, until := seg.Rule.Eval(who, rule.At{Now: now})
	at, known := s.find(seg.key)
	was := known && s.entries[at].in
	reason := ""
	if (in || was) && len(seg.Asks) > 0 && w.Permit != nil {
		if ok, ends := w.Permit(seg.Asks, seg.Use.Class, now); !ok {
			in, reason = false, ByConsent
		} else if in {
			until = min(until, ends)
		}
	}
	switch {
	case !in && until == rule.Never:
		if known {
			s.entries = slices.Delete(s.entries, at, at+1)
		}
	case known:
		e := &s.entries[at]
		if in && !was {
			e.since = now
		}
		e.in, e.until = in, until
	default:
		s.entries = slices.Insert(s.entries, at, entry{key: seg.key, in: in, since: now, until: until})
	}
	if in == was {
		return false
	}
	w.out = append(w.out, Transition{Segment: seg.Name, Entered: in, At: now, Initial: initial, Reason: reason})
	return true
}

// Merge joins another person's memberships into this one's: who is in either
// segment is in until the evaluation that follows says otherwise.
func (s *State) Merge(from *State) {
	for _, e := range from.entries {
		at, ok := s.find(e.key)
		switch {
		case !ok:
			s.entries = slices.Insert(s.entries, at, e)
		case e.in:
			mine := &s.entries[at]
			if !mine.in || e.since < mine.since {
				mine.since = e.since
			}
			mine.in, mine.until = true, min(mine.until, e.until)
		default:
			s.entries[at].until = min(s.entries[at].until, e.until)
		}
	}
}
