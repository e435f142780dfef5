package journey

import (
	"cmp"
	"slices"
)

// Merge joins what from knows into t.State, because two people turned out to be
// one. Of two places in one journey and key the earlier entry stays and the
// other ends as merged. A mail that was decided for one counts for both where
// one person could not have had both stays: it is not decided again, and where
// both decided it already, the one that may still be stopped is dropped.
// Counters and memories are united. from must not be used afterwards.
//
// All conditions are asked again with OnTime at t.Now, once profile and
// segments are joined too.
func (c *Catalog) Merge(t *Turn, from *State) {
	if t.State.Empty() && from.Empty() {
		return
	}
	t.Changed = true
	c.compare(t.State, from)
	for i := range from.Records {
		t.State.unite(&from.Records[i], t.Now)
	}
	for i := range from.Places {
		p := from.Places[i]
		if t.State.Record(p.Journey) == nil { // MaxRecords
			p.End = Merged
			t.emit(c.flow(&p), &p, Effect{Kind: Ended, At: t.Now, Reason: Merged.String()})
			continue
		}
		twin := t.State.inside(p.Journey, p.Key)
		if twin == nil {
			t.State.Places = append(t.State.Places, p)
			continue
		}
		if earlier(&p.Stay, &twin.Stay) {
			*twin, p = p, *twin
		}
		c.join(t, twin, &p)
	}
	for i := range t.State.Places {
		p := &t.State.Places[i]
		p.Check = min(p.Check, t.Now)
	}
	t.State.uniteDates(from.Dates)
	c.Arm(t, true)
	slices.SortStableFunc(t.State.Places, func(a, b Place) int {
		switch {
		case earlier(&a.Stay, &b.Stay):
			return -1
		case earlier(&b.Stay, &a.Stay):
			return 1
		}
		return 0
	})
	c.overflow(t)
}

// earlier orders stays by entry.
func earlier(a, b *Stay) bool {
	if a.Entered != b.Entered {
		return a.Entered < b.Entered
	}
	if a.Origin != b.Origin {
		return a.Origin < b.Origin
	}
	return a.Occurrence < b.Occurrence
}

// join ends a place in favour of the one that stays.
func (c *Catalog) join(t *Turn, stays, ends *Place) {
	stays.adopt(&ends.Stay)
	for _, twin := range append([]Twin{ends.Twin()}, ends.Also...) {
		if !stays.is(twin) {
			stays.Also = append(stays.Also, twin)
		}
	}
	if stays.Version == ends.Version && ends.Trigger >= stays.Trigger {
		stays.Seen |= ends.Seen
	}
	t.note(stays, t.Now, NoteMerged, "", "with the stay entered "+instant(ends.Entered))
	ends.End, ends.Ended = Merged, t.Now
	t.emit(c.flow(ends), ends, Effect{Kind: Ended, At: t.Now, Reason: Merged.String()})
}

// adopt counts the mails of another stay for this one.
func (s *Stay) adopt(o *Stay) {
	for _, m := range o.Sent {
		if s.mail(m.By, m.Step) == nil {
			s.Sent = append(s.Sent, m)
		}
	}
}

// compare looks for stays of the two that would have been one stay of one
// person, and makes each mail of them count for both.
func (c *Catalog) compare(into, from *State) {
	theirs := from.stays()
	if len(theirs) == 0 {
		return
	}
	for journey, mine := range into.stays() {
		f := c.latest(journey)
		if f == nil {
			continue
		}
		for _, a := range mine {
			for _, b := range theirs[journey] {
				if f.one(a, b) {
					count(a, b)
				}
			}
		}
	}
}

// latest gives the newest known version of a journey, nil when there is none.
func (c *Catalog) latest(name string) *flow {
	if versions := c.flows[name]; len(versions) > 0 {
		return versions[len(versions)-1]
	}
	return nil
}

// stays gives all stays that a state remembers, by journey.
func (s *State) stays() map[string][]*Stay {
	out := map[string][]*Stay{}
	for i := range s.Records {
		r := &s.Records[i]
		for k := range r.Stays {
			out[r.Journey] = append(out[r.Journey], &r.Stays[k])
		}
	}
	for i := range s.Places {
		p := &s.Places[i]
		out[p.Journey] = append(out[p.Journey], &p.Stay)
	}
	return out
}

// one tells whether one person could not have had both stays.
func (f *flow) one(a, b *Stay) bool {
	switch {
	case a.Key != b.Key:
		return false
	case a.End == 0 && b.End == 0, f.reentry == Once:
		return true
	case f.reentry == Every:
		return a.Entered < add(b.Entered, f.every) && b.Entered < add(a.Entered, f.every)
	}
	return (b.End == 0 || a.Entered < b.Ended) && (a.End == 0 || b.Entered < a.Ended)
}

// count makes the mails of two stays count for both. A stay that ended needs to
// know nothing; but where both decided the same mail, one of them is dropped.
func count(a, b *Stay) {
	for i := range a.Sent {
		m := &a.Sent[i]
		for k := range b.Sent {
			o := &b.Sent[k]
			if m.Step != o.Step || m.Dropped || o.Dropped || m.By == o.By {
				continue
			}
			switch {
			case m.Fate == Missed || o.Fate == Missed || m.Fate == Left && o.Fate == Left:
			case m.Fate == Left, o.Fate == Owed && earlier(a, b):
				o.Dropped = true
			default:
				m.Dropped = true
			}
		}
	}
	if a.End == 0 && b.End != 0 {
		a.adopt(b)
	}
	if b.End == 0 && a.End != 0 {
		b.adopt(a)
	}
}

// overflow ends the newest places beyond the limit.
func (c *Catalog) overflow(t *Turn) {
	for i := MaxPlaces; i < len(t.State.Places); i++ {
		p := &t.State.Places[i]
		t.end(c.flow(p), p, t.Now, Merged, "more than MaxPlaces")
	}
	t.sweep()
}

// unite joins another person's memory of one journey.
func (s *State) unite(from *Record, now int64) {
	r := s.record(from.Journey)
	if r == nil {
		return
	}
	if r.Count == 0 {
		r.Entered = from.Entered
	} else if from.Count > 0 {
		r.Entered = max(r.Entered, from.Entered)
	}
	r.Count += from.Count
	for _, k := range from.Keys {
		if i := r.key(k.Key); i >= 0 {
			k.Count += r.Keys[i].Count
			k.Entered = max(k.Entered, r.Keys[i].Entered)
			r.Keys = slices.Delete(r.Keys, i, i+1)
		}
		r.Keys = append(r.Keys, k)
	}
	slices.SortStableFunc(r.Keys, func(a, b KeyCount) int { return cmp.Compare(a.Entered, b.Entered) })
	if over := len(r.Keys) - MaxKeys; over > 0 {
		r.Keys = slices.Delete(r.Keys, 0, over)
	}
	r.Stays = append(r.Stays, from.Stays...)
	slices.SortStableFunc(r.Stays, func(a, b Stay) int { return cmp.Compare(a.Ended, b.Ended) })
	r.prune(now)
	r.Notes = append(r.Notes, from.Notes...)
	slices.SortStableFunc(r.Notes, func(a, b Note) int { return cmp.Compare(a.At, b.At) })
	if over := len(r.Notes) - MaxNotes; over > 0 {
		r.Notes = slices.Delete(r.Notes, 0, over)
	}
}
