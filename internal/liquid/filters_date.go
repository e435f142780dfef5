package liquid

import "time"

var dateFilters = map[string]*filter{
	"date": {min: 1, max: 1, fn: filterDate},
}

// maxUnix bounds the seconds that are taken for an instant: some 35,000 years from 1970.
const maxUnix = 1 << 40

// toTime reads a value as an instant; ok is false if it is none.
func (st *state) toTime(v Value) (time.Time, bool) {
	switch v.kind {
	case KindTime:
		return v.AsTime()
	case KindInt:
		if v.n > maxUnix || v.n < -maxUnix {
			return time.Time{}, false
		}
		return time.Unix(v.n, 0).In(st.zone), true
	case KindString:
		return st.textTime(v.s)
	}
	return time.Time{}, false
}

func (st *state) textTime(s string) (time.Time, bool) {
	if s == "" || !st.work(len(s)) {
		return time.Time{}, false
	}
	if len(s) <= len("today") {
		if w := lowerText(s); w == "now" || w == "today" {
			return st.opts.Now.In(st.zone), true
		}
	}
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return parseDate(s, st.opts.Now, st.zone)
		}
	}
	if n := leadingInt(s); n.kind == KindInt && n.n <= maxUnix {
		return time.Unix(n.n, 0).In(st.zone), true
	}
	return time.Time{}, false
}

func lowerText(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lowerByte(b[i])
	}
	return string(b)
}

// filterDate formats a time as Ruby's strftime does. What is no time is returned as it came.
func filterDate(a *args, in Value) Value {
	format := a.text(0)
	if format == "" {
		return in
	}
	t, ok := a.st.toTime(in)
	if !ok {
		return in
	}
	if !a.st.charge(4 * len(format)) {
		return Nil
	}
	return a.fromScratch(strftime(a.st.scratch[:0], t, format, &englishNames))
}
