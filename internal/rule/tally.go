package rule

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Tally is one thing to count for each person: events of a name whose
// properties meet Where. Rules that count the same share one tally.
type Tally struct {
	ID        uint32 // 32 bits of a hash of the event and the canonical Where; never 0
	Event     string // the event's name, exact to the letter
	Where     *Where // nil: every such event counts
	Keep      int    // how many of the newest times are needed
	NeedFirst bool   // whether First is needed
	Oldest    int    // how many of the oldest times are needed: more than none only for before with a count
	Property  string // what is kept of each event: this number; events without it do not count
	As        *Where // or whether its properties match this; nil for neither
	Samples   int    // how many of the newest values are needed
}

// Take reads what an event with these properties counts for; false when it does
// not count.
func (t *Tally) Take(props *Object) (s Sample, ok bool) {
	switch {
	case !t.Where.Match(props):
		return s, false
	case t.Property != "":
		raw, ok := props.Get(t.Property)
		if !ok {
			return s, false
		}
		return sampleOf(trim(raw))
	case t.As != nil && t.As.Match(props):
		s.Coef = 1
	}
	return s, true
}

// Reads gives the paths of the properties that counting looks at, sorted.
func (t *Tally) Reads() []string {
	out := append(t.Where.Reads(), t.As.Reads()...)
	if t.Property != "" {
		out = append(out, t.Property)
	}
	return sortUnique(out)
}

// Measures says whether values are kept beside times.
func (t *Tally) Measures() bool { return t.Property != "" || t.As != nil }

// TallyState is what was counted for one person under one tally.
type TallyState struct {
	Count  int64   // how many events, ever
	First  int64   // the time of the earliest; meaningless while Count is 0
	Times  []int64 // the newest times, newest first, at most Keep
	Oldest []int64 // the oldest times, oldest first, at most Tally.Oldest
	Values *Values // what the events say to measures; nil where the tally has none
}

// Put counts an event with what Take read of it. Earlier says that it was walked
// before all that were counted, as when a history is read backwards.
func (s *TallyState) Put(t int64, x Sample, of *Tally, earlier bool) {
	if of.Measures() {
		if s.Values == nil {
			s.Values = &Values{}
		}
		x.At = t
		s.Values.put(x, of, s.Count == 0, earlier)
	}
	s.Add(t, of)
}

// Add counts an event at t, in whatever order events arrive: the state is that
// of the same events counted in any other order. It changes the slices in place.
func (s *TallyState) Add(t int64, of *Tally) {
	if s.Count == 0 || t < s.First {
		s.First = t
	}
	s.Count++
	s.Times = Insert(s.Times, t, of.Keep)
	s.Oldest = insertOldest(s.Oldest, t, of.Oldest)
}

// Merge adds what another person's state counted, exactly as if all events had
// been counted here. The other state is left unchanged and nothing of it is kept.
func (s *TallyState) Merge(other TallyState, of *Tally) {
	if other.Count == 0 {
		return
	}
	if of.Measures() && other.Values != nil {
		if s.Values == nil {
			s.Values = &Values{}
		}
		s.Values.merge(other.Values, of, s.Count == 0)
	}
	if s.Count == 0 || other.First < s.First {
		s.First = other.First
	}
	s.Count += other.Count
	for _, t := range other.Times {
		s.Times = Insert(s.Times, t, of.Keep)
	}
	for _, t := range other.Oldest {
		s.Oldest = insertOldest(s.Oldest, t, of.Oldest)
	}
}

// Insert puts t into times, which are newest first, and keeps the newest keep of
// them. Equal times are all kept: they are events of their own. It works in
// place where there is room.
func Insert(times []int64, t int64, keep int) []int64 {
	keep = max(keep, 0)
	if len(times) > keep {
		times = times[:keep]
	}
	at := len(times)
	for at > 0 && times[at-1] < t {
		at--
	}
	if at == keep {
		return times
	}
	if len(times) == keep {
		copy(times[at+1:], times[at:keep-1])
		times[at] = t
		return times
	}
	return slices.Insert(times, at, t)
}

// insertOldest is Insert for times that are oldest first.
func insertOldest(times []int64, t int64, keep int) []int64 {
	keep = max(keep, 0)
	if len(times) > keep {
		times = times[:keep]
	}
	at := len(times)
	for at > 0 && times[at-1] > t {
		at--
	}
	if at == keep {
		return times
	}
	if len(times) == keep {
		copy(times[at+1:], times[at:keep-1])
		times[at] = t
		return times
	}
	return slices.Insert(times, at, t)
}

// Append writes the state behind dst: the count, the first time, then both
// lists with their lengths, each time as the distance from the one before it.
func (s *TallyState) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.Count))
	dst = binary.AppendVarint(dst, s.First)
	for _, times := range [...][]int64{s.Times, s.Oldest} {
		dst = binary.AppendUvarint(dst, uint64(len(times)))
		last := s.First
		for _, t := range times {
			dst = binary.AppendVarint(dst, t-last)
			last = t
		}
	}
	return dst
}

// Decode reads what Append wrote into s, whose slices it uses again, and gives
// what follows.
func (s *TallyState) Decode(b []byte) (rest []byte, err error) {
	count, n := binary.Uvarint(b)
	if n <= 0 || count > math.MaxInt64 {
		return nil, errState
	}
	b = b[n:]
	first, n := binary.Varint(b)
	if n <= 0 {
		return nil, errState
	}
	b = b[n:]
	s.Count, s.First = int64(count), first
	if s.Times, b, err = decodeTimes(s.Times[:0], b, first); err != nil {
		return nil, err
	}
	if s.Oldest, b, err = decodeTimes(s.Oldest[:0], b, first); err != nil {
		return nil, err
	}
	return b, nil
}

var errState = errors.New("decode tally: cut short")

func decodeTimes(dst []int64, b []byte, last int64) ([]int64, []byte, error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return dst, nil, errState
	}
	b = b[n:]
	for range size {
		d, n := binary.Varint(b)
		if n <= 0 {
			return dst, nil, errState
		}
		last += d
		dst = append(dst, last)
		b = b[n:]
	}
	return dst, b, nil
}

// Union adds tallies to a set, which is sorted by ID: of one that is already
// there, the greater need holds. Two different tallies of one ID are an error,
// which is to be expected once in millions of sets and goes away with any
// change to the name of either event.
func Union(set []Tally, more ...Tally) ([]Tally, error) {
	for _, t := range more {
		i, found := slices.BinarySearchFunc(set, t.ID, func(have Tally, id uint32) int {
			switch {
			case have.ID < id:
				return -1
			case have.ID > id:
				return 1
			}
			return 0
		})
		if !found {
			set = slices.Insert(set, i, t)
			continue
		}
		have := &set[i]
		if have.Event != t.Event || have.Where.String() != t.Where.String() ||
			have.Property != t.Property || have.As.String() != t.As.String() {
			return set, fmt.Errorf("count %q and %q: both have the number %d", have.Event, t.Event, t.ID)
		}
		have.Keep = max(have.Keep, t.Keep)
		have.Oldest = max(have.Oldest, t.Oldest)
		have.Samples = max(have.Samples, t.Samples)
		have.NeedFirst = have.NeedFirst || t.NeedFirst
	}
	return set, nil
}
