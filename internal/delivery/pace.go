package delivery

import (
	"strings"
	"sync"
	"time"

	"rapport/internal/message"
)

// How a provider and a receiving domain are slowed down and left alone.
const (
	breakerAfter   = 5                // consecutive failures of the provider as a whole
	warnEvery      = time.Minute      // between two warnings of single failures
	breakerFirst   = 5 * time.Second  // first pause; doubles
	breakerMost    = 5 * time.Minute  // longest pause of the breaker
	faultPause     = 15 * time.Minute // first pause after a refusal for our own fault; doubles
	faultPauseMost = 4 * time.Hour
	domainAfter    = 3               // consecutive temporary refusals by one receiving domain
	domainFirst    = 2 * time.Second // first distance between mails to it; doubles
	domainMost     = time.Minute     // longest distance
	busyFirst      = time.Second     // first wait of mails that find a full window; doubles
	busyMost       = time.Minute
	heldSpread     = 2 * time.Millisecond
	shortWait      = 20 * time.Millisecond // waited for in place
	domainsMost    = 10_000                // receiving domains remembered for one provider
)

// lane is one provider with its queue, its pace and its breaker. All its
// instants are machine time.
type lane struct {
	name        string
	provider    Provider
	batch       int
	concurrency int
	window      int // most claimed mails
	deadline    time.Duration
	can         Capabilities
	limits      Limits
	rand        func() float64
	queue       queue

	mu      sync.Mutex
	claimed int
	pace    pacer
	stop    brake // the whole provider
	warned  time.Time
	domains map[string]*domain

	busy      time.Duration // see patience
	busyUntil time.Time
	ends      bool // a Send has ended since
}

// domain is one receiving domain behind a provider.
type domain struct {
	pace    pacer
	stop    brake
	refused int // consecutive temporary refusals
	slow    time.Duration
	used    time.Time
}

// brake holds everything back for a while: after failures (breaker) or after a
// refusal for our own fault (pause). When its time is over one mail is let
// through; only its success releases the rest.
type brake struct {
	failures int
	until    time.Time
	length   time.Duration
	reason   string
	probing  bool
}

// pacer spaces mails evenly (GCRA without burst) and gives out later places to
// those that cannot go now.
type pacer struct {
	gap   time.Duration
	next  time.Time // earliest instant of the next mail
	place time.Time // latest instant given to a mail that was sent away
}

func newLane(name string, p Provider, lim Limits, rnd func() float64) *lane {
	c := p.Capabilities()
	l := &lane{
		name: name, provider: p, can: c, limits: lim, rand: rnd,
		batch: max(c.Batch, 1), concurrency: c.Concurrency, deadline: c.Deadline, domains: map[string]*domain{},
	}
	if l.concurrency <= 0 {
		l.concurrency = DefaultConcurrency
	}
	if lim.Concurrency > 0 {
		l.concurrency = min(l.concurrency, lim.Concurrency)
	}
	setDefault(&l.deadline, DefaultDeadline)
	l.window = l.concurrency*l.batch*2 + 64
	l.pace.gap = gap(c.Rate)
	if g := gap(lim.Rate); g > l.pace.gap {
		l.pace.gap = g
	}
	l.queue.init()
	return l
}

func gap(rate float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / rate)
}

// hold tells a mail to come back later, and why.
type hold struct {
	wait   time.Duration
	reason string
}

// admit asks whether a mail to a receiving domain may go now. If not, the mail
// is given a place; one that comes back at its place (returning) goes before
// those that come for the first time. An admitted mail must be reported by
// report or, if it does not go after all, by cancel.
func (l *lane) admit(host string, returning bool, now time.Time) (hold, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.domain(host, now)
	if h, ok := l.stop.admit(now, "provider_", &l.pace); !ok {
		return h, false
	}
	if h, ok := d.stop.admit(now, "domain_", &d.pace); !ok {
		l.stop.release()
		return h, false
	}
	if h, ok := d.pace.admit(returning, now, "domain_pace"); !ok {
		l.stop.release()
		d.stop.release()
		return h, false
	}
	if h, ok := l.pace.admit(returning, now, "provider_pace"); !ok {
		l.stop.release()
		d.stop.release()
		return h, false
	}
	return hold{}, true
}

// cancel takes back an admission that was not used.
func (l *lane) cancel(host string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop.release()
	l.domain(host, now).stop.release()
}

// held tells whether the provider as a whole is held back, without asking to be
// let through.
func (l *lane) held(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop.closed(now)
}

// shaky tells whether the provider as a whole has failed since it last took
// something.
func (l *lane) shaky() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stop.failures > 0 || !l.stop.until.IsZero()
}

// claim counts a claimed mail in, unless the provider is held back or has its
// window full; then it gives the mail a place to come back at.
func (l *lane) claim(now time.Time) (hold, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop.closed(now) {
		return hold{l.pace.later(laterOf(l.stop.until, now.Add(time.Second)), now), "provider_" + l.stop.reason}, false
	}
	if l.claimed >= l.window {
		return hold{l.pace.later(now.Add(l.patience(now)), now), "provider_busy"}, false
	}
	l.claimed++
	return hold{}, true
}

// patience is how long mails wait that find a full window: longer each time as
// long as the provider ends nothing, so that a hanging one costs little.
func (l *lane) patience(now time.Time) time.Duration {
	switch {
	case l.ends:
		l.ends, l.busy, l.busyUntil = false, busyFirst, now.Add(busyFirst)
	case !now.Before(l.busyUntil):
		l.busy = min(max(2*l.busy, busyFirst), busyMost)
		l.busyUntil = now.Add(l.busy)
	}
	return l.busy
}

// unclaim counts a mail out.
func (l *lane) unclaim() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claimed--
}

