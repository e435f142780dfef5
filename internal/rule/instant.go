package rule

import (
	"cmp"
	"math"
)

// instant is a moment that a trait or property tells, to the nanosecond.
type instant struct {
	sec  int64 // since 1970-01-01T00:00:00Z
	nano int32
}

func (a instant) compare(b instant) int {
	if a.sec != b.sec {
		return cmp.Compare(a.sec, b.sec)
	}
	return cmp.Compare(a.nano, b.nano)
}

// unixMillis is the least number that is read as milliseconds since 1970 and not
// as seconds: as seconds it would be in the year 5138.
const unixMillis = 100_000_000_000

// instantOf reads a JSON value as a moment: a text in RFC 3339, a text that is a
// plain date and means its first instant in UTC, or a number of seconds or
// milliseconds since 1970.
func instantOf(raw []byte) (instant, bool) {
	if len(raw) > 0 && raw[0] == '"' {
		text, s, ok := textOf(raw)
		if !ok {
			return instant{}, false
		}
		defer s.free()
		return parseInstant(text)
	}
	return unixInstant(raw)
}

// parseInstant reads a date or a date with time and offset.
func parseInstant[T string | []byte](b T) (instant, bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return instant{}, false
	}
	year, ok1 := field(b, 0, 4)
	month, ok2 := field(b, 5, 7)
	day, ok3 := field(b, 8, 10)
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return instant{}, false
	}
	at := instant{sec: daysSince1970(year, month, day) * 86400}
	if len(b) == 10 {
		return at, true
	}
	if len(b) < 20 || b[10] != 'T' && b[10] != 't' && b[10] != ' ' || b[13] != ':' || b[16] != ':' {
		return instant{}, false
	}
	hour, ok1 := field(b, 11, 13)
	minute, ok2 := field(b, 14, 16)
	second, ok3 := field(b, 17, 19)
	if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 60 {
		return instant{}, false
	}
	at.sec += int64(hour*3600 + minute*60 + second)
	i := 19
	if b[i] == '.' {
		from := i + 1
		unit := int32(100_000_000)
		for i++; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
			at.nano += int32(b[i]-'0') * unit
			unit /= 10
		}
		if i == from {
			return instant{}, false
		}
	}
	offset, ok := offsetOf(b, i)
	at.sec -= offset
	return at, ok
}

// offsetOf reads the zone at the end of an instant, in seconds east of UTC.
func offsetOf[T string | []byte](b T, i int) (int64, bool) {
	if i == len(b)-1 && (b[i] == 'Z' || b[i] == 'z') {
		return 0, true
	}
	if i != len(b)-6 || b[i] != '+' && b[i] != '-' || b[i+3] != ':' {
		return 0, false
	}
	hour, ok1 := field(b, i+1, i+3)
	minute, ok2 := field(b, i+4, i+6)
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return 0, false
	}
	offset := int64(hour*3600 + minute*60)
	if b[i] == '-' {
		offset = -offset
	}
	return offset, true
}

// field reads the digits of b[from:to].
func field[T string | []byte](b T, from, to int) (n int, ok bool) {
	for i := from; i < to; i++ {
		if b[i] < '0' || b[i] > '9' {
			return 0, false
		}
		n = n*10 + int(b[i]-'0')
	}
	return n, true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts days of the Gregorian calendar. The year begins in March
// here, so that the leap day is its last.
func daysSince1970(year, month, day int) int64 {
	if month < 3 {
		year, month = year-1, month+12
	}
	days := 365*year + floorDiv(year, 4) - floorDiv(year, 100) + floorDiv(year, 400)
	return int64(days + (153*(month-3)+2)/5 + day - 1 - 719468)
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// unixInstant reads a number of seconds, or from unixMillis on of milliseconds.
func unixInstant(raw []byte) (instant, bool) {
	n, start, end, ok := parseNumber(raw)
	switch {
	case !ok:
		return instant{}, false
	case n.mag > 17 && n.neg: // beyond any date that a text can tell
		return instant{sec: math.MinInt64}, true
	case n.mag > 17:
		return instant{sec: math.MaxInt64}, true
	}
	var whole, part int64 // part in units of 10^-9
	mant := raw[start:end]
	place := n.mag // digits before the point that are still to come
	for _, c := range mant {
		if c == '.' {
			continue
		}
		if place > 0 {
			whole = whole*10 + int64(c-'0')
		} else if place > -9 {
			part += int64(c-'0') * pow10(8+place)
		}
		place--
	}
	for ; place > 0; place-- {
		whole *= 10
	}
	at := instant{sec: whole, nano: int32(part)}
	if whole >= unixMillis {
		at = instant{sec: whole / 1000, nano: int32(whole%1000*1_000_000 + part/1000)}
	}
	if n.neg {
		at.sec = -at.sec
		if at.nano > 0 {
			at.sec, at.nano = at.sec-1, 1_000_000_000-at.nano
		}
	}
	return at, true
}

func pow10(n int64) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}
