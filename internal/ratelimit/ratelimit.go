// Package ratelimit bounds how often something may happen, by the generic cell
// rate algorithm. What comes in are keys and how much each asks for; what goes
// out is yes, or how long to wait. A limit costs one atomic word and no lock.
// It never sleeps and never queues.
package ratelimit

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how much of something may happen.
type Config struct {
	PerSecond float64          // sustained rate; must be above zero
	Burst     float64          // how much may come at once; at least 1
	Now       func() time.Time // machine time
	MaxKeys   int              // for Keyed: keys remembered at once, 100,000 when zero
}

func (c Config) check() error {
	if !(c.PerSecond > 0) || !(c.Burst >= 1) || math.IsInf(c.PerSecond, 0) || math.IsInf(c.Burst, 0) {
		return errors.New("ratelimit: PerSecond must be above 0 and Burst at least 1")
	}
	if c.Now == nil {
		return errors.New("ratelimit: Config.Now is required")
	}
	return nil
}

// Limiter is one limit. It is safe for concurrent use.
type Limiter struct {
	perUnit float64 // nanoseconds that one unit uses up
	room    int64   // nanoseconds that the burst is worth
	epoch   time.Time
	now     func() time.Time
	own     float64      // the rate that Set gave, zero for none
	due     atomic.Int64 // nanoseconds since epoch at which all that was taken is used up
}

// New makes a limit that starts with its whole burst.
func New(c Config) (*Limiter, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return newLimiter(c, c.Now()), nil
}

func newLimiter(c Config, epoch time.Time) *Limiter {
	perUnit := float64(time.Second) / c.PerSecond
	return &Limiter{perUnit: perUnit, room: toNanos(perUnit * c.Burst), epoch: epoch, now: c.Now}
}

// toNanos keeps durations far from the end of int64.
func toNanos(f float64) int64 { return int64(min(f, float64(math.MaxInt64/4))) }

// Allow takes n units if they are to be had, else it takes nothing and says
// after how long they would be. What asks for more than the whole burst is let
// through when the burst is full, and paid off afterwards; otherwise it could
// never pass.
func (l *Limiter) Allow(n float64) (ok bool, wait time.Duration) {
	if !(n > 0) {
		return true, 0
	}
	cost := max(toNanos(n*l.perUnit), 1)
	now := int64(l.now().Sub(l.epoch))
	for {
		due := l.due.Load()
		next := max(due, now) + cost
		over := next - now - max(l.room, cost)
		if over > 0 {
			return false, time.Duration(over)
		}
		if l.due.CompareAndSwap(due, next) {
			return true, 0
		}
	}
}

// Charge takes n units in any case: what comes next waits for them. It is for
// callers who learn only afterwards how much something was.
func (l *Limiter) Charge(n float64) {
	if !(n > 0) {
		return
	}
	cost := max(toNanos(n*l.perUnit), 1)
	now := int64(l.now().Sub(l.epoch))
	for {
		due := l.due.Load()
		if l.due.CompareAndSwap(due, max(due, now)+cost) {
			return
		}
	}
}

// idle tells whether the limit is as it was when it was new.
func (l *Limiter) idle() bool { return l.due.Load() <= int64(l.now().Sub(l.epoch)) }

// Keyed is one limit for each key. It is safe for concurrent use.
type Keyed struct {
	config Config
	epoch  time.Time

	mu      sync.RWMutex
	limits  map[string]*Limiter
	special map[string]Config
}

// NewKeyed makes limits that every key has for itself.
func NewKeyed(c Config) (*Keyed, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.MaxKeys <= 0 {
		c.MaxKeys = 100_000
	}
	return &Keyed{config: c, epoch: c.Now(), limits: map[string]*Limiter{}, special: map[string]Config{}}, nil
}

// Set gives one key a limit of its own, from now on; a PerSecond of zero takes
// it away again. The burst is two seconds' worth unless it is said.
func (k *Keyed) Set(key string, perSecond, burst float64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, had := k.special[key]
	if !(perSecond > 0) {
		delete(k.special, key)
		if had {
			delete(k.limits, key)
		}
		return
	}
	if !(burst >= 1) {
		burst = max(2*perSecond, 1)
	}
	c := Config{PerSecond: perSecond, Burst: burst, Now: k.config.Now}
	if c.check() != nil || had && old.PerSecond == perSecond && old.Burst == burst {
		return
	}
	k.special[key] = c
	delete(k.limits, key)
}

// Allow asks the key's limit, as Limiter.Allow does.
func (k *Keyed) Allow(key string, n float64) (ok bool, wait time.Duration) {
	return k.of(key).Allow(n)
}

// AllowAt asks the key's limit and sees to it first that it is of this rate, as
// Set does; zero is the rate of all.
func (k *Keyed) AllowAt(key string, perSecond, n float64) (ok bool, wait time.Duration) {
	l := k.of(key)
	if l.own != perSecond {
		k.Set(key, perSecond, 0)
		l = k.of(key)
	}
	return l.Allow(n)
}

// Charge takes n units from the key's limit, as Limiter.Charge does.
func (k *Keyed) Charge(key string, n float64) { k.of(key).Charge(n) }

func (k *Keyed) of(key string) *Limiter {
	k.mu.RLock()
	l := k.limits[key]
	k.mu.RUnlock()
	if l == nil {
		l = k.make(key)
	}
	return l
}

// make gives a key its limit. When too many are remembered, those that are as
// good as new are forgotten; if none is, keys that are not yet known share one.
// Those that have a limit of their own keep it.
func (k *Keyed) make(key string) *Limiter {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.limits[key]; l != nil {
		return l
	}
	c, ok := k.special[key]
	if !ok {
		c = k.config
	}
	if !ok && len(k.limits) >= k.config.MaxKeys {
		for old, l := range k.limits {
			if l.idle() {
				delete(k.limits, old)
			}
		}
		if len(k.limits) >= k.config.MaxKeys {
			key = ""
			if l := k.limits[key]; l != nil {
				return l
			}
		}
	}
	l := newLimiter(c, k.epoch)
	if ok {
		l.own = c.PerSecond
	}
	k.limits[key] = l
	return l
}
