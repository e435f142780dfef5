package processor_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rapport/internal/event"
	"rapport/internal/id"
	"rapport/internal/identity"
)

// crowd plays people who are joined and parted at random, and knows from the time
// itself what must come of it: two users, and devices that are joined to them.
type crowd struct {
	*house
	rand   *rand.Rand
	log    []string // what was done, for whoever reads a failure
	mails  map[string][]string
	events map[string][]string
	n      int
}

var users, devices = []string{"ann", "carl"}, []string{"b", "c", "d"}

func kindOf(name string) string {
	if slices.Contains(users, name) {
		return identity.UserID
	}
	return identity.Anonymous
}

func (c *crowd) by(name string, e event.Event) event.Event {
	c.n++
	e.MessageID = fmt.Sprintf("%s-%d", name, c.n)
	if kindOf(name) == identity.UserID {
		e.UserID = name
	} else {
		e.Anonymous = name
	}
	return e
}

// record lists who is in one record with somebody.
func (c *crowd) record(name string) (out []string) {
	own := c.person(kindOf(name), name).ID
	for _, other := range slices.Concat(users, devices) {
		if c.person(kindOf(other), other).ID == own {
			out = append(out, other)
		}
	}
	return out
}

func (c *crowd) acts(name string) {
	c.log = append(c.log, name+" acts")
	e := c.by(name, event.Event{Name: "Gift"})
	c.mails[e.MessageID] = c.record(name)
	c.events[name] = append(c.events[name], e.MessageID)
	c.do(e)
}

func (c *crowd) joins(user, device string) {
	if len(c.record(device)) > 1 {
		return // A device of one user is not joined to the other.
	}
	c.log = append(c.log, user+" is joined by "+device)
	e := c.by(user, event.Event{Type: event.Identify})
	e.Anonymous = device
	c.events[user] = append(c.events[user], e.MessageID)
	c.do(e)
}

func (c *crowd) partsOne(device string) {
	with := c.record(device)
	if len(with) < 2 {
		return
	}
	c.log = append(c.log, device+" is parted from "+with[0])
	c.parts(c.person(identity.Anonymous, device).ID, device)
}

// TestPartingsAtRandom: whoever was joined with whom and parted from whom in which
// order, at the end each has the events that are theirs, and a mail is in the
// stories of those who were in one record when it was decided, and of nobody else.
func TestPartingsAtRandom(t *testing.T) {
	t.Parallel()
	seeds := 40
	if testing.Short() {
		seeds = 4
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := &crowd{house: setup(t, gift), rand: rand.New(rand.NewPCG(seed, 1)), mails: map[string][]string{}, events: map[string][]string{}}
			for _, name := range slices.Concat(users, devices) {
				c.do(c.by(name, event.Event{Name: "Seen"}))
				c.events[name] = append(c.events[name], fmt.Sprintf("%s-%d", name, c.n))
			}
			for range 25 {
				c.clock.Move(time.Minute)
				switch device := devices[c.rand.IntN(len(devices))]; c.rand.IntN(4) {
				case 0:
					c.joins(users[c.rand.IntN(len(users))], device)
				case 1:
					c.partsOne(device)
				case 2:
					c.acts(device)
				default:
					c.acts(users[c.rand.IntN(len(users))])
				}
			}
			for _, device := range devices {
				c.clock.Move(time.Minute)
				c.partsOne(device)
			}
			c.check()
			if t.Failed() {
				t.Logf("%q", c.log)
			}
		})
	}
}

func (c *crowd) check() {
	causes := map[string]string{}
	holders := map[string][]string{}
	for _, name := range slices.Concat(users, devices) {
		who := c.person(kindOf(name), name).ID
		for _, m := range c.house.mails(who) {
			causes[m.ID.String()] = m.Cause
			holders[m.Cause] = append(holders[m.Cause], name)
		}
		same(c.t, "events of "+name, c.events[name], c.own(who))
	}
	for _, cause := range slices.Sorted(maps.Keys(c.mails)) {
		if diff := fmt.Sprint(c.mails[cause]); diff != fmt.Sprint(holders[cause]) {
			c.t.Errorf("the mail of %s is in the stories of %v, want %v", cause, holders[cause], c.mails[cause])
		}
	}
}

// own lists the events of sources in a history, oldest first.
func (c *crowd) own(who id.Person) (out []string) {
	list, _, err := c.reader.Events(c.t.Context(), who, "", "", 200)
	c.must(err)
	for _, e := range list {
		if e.Source != "rapport" {
			out = append(out, e.MessageID)
		}
	}
	slices.Reverse(out)
	return out
}
