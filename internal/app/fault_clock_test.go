package app_test

import (
	"testing"
	"testing/synctest"
	"time"

	"rapport/internal/app"
)

// Fault 21: the wall clock is stepped. Business time runs on evenly, follows a
// drift at once and a step forward only once it has stood for minutes, and
// never goes back.
func TestBusinessTimeAndAWallClockThatSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := app.NewClock(time.Now(), 1)
		begin := c.Now()
		off := time.Duration(0) // of the wall clock
		last := begin
		look := func(minutes int) time.Duration {
			for range minutes {
				time.Sleep(time.Minute)
				c.Follow(time.Now().Add(off))
				now := c.Now()
				if now.Before(last) {
					t.Fatalf("time went back from %s to %s", last, now)
				}
				last = now
			}
			return c.Now().Sub(begin)
		}
		expect := func(what string, got, want time.Duration) {
			t.Helper()
			if (got - want).Abs() > time.Second {
				t.Errorf("%s: %s after the beginning, want %s", what, got, want)
			}
		}
		expect("all is well", look(10), 10*time.Minute)
		off = time.Hour
		expect("an hour ahead for three minutes", look(3), 13*time.Minute)
		off = 0
		expect("and right again", look(3), 16*time.Minute)
		off = -time.Hour
		expect("an hour back", look(10), 26*time.Minute)
		off = 0
		expect("and right again", look(1), 27*time.Minute)
		for i := range 6 { // ever another step is believed as little
			off = time.Duration(i+1) * time.Hour
			look(3)
		}
		expect("a clock that jumps about", c.Now().Sub(begin), 45*time.Minute)
		off = time.Hour
		look(1)
		expect("an hour ahead, for good", look(6), 52*time.Minute+time.Hour)
		off += time.Second
		expect("a drift", look(1), 53*time.Minute+time.Hour+time.Second)
	})
}
