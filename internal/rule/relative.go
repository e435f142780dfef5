package rule

import "math"

// isRelative says whether a comparison's answer depends on now.
func (o operator) isRelative() bool { return o >= opOlder && o <= opInNext }

// matchNow compares a date with now. A date that lies between two milliseconds
// counts from the later one on, so that answers change at whole milliseconds.
//
//	older_than d:            [date+d ……
//	newer_than d: …… date+d)
//	in_last d:         [date, date+d)
//	in_next d: [date-d, date)
func (c *comparison) matchNow(raw []byte, ok bool, now int64) (truth bool, until int64) {
	if raw = trim(raw); !ok || len(raw) == 0 {
		return false, Never
	}
	at, ok := instantOf(raw)
	if !ok {
		return false, Never
	}
	from, to := int64(math.MinInt64), Never
	switch date := at.millis(); c.op {
	case opOlder:
		from = addTime(date, c.more.duration)
	case opNewer:
		to = addTime(date, c.more.duration)
	case opInLast:
		from, to = date, addTime(date, c.more.duration)
	case opInNext:
		from, to = addTime(date, -c.more.duration), date
	}
	switch {
	case now < from:
		return false, from
	case now < to:
		return true, to
	}
	return c.op == opOlder && from != Never, Never
}

// millis gives the first millisecond that is not before the instant.
func (a instant) millis() int64 {
	switch {
	case a.sec > math.MaxInt64/1000-1:
		return math.MaxInt64
	case a.sec < math.MinInt64/1000+1:
		return math.MinInt64
	}
	return a.sec*1000 + (int64(a.nano)+999_999)/1_000_000
}