func (l *lane) free() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.window - l.claimed
}

// alarm is what an operator must hear about: who is paused, why and for how long.
type alarm struct {
	domain string // "" for the whole provider
	reason string
	pause  time.Duration // zero: nothing is paused yet
}

// report learns from an outcome. It gives an alarm when something was paused,
// and now and then while the provider fails without being paused yet.
func (l *lane) report(host string, o *message.Outcome, now time.Time) (alarm, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = true
	d := l.domain(host, now)
	whole := strings.HasPrefix(o.Reason, "provider_")
	switch o.Verdict {
	case message.SentOK, message.Refused:
		l.stop.succeed()
		d.stop.succeed()
		d.ease(l)
	case message.ProviderFault:
		b, where := &d.stop, host
		if whole {
			b, where = &l.stop, ""
			d.stop.release()
		} else {
			l.stop.succeed()
		}
		b.trip(o.Reason, faultPause, faultPauseMost, now, l.rand)
		return alarm{where, o.Reason, b.until.Sub(now)}, true
	case message.TryLater:
		if whole {
			d.stop.release()
			return l.fail(o, now)
		}
		l.stop.succeed()
		d.stop.succeed() // it answers; how fast it wants mails is the pace's business
		d.slowDown(o, now, l)
	case message.NotSent:
		d.stop.release()
		if o.Again { // a connection that had been idle says nothing about the provider
			l.stop.release()
			break
		}
		return l.fail(o, now)
	case message.MaybeSent:
		l.stop.release()
		d.stop.release()
	}
	return alarm{}, false
}

// fail counts a failure of the whole provider and opens the breaker when there
// are too many of them.
func (l *lane) fail(o *message.Outcome, now time.Time) (alarm, bool) {
	l.stop.failures++
	if l.stop.failures < breakerAfter && !l.stop.probing {
		fresh := l.warned.IsZero() || now.Sub(l.warned) >= warnEvery
		if fresh {
			l.warned = now
		}
		return alarm{reason: o.Reason}, fresh
	}
	first := l.stop.until.IsZero()
	l.stop.trip(o.Reason, max(breakerFirst, min(o.RetryAfter, breakerMost)), breakerMost, now, l.rand)
	return alarm{"", o.Reason, l.stop.until.Sub(now)}, first
}

// slowDown widens the distance between mails to a domain that refuses temporarily.
func (d *domain) slowDown(o *message.Outcome, now time.Time, l *lane) {
	d.refused++
	if d.refused < domainAfter {
		return
	}
	d.slow = min(max(d.slow*2, domainFirst), domainMost)
	d.pace.gap = max(d.slow, gap(l.limits.DomainRate))
	d.pace.next = laterOf(d.pace.next, now.Add(max(d.slow, min(o.RetryAfter, faultPause))))
}

// ease narrows it again once mails are taken.
func (d *domain) ease(l *lane) {
	d.refused = 0
	if d.slow > 0 {
		d.slow /= 2
		if d.slow < time.Second {
			d.slow = 0
			d.pace.place = time.Time{}
		}
		d.pace.gap = max(d.slow, gap(l.limits.DomainRate))
	}
}

// domain finds or makes the record of a receiving domain; the one unused for
// longest makes room.
func (l *lane) domain(host string, now time.Time) *domain {
	d := l.domains[host]
	if d == nil {
		if len(l.domains) >= domainsMost {
			l.forget()
		}
		d = &domain{pace: pacer{gap: gap(l.limits.DomainRate)}}
		l.domains[host] = d
	}
	d.used = now
	return d
}

// forget drops a domain at rest, or failing that any one.
func (l *lane) forget() {
	victim := ""
	for host, d := range l.domains { // a random few are enough
		victim = host
		if d.slow == 0 && d.stop.until.IsZero() && !d.stop.probing {
			break
		}
	}
	delete(l.domains, victim)
}

func (b *brake) closed(now time.Time) bool {
	return !b.until.IsZero() && (now.Before(b.until) || b.probing)
}

func (b *brake) admit(now time.Time, prefix string, p *pacer) (hold, bool) {
	if b.closed(now) {
		reason := b.reason
		if !strings.HasPrefix(reason, prefix) {
			reason = prefix + reason
		}
		return hold{p.later(laterOf(b.until, now.Add(time.Second)), now), reason}, false
	}
	if !b.until.IsZero() {
		b.probing = true
	}
	return hold{}, true
}

// release takes back a probe that told nothing.
func (b *brake) release() { b.probing = false }

func (b *brake) succeed() { *b = brake{} }

// trip holds everything back, for longer each time.
func (b *brake) trip(reason string, first, most time.Duration, now time.Time, rnd func() float64) {
	b.reason = reason
	if !b.probing && now.Before(b.until) {
		return // others that were under way when it tripped
	}
	b.length = min(max(b.length*2, first), most)
	b.until = now.Add(time.Duration(float64(b.length) * (1 + rnd()/4)))
	b.probing = false
}

func (p *pacer) admit(returning bool, now time.Time, reason string) (hold, bool) {
	if p.gap == 0 {
		return hold{}, true
	}
	if !returning && p.place.After(now) {
		return hold{p.later(p.next, now), reason}, false
	}
	wait := p.next.Sub(now)
	if wait > shortWait {
		return hold{p.later(p.next, now), reason}, false
	}
	p.next = laterOf(p.next, now).Add(p.gap)
	return hold{wait: max(wait, 0)}, true
}

// later gives the next free place that is not before an instant.
func (p *pacer) later(earliest, now time.Time) time.Duration {
	p.place = laterOf(p.place.Add(max(p.gap, heldSpread)), earliest)
	return p.place.Sub(now)
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
