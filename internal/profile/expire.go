package profile

import (
	"math"
	"time"
)

// never is later than any instant.
const never = math.MaxInt64

// NextExpiry gives the instant at which the next trait ends that is kept for a term
// only, counted from when it was last written; MaxInt64 for none.
func (p *Profile) NextExpiry(terms map[string]time.Duration) int64 {
	next := int64(never)
	for name, term := range terms {
		if i, ok := p.find(name); ok && p.Traits[i].Value != nil {
			next = min(next, p.Traits[i].At+term.Milliseconds())
		}
	}
	return next
}

// Expire takes away traits whose term has ended by an instant. Of each stays when it
// was last written, so that nothing older brings it back.
func (p *Profile) Expire(terms map[string]time.Duration, now int64, c *Change) {
	for i := range p.Traits {
		t := &p.Traits[i]
		if term, ok := terms[t.Name]; ok && t.Value != nil && t.At+term.Milliseconds() <= now {
			t.Value = nil
			c.Traits = append(c.Traits, t.Name)
		}
	}
}
