package ingest

import "time"

// unset is when the clock of a device that does not know the time stands: what
// says it happened in 1970 has no time of its own.
var unset = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)

// unusable tells whether a time was given that says nothing: it is before 1971,
// as a number that counts something else, a program's zero time or a clock that
// was never set are, and the same clock does not say when it was sent.
func unusable(raw []byte, original, sent time.Time) bool {
	return original.Before(unset) && !absent(raw) && string(raw) != `""` && (sent.IsZero() || !sent.Before(unset))
}

// correct gives the time of an event by our clock: the sender's clock says how
// long before sending it happened, ours says when it arrived. It is never later
// than receipt. Either of the sender's times may be zero.
func correct(received, sent, original time.Time) time.Time {
	switch {
	case original.IsZero():
		return received
	case sent.IsZero():
		if original.Before(unset) || original.After(received) {
			return received
		}
		return original
	}
	if original.Before(unset) && !sent.Before(unset) {
		return received // An unset clock was set between the event and its sending.
	}
	at := received.UnixMilli() - (sent.UnixMilli() - original.UnixMilli())
	if at >= received.UnixMilli() {
		return received
	}
	return time.UnixMilli(at).UTC()
}

// layouts are the spellings of ISO 8601 that senders are known to use beside
// RFC 3339. What has no zone is UTC.
var layouts = [...]string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
	time.DateOnly,
}

// instant reads a time; what is absent or empty is the zero time. ok is false
// for what is no time between the years 1 and 9999.
func instant(raw []byte) (t time.Time, ok bool) {
	if absent(raw) {
		return t, true
	}
	if raw[0] != '"' {
		return unixInstant(raw)
	}
	if len(raw) == 26 {
		if t, ok := fastInstant(raw[1:25]); ok {
			return t, true
		}
	}
	s, ok := text(raw)
	if !ok || s == "" {
		return t, ok
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), sane(t)
		}
	}
	return t, false
}

// fastInstant reads what JavaScript and most SDKs write: 2026-01-02T15:04:05.678Z.
func fastInstant(b []byte) (time.Time, bool) {
	if b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[19] != '.' || b[23] != 'Z' {
		return time.Time{}, false
	}
	year, a := number(b[0:4])
	month, c := number(b[5:7])
	day, d := number(b[8:10])
	hour, e := number(b[11:13])
	minute, f := number(b[14:16])
	second, g := number(b[17:19])
	milli, h := number(b[20:23])
	if !(a && c && d && e && f && g && h) || year == 0 || month < 1 || month > 12 || day < 1 || day > 28 ||
		hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false // Month ends and leap seconds are for time.Parse to judge.
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, milli*int(time.Millisecond), time.UTC), true
}

func number(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// unixInstant reads seconds or, from the year 1973 on, milliseconds since 1970.
func unixInstant(raw []byte) (t time.Time, ok bool) {
	n, ok := number(raw)
	if !ok || len(raw) > 15 {
		return t, false
	}
	if n >= 100_000_000_000 {
		t = time.UnixMilli(int64(n)).UTC()
	} else {
		t = time.Unix(int64(n), 0).UTC()
	}
	return t, sane(t)
}

func sane(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }
