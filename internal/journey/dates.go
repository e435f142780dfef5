package journey

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/event"
)

// DateReached is the name of the event that begins a journey at a date.
const DateReached = "Date Reached"

// MaxDates is how many journeys wait for a date of one person at a time.
const MaxDates = 64

// dateSpec is the date in a trait that begins a journey.
type dateSpec struct {
	trait  string
	shift  int64 // milliseconds from it
	minute int   // the time of day, -1: none was given
	yearly bool
}

// Dated is an instant at which a date begins a journey for a person.
type Dated struct {
	Journey string
	At      int64 // the instant that the date means
	Of      int64 // which date it is, whatever the zone: see occasion
	Fire    int64 // when it begins the journey: At, later where the date came late, Never once it has
	Began   bool  // it has begun it once
	Last    int64 // Of of the date that did
}

// occasion is one date with the instant that it means. A day of the calendar is
// told by its number, so that it stays the same day in another zone; an instant
// by itself.
type occasion struct{ at, of int64 }

// date reads the trigger {trait: renews_at, before: 3d, at: "09:00", yearly: true}.
func (p *parser) date(n *yaml.Node) *dateSpec {
	d := &dateSpec{minute: -1}
	f := p.fields(n, "a date", "trait", "before", "after", "at", "yearly")
	if f == nil {
		return d
	}
	if f["trait"] == nil {
		p.fail(n, "{trait: renews_at, before: 3d}", "the date stands in a trait")
	} else {
		d.trait = p.name(f["trait"], "trait")
		p.def.refs.Traits = addRef(p.def.refs.Traits, d.trait, f["trait"].Line, f["trait"].Column)
	}
	switch {
	case f["before"] != nil && f["after"] != nil:
		p.fail(f["after"], "keep one", "before and after exclude each other")
	case f["before"] != nil:
		d.shift = -p.duration(f["before"], "before")
	case f["after"] != nil:
		d.shift = p.duration(f["after"], "after")
	}
	if f["at"] != nil {
		d.minute = p.minute(f["at"], "at")
		if d.shift%day != 0 {
			p.fail(f["at"], "write before: 3d, in whole days", "at is a time of day, so the distance is in days")
		}
	}
	if f["yearly"] != nil {
		d.yearly = p.bool(f["yearly"], "yearly")
	}
	return d
}

// occasion gives the first time, later than an instant, that the date comes for
// the person.
func (t *Turn) occasion(d *dateSpec, after int64) (occasion, bool) {
	raw, ok := t.Person.Trait(d.trait)
	if !ok {
		return occasion{}, false
	}
	zone := t.zone()
	base, instant, calendar, ok := readDate(raw, zone)
	if !ok {
		return occasion{}, false
	}
	if !calendar && d.minute < 0 && !d.yearly {
		at := add(instant, d.shift)
		return occasion{at, instant}, at > after
	}
	if !d.yearly {
		o := d.in(base, zone)
		return o, o.at > after
	}
	from := time.UnixMilli(add(after, -d.shift)).In(zone).Year() - 1
	for year := max(from, base.year+1); year <= from+3; year++ {
		if o := d.in(base.inYear(year), zone); o.at > after {
			return o, true
		}
	}
	if base.year >= from+3 { // The first of them is still far away.
		return d.in(base.inYear(base.year+1), zone), true
	}
	return occasion{}, false
}

// in gives what a day of the calendar means to the trigger.
func (d *dateSpec) in(base date, zone *time.Location) occasion {
	at := local(base.plus(int(d.shift/day)), max(d.minute, 0), zone)
	of := time.Date(base.year, base.month, base.day, 0, 0, 0, 0, time.UTC).UnixMilli()
	return occasion{add(at.UnixMilli(), d.shift%day), of}
}

// inYear gives the day in another year: the last of February for one that is
// the 29th of it, where there is none.
func (d date) inYear(year int) date {
	out := date{year, d.month, d.day}
	if d.month == time.February && d.day == 29 && out.plus(0) != out {
		out.day = 28
	}
	return out
}

// readDate reads a date in a trait: a day of the calendar, or an instant and its
// day in the zone.
func readDate(raw []byte, zone *time.Location) (base date, instant int64, calendar, ok bool) {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return date{}, 0, false, false
	}
	switch v := v.(type) {
	case string:
		if t, err := time.Parse(time.DateOnly, v); err == nil && t.Year() > 0 {
			return dateOf(t), 0, true, true
		}
		instant, ok = parseDate(v)
	case float64:
		instant, ok = unixInstant(v)
	}
	return dateOf(time.UnixMilli(instant).In(zone)), instant, false, ok
}

// Dated tells whether any journey is begun by a date.
func (c *Catalog) Dated() bool { return len(c.dates) > 0 }

// Arm works out anew when dates begin journeys for t.Person, because traits or
// definitions have changed. late says that a date which has passed, by less
// than max_trigger_age, begins its journey now; else it begins nothing.
func (c *Catalog) Arm(t *Turn, late bool) {
	if len(c.dates) == 0 && len(t.State.Dates) == 0 {
		return
	}
	t.workspace = c.zone
	kept := t.State.Dates[:0:0]
	for _, f := range c.dates {
		e, known := Dated{Journey: f.name, Fire: Never}, false
		if i := t.State.dated(f.name); i >= 0 {
			e, known = t.State.Dates[i], true
		}
		after := t.Now
		if late {
			after = add(t.Now, -f.maxAge-1)
		}
		if e.Fire != Never && e.At <= after {
			after = e.At - 1 // it is due and its turn has not come yet
		}
		c.rearm(t, f, &e, after)
		if (e.Fire != Never || e.Began) && (known || len(kept) < MaxDates) {
			kept = append(kept, e)
		}
	}
	if !slices.Equal(kept, t.State.Dates) {
		t.State.Dates, t.Changed = kept, true
	}
}

// rearm finds the next date later than an instant that has not begun the
// journey yet.
func (c *Catalog) rearm(t *Turn, f *flow, e *Dated, after int64) {
	o, ok := t.occasion(f.trigger.date, after)
	for ok && e.Began && o.of == e.Last {
		o, ok = t.occasion(f.trigger.date, o.at)
	}
	switch {
	case !ok:
		e.At, e.Of, e.Fire = 0, 0, Never
	case e.Fire == Never || e.At != o.at:
		e.At, e.Of, e.Fire = o.at, o.of, max(o.at, t.Now)
	}
}

// begin lets a date that has come begin its journey.
func (c *Catalog) begin(t *Turn, i int) {
	t.Changed = true
	e := t.State.Dates[i]
	f := c.current(e.Journey)
	if f == nil || f.closed || f.trigger.kind != OnDate {
		t.State.Dates = slices.Delete(t.State.Dates, i, i+1)
		return
	}
	now := t.Now
	t.Now, t.workspace = e.Fire, c.zone
	e.Began, e.Last, e.Fire = true, e.Of, Never
	c.rearm(t, f, &e, e.At)
	t.State.Dates[i] = e
	raw, _ := t.Person.Trait(f.trigger.date.trait)
	trait, _ := json.Marshal(f.trigger.date.trait) // A string always encodes.
	props := append(append([]byte(`{"trait":`), trait...), `,"date":`...)
	ev := Event{
		Type: event.Track, Name: DateReached, Time: t.Now, // waits and `since: trigger` count from here
		MessageID:  "date/" + f.name + "/" + strconv.FormatInt(int64(t.Person.ID()), 10) + "/" + strconv.FormatInt(e.Last, 10),
		Properties: append(append(props, raw...), '}'),
	}
	t.event.Reset(ev.Properties)
	c.enter(t, f, &ev)
	t.Now = now
}

// dated finds what is armed for a journey, -1 when nothing is.
func (s *State) dated(journey string) int {
	return slices.IndexFunc(s.Dates, func(d Dated) bool { return d.Journey == journey })
}

// dueDate finds the first date that is due by an instant, -1 when none is.
func (s *State) dueDate(now int64) int {
	first := -1
	for i := range s.Dates {
		if at := s.Dates[i].Fire; at <= now && (first < 0 || at < s.Dates[first].Fire) {
			first = i
		}
	}
	return first
}

// uniteDates joins what another person's dates have begun already; Arm finds
// out when the next is.
func (s *State) uniteDates(from []Dated) {
	for _, d := range from {
		i := s.dated(d.Journey)
		if i < 0 {
			s.Dates = append(s.Dates, d)
			continue
		}
		if own := &s.Dates[i]; d.Began && (!own.Began || d.Last > own.Last) {
			own.Began, own.Last = true, d.Last
		}
	}
	slices.SortFunc(s.Dates, func(a, b Dated) int { return strings.Compare(a.Journey, b.Journey) })
}

// explainDate says when a date begins a journey next.
func (t *Turn) explainDate(f *flow) Explanation {
	d := f.trigger.date
	g := Explanation{Text: "trigger date in the trait " + d.trait, Answer: Fact, Seen: "no date to come"}
	if i := t.State.dated(f.name); i >= 0 && t.State.Dates[i].Fire != Never {
		g.Answer, g.Seen = Wait, "the date is to come"
		g.Until = instant(t.State.Dates[i].Fire)
	}
	return g
}
