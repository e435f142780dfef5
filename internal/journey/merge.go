package journey

import "slices"

// Merge joins what from knows into t.State, because two people turned out to be
// one. Of two places in one journey and key the earlier entry stays and the
// other ends as merged. A mail that was decided for one counts for both where
// the two stays would have been one stay of one person. Counters and memories
// are united. from must not be used afterwards.
//
// All conditions are asked again with OnTime at t.Now, once profile and
// segments are joined too.
func (c *Catalog) Merge(t *Turn, from *State) {
	if from.Empty() {
		return
	}
	t.Changed = true
	own := len(t.State.Places)
	intoStays, fromStays := endedStays(t.State), endedStays(from)
	for i := range from.Records {
		t.State.unite(&from.Records[i], t.Now)
	}
	for i := range from.Places {
		p := from.Places[i]
		twin := t.State.inside(p.Journey, p.Key)
		if twin == nil {
			t.State.Places = append(t.State.Places, p)
			continue
		}
		if earlier(&p, twin) {
			*twin, p = p, *twin
		}
		c.join(t, twin, &p)
	}
	for i := range t.State.Places {
		p := &t.State.Places[i]
		other := fromStays
		if i >= own || slices.ContainsFunc(from.Places, func(q Place) bool { return q.Journey == p.Journey && q.Twin() == p.Twin() }) {
			other = intoStays
		}
		c.borrow(t, p, other[p.Journey])
		p.Check = min(p.Check, t.Now)
	}
	slices.SortStableFunc(t.State.Places, func(a, b Place) int {
		switch {
		case earlier(&a, &b):
			return -1
		case earlier(&b, &a):
			return 1
		}
		return 0
	})
	c.overflow(t)
}

// earlier orders places by entry.
func earlier(a, b *Place) bool {
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
	for _, m := range ends.Sent {
		stays.addSent(m)
	}
	stays.addTwin(ends.Twin())
	for _, twin := range ends.Also {
		stays.addTwin(twin)
	}
	if stays.Version == ends.Version && ends.Trigger >= stays.Trigger {
		stays.Seen |= ends.Seen
	}
	t.note(stays, t.Now, NoteMerged, "", "with the stay entered "+instant(ends.Entered))
	ends.End, ends.Ended = Merged, t.Now
	t.emit(c.flow(ends), ends, Effect{Kind: Ended, At: t.Now, Reason: Merged.String()})
}

func (s *Stay) addSent(m Sent) {
	if !s.sent(m.Step) {
		s.Sent = append(s.Sent, m)
	}
}

func (s *Stay) addTwin(twin Twin) {
	if !s.is(twin) {
		s.Also = append(s.Also, twin)
	}
}

// borrow counts the mails of the other person's ended stays for a place, where
// one person could not have had both stays.
func (c *Catalog) borrow(t *Turn, p *Place, ended []Stay) {
	f := c.flow(p)
	if f == nil {
		return
	}
	for i := range ended {
		s := &ended[i]
		var one bool
		switch f.reentry {
		case Once:
			one = true
		case Every:
			one = p.Entered < add(s.Entered, f.every) && s.Entered < add(p.Entered, f.every)
		default:
			one = p.Entered < s.Ended // they overlapped
		}
		if f.key != "" || !one {
			// Ended stays do not remember their key; two keys are two stays.
			continue
		}
		for _, m := range s.Sent {
			p.addSent(m)
		}
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

// endedStays copies what is remembered of ended stays, before records are united.
func endedStays(s *State) map[string][]Stay {
	var out map[string][]Stay
	for i := range s.Records {
		if r := &s.Records[i]; len(r.Stays) > 0 {
			if out == nil {
				out = make(map[string][]Stay, len(s.Records))
			}
			out[r.Journey] = slices.Clone(r.Stays)
		}
	}
	return out
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
	slices.SortStableFunc(r.Keys, func(a, b KeyCount) int { return compare(a.Entered, b.Entered) })
	if over := len(r.Keys) - MaxKeys; over > 0 {
		r.Keys = slices.Delete(r.Keys, 0, over)
	}
	r.Stays = append(r.Stays, from.Stays...)
	slices.SortStableFunc(r.Stays, func(a, b Stay) int { return compare(a.Ended, b.Ended) })
	r.prune(now)
	r.Notes = append(r.Notes, from.Notes...)
	slices.SortStableFunc(r.Notes, func(a, b Note) int { return compare(a.At, b.At) })
	if over := len(r.Notes) - MaxNotes; over > 0 {
		r.Notes = slices.Delete(r.Notes, 0, over)
	}
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
