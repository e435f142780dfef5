package rule

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// measure compares what the counted events have in a property.
type measure struct {
	word  string // sum, avg, min, max, first or last
	path  string
	terms []comparison
	ends  [][2]Total // of each term: its operand, and the second of between
	as    *Where     // first and last: the comparisons as one
	id    uint32
}

// gathered is what a measure has of some events.
type gathered struct {
	n                int64
	sum, least, most Total
	first, last      Sample
}

func (g *gathered) add(s Sample, newer bool, numbers bool) {
	if g.n == 0 || newer {
		g.last = s
	}
	if g.n == 0 || !newer {
		g.first = s
	}
	if numbers {
		t := s.total()
		g.sum = g.sum.plus(t)
		if g.n == 0 || t.compare(g.least) < 0 {
			g.least = t
		}
		if g.n == 0 || t.compare(g.most) > 0 {
			g.most = t
		}
	}
	g.n++
}

// holds compares what was gathered. Of no events there is a sum, which is 0, and
// nothing else.
func (m *measure) holds(g *gathered) bool {
	value, times := g.sum, uint64(1)
	switch {
	case g.n == 0 && m.word != "sum":
		return false
	case m.word == "first":
		return g.first.Coef == 1
	case m.word == "last":
		return g.last.Coef == 1
	case m.word == "avg":
		times = uint64(g.n)
	case m.word == "min":
		value = g.least
	case m.word == "max":
		value = g.most
	}
	for i := range m.terms {
		order := value.compare(m.ends[i][0].times(times))
		good := false
		switch m.terms[i].op {
		case opIs:
			good = order == 0
		case opIsNot:
			good = order != 0
		case opGt:
			good = order > 0
		case opGte:
			good = order >= 0
		case opLt:
			good = order < 0
		case opLte:
			good = order <= 0
		case opBetween:
			good = order >= 0 && value.compare(m.ends[i][1].times(times)) <= 0
		}
		if !good {
			return false
		}
	}
	return true
}

// eval measures the events that d counts.
func (m *measure) eval(d *did, s Subject, at At) (bool, int64) {
	var none gathered
	st, ok := s.Tally(m.id)
	if !ok || st.Count <= 0 || st.Values == nil {
		return m.holds(&none), Never
	}
	v := st.Values
	switch {
	case d.within > 0 || d.since:
		return m.evalWindow(d, v.Samples, at)
	case st.Count == int64(len(v.Samples)) || d.before > 0 && m.word != "first":
		return m.evalBefore(v.Samples, d.before, at.Now)
	case addTime(v.Oldest.At, d.before) > at.Now:
		return m.holds(&none), addTime(v.Oldest.At, d.before)
	}
	g := gathered{n: st.Count, sum: v.Sum, least: v.Least, most: v.Most, first: v.Oldest}
	if len(v.Samples) > 0 {
		g.last = v.Samples[0]
	}
	return m.holds(&g), Never
}

// evalWindow goes from the newest event to the oldest, which is the way back
// from the day on which all have left the window to now.
func (m *measure) evalWindow(d *did, list []Sample, at At) (truth bool, until int64) {
	until = Never
	for len(list) > 0 && list[0].At > at.Now {
		until, list = list[0].At, list[1:]
	}
	low := d.low(at)
	var g gathered
	turn := [2]int{-1, -1} // the oldest event with which it was false, true without it
	for k := 0; ; k++ {
		end := k == len(list) || list[k].At <= low
		if end || k == 0 || list[k-1].At != list[k].At {
			if truth = m.holds(&g); !end {
				turn[index(truth)] = k
			}
		}
		if end {
			break
		}
		g.add(list[k], false, m.as == nil)
	}
	if k := turn[index(!truth)]; k >= 0 && d.within > 0 {
		until = min(until, addTime(list[k].At, d.within))
	}
	return truth, until
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// evalBefore goes from the oldest event to the newest, which is how they begin
// to count.
func (m *measure) evalBefore(list []Sample, before, now int64) (truth bool, until int64) {
	var g gathered
	truth = m.holds(&g)
	for i := len(list) - 1; i >= 0; i-- {
		g.add(list[i], true, m.as == nil)
		if i > 0 && list[i-1].At == list[i].At {
			continue
		}
		t, from := m.holds(&g), addTime(list[i].At, before)
		switch {
		case from <= now:
			truth = t
		case t != truth:
			return truth, from
		}
	}
	return truth, Never
}

// tally says what must be kept to measure.
func (m *measure) tally(d *did) Tally {
	t := Tally{ID: m.id, Event: d.event, Where: d.where, As: m.as}
	if m.as == nil {
		t.Property = m.path
	}
	windowed := d.within > 0 || d.since || d.before > 0
	switch {
	case m.word == "last" && d.before == 0:
		t.Samples = 1
	case m.word == "first" && d.within == 0 && !d.since:
	case windowed:
		t.Samples = MaxSamples
	}
	return t
}

// measured completes a measure for the events of d.
func (m *measure) measured(d *did) {
	what := "of " + quoteText(m.path)
	if m.as != nil {
		what = "as " + m.as.text
	}
	m.id = tallyID(d.event, d.where, what)
}

func (m *measure) write() string {
	var b strings.Builder
	b.WriteString(m.word + ": {property: " + quoteText(m.path) + ", ")
	writeOperators(&b, m.terms)
	b.WriteByte('}')
	return b.String()
}

// measure reads sum, avg, min, max, first or last.
func (p *parser) measure(e entry) (measure, bool) {
	before := len(p.problems)
	m := measure{word: e.key}
	if e.value.Kind != yaml.MappingNode {
		hint := "write " + e.key + ": {property: total, gte: 100}"
		if _, err := ParseDuration(e.value.Value); e.key == "last" && err == nil {
			hint = "did you mean within: " + e.value.Value + "?"
		}
		p.add(e.value, hint, "%s takes a property with comparisons, not %s", e.key, describe(e.value))
		return m, false
	}
	list := p.entries(e.value)
	i := slices.IndexFunc(list, func(x entry) bool { return x.key == "property" })
	if i < 0 {
		p.add(e.value, "write "+e.key+": {property: total, gte: 100}", "%s names no property", e.key)
		return m, false
	}
	var ok bool
	if m.path, ok = p.text(list[i].value, "property", "a path such as total"); ok {
		p.path(list[i].value, m.path)
	}
	rest := slices.Delete(slices.Clone(list), i, i+1)
	p.inner++
	m.terms = sortComparisons(p.operators(m.path, e.value, rest))
	p.inner--
	if len(p.problems) > before {
		return m, false
	}
	if m.word == "first" || m.word == "last" {
		m.as = newWhere(m.terms)
		return m, true
	}
	for _, c := range m.terms {
		numeric := c.op >= opGt && c.op <= opLte || c.op == opIs || c.op == opIsNot || c.op == opBetween
		if !numeric || c.one.kind != isNumber {
			p.add(e.at, "compare with is, is_not, gt, gte, lt, lte or between", "%s is a number, and %s does not compare numbers", m.word, c.String())
			continue
		}
		var ends [2]Total
		for i, o := range []operand{c.one, moreOf(&c).most} {
			s, ok := sampleOf([]byte(o.yaml))
			if o.yaml != "" && !ok {
				p.add(e.at, "", "%s has more than max_digits = %d digits or max_places = %d places", o.yaml, MaxDigits, MaxPlaces)
			}
			ends[i] = s.total()
		}
		m.ends = append(m.ends, ends)
	}
	return m, len(p.problems) == before
}

func moreOf(c *comparison) *beyond {
	if c.more == nil {
		return &beyond{}
	}
	return c.more
}
