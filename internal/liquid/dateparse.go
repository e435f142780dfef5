package liquid

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxDateText bounds the length of a text that is read as a date, as Ruby does.
const maxDateText = 128

// The forms that dates are found by, tried in this order in a text in small letters. They follow Ruby's Date._parse.
var (
	timeForm = regexp.MustCompile(
		`(\d+)\s*:\s*(\d+)(?:\s*:\s*(\d+)(?:[.,](\d*))?)?(?:\s*([ap])\.?m\.?\b)?(?:\s*(z\b|(?:gmt|utc)?[-+]\d+(?:[,.:]\d+(?::\d+)?)?|[a-z]+ (?:standard|daylight) time\b|[a-z]{3,4}\b))?`)
	hourWord    = regexp.MustCompile(`(\d+)\s*h(?:\s*(\d+)m?(?:\s*(\d+)s?)?)?\b`)
	hourForm    = regexp.MustCompile(`\b(\d+)\s*([ap])\.?m\.?\b`)
	euForm      = regexp.MustCompile(`'?(\d+)[^-\d\s]*\s*(` + monthForm + `)[^-\d\s']*(?:\s*,?\s*('?-?\d+))?`)
	usForm      = regexp.MustCompile(`\b(` + monthForm + `)[^-\d\s']*\s*('?\d+)[^-\d\s']*(?:\s*,?\s*('?-?\d+))?`)
	isoForm     = regexp.MustCompile(`('?[-+]?\d+)-(\d+)-('?-?\d+)`)
	vmsForm     = regexp.MustCompile(`(\d+)-(` + monthForm + `)[^-]*-('?-?\d+)`)
	vms2Form    = regexp.MustCompile(`\b(` + monthForm + `)[^-]*-('?\d+)-('?-?\d+)`)
	slashForm   = regexp.MustCompile(`('?-?\d+)/\s*('?\d+)(?:\D\s*('?-?\d+))?`)
	dotForm     = regexp.MustCompile(`('?-?\d+)\.\s*('?\d+)\.\s*('?-?\d+)`)
	monthOnly   = regexp.MustCompile(`\b(` + monthForm + `)`)
	digitsForm  = regexp.MustCompile(`(\d{14}|\d{12}|\d{8})(?:\D|$)`)
	compactTime = regexp.MustCompile(`(\d{8})t(\d{2})(\d{2})(\d{2})?(z|[-+]\d{2}:?\d{2})?`)
	dayOnly     = regexp.MustCompile(`\b(\d+)(?:st|nd|rd|th)\b`)
)

const monthForm = `jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec`

// dateParts is what was found in a text; a negative number means not found.
type dateParts struct {
	year, month, day        int
	hour, minute, sec, nsec int
	loc                     *time.Location
}

// parseDate reads a text as a date as Ruby's Time.parse does. Parts before the first that is given are taken from
// now. A text without a zone is in the zone given.
func parseDate(s string, now time.Time, zone *time.Location) (time.Time, bool) {
	if len(s) > maxDateText {
		return time.Time{}, false
	}
	if t, ok := parseISO(s, zone); ok {
		return t, true
	}
	s = strings.ToLower(s)
	p := dateParts{year: -1, month: -1, day: -1, hour: -1, minute: -1, sec: -1}
	rest := p.findTime(s)
	found := p.findDate(rest)
	if !found && p.hour < 0 {
		return time.Time{}, false
	}
	return p.time(now.In(zone), zone)
}

// parseISO reads the usual forms of machines without more ado.
func parseISO(s string, zone *time.Location) (time.Time, bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' || !isDigit(s[0]) {
		return time.Time{}, false
	}
	if len(s) == 10 {
		t, err := time.ParseInLocation("2006-01-02", s, zone)
		return t, err == nil
	}
	for _, layout := range [...]string{
		"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05",
	} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return fixZone(t, zone), true
		}
	}
	return time.Time{}, false
}

