package rows

import (
	"math"
	"time"
)

// Span gives the milliseconds of a span of time, open where a side is zero.
func Span(since, until time.Time) (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if !since.IsZero() {
		from = since.UnixMilli()
	}
	if !until.IsZero() {
		to = until.UnixMilli()
	}
	return from, to
}

// Below gives the number below which a page of a list begins; zero is the newest.
func Below(before int64) int64 {
	if before <= 0 {
		return math.MaxInt64
	}
	return before
}
