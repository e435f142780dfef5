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
	j := &Joint{since: map[id.Hash]int64{}, first: map[id.Person][2]int64{}, until: map[id.Person]int64{}}
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
}

func hopsOf(merges []Merge) (map[id.Hash][]hop, error) {
	out := map[id.Hash][]hop{}
	for i := range merges {
		m := &merges[i]
		h := hop{from: m.From, to: m.Into, at: m.At.UnixMilli()}
		if m.Rule == RuleUnmerge {
			h.from, h.to = m.Into, m.From
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
