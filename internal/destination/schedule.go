package destination

import "time"

// waits is how long after each failure an item is tried again: the schedule that
// Standard Webhooks proposes, three days and a bit from the first to the last.
var waits = [...]time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// MaxAttempts is after how many failed attempts an item becomes a dead letter.
const MaxAttempts = 10

var _ [MaxAttempts - 1 - len(waits)]struct{} // one more than there are waits

// MaxAge is how old an item may become while its destination cannot be told. It
// is longer than the schedule, which so decides of everything that was tried.
const MaxAge = 4 * 24 * time.Hour

// KeepDead is how long dead letters are kept.
const KeepDead = 30 * 24 * time.Hour

// maxHold is the longest Retry-After that is heeded.
const maxHold = 24 * time.Hour

// after gives the wait after so many failures, spread over nine tenths to eleven
// tenths of its length, so that what failed together does not come back together.
func after(failures int, chance float64) time.Duration {
	w := waits[min(max(failures, 1), len(waits))-1]
	return time.Duration(float64(w) * (0.9 + chance/5))
}

// breaker stops trying a destination that fails whatever it is told, and tries
// it with one item now and then until that works. The zero value is closed.
type breaker struct {
	row   int       // failures without a success between them
	trips int       // how often it has opened without a success between
	until time.Time // open until then; zero: closed
}

const (
	tripsAt   = 10 // failures in a row
	firstRest = 2 * time.Second
	mostRest  = 5 * time.Minute
)

// failed notes a failure and tells whether the breaker opened for the first time.
func (b *breaker) failed(now time.Time, chance float64) (opened bool) {
	b.row++
	if b.row < tripsAt || now.Before(b.until) { // What was on the wire when it opened says nothing new.
		return false
	}
	rest := min(firstRest<<min(b.trips, 10), mostRest)
	b.until = now.Add(time.Duration(float64(rest) * (0.9 + chance/5)))
	b.trips++
	return b.trips == 1
}

// worked notes a success and tells whether it closed the breaker.
func (b *breaker) worked() (closed bool) {
	closed = b.open()
	*b = breaker{}
	return closed
}

// open tells whether the last that is known is that nothing works.
func (b *breaker) open() bool { return !b.until.IsZero() }

// rests tells until when nothing is tried.
func (b *breaker) rests(now time.Time) (time.Time, bool) { return b.until, now.Before(b.until) }
