package identity

import (
	"math"
	"slices"

	"rapport/internal/id"
)

// Never is an instant that does not come.
const Never = math.MaxInt64

// Joint tells since when identifiers of two who are parted were taken for one
// person's. It is read from the merge log.
type Joint struct {
	since    map[id.Hash]int64
	first    map[id.Person][2]int64  // when the first of either side came to a record
	arrivals map[id.Person][]arrival // at a record

	who    id.Person
	merges []Merge
	hops   map[id.Hash][]hop
	into   map[id.Person]id.Person // who became whom
	sides  [2][]Identifier
}

// Joined works that out for who is parted now: merges are all that they and those
// they were made of took part in; the two lists are what stays and what leaves.
func Joined(who id.Person, merges []Merge, stays, leaves []Identifier) (*Joint, error) {
	merges = slices.Clone(merges)
	slices.SortStableFunc(merges, func(a, b Merge) int { return a.At.Compare(b.At) })
	hops, err := hopsOf(merges)
	if err != nil {
		return nil, err
	}
	j := &Joint{
		since: map[id.Hash]int64{}, first: map[id.Person][2]int64{}, arrivals: map[id.Person][]arrival{},
		who: who, merges: merges, hops: hops, into: map[id.Person]id.Person{who: 0}, sides: [2][]Identifier{stays, leaves},
	}
	for i := range merges {
		if m := &merges[i]; m.Rule != RuleUnmerge {
			j.into[m.From] = m.Into
		}
	}
	visits := map[id.Hash][]hop{}
	for side, list := range [2][]Identifier{stays, leaves} {
		for _, x := range list {
			at := hop{to: who, at: x.First}
			if moves := hops[x.Hash]; len(moves) > 0 {
				at.to = moves[0].from
			}
			visits[x.Hash] = append([]hop{at}, hops[x.Hash]...)
			for _, v := range visits[x.Hash] {
				j.arrive(v, side)
			}
		}
	}
	for side, list := range [2][]Identifier{stays, leaves} {
		for _, x := range list {
			since := int64(Never)
			for _, v := range visits[x.Hash] {
				since = min(since, max(v.at, j.came(v.to)[1-side]))
			}
			j.since[x.Hash] = since
			for _, v := range visits[x.Hash] {
				j.arrivals[v.to] = append(j.arrivals[v.to], arrival{v.at, since})
			}
		}
	}
	return j, nil
}

// hop is an identifier that goes from one record to another.
type hop struct {
	from, to id.Person
	at       int64 // Unix milliseconds
	parts    bool  // it leaves from
	n        int   // place of its row in the merge log
}

func hopsOf(merges []Merge) (map[id.Hash][]hop, error) {
	out := map[id.Hash][]hop{}
	for i := range merges {
		m := &merges[i]
		h := hop{from: m.From, to: m.Into, at: m.At.UnixMilli(), n: i}
		if m.Rule == RuleUnmerge {
			h.from, h.to, h.parts = m.Into, m.From, true
		}
		var moved Record
		if err := moved.Decode(m.Moved); err != nil {
			return nil, err
		}
		for _, x := range moved.Identifiers {
			out[x.Hash] = append(out[x.Hash], h)
		}
	}
	return out, nil
}

func (j *Joint) came(who id.Person) [2]int64 {
	if first, ok := j.first[who]; ok {
		return first
	}
	return [2]int64{Never, Never}
}

func (j *Joint) arrive(v hop, side int) {
	first := j.came(v.to)
	first[side] = min(first[side], v.at)
	j.first[v.to] = first
}

// Since gives the instant, Unix milliseconds, from which on an identifier was in
// one record with one of the other side.
func (j *Joint) Since(h id.Hash) int64 {
	if at, ok := j.since[h]; ok {
		return at
	}
	return Never
}

// arrival is an identifier that came to a record, and from when on it was in one
// with the other side.
type arrival struct{ at, since int64 }

// Held tells whose identifiers a record held at an instant, and from when on one
// of those that were there by then was in one record with the other side.
func (j *Joint) Held(who id.Person, at int64) (stays, leaves bool, since int64) {
	first := j.came(who)
	since = Never
	for _, a := range j.arrivals[who] {
		if a.at <= at {
			since = min(since, a.since)
		}
	}
	return first[0] <= at, first[1] <= at, since
}

