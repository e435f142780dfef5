package ratelimit_test

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rapport/internal/ratelimit"
)

// clock is a hand that the test moves.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func TestAllow(t *testing.T) {
	t.Parallel()
	c := &clock{}
	l, err := ratelimit.New(ratelimit.Config{PerSecond: 10, Burst: 5, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		after time.Duration
		n     float64
		ok    bool
		wait  time.Duration
	}{
		{0, 5, true, 0},
		{0, 1, false, 100 * time.Millisecond},
		{99 * time.Millisecond, 1, false, time.Millisecond},
		{time.Millisecond, 1, true, 0},
		{0, 3, false, 300 * time.Millisecond},
		{300 * time.Millisecond, 3, true, 0},
		{time.Hour, 5, true, 0},
		{0, 1, false, 100 * time.Millisecond},
		{500 * time.Millisecond, 20, true, 0}, // more than the burst, when the burst is full
		{0, 1, false, 1600 * time.Millisecond},
		{0, 0, true, 0},
		{0, math.NaN(), true, 0},
	} {
		c.advance(step.after)
		if ok, wait := l.Allow(step.n); ok != step.ok || wait != step.wait {
			t.Errorf("step %d: got %v %v, want %v %v", i, ok, wait, step.ok, step.wait)
		}
	}
}

func TestChargeIsPaidOff(t *testing.T) {
	t.Parallel()
	c := &clock{}
	l, _ := ratelimit.New(ratelimit.Config{PerSecond: 100, Burst: 10, Now: c.now})
	l.Charge(200)
	if ok, wait := l.Allow(1); ok || wait != 1910*time.Millisecond {
		t.Errorf("got %v %v", ok, wait)
	}
	c.advance(1910 * time.Millisecond)
	if ok, _ := l.Allow(1); !ok {
		t.Error("the debt is paid and it still waits")
	}
}

// TestNeverMoreThanRateAndBurst holds for any way of asking: over any span no
// more comes through than burst plus rate times span.
func TestNeverMoreThanRateAndBurst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		rate := rapid.Float64Range(0.5, 1000).Draw(r, "rate")
		burst := rapid.Float64Range(1, 100).Draw(r, "burst")
		c := &clock{}
		l, err := ratelimit.New(ratelimit.Config{PerSecond: rate, Burst: burst, Now: c.now})
		if err != nil {
			r.Fatal(err)
		}
		var taken float64
		for range rapid.IntRange(1, 200).Draw(r, "asks") {
			c.advance(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(r, "after")))
			n := rapid.Float64Range(0.1, 1).Draw(r, "n")
			ok, wait := l.Allow(n)
			if ok {
				taken += n
			} else {
				c.advance(wait)
				if again, _ := l.Allow(n); !again {
					r.Fatalf("after the wait it is still refused")
				}
				taken += n
			}
			if bound := burst + rate*c.now().Sub(time.Unix(0, 0)).Seconds(); taken > bound+1e-3 {
				r.Fatalf("%v came through, at most %v may", taken, bound)
			}
		}
	})
}

func TestKeyed(t *testing.T) {
	t.Parallel()
	c := &clock{}
	k, err := ratelimit.NewKeyed(ratelimit.Config{PerSecond: 1, Burst: 1, Now: c.now, MaxKeys: 3})
	if err != nil {
		t.Fatal(err)
	}
	allow := func(key string, want bool) {
		t.Helper()
		if got, _ := k.Allow(key, 1); got != want {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	allow("a", true)
	allow("a", false)
	allow("b", true)
	k.Set("vip", 1000, 0)
	for range 1000 {
		allow("vip", true)
	}
	k.Set("vip", 0, 0)
	allow("vip", true)
	allow("vip", false)
	for range 20 {
		if ok, _ := k.AllowAt("own", 10, 1); !ok {
			t.Error("refused below its burst of two seconds")
		}
	}
	if ok, _ := k.AllowAt("own", 10, 1); ok {
		t.Error("let through beyond its own rate")
	}
	if ok, _ := k.AllowAt("own", 0, 1); !ok {
		t.Error("its own rate is gone, and it still pays for it")
	}
	c.advance(time.Hour)
	allow("a", true)
	allow("b", true)
	allow("vip", true)
	// Three are remembered and none is idle: the rest share one limit.
	allow("x", true)
	allow("y", false)
	// All are idle: they are forgotten, and new ones stand alone again.
	c.advance(time.Minute)
	allow("x", true)
	allow("y", true)
	allow("y", false)
}

func TestConcurrentlyNoneIsLostOrGiven(t *testing.T) {
	t.Parallel()
	c := &clock{}
	k, _ := ratelimit.NewKeyed(ratelimit.Config{PerSecond: 1, Burst: 500, Now: c.now})
	var through atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if ok, _ := k.Allow("k", 1); ok {
					through.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := through.Load(); n != 500 {
		t.Errorf("%d came through, want 500", n)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for i, c := range []ratelimit.Config{
		{}, {PerSecond: 1, Burst: 1}, {PerSecond: -1, Burst: 1, Now: time.Now}, {PerSecond: 1, Burst: 0.5, Now: time.Now},
		{PerSecond: math.NaN(), Burst: 1, Now: time.Now}, {PerSecond: 1, Burst: math.Inf(1), Now: time.Now},
	} {
		if _, err := ratelimit.New(c); err == nil {
			t.Errorf("%d is accepted", i)
		}
		if _, err := ratelimit.NewKeyed(c); err == nil {
			t.Errorf("%d is accepted for keys", i)
		}
	}
}

func BenchmarkKeyedAllow(b *testing.B) {
	k, _ := ratelimit.NewKeyed(ratelimit.Config{PerSecond: 1e9, Burst: 1e9, Now: time.Now})
	names := make([]string, 16)
	for i := range names {
		names[i] = fmt.Sprintf("key_%d", i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			k.Allow(names[i%16], 1)
		}
	})
}
