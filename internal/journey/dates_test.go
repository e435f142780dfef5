package journey

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/event"
)

// TestDatesLikeTheCalendar holds the one alarm of a person against somebody who
// looks every minute at the trait, the calendar and the clock on the wall.
func TestDatesLikeTheCalendar(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 11))
			before, clock := r.IntN(4), fmt.Sprintf("%02d:%02d", r.IntN(24), 15*r.IntN(4))
			yearly := r.IntN(3) == 0
			text := fmt.Sprintf("trigger: {date: {trait: d, at: %q, yearly: %t", clock, yearly)
			if before > 0 {
				text += fmt.Sprintf(", before: %dd", before)
			}
			w := newWorld(t)
			w.compare = true
			w.use(compile(t, 1, parse(t, "j", text+"}}\npurpose: m\nsteps: [{send: x}]\n")))
			s := w.person("ann")
			at, _ := time.Parse("15:04", clock)
			naive := &calendar{minute: at.Hour()*60 + at.Minute(), before: before, yearly: yearly, dues: map[string][]due{}}
			// Around the change of the clocks in New York and in Berlin.
			now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			for end := now.Add(45 * 24 * time.Hour); now.Before(end); {
				next := now.Add(time.Duration(1+r.IntN(3*24*60)) * time.Minute)
				for ; now.Before(next); now = now.Add(time.Minute) {
					naive.look(now)
				}
				s.catchUp(now.UnixMilli())
				trait, value := "d", any(nil)
				switch r.IntN(5) {
				case 0:
					trait, value = "timezone", dstZones[r.IntN(len(dstZones))]
					naive.zone = zoneOf(t, value.(string))
				case 1:
					naive.date = ""
				default:
					year := 2026
					if yearly {
						year = 1990 + r.IntN(12)
					}
					value = time.Date(year, 3, 1+r.IntN(45), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
					naive.date = value.(string)
				}
				raw, _ := json.Marshal(map[string]any{trait: value})
				s.fold(raw)
				s.happen(&Event{Type: event.Identify, Time: now.UnixMilli(), MessageID: "m"}, now.UnixMilli())
			}
			naive.look(now)
			s.tick(now.UnixMilli())
			var got []string
			for _, e := range w.effects {
				if e.Kind == Send {
					got = append(got, instant(e.At))
				}
			}
			if d := cmp.Diff(naive.began, got); d != "" {
				t.Errorf("%s (-every minute +alarm):\n%s", text, d)
			}
		})
	}
}

// calendar is who looks every minute.
type calendar struct {
	minute, before int
	yearly         bool
	zone           *time.Location
	date           string
	last           string
	began          []string
	dues           map[string][]due
}

type due struct {
	day string
	at  time.Time
}

// look begins the journey when the date came within the last hour, once.
func (c *calendar) look(now time.Time) {
	if c.date == "" {
		return
	}
	zone := c.zone
	if zone == nil {
		zone = time.UTC
	}
	key := c.date + zone.String()
	list, ok := c.dues[key]
	if !ok {
		list = c.all(zone)
		c.dues[key] = list
	}
	for _, d := range list {
		if age := now.Sub(d.at); age >= 0 && age <= time.Hour && c.last != d.day {
			c.last = d.day
			c.began = append(c.began, instant(now.UnixMilli()))
		}
	}
}

func (c *calendar) all(zone *time.Location) []due {
	day, _ := time.Parse(time.DateOnly, c.date)
	days := []time.Time{day}
	if c.yearly {
		days = nil
		for y := 2025; y <= 2027; y++ {
			d := time.Date(y, day.Month(), day.Day(), 0, 0, 0, 0, time.UTC)
			if d.Month() != day.Month() { // the 29th of February
				d = d.AddDate(0, 0, -1)
			}
			days = append(days, d)
		}
	}
	var out []due
	for _, d := range days {
		out = append(out, due{d.Format(time.DateOnly), naiveLocal(dateOf(d).plus(-c.before), c.minute, zone)})
	}
	return out
}

// TestOldStates reads states that were written before dates stood in them, and
// writes them as they were.
func TestOldStates(t *testing.T) {
	t.Parallel()
	const old = "010104647269700180e0a0b7f16600000100010100095369676e6564205570010101000101010080e0a0b7f1660001036f6e650180f0b2520000016d077b226e223a317d010101d00f0000" // by the program before dates
	raw, err := hex.DecodeString(old)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := State{Records: []Record{{Journey: "drip", Count: 1, Entered: zero, Notes: []Note{{At: zero, Kind: NoteEntered, Occurrence: 1, Text: "Signed Up", When: zero, Times: 1}}}}, Places: []Place{{
		Journey: "drip", Version: 1, Trigger: zero, Cause: "m", Data: []byte(`{"n":1}`), Node: 1, Until: zero + 1000, Check: Never, Waiting: true,
		Stay: Stay{Origin: 1, Occurrence: 1, Entered: zero, Sent: []Sent{{Step: "one", By: Twin{1, 1}, Until: zero + 86400000}}},
	}}}
	if d := cmp.Diff(normal(want), normal(s)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	without := s.Append(nil)
	if !slices.Equal(without, raw) {
		t.Fatalf("a state without dates is written % x, not as before", without)
	}
	s.Dates = []Dated{{Journey: "a", Fire: Never, Began: true, Last: 5}, {Journey: "b", At: 7, Of: 6, Fire: 9}}
	with := s.Append(nil)
	if with[0] != datedFormat || !slices.Equal(with[1:len(without)], without[1:]) {
		t.Fatalf("a state with dates is % x, without % x", with, without)
	}
	back, err := Decode(with)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(normal(s), normal(back)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for n := 1; n < len(with); n++ {
		if _, err := Decode(with[:n]); err == nil {
			t.Errorf("a state cut at %d of %d bytes was read", n, len(with))
		}
	}
}
