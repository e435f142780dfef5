package journey

import (
	"math/rand/v2"
	"testing"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// still is a person about whom every question is answered at once.
type still struct{ tally rule.TallyState }

func (still) ID() id.Person                          { return 7 }
func (still) Trait(string) ([]byte, bool)            { return []byte(`"DE"`), true }
func (s still) Tally(uint32) (rule.TallyState, bool) { return s.tally, s.tally.Count > 0 }
func (still) Member(string) bool                     { return false }
func (still) Permit(purpose.Purpose) (bool, string)  { return true, "" }

const benchCart = `
trigger: {event: Product Added, where: {value: {gt: 20}}, if: {trait: country, is: DE}}
purpose: marketing.newsletter
reentry: always
exit_when: {event: Order Completed}
steps:
  - wait: 1h
  - send: cart-reminder
  - wait_for: {event: Cart Viewed, timeout: 24h}
    on_timeout: [{send: cart-last-call}]
`

func benchTurn(b testing.TB) (*Catalog, *Turn, *State) {
	c := compile(b, 1, parse(b, "abandoned-cart", benchCart), parse(b, "french", "trigger: {event: Page Viewed, if: {trait: country, is: FR}}\npurpose: m\nsteps: [stop]"))
	var s State
	t := &Turn{}
	t.Begin(still{}, &s, zero)
	return c, t, &s
}

var cartEvent = Event{Type: event.Track, Name: "Product Added", Time: zero, MessageID: "01890a5d-ac96-774b-bcce-b302099a8057", Properties: []byte(`{"product_id":"507f1f77","sku":"G-32","category":"Games","name":"Monopoly: 3rd Edition","brand":"Hasbro","price":18.99,"quantity":2,"value":37.98,"currency":"EUR"}`)}

func BenchmarkOnEvent(b *testing.B) {
	c, t, s := benchTurn(b)
	run := func(name string, ev Event, prepare func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			prepare()
			for b.Loop() {
				t.Begin(still{}, s, zero)
				c.OnEvent(t, &ev)
				t.Rewind()
			}
		})
	}
	other := cartEvent
	other.Name = "Product Viewed"
	refused := cartEvent
	refused.Name = "Page Viewed"
	run("no place, no trigger", other, func() { *s = State{} })
	run("refused by a rule", refused, func() { *s = State{} })
	run("a place it does not concern", other, func() {
		*s = State{}
		t.Begin(still{}, s, zero)
		c.OnEvent(t, &cartEvent)
	})
	run("already inside", cartEvent, func() {})
	b.Run("enter", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			*s = State{}
			t.Begin(still{}, s, zero)
			c.OnEvent(t, &cartEvent)
			t.Rewind()
		}
	})
}

func BenchmarkOnTime(b *testing.B) {
	c, t, s := benchTurn(b)
	b.Run("nothing due", func(b *testing.B) {
		b.ReportAllocs()
		c.OnEvent(t, &cartEvent)
		for b.Loop() {
			t.Begin(still{}, s, zero+1)
			c.OnTime(t)
		}
	})
	b.Run("send", func(b *testing.B) {
		b.ReportAllocs()
		*s = State{}
		t.Begin(still{}, s, zero)
		c.OnEvent(t, &cartEvent)
		place, record := s.Places[0], s.Records[0]
		for b.Loop() {
			s.Places, s.Records = append(s.Places[:0], place), append(s.Records[:0], record)
			t.Begin(still{}, s, zero+2*3_600_000)
			c.OnTime(t)
		}
	})
}

func BenchmarkState(b *testing.B) {
	w := storyWorld(b)
	s := w.person("ann")
	for _, m := range story(rand.New(rand.NewPCG(1, 1)), 30) {
		s.catchUp(m.at)
		if m.name != "renews" {
			s.happen(&Event{Type: event.Track, Name: m.name, Time: m.time, MessageID: "m", Properties: []byte(m.props)}, m.at)
		}
	}
	c, t, one := benchTurn(b)
	c.OnEvent(t, &cartEvent)
	for name, state := range map[string]*State{"none": {}, "one place": one, "four journeys": &s.state} {
		body := state.Append(nil)
		b.Run("append/"+name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, len(body))
			for b.Loop() {
				buf = state.Append(buf[:0])
			}
			b.ReportMetric(float64(len(body)), "bytes")
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var got State
			for b.Loop() {
				if err := got.Decode(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestNoConcernCostsNothing: an event that no journey is about allocates
// nothing, also for somebody inside one, and leaves the state as it was.
func TestNoConcernCostsNothing(t *testing.T) {
	c, turn, s := benchTurn(t)
	other := cartEvent
	other.Name = "Product Viewed"
	for _, inside := range []bool{false, true} {
		if inside {
			c.OnEvent(turn, &cartEvent)
		}
		var changed bool
		if n := testing.AllocsPerRun(100, func() {
			turn.Begin(still{}, s, zero)
			c.OnEvent(turn, &other)
			c.OnTime(turn)
			changed = changed || turn.Changed
		}); n != 0 || changed {
			t.Errorf("inside %v: %v allocations, changed %v", inside, n, changed)
		}
	}
	var empty State
	if b := empty.Append(nil); len(b) > 2 {
		t.Errorf("a person without journeys takes %d bytes", len(b))
	}
}
