package rule

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// Explanation says why a rule holds or does not: the same tree as the rule, each
// condition with its answer, what was seen, and when the answer may change.
type Explanation struct {
	Text       string          // the condition in the language's own words
	Truth      bool            // whether it holds
	Seen       json.RawMessage // the value it was decided by; nil for all, any and not, and for what is missing
	Note       string          // the same in words
	ValidUntil int64           // when it may change merely because time passes, or Never
	Children   []Explanation
}

// counted is what a did has seen.
type counted struct {
	Count   int64  `json:"count"`              // how many of those that are asked for
	AtLeast bool   `json:"at_least,omitempty"` // more were not kept, as the rule need not know them
	Ever    int64  `json:"ever"`               // how many there were at any time
	First   string `json:"first,omitempty"`
	Last    string `json:"last,omitempty"`
}

// Explain answers the rule as Eval does and says why. Unlike Eval it asks every
// condition and allocates.
func (r *Rule) Explain(s Subject, at At) Explanation {
	return r.root.explain(s, at)
}

func (n *node) explain(s Subject, at At) Explanation {
	e := Explanation{Text: n.text, ValidUntil: Never}
	switch n.kind {
	case kindAll, kindAny, kindNot:
		e.Text = n.kind.String()
		for i := range n.kids {
			e.Children = append(e.Children, n.kids[i].explain(s, at))
		}
		e.Truth, e.ValidUntil = fold(n.kind, e.Children)
	case kindDid:
		e.Truth, e.ValidUntil = n.did.eval(s, at)
		st, _ := s.Tally(n.did.id)
		seen := n.did.count(&st, at)
		e.Note = seen.String()
		e.Seen, _ = json.Marshal(seen) // numbers and texts always marshal
	case kindTrait, kindProperty:
		get := s.Trait
		if n.kind == kindProperty {
			get = s.Property
		}
		raw, ok := get(n.terms[0].path)
		e.Truth, e.ValidUntil = n.evalTerms(raw, ok, at.Now)
		e.Seen, e.Note = seenValue(raw, ok)
	case kindSegment:
		e.Truth = s.Member(n.segment)
		e.Seen, e.Note = json.RawMessage("false"), "not a member"
		if e.Truth {
			e.Seen, e.Note = json.RawMessage("true"), "a member"
		}
	}
	return e
}

// fold joins the answers of conditions as evalAll, evalAny and not do.
func fold(k kind, kids []Explanation) (truth bool, until int64) {
	if k == kindNot {
		return !kids[0].Truth, kids[0].ValidUntil
	}
	deciding := k == kindAny // the answer with which one condition decides
	decided, longest, until := false, int64(math.MinInt64), Never
	for i := range kids {
		if kids[i].Truth == deciding {
			decided, longest = true, max(longest, kids[i].ValidUntil)
		}
		until = min(until, kids[i].ValidUntil)
	}
	if decided {
		return deciding, longest
	}
	return !deciding, until
}

// maxSeen is the longest value that an explanation shows whole.
const maxSeen = 4 << 10

// seenValue gives a value for an explanation.
func seenValue(raw []byte, ok bool) (json.RawMessage, string) {
	switch {
	case !ok:
		return nil, "missing"
	case !json.Valid(raw):
		return nil, "not readable"
	case len(raw) > maxSeen:
		return nil, fmt.Sprintf("%d bytes", len(raw))
	}
	return json.RawMessage(strings.Clone(string(raw))), string(raw)
}

// count gives what a did has seen. It is for people: eval decides.
func (d *did) count(st *TallyState, at At) counted {
	c := counted{Ever: st.Count}
	if st.Count <= 0 {
		return c
	}
	c.First = instantText(st.First)
	if len(st.Times) > 0 {
		c.Last = instantText(st.Times[0])
	}
	switch {
	case d.before > 0:
		until := addTime(at.Now, -d.before)
		for n := 1; n <= max(1, len(st.Oldest)); n++ {
			if t, ok := st.oldest(n); ok && t <= until {
				c.Count++
			}
		}
		c.AtLeast = c.Count == int64(max(1, len(st.Oldest))) && c.Count < st.Count
	case d.within > 0 || d.since:
		low := d.low(at)
		for _, t := range st.Times {
			if t > low && t <= at.Now {
				c.Count++
			}
		}
		c.AtLeast = c.Count == int64(len(st.Times)) && c.Count < st.Count
	case st.First <= at.Now:
		c.Count = st.Count
		for i := 0; i < len(st.Times) && st.Times[i] > at.Now; i++ {
			c.Count--
		}
	}
	return c
}

// String gives the count in words.
func (c counted) String() string {
	if c.Ever == 0 {
		return "never happened"
	}
	s := fmt.Sprintf("%d", c.Count)
	if c.AtLeast {
		s = "at least " + s
	}
	if c.Ever != c.Count {
		s += fmt.Sprintf(" of %d", c.Ever)
	}
	s += ", first " + c.First
	if c.Last != "" && c.Last != c.First {
		s += ", last " + c.Last
	}
	return s
}

// instantText writes an instant of Unix milliseconds, "" for what no calendar holds.
func instantText(millis int64) string {
	const limit = 253402300799999 // the end of the year 9999
	if millis > limit || millis < -62135596800000 {
		return fmt.Sprintf("%d ms", millis)
	}
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.999Z07:00")
}

// String gives the explanation for a terminal, a line for each condition.
func (e Explanation) String() string {
	var b strings.Builder
	e.write(&b, 0)
	return b.String()
}

func (e *Explanation) write(b *strings.Builder, depth int) {
	b.WriteString(strings.Repeat("     ", depth))
	if e.Truth {
		b.WriteString("yes  ")
	} else {
		b.WriteString("no   ")
	}
	b.WriteString(e.Text)
	if e.Note != "" {
		b.WriteString("  # " + e.Note)
	}
	if e.ValidUntil != Never {
		b.WriteString("  (until " + instantText(e.ValidUntil) + ")")
	}
	b.WriteByte('\n')
	for i := range e.Children {
		e.Children[i].write(b, depth+1)
	}
}

// wire is how an explanation stands in JSON. An answer that does not change by
// itself has no until.
type wire struct {
	Text     string          `json:"text"`
	Truth    bool            `json:"truth"`
	Seen     json.RawMessage `json:"seen,omitempty"`
	Note     string          `json:"note,omitempty"`
	Until    *time.Time      `json:"until,omitempty"`
	Children []Explanation   `json:"children,omitempty"`
}

var (
	_ json.Marshaler   = Explanation{}
	_ json.Unmarshaler = (*Explanation)(nil)
)

// MarshalJSON writes the instant as RFC 3339.
func (e Explanation) MarshalJSON() ([]byte, error) {
	w := wire{Text: e.Text, Truth: e.Truth, Seen: e.Seen, Note: e.Note, Children: e.Children}
	// Beyond the year 9999 there is no RFC 3339, and nobody waits for it.
	if at := time.UnixMilli(e.ValidUntil).UTC(); e.ValidUntil != Never && at.Year() >= 0 && at.Year() <= 9999 {
		w.Until = &at
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Explanation) UnmarshalJSON(b []byte) error {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*e = Explanation{Text: w.Text, Truth: w.Truth, Seen: w.Seen, Note: w.Note, ValidUntil: Never, Children: w.Children}
	if w.Until != nil {
		e.ValidUntil = w.Until.UnixMilli()
	}
	return nil
}
