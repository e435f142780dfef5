package rows

import (
	"math"
	"time"
)

// Span gives a span of time as Unix milliseconds, of which the first is in and
// the last is out; it is open where a side is zero. Rows come at whole ones.
func Span(since, until time.Time) (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if !since.IsZero() {
		from = wholeMilli(since)
	}
	if !until.IsZero() {
		to = wholeMilli(until)
	}
	return from, to
}

// wholeMilli rounds up.
func wholeMilli(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }
