package journey

import (
	"math/rand/v2"
	"testing"
	"time"
)

// dstZones are zones in whose clocks something happens: an hour, half an hour
// (Lord Howe), a jump at midnight (Havana), a whole day (Apia), and nothing.
var dstZones = []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia", "Asia/Kolkata", "UTC"}

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// TestLocalTime names what happens where clocks are put forward and back.
func TestLocalTime(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, zone, day, clock, want string }{
		{"an ordinary morning", "Europe/Berlin", "2026-03-28", "09:00", "2026-03-28T08:00:00Z"},
		{"a gap: when the clock is put forward", "Europe/Berlin", "2026-03-29", "02:30", "2026-03-29T01:00:00Z"},
		{"after the gap", "Europe/Berlin", "2026-03-29", "03:00", "2026-03-29T01:00:00Z"},
		{"a repeat: the first of both", "Europe/Berlin", "2026-10-25", "02:30", "2026-10-25T00:30:00Z"},
		{"after the repeat", "Europe/Berlin", "2026-10-25", "03:00", "2026-10-25T02:00:00Z"},
		{"a gap in New York", "America/New_York", "2026-03-08", "02:15", "2026-03-08T07:00:00Z"},
		{"a repeat in New York", "America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30:00Z"},
		{"a gap of half an hour", "Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:30:00Z"},
		{"a repeat of half an hour", "Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04T14:45:00Z"},
		{"a day that never was", "Pacific/Apia", "2011-12-30", "12:00", "2011-12-30T10:00:00Z"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			day, err := time.Parse(time.DateOnly, row.day)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse("15:04", row.clock)
			if err != nil {
				t.Fatal(err)
			}
			got := local(dateOf(day), at.Hour()*60+at.Minute(), zoneOf(t, row.zone)).UTC().Format(time.RFC3339)
			if got != row.want {
				t.Errorf("%s %s in %s is %s, want %s", row.day, row.clock, row.zone, got, row.want)
			}
		})
	}
}

// naiveLocal looks at the clock on the wall minute by minute.
func naiveLocal(d date, minute int, zone *time.Location) time.Time {
	want := time.Date(d.year, d.month, d.day, 0, minute, 0, 0, time.UTC)
	for at := want.Add(-30 * time.Hour); ; at = at.Add(time.Minute) {
		y, m, day := at.In(zone).Date()
		h, mm, _ := at.In(zone).Clock()
		if !time.Date(y, m, day, h, mm, 0, 0, time.UTC).Before(want) {
			return at
		}
	}
}

// TestWindowsLikeTheClockOnTheWall holds windows and times of day against a
// clock that is looked at every minute, around every change of it.
func TestWindowsLikeTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	for _, name := range dstZones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone := zoneOf(t, name)
			r := rand.New(rand.NewPCG(1, uint64(len(name))))
			year := 2026
			if name == "Pacific/Apia" {
				year = 2011
			}
			changes := []time.Time{time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)}
			for at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); ; {
				_, end := at.In(zone).ZoneBounds()
				if end.IsZero() || end.Year() > year+1 {
					break
				}
				changes = append(changes, end)
				at = end
			}
			for range 60 {
				about := changes[r.IntN(len(changes))].UTC()
				at := about.Add(time.Duration(r.IntN(4*24*60)-3*24*60) * time.Minute)
				var w window
				for d := range w.days {
					w.days[d] = r.IntN(2) == 0
				}
				w.days[r.IntN(7)] = true
				w.from, w.to = r.IntN(24*4)*15, r.IntN(24*4)*15
				if w.from == w.to {
					w.to = (w.to + 15) % (24 * 60)
				}
				if got, want := w.opens(at.UnixMilli(), zone), naiveOpens(&w, at, zone).UnixMilli(); got != want {
					t.Fatalf("%+v at %s opens at %s, want %s", w, at.In(zone), time.UnixMilli(got).In(zone), time.UnixMilli(want).In(zone))
				}
				d := daily{w.days, w.from}
				if got, want := d.next(at.UnixMilli(), zone), naiveNext(&d, at, zone).UnixMilli(); got != want {
					t.Fatalf("%+v at %s is next at %s, want %s", d, at.In(zone), time.UnixMilli(got).In(zone), time.UnixMilli(want).In(zone))
				}
			}
		})
	}
}

func naiveOpens(w *window, at time.Time, zone *time.Location) time.Time {
	best := time.Time{}
	for i := -3; i <= 14; i++ {
		day := dateOf(at.In(zone)).plus(i)
		if !w.days[day.weekday()] {
			continue
		}
		last := day
		if w.to <= w.from {
			last = day.plus(1)
		}
		from, to := naiveLocal(day, w.from, zone), naiveLocal(last, w.to, zone)
		if !from.Before(to) || !at.Before(to) {
			continue
		}
		if from.Before(at) {
			from = at
		}
		if best.IsZero() || from.Before(best) {
			best = from
		}
	}
	return best
}

func naiveNext(d *daily, at time.Time, zone *time.Location) time.Time {
	best := time.Time{}
	for i := -3; i <= 14; i++ {
		day := dateOf(at.In(zone)).plus(i)
		if when := naiveLocal(day, d.minute, zone); d.days[day.weekday()] && !when.Before(at) && (best.IsZero() || when.Before(best)) {
			best = when
		}
	}
	return best
}
