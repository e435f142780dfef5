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
	since map[id.Hash]int64
	first map[id.Person][2]int64 // when the first of either side came to a record
	until map[id.Person]int64    // from when on what a record held was in one with the other side

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
		since: map[id.Hash]int64{}, first: map[id.Person][2]int64{}, until: map[id.Person]int64{},
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
				if until, known := j.until[v.to]; !known || since < until {
					j.until[v.to] = since
				}
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
}

func hopsOf(merges []Merge) (map[id.Hash][]hop, error) {
	out := map[id.Hash][]hop{}
	for i := range merges {
		m := &merges[i]
		h := hop{from: m.From, to: m.Into, at: m.At.UnixMilli()}
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

// Held tells whose identifiers a record held at an instant, and from when on one
// of them was in one record with the other side.
func (j *Joint) Held(who id.Person, at int64) (stays, leaves bool, since int64) {
	first := j.came(who)
	if until, known := j.until[who]; known {
		return first[0] <= at, first[1] <= at, until
	}
	return false, false, Never
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

// in tells which sides have an identifier that was in one of some records at an instant.
func (j *Joint) in(at int64, one func(id.Person) bool) (stays, leaves bool) {
	var in [2]bool
	for side := range j.sides {
		for i := range j.sides[side] {
			if who := j.where(&j.sides[side][i], at); who != 0 && one(who) {
				in[side] = true
			}
		}
	}
	return in[0], in[1]
}

// With tells which sides were in one record with somebody at an instant.
func (j *Joint) With(who id.Person, at int64) (stays, leaves bool) {
	return j.in(at, func(x id.Person) bool { return x == who || j.became(x) == who })
}

// WithFormer tells which sides were in one record, at an instant, with somebody who
// was parted from this person since.
func (j *Joint) WithFormer(this id.Person, at int64) (stays, leaves bool, err error) {
	for i := range j.merges {
		m := &j.merges[i]
		if m.Rule != RuleUnmerge || m.At.UnixMilli() < at || j.became(m.Into) != this {
			continue
		}
		var moved Record
		if err := moved.Decode(m.Moved); err != nil {
			return false, false, err
		}
		for k := range moved.Identifiers {
			there := j.where(&moved.Identifiers[k], at)
			if there == 0 {
				continue
			}
			s, l := j.in(at, func(x id.Person) bool { return x == there })
			stays, leaves = stays || s, leaves || l
		}
	}
	return stays, leaves, nil
}
