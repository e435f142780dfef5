package profile

import (
	"bytes"
	"math"
	"time"

	"rapport/internal/plan"
)

// never is later than any instant.
const never = math.MaxInt64

// NextExpiry gives the instant at which the next trait, or part of one, ends that is
// kept for a term only, counted from when it was last written; MaxInt64 for none.
func (p *Profile) NextExpiry(terms map[string]*Term) int64 {
	next := int64(never)
	for name, t := range terms {
		i, ok := p.find(name)
		if !ok || p.Traits[i].Value == nil {
			continue
		}
		if term := plan.Shorter(t.Term, t.first(p.Traits[i].Value)); term > 0 {
			next = min(next, p.Traits[i].At+term.Milliseconds())
		}
	}
	return next
}

// Expire takes away traits, and parts of them, whose term has ended by an instant. Of
// each trait stays when it was last written, so that nothing older brings it back.
func (p *Profile) Expire(terms map[string]*Term, now int64, c *Change) {
	for i := range p.Traits {
		x := &p.Traits[i]
		t := terms[x.Name]
		if t == nil || x.Value == nil {
			continue
		}
		age := time.Duration(now-x.At) * time.Millisecond
		if t.Term > 0 && t.Term <= age {
			x.Value = nil
		} else if left, n := t.Without(x.Value, age); n > 0 {
			x.Value = bytes.Clone(left)
		} else {
			continue
		}
		c.Traits = append(c.Traits, x.Name)
	}
}
