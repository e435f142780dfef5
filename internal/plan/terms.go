package plan

import (
	"time"

	"rapport/internal/event"
	"rapport/internal/purpose"
)

// Limits say how long data are kept at most, whatever a plan says of one of them.
// The zero value limits nothing.
type Limits struct {
	Classes  map[purpose.Class]time.Duration
	Purposes map[purpose.Purpose]time.Duration // also of families
}

// Of gives how long something is kept, zero for ever: as the plan says of it, and no
// longer than its class or its purposes permit.
func (l Limits) Of(a Attribute) time.Duration {
	class := l.Classes[a.Class]
	if a.Class == purpose.Sensitive && class == 0 { // It is personal all the more.
		class = l.Classes[purpose.Personal]
	}
	return Shorter(Shorter(a.Retention, class), l.last(a.Purposes))
}

// last gives the term after which none of some purposes needs data any more.
func (l Limits) last(purposes []purpose.Purpose) (out time.Duration) {
	for _, p := range purposes {
		term := l.For(p)
		if term == 0 {
			return 0
		}
		out = max(out, term)
	}
	return out
}

// For gives how long data are kept for one purpose: as the shortest term of it and of
// the families that it is of says.
func (l Limits) For(p purpose.Purpose) (out time.Duration) {
	for of, term := range l.Purposes {
		if p.Of(of) {
			out = Shorter(out, term)
		}
	}
	return out
}

// Shorter gives the shorter of two terms, of which zero is for ever.
func Shorter(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// EventName names a kind of event.
type EventName struct {
	Type event.Type
	Name string
}