// fixZone keeps the wanted zone for a time whose offset agrees with it, so that its name is known.
func fixZone(t time.Time, zone *time.Location) time.Time {
	if t.Location() == time.UTC {
		return t
	}
	_, have := t.Zone()
	if local := t.In(zone); offsetOf(local) == have {
		return local
	}
	return t.In(time.FixedZone("", have))
}

func offsetOf(t time.Time) int {
	_, off := t.Zone()
	return off
}

// findTime takes the time of day out of the text and returns what is left.
func (p *dateParts) findTime(s string) string {
	if m := compactTime.FindStringSubmatchIndex(s); m != nil {
		g := groups(s, m)
		p.hour, p.minute, p.sec = atoi(g[2]), atoi(g[3]), max(atoi(g[4]), 0)
		p.loc = zoneOffset(g[5])
		return s[:m[3]] + " " + s[m[1]:]
	}
	if m := timeForm.FindStringSubmatchIndex(s); m != nil {
		g := groups(s, m)
		p.hour, p.minute, p.sec = atoi(g[1]), atoi(g[2]), atoi(g[3])
		if g[4] != "" {
			p.nsec, _ = strconv.Atoi((g[4] + "000000000")[:9])
		}
		p.noon(g[5])
		if g[6] != "" {
			p.loc = zoneOffset(g[6])
			if p.loc == nil && g[6][0] >= 'a' && g[6][0] <= 'z' && !strings.HasSuffix(g[6], " time") {
				// A word that is no zone may be a month.
				return s[:m[0]] + " " + s[m[12]:]
			}
		}
		return s[:m[0]] + " " + s[m[1]:]
	}
	if m := hourForm.FindStringSubmatchIndex(s); m != nil {
		g := groups(s, m)
		p.hour, p.minute = atoi(g[1]), 0
		p.noon(g[2])
		return s[:m[0]] + " " + s[m[1]:]
	}
	if m := hourWord.FindStringSubmatchIndex(s); m != nil {
		g := groups(s, m)
		p.hour, p.minute, p.sec = atoi(g[1]), max(atoi(g[2]), 0), atoi(g[3])
		return s[:m[0]] + " " + s[m[1]:]
	}
	return s
}

func (p *dateParts) noon(half string) {
	if half == "" || p.hour > 12 {
		return
	}
	p.hour %= 12
	if half == "p" {
		p.hour += 12
	}
}

func groups(s string, m []int) []string {
	out := make([]string, len(m)/2)
	for i := range out {
		if m[2*i] >= 0 {
			out[i] = s[m[2*i]:m[2*i+1]]
		}
	}
	return out
}

// atoi reads digits; what is none, or too many, is -1.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// findDate reads the date in what is left and reports whether there is one.
func (p *dateParts) findDate(s string) bool {
	if m := vmsForm.FindStringSubmatch(s); m != nil {
		p.set(m[3], monthNumber(m[2]), m[1])
		return true
	}
	if m := vms2Form.FindStringSubmatch(s); m != nil {
		p.set(m[3], monthNumber(m[1]), m[2])
		return true
	}
	if m := euForm.FindStringSubmatch(s); m != nil {
		p.set(m[3], monthNumber(m[2]), m[1])
		return true
	}
	if m := usForm.FindStringSubmatch(s); m != nil {
		p.set(m[3], monthNumber(m[1]), m[2])
		return true
	}
	if m := isoForm.FindStringSubmatch(s); m != nil {
		p.set(m[1], atoi(m[2]), m[3])
		return true
	}
	if m := slashForm.FindStringSubmatch(s); m != nil {
		p.mixed(m[1], m[2], m[3])
		return true
	}
	if m := dotForm.FindStringSubmatch(s); m != nil {
		p.mixed(m[1], m[2], m[3])
		return true
	}
	if m := monthOnly.FindStringSubmatch(s); m != nil {
		p.month = monthNumber(m[1])
		return true
	}
	if m := digitsForm.FindStringSubmatch(s); m != nil {
		p.digits(m[1])
		return true
	}
	if m := dayOnly.FindStringSubmatch(s); m != nil {
		p.day = atoi(m[1])
		return true
	}
	return false
}