// Joins gives the message that brought the two sides into one record, by its instant;
// of several at one instant the first.
func (j *Joint) Joins() (map[int64]string, error) {
	out := map[int64]string{}
	for i := range j.merges {
		m := &j.merges[i]
		at := m.At.UnixMilli()
		if _, known := out[at]; known || m.Rule == RuleUnmerge {
			continue
		}
		var moved Record
		if err := moved.Decode(m.Moved); err != nil {
			return nil, err
		}
		var brought [2]bool
		for side := range j.sides {
			for k := range j.sides[side] {
				brought[side] = brought[side] || moved.Holds(j.sides[side][k].Hash)
			}
		}
		stays, leaves := j.before(i, m.Into)
		if brought[0] && leaves || brought[1] && stays {
			out[at] = m.Cause
		}
	}
	return out, nil
}

// before tells which sides had an identifier in a record when a row of the merge log
// was written.
func (j *Joint) before(row int, who id.Person) (stays, leaves bool) {
	var in [2]bool
	for side := range j.sides {
		for i := range j.sides[side] {
			x := &j.sides[side][i]
			now, moves := j.who, j.hops[x.Hash]
			if len(moves) > 0 {
				now = moves[0].from
			}
			for _, m := range moves {
				if m.n < row {
					now = m.to
				}
			}
			in[side] = in[side] || now == who && x.First <= j.merges[row].At.UnixMilli()
		}
	}
	return in[0], in[1]
}

// where tells whose record held an identifier at an instant, zero before it was known:
// after a join of that instant, before a parting.
func (j *Joint) where(x *Identifier, at int64) (who id.Person) {
	if x.First > at {
		return 0
	}
	moves := j.hops[x.Hash]
	if len(moves) == 0 {
		return j.who
	}
	who = moves[0].from
	for _, m := range moves {
		if m.at > at || m.parts && m.at == at {
			break
		}
		who = m.to
	}
	return who
}

// became tells who a record is by now.
func (j *Joint) became(who id.Person) id.Person {
	for range len(j.into) + 1 {
		next := j.into[who]
		if next == 0 {
			return who
		}
		who = next
	}
	return who
}

// in tells which sides have an identifier that was in one of some records at an
// instant, and from when on one of those was in one record with the other side.
func (j *Joint) in(at int64, one func(id.Person) bool) (stays, leaves bool, since int64) {
	var in [2]bool
	since = Never
	for side := range j.sides {
		for i := range j.sides[side] {
			x := &j.sides[side][i]
			if who := j.where(x, at); who != 0 && one(who) {
				in[side], since = true, min(since, j.Since(x.Hash))
			}
		}
	}
	return in[0], in[1], since
}

// With tells which sides were in one record with somebody at an instant.
func (j *Joint) With(who id.Person, at int64) (stays, leaves bool, since int64) {
	return j.in(at, func(x id.Person) bool { return x == who || j.became(x) == who })
}

// WithFormer tells which sides were in one record, at an instant, with somebody who
// was parted from this person since.
func (j *Joint) WithFormer(this id.Person, at int64) (stays, leaves bool, since int64, err error) {
	since = Never
	for i := range j.merges {
		m := &j.merges[i]
		if m.Rule != RuleUnmerge || m.At.UnixMilli() < at || j.became(m.Into) != this {
			continue
		}
		var moved Record
		if err := moved.Decode(m.Moved); err != nil {
			return false, false, Never, err
		}
		for k := range moved.Identifiers {
			there := j.where(&moved.Identifiers[k], at)
			if there == 0 {
				continue
			}
			s, l, from := j.in(at, func(x id.Person) bool { return x == there })
			stays, leaves, since = stays || s, leaves || l, min(since, from)
		}
	}
	return stays, leaves, since, nil
}

// Parted gives the instant at which a request parted somebody, or the other instant
// where it did not.
func (j *Joint) Parted(request string, otherwise int64) int64 {
	for i := range j.merges {
		if m := &j.merges[i]; m.Rule == RuleUnmerge && m.Cause == request {
			return m.At.UnixMilli()
		}
	}
	return otherwise
}
