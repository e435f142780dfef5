package journey

import (
	"time"

	"go.yaml.in/yaml/v4"
)

// maxZones bounds what a turn remembers of zone names: the database has about
// 600, traits may hold anything.
const maxZones = 1000

// zoneTrait is the trait that names a person's zone, the same by which quiet
// hours go.
const zoneTrait = "timezone"

// zone gives the zone on whose clock a person lives: their own where the trait
// names one, else the workspace's.
func (t *Turn) zone() *time.Location {
	own := t.workspace
	if own == nil {
		own = time.UTC
	}
	name := t.text(zoneTrait)
	if name == "" || name == "Local" {
		return own
	}
	if known, ok := t.zones[name]; ok {
		if known == nil {
			return own
		}
		return known
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		zone = nil // remembered too: it stays unknown
	}
	if t.zones == nil {
		t.zones = map[string]*time.Location{}
	}
	if len(t.zones) < maxZones {
		t.zones[name] = zone
	}
	if zone == nil {
		return own
	}
	return zone
}

// date is a day of the calendar.
type date struct {
	year  int
	month time.Month
	day   int
}

func dateOf(at time.Time) date {
	y, m, d := at.Date()
	return date{y, m, d}
}

// plus gives the day so many days later.
func (d date) plus(days int) date {
	return dateOf(time.Date(d.year, d.month, d.day+days, 0, 0, 0, 0, time.UTC))
}

func (d date) weekday() time.Weekday {
	return time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC).Weekday()
}

// local gives the instant at which a clock on the wall shows so many minutes
// after midnight of a day. Where the clock is put back and shows the minute
// twice it is the first; where it is put forward and never shows the minute it
// is the instant at which it is put forward.
func local(d date, minute int, zone *time.Location) time.Time {
	wall := time.Date(d.year, d.month, d.day, 0, minute, 0, 0, time.UTC)
	offset := func(at time.Time) time.Duration {
		_, seconds := at.In(zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	// No zone has ever been moved by more than a day, so the offsets well before
	// and well after are all that the minute can have.
	before, after := offset(wall.Add(-36*time.Hour)), offset(wall.Add(36*time.Hour))
	for _, o := range [...]time.Duration{max(before, after), min(before, after)} {
		if at := wall.Add(-o); offset(at) == o {
			return at
		}
	}
	start, _ := wall.Add(-before).In(zone).ZoneBounds()
	return start.UTC()
}

// window is hours of some days on a person's clock. One that ends at or before
// its beginning ends on the next day.
type window struct {
	days     [7]bool // by time.Weekday: on which it opens
	from, to int     // minutes after midnight
}

// opens gives the first instant, not before at, at which the window is open. A
// window that the clock jumps over as a whole does not open that day.
func (w *window) opens(at int64, zone *time.Location) int64 {
	now := time.UnixMilli(at)
	today := dateOf(now.In(zone))
	for i := -2; i <= 15; i++ {
		day := today.plus(i)
		if !w.days[day.weekday()] {
			continue
		}
		from, last := local(day, w.from, zone), day
		if w.to <= w.from {
			last = day.plus(1)
		}
		to := local(last, w.to, zone)
		if !from.Before(to) || !now.Before(to) {
			continue
		}
		return max(at, from.UnixMilli())
	}
	return at // Two weeks in which it never opens: no zone has them.
}

// daily is a minute of some days on a person's clock.
type daily struct {
	days   [7]bool
	minute int
}

// next gives the first instant, not before at, at which the clock shows it.
func (d *daily) next(at int64, zone *time.Location) int64 {
	now := time.UnixMilli(at)
	today := dateOf(now.In(zone))
	for i := -2; i <= 15; i++ {
		if day := today.plus(i); d.days[day.weekday()] {
			if when := local(day, d.minute, zone); !when.Before(now) {
				return when.UnixMilli()
			}
		}
	}
	return at
}

var weekdays = map[string]time.Weekday{
	"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday, "thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday,
}

// window reads {days: [mon, tue], from: "09:00", to: "18:00"}.
func (p *parser) window(n *yaml.Node) *window {
	w := &window{}
	f := p.fields(n, "a window", "days", "from", "to")
	w.days = p.days(f["days"])
	if f == nil {
		return w
	}
	if f["from"] == nil || f["to"] == nil {
		p.fail(n, `{days: [mon, fri], from: "09:00", to: "18:00"}`, "a window has a beginning and an end")
		return w
	}
	w.from, w.to = p.minute(f["from"], "from"), p.minute(f["to"], "to")
	if w.from == w.to {
		p.fail(f["to"], "", "the window ends when it begins")
	}
	return w
}

// days reads a list of weekdays; nil is every day.
func (p *parser) days(n *yaml.Node) (days [7]bool) {
	if n == nil {
		return [7]bool{true, true, true, true, true, true, true}
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.fail(n, "[mon, tue, wed, thu, fri]", "days is a list of weekdays")
		return days
	}
	for _, c := range n.Content {
		d, ok := weekdays[c.Value]
		if !ok {
			p.fail(c, "mon, tue, wed, thu, fri, sat or sun", "%q is no weekday", cut(c.Value, MaxName))
			continue
		}
		days[d] = true
	}
	return days
}

// minute reads "09:00"; a window may end at "24:00", which is midnight.
func (p *parser) minute(n *yaml.Node, what string) int {
	s := n.Value
	if len(s) == 5 && s[2] == ':' {
		h, okh := twoDigits(s[:2])
		m, okm := twoDigits(s[3:])
		if okh && okm && m < 60 && (h < 24 || h == 24 && m == 0 && what == "to") {
			return (h*60 + m) % (24 * 60)
		}
	}
	p.fail(n, `"09:00"`, "%s: %q is no time of day", what, cut(s, MaxName))
	return 0
}

func twoDigits(s string) (int, bool) {
	if s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), true
}
