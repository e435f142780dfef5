package rule

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
)

// kind is what a condition asks.
type kind uint8

const (
	kindAll kind = iota
	kindAny
	kindNot
	kindDid
	kindTrait
	kindProperty
	kindSegment
)

// String gives the word of the language.
func (k kind) String() string {
	return [...]string{"all", "any", "not", "did", "trait", "property", "in_segment"}[k]
}

// node is one condition of a rule.
type node struct {
	kind    kind
	kids    []node       // all, any, not: as they are written
	order   []*node      // all, any: as they are asked, cheap and timeless ones first
	did     did          // did
	terms   []comparison // trait, property: all of one path
	segment string       // in_segment
	usesNow bool
	cost    int
	text    string // canonical, without the outer braces
}

// unlimited is a did's most where there is no upper bound.
const unlimited = math.MaxInt

// did counts events.
type did struct {
	id       uint32
	event    string
	where    *Where
	least    int       // at least so many
	most     int       // at most so many, or unlimited
	within   int64     // milliseconds, 0: ever
	before   int64     // milliseconds, 0: until now
	since    bool      // only what is later than the trigger
	measures []measure // in order of their words
}

// seal completes a node whose parts are all there: its text, cost and order.
func (n *node) seal() {
	switch n.kind {
	case kindAll, kindAny, kindNot:
		n.cost = 1
		for i := range n.kids {
			n.usesNow = n.usesNow || n.kids[i].usesNow
			n.cost += n.kids[i].cost
			n.order = append(n.order, &n.kids[i])
		}
		slices.SortStableFunc(n.order, func(a, b *node) int {
			if a.usesNow != b.usesNow {
				if b.usesNow {
					return -1
				}
				return 1
			}
			return cmp.Compare(a.cost, b.cost)
		})
	case kindDid:
		n.usesNow = n.did.within > 0 || n.did.before > 0
		n.cost = 2
		if n.did.where != nil {
			n.cost += weight(n.did.where.terms)
		}
		n.did.id = tallyID(n.did.event, n.did.where, "")
		slices.SortFunc(n.did.measures, func(a, b measure) int { return cmp.Compare(a.word, b.word) })
		for i := range n.did.measures {
			n.did.measures[i].measured(&n.did)
			n.cost += 4 + weight(n.did.measures[i].terms)
		}
	case kindTrait, kindProperty:
		n.terms = sortComparisons(n.terms)
		n.cost = 1 + weight(n.terms)
		n.usesNow = slices.ContainsFunc(n.terms, func(c comparison) bool { return c.op.isRelative() })
	case kindSegment:
		n.cost = 1
	}
	n.text = n.write()
}

// eval answers a condition: its truth, and until when that is sure.
func (n *node) eval(s Subject, at At) (bool, int64) {
	switch n.kind {
	case kindAll:
		return n.evalAll(s, at)
	case kindAny:
		truth, until := n.evalAny(s, at)
		return truth, until
	case kindNot:
		truth, until := n.kids[0].eval(s, at)
		return !truth, until
	case kindDid:
		return n.did.eval(s, at)
	case kindTrait:
		raw, ok := s.Trait(n.terms[0].path)
		return n.evalTerms(raw, ok, at.Now)
	case kindProperty:
		raw, ok := s.Property(n.terms[0].path)
		return n.evalTerms(raw, ok, at.Now)
	}
	return s.Member(n.segment), Never
}

// evalAll is true until the first of its conditions may cease, and false as long
// as any one of them is surely false. So a false one that never changes by
// itself decides at once, and of others the longest counts.
func (n *node) evalAll(s Subject, at At) (bool, int64) {
	truth, until := true, Never
	for _, kid := range n.order {
		t, u := kid.eval(s, at)
		switch {
		case t && truth:
			until = min(until, u)
		case t:
		case u == Never:
			return false, Never
		case truth:
			truth, until = false, u
		default:
			until = max(until, u)
		}
	}
	return truth, until
}

// evalAny is evalAll with true and false exchanged.
func (n *node) evalAny(s Subject, at At) (bool, int64) {
	truth, until := false, Never
	for _, kid := range n.order {
		t, u := kid.eval(s, at)
		switch {
		case !t && !truth:
			until = min(until, u)
		case !t:
		case u == Never:
			return true, Never
		case !truth:
			truth, until = true, u
		default:
			until = max(until, u)
		}
	}
	return truth, until
}

