package rows

import (
	"math"
	"time"
)

// DueMillis orders mails by time; one without a time comes first.
func DueMillis(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	return t.UnixMilli()
}

// DueTime reads what DueMillis gave.
func DueTime(ms int64) time.Time {
	if ms == math.MinInt64 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
