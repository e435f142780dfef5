package liquid

import (
	"strconv"
	"strings"
	"time"
)

// dateNames are the names of days and months in one language, as strftime prints them.
type dateNames struct {
	days, daysShort     [7]string
	months, monthsShort [12]string
	am, pm              string
}

var englishNames = dateNames{
	days:      [7]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
	daysShort: [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
	months: [12]string{
		"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
	},
	monthsShort: [12]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
	am:          "AM", pm: "PM",
}

// maxWidth bounds the padding that a directive may ask for.
const maxWidth = 256

// directive is one % of a format: its flags, width and letter.
type directive struct {
	pad    byte // '-' for none, '0', '_' for spaces, or 0 for the directive's own
	upper  bool
	swap   bool
	colons int
	width  int
	letter byte
}

// strftime appends a time as Ruby's strftime formats it.
func strftime(dst []byte, t time.Time, format string, names *dateNames) []byte {
	for i := 0; i < len(format); {
		if format[i] != '%' {
			n := strings.IndexByte(format[i:], '%')
			if n < 0 {
				n = len(format) - i
			}
			dst = append(dst, format[i:i+n]...)
			i += n
			continue
		}
		d, n := parseDirective(format[i:])
		out, ok := d.append(dst, t, names)
		if !ok {
			out = append(dst, format[i:i+n]...)
		}
		dst = out
		i += n
	}
	return dst
}

func parseDirective(s string) (d directive, n int) {
	i := 1
flags:
	for ; i < len(s); i++ {
		switch c := s[i]; c {
		case '-', '0', '_':
			d.pad = c
		case '^':
			d.upper = true
		case '#':
			d.swap = true
		case ':':
			if d.colons++; i+1 < len(s) && s[i+1] != ':' && s[i+1] != 'z' {
				return directive{}, i + 1 // Colons belong right before the z.
			}
		default:
			break flags
		}
	}
	for ; i < len(s) && isDigit(s[i]); i++ {
		d.width = min(d.width*10+int(s[i]-'0'), maxWidth)
	}
	for ; i < len(s) && s[i] == ':'; i++ {
		d.colons++
	}
	if i < len(s) && (s[i] == 'E' || s[i] == 'O') { // The modifiers of other calendars change nothing.
		i++
	}
	if i < len(s) {
		d.letter = s[i]
		i++
	}
	return d, i
}

// composite are the directives that stand for a format.
var composite = map[byte]string{
	'c': "%a %b %e %H:%M:%S %Y", 'D': "%m/%d/%y", 'x': "%m/%d/%y", 'F': "%Y-%m-%d", 'T': "%H:%M:%S", 'X': "%H:%M:%S",
	'R': "%H:%M", 'r': "%I:%M:%S %p", 'v': "%e-%^b-%Y",
}

func (d directive) append(dst []byte, t time.Time, names *dateNames) ([]byte, bool) {
	if d.colons > 0 && d.letter != 'z' {
		return dst, false
	}
	if f, ok := composite[d.letter]; ok {
		d.swap = false
		return d.text(dst, string(strftime(nil, t, f, names))), true
	}
	switch d.letter {
	case 'Y':
		if t.Year() < 0 {
			return d.number(dst, t.Year(), 5, '0'), true
		}
		return d.number(dst, t.Year(), 4, '0'), true
	case 'C':
		return d.number(dst, floorDiv(t.Year(), 100), 2, '0'), true
	case 'y':
		return d.number(dst, t.Year()-100*floorDiv(t.Year(), 100), 2, '0'), true
	case 'm':
		return d.number(dst, int(t.Month()), 2, '0'), true
	case 'd':
		return d.number(dst, t.Day(), 2, '0'), true
	case 'e':
		return d.number(dst, t.Day(), 2, ' '), true
	case 'j':
		return d.number(dst, t.YearDay(), 3, '0'), true
	case 'H':
		return d.number(dst, t.Hour(), 2, '0'), true
	case 'k':
		return d.number(dst, t.Hour(), 2, ' '), true
	case 'I':
		return d.number(dst, hour12(t), 2, '0'), true
	case 'l':
		return d.number(dst, hour12(t), 2, ' '), true
	case 'M':
		return d.number(dst, t.Minute(), 2, '0'), true
	case 'S':
		return d.number(dst, t.Second(), 2, '0'), true
	case 's':
		return d.number(dst, int(t.Unix()), 1, '0'), true
	case 'u':
		return d.number(dst, (int(t.Weekday())+6)%7+1, 1, '0'), true
	case 'w':
		return d.number(dst, int(t.Weekday()), 1, '0'), true
	}
	return d.appendMore(dst, t, names)
}

func (d directive) appendMore(dst []byte, t time.Time, names *dateNames) ([]byte, bool) {
	switch d.letter {
	case 'L':
		return d.fraction(dst, t, 3), true
	case 'N':
		return d.fraction(dst, t, 9), true
	case 'G', 'g', 'V':
		year, week := t.ISOWeek()
		switch d.letter {
		case 'G':
			return d.number(dst, year, 4, '0'), true
		case 'g':
			return d.number(dst, year-100*floorDiv(year, 100), 2, '0'), true
		}
		return d.number(dst, week, 2, '0'), true
	case 'U':
		return d.number(dst, (t.YearDay()+6-int(t.Weekday()))/7, 2, '0'), true
	case 'W':
		return d.number(dst, (t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, '0'), true
	case 'A':
		return d.text(dst, names.days[t.Weekday()]), true
	case 'a':
		return d.text(dst, names.daysShort[t.Weekday()]), true
	case 'B':
		return d.text(dst, names.months[t.Month()-1]), true
	case 'b', 'h':
		return d.text(dst, names.monthsShort[t.Month()-1]), true
	case 'p':
		s := halfDay(t, names)
		if d.swap {
			d.swap, d.upper, s = false, false, strings.ToLower(s)
		}
		return d.text(dst, s), true
	case 'P':
		return d.text(dst, strings.ToLower(halfDay(t, names))), true
	case 'Z':
		s := zoneName(t)
		if s == "" {
			return dst, true
		}
		if d.swap {
			d.swap, s = false, strings.ToLower(s)
		}
		return d.text(dst, s), true
	case 'z':
		return d.offset(dst, t), d.colons <= 3
	case 'n':
		return d.text(dst, "\n"), true
	case 't':
		return d.text(dst, "\t"), true
	case '%':
		return d.text(dst, "%"), true
	}
	return dst, false
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func hour12(t time.Time) int { return (t.Hour()+11)%12 + 1 }

func halfDay(t time.Time, names *dateNames) string {
	if t.Hour() < 12 {
		return names.am
	}
	return names.pm
}

// zoneName is the abbreviation of the zone; a bare offset has none.
func zoneName(t time.Time) string {
	name, _ := t.Zone()
	if name == "" || name[0] == '+' || name[0] == '-' {
		return ""
	}
	return name
}

func (d directive) padding(own byte) byte {
	switch d.pad {
	case '-':
		return 0
	case '_':
		return ' '
	case '0':
		return '0'
	}
	return own
}

// number writes a number to at least so many digits.
func (d directive) number(dst []byte, n, digits int, own byte) []byte {
	pad := d.padding(own)
	width := digits
	if d.width > 0 {
		width = d.width
	}
	s := strconv.Itoa(n)
	if pad == 0 {
		return append(dst, s...)
	}
	if pad == '0' && s[0] == '-' {
		dst = append(dst, '-')
		s = s[1:]
		width--
	}
	for i := len(s); i < width; i++ {
		dst = append(dst, pad)
	}
	return append(dst, s...)
}

// text writes a name, in capitals or padded as the flags say.
func (d directive) text(dst []byte, s string) []byte {
	if d.upper || d.swap {
		s = strings.ToUpper(s)
	}
	if pad := d.padding(' '); pad != 0 {
		for i := runeCount(s); i < d.width; i++ {
			dst = append(dst, pad)
		}
	}
	return append(dst, s...)
}

// fraction writes that many digits of the second.
func (d directive) fraction(dst []byte, t time.Time, digits int) []byte {
	if d.width > 0 {
		digits = d.width
	}
	s := strconv.Itoa(1_000_000_000 + t.Nanosecond())[1:]
	for i := 0; i < digits; i++ {
		if i < len(s) {
			dst = append(dst, s[i])
		} else {
			dst = append(dst, '0')
		}
	}
	return dst
}

// offset writes the distance from UTC as +hhmm, or with colons as +hh:mm and so on.
func (d directive) offset(dst []byte, t time.Time) []byte {
	_, secs := t.Zone()
	sign := byte('+')
	if secs < 0 {
		sign, secs = '-', -secs
	}
	two := func(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }
	var rest []byte
	h, m, s := secs/3600, secs/60%60, secs%60
	switch d.colons {
	case 0:
		rest = two(nil, m)
	case 1:
		rest = two([]byte{':'}, m)
	case 2:
		rest = two(append(two([]byte{':'}, m), ':'), s)
	case 3:
		if m != 0 || s != 0 {
			rest = two([]byte{':'}, m)
		}
		if s != 0 {
			rest = two(append(rest, ':'), s)
		}
	}
	hours := strconv.Itoa(h)
	width := max(d.width-1-len(rest), 2)
	if d.pad == '_' {
		for i := len(hours); i < width; i++ {
			dst = append(dst, ' ')
		}
		dst = append(dst, sign)
	} else {
		dst = append(dst, sign)
		for i := len(hours); i < width; i++ {
			dst = append(dst, '0')
		}
	}
	return append(append(dst, hours...), rest...)
}