// mixed reads numbers between slashes or points: year first if it looks like one, else day first.
func (p *dateParts) mixed(a, b, c string) {
	switch {
	case c == "":
		p.month, p.day = atoi(strings.Trim(a, "'")), atoi(strings.Trim(b, "'"))
	case len(strings.Trim(a, "'-")) > 2 || strings.HasPrefix(a, "'") || len(strings.Trim(c, "'-")) <= 2:
		p.set(a, atoi(b), c)
	default:
		p.set(c, atoi(b), a)
	}
}

func (p *dateParts) set(year string, month int, day string) {
	p.month = month
	if len(strings.Trim(day, "'")) > 2 {
		year, day = day, year // What has more than two digits is the year, wherever it stands.
	}
	if day != "" {
		p.day = atoi(strings.Trim(day, "'"))
	}
	if year == "" {
		return
	}
	digits := strings.Trim(year, "'-+")
	n := atoi(digits)
	if len(digits) <= 2 && !strings.HasPrefix(year, "-") {
		if n >= 69 {
			n += 1900
		} else {
			n += 2000
		}
	}
	if len(digits) > 9 {
		n = -1
		p.month = -2
	}
	p.year = n
}

// digits reads a date, or a date and time, written without separators.
func (p *dateParts) digits(s string) {
	p.year, p.month, p.day = atoi(s[:4]), atoi(s[4:6]), atoi(s[6:8])
	if len(s) >= 12 {
		p.hour, p.minute = atoi(s[8:10]), atoi(s[10:12])
	}
	if len(s) == 14 {
		p.sec = atoi(s[12:14])
	}
}

func monthNumber(s string) int { return strings.Index(monthForm, s)/4 + 1 }

// time puts the parts together.
func (p *dateParts) time(now time.Time, zone *time.Location) (time.Time, bool) {
	fill := func(part *int, from, low int, given *bool) {
		switch {
		case *part >= 0:
			*given = true
		case *given:
			*part = low
		default:
			*part = from
		}
	}
	if p.month == -2 {
		return time.Time{}, false
	}
	given := false
	fill(&p.year, now.Year(), 1, &given)
	fill(&p.month, int(now.Month()), 1, &given)
	fill(&p.day, now.Day(), 1, &given)
	fill(&p.hour, 0, 0, &given)
	fill(&p.minute, 0, 0, &given)
	fill(&p.sec, 0, 0, &given)
	if p.month < 1 || p.month > 12 || p.day < 1 || p.day > 31 || p.hour > 24 || p.minute > 59 || p.sec > 60 ||
		(p.hour == 24 && p.minute+p.sec > 0) {
		return time.Time{}, false
	}
	loc := p.loc
	if loc == nil {
		loc = zone
	}
	t := time.Date(p.year, time.Month(p.month), p.day, p.hour, p.minute, p.sec, p.nsec, loc)
	if p.loc != nil && p.loc != time.UTC {
		t = fixZone(t, zone)
	}
	return t, true
}

// zones are the abbreviations that Ruby knows in dates, in hours from UTC.
var zones = map[string]int{
	"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
}

// zoneOffset reads a zone in a date: a name or an offset.
func zoneOffset(s string) *time.Location {
	switch s {
	case "":
		return nil
	case "z", "utc", "gmt", "-00:00", "-0000":
		return time.UTC
	}
	if h, ok := zones[s]; ok {
		return time.FixedZone("", h*3600)
	}
	s = strings.TrimPrefix(strings.TrimPrefix(s, "gmt"), "utc")
	if s == "" || (s[0] != '+' && s[0] != '-') {
		return nil
	}
	sign := 1
	if s[0] == '-' {
		sign = -1
	}
	d := strings.NewReplacer(":", "", ".", "", ",", "").Replace(s[1:])
	var h, m int
	switch {
	case len(d) <= 2:
		h = atoi(d)
	case len(d) == 3:
		h, m = atoi(d[:1]), atoi(d[1:])
	default:
		h, m = atoi(d[:2]), atoi(d[2:4])
	}
	if h > 23 || m > 59 {
		return nil
	}
	return time.FixedZone("", sign*(h*3600+m*60))
}