// evalTerms is evalAll for the comparisons of one value.
func (n *node) evalTerms(raw []byte, ok bool, now int64) (bool, int64) {
	if !n.usesNow {
		for i := range n.terms {
			if !n.terms[i].match(raw, ok) {
				return false, Never
			}
		}
		return true, Never
	}
	truth, until := true, Never
	for i := range n.terms {
		t, u := false, Never
		if c := &n.terms[i]; c.op.isRelative() {
			t, u = c.matchNow(raw, ok, now)
		} else {
			t = c.match(raw, ok)
		}
		if truth, until = both(truth, until, t, u); !truth && until == Never {
			return false, Never
		}
	}
	return truth, until
}

// both joins two answers of which both must be true.
func both(truth bool, until int64, t bool, u int64) (bool, int64) {
	switch {
	case truth && t:
		return true, min(until, u)
	case truth:
		return false, u
	case t:
		return false, until
	}
	return false, max(until, u)
}

// eval counts and measures.
func (d *did) eval(s Subject, at At) (bool, int64) {
	truth, until := d.evalCount(s, at)
	for i := range d.measures {
		if !truth && until == Never {
			return false, Never
		}
		t, u := d.measures[i].eval(d, s, at)
		truth, until = both(truth, until, t, u)
	}
	return truth, until
}

// evalCount counts. An event at e is in the window while e > now-within, so it leaves
// at e+within.
func (d *did) evalCount(s Subject, at At) (bool, int64) {
	st, ok := s.Tally(d.id)
	if !ok || st.Count <= 0 {
		return d.least == 0, Never
	}
	if d.before > 0 {
		return d.evalBefore(&st, at.Now)
	}
	// What is later than now waits for its time.
	later, until := 0, Never
	for later < len(st.Times) && st.Times[later] > at.Now {
		until = st.Times[later]
		later++
	}
	if d.within == 0 && !d.since {
		if st.First > at.Now {
			return d.least == 0, st.First
		}
		n := st.Count - int64(later)
		return n >= int64(d.least) && (d.most == unlimited || n <= int64(d.most)), until
	}
	times := st.Times[later:]
	low := d.low(at)
	enough := d.least == 0 || len(times) >= d.least && times[d.least-1] > low
	toomany := d.most != unlimited && len(times) > d.most && times[d.most] > low
	if d.within > 0 {
		switch {
		case toomany:
			until = min(until, addTime(times[d.most], d.within))
		case enough && d.least > 0:
			until = min(until, addTime(times[d.least-1], d.within))
		}
	}
	return enough && !toomany, until
}

// low is the instant after which events count.
func (d *did) low(at At) int64 {
	low := int64(math.MinInt64)
	if d.within > 0 {
		low = addTime(at.Now, -d.within)
	}
	if d.since {
		low = max(low, at.Since)
	}
	return low
}

// evalBefore counts what lies at least as long back as before says. An event at
// e begins to count at e+before and counts for ever.
func (d *did) evalBefore(st *TallyState, now int64) (bool, int64) {
	enough, until := d.least == 0, Never
	if !enough {
		if t, ok := st.oldest(d.least); ok {
			until = addTime(t, d.before)
		}
		if enough = until <= now; !enough {
			return false, until
		}
	}
	if d.most == unlimited {
		return true, Never
	}
	until = Never
	if t, ok := st.oldest(d.most + 1); ok {
		until = addTime(t, d.before)
	}
	if until <= now {
		return false, Never
	}
	return true, until
}

// oldest gives the time of the nth event ever.
func (s *TallyState) oldest(n int) (int64, bool) {
	switch {
	case int64(n) > s.Count:
		return 0, false
	case n == 1:
		return s.First, true
	case n <= len(s.Oldest):
		return s.Oldest[n-1], true
	case s.Count == int64(len(s.Times)):
		return s.Times[len(s.Times)-n], true
	}
	return 0, false
}

// addTime adds without overflow.
func addTime(t, d int64) int64 {
	switch {
	case d > 0 && t > math.MaxInt64-d:
		return math.MaxInt64
	case d < 0 && t < math.MinInt64-d:
		return math.MinInt64
	}
	return t + d
}

// tally says what must be counted to answer d at any instant.
func (d *did) tally() Tally {
	t := Tally{ID: d.id, Event: d.event, Where: d.where}
	need := d.least
	if d.most != unlimited {
		need = d.most + 1
	}
	switch {
	case d.before > 0:
		t.NeedFirst = true
		if need > 1 {
			t.Oldest = need
		}
	case d.within > 0 || d.since:
		t.Keep = need
	default:
		t.NeedFirst = true
	}
	return t
}

// tallyID is 32 bits of a hash of what is counted.
func tallyID(event string, where *Where, what string) uint32 {
	if what != "" {
		what = " " + what
	}
	sum := sha256.Sum256([]byte(quoteText(event) + " " + where.String() + what))
	if id := binary.BigEndian.Uint32(sum[:]); id != 0 {
		return id
	}
	return 1
}
