package app

import (
	"context"
	"sync"
	"time"
)

// Clock is business time. It runs from an anchor by machine time, which is
// monotonic, so that a step of the wall clock never fires timers early nor
// turns time back; in a simulation it runs faster, or is moved by hand.
type Clock struct {
	mu     sync.Mutex
	anchor time.Time      // business time at the machine's instant below
	began  time.Time      // carries the monotonic reading
	speed  float64        // business seconds a machine second; 0: moved by hand
	moved  chan time.Time // closed and replaced at each move

	stepped time.Time     // when the wall clock was first seen far ahead; zero: it is not
	step    time.Duration // by how much
}

// NewClock begins at an instant of business time; speed 1 is real time.
func NewClock(at time.Time, speed float64) *Clock {
	return &Clock{anchor: at.UTC().Round(0), began: time.Now(), speed: speed, moved: make(chan time.Time)}
}

// Now gives business time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	if c.speed == 0 {
		return c.anchor
	}
	return c.anchor.Add(time.Duration(float64(time.Since(c.began)) * c.speed))
}

// Set moves a clock that is moved by hand; it never goes back.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.After(c.anchor) {
		c.anchor = at.UTC()
	}
	close(c.moved)
	c.moved = make(chan time.Time)
}

// Release lets a clock that was moved by hand run by itself from where it
// stands, at so many business seconds a machine second.
func (c *Clock) Release(speed float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.anchor, c.began, c.speed = c.now(), time.Now(), speed
	close(c.moved)
	c.moved = make(chan time.Time)
}

// running waits until the clock runs by itself; false: the context ended first.
func (c *Clock) running(ctx context.Context) bool {
	for {
		c.mu.Lock()
		speed, moved := c.speed, c.moved
		c.mu.Unlock()
		if speed != 0 {
			return true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// Until gives how long business time takes to reach an instant, in machine time.
func (c *Clock) Until(at time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := at.Sub(c.now())
	switch {
	case c.speed == 0 && d > 0:
		return time.Hour // only Set brings it nearer
	case c.speed == 0:
		return 0
	}
	return time.Duration(float64(d) / c.speed)
}

// After implements processor.Clock. On a clock that is moved by hand it fires
// with the next move.
func (c *Clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.speed == 0 {
		return c.moved
	}
	least := time.Millisecond
	if c.speed > 1 { // whoever looks once a second looks hundreds of times otherwise
		least = 20 * time.Millisecond
	}
	return time.After(max(time.Duration(float64(d)/c.speed), least))
}

// Follow lets business time follow the wall clock. A drift is followed at once;
// a step forward is taken only once it has stood for some minutes, so that a
// clock which is wrong for a moment fires nothing early; a step back never:
// business time then waits where it is, by running on by machine time. It gives
// how far the wall clock is ahead.
func (c *Clock) Follow(wall time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.speed != 1 { // business time is a time of its own
		return 0
	}
	ahead := wall.Round(0).Sub(c.now())
	switch {
	case ahead <= 0:
		c.stepped = time.Time{}
		return ahead
	case ahead > drift && (c.stepped.IsZero() || (ahead-c.step).Abs() > drift):
		c.stepped, c.step = time.Now(), ahead
		return ahead
	case ahead > drift && time.Since(c.stepped) < stands:
		return ahead
	}
	c.anchor, c.began, c.stepped = wall.UTC().Round(0), time.Now(), time.Time{}
	return ahead
}

const (
	drift  = 2 * time.Second // between two looks; more is a step
	stands = 5 * time.Minute // after which a step is believed
)
