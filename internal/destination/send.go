package destination

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"rapport/internal/fault"
	"rapport/internal/purpose"
)

// verdict says what an attempt came to.
type verdict uint8

const (
	delivered verdict = iota + 1
	dropped           // a gate said no: it will not be told
	failed            // again, by the schedule
	postponed         // nobody is to blame: again, and no attempt is spent
	refused           // never again
	dismissed         // the destination wants nothing any more
	cut               // the house stopped meanwhile
)

// outcome is an attempt's verdict with its evidence. It holds nothing of what was
// sent or answered.
type outcome struct {
	verdict verdict
	reason  string
	status  int
	wait    time.Duration // the destination asked for as much
}

// The reasons of this room.
const (
	reasonFilter  = "filtered"              // the filters in effect do not want it, or its sender does not
	reasonNobody  = "nobody_known"          // whom it is about is not known
	reasonUnknown = "permission_unreadable" // nobody can tell whether it may go
	reasonLarge   = "too_large"
	reasonStatus  = "refused" // a status that is no success
	reasonGone    = "gone"    // 410
	reasonWait    = "asked_to_wait"
	reasonAge     = "gave_up"
)

// send makes one attempt: whom, whether, what, and then the wire.
func (c *clerk) send(ctx context.Context, e *entry) outcome {
	ok, options := c.def.wants(&e.Item, e.event)
	if !ok {
		return outcome{verdict: dropped, reason: reasonFilter}
	}
	var p *Party
	if e.about() {
		var err error
		if p, err = c.o.feed.whom(ctx, e); err != nil {
			return c.unsure(ctx, err)
		}
		if p == nil {
			return outcome{verdict: dropped, reason: reasonNobody}
		}
	}
	def, err := c.seeing(ctx, e, p)
	if err != nil {
		return c.unsure(ctx, err)
	}
	if ok, _ := def.wants(&e.Item, e.event); !ok { // Its filter chooses by what is hidden.
		return outcome{verdict: dropped, reason: reasonFilter}
	}
	body, err := e.body(p, def, options)
	if err != nil {
		return outcome{verdict: refused, reason: "unwritable"}
	}
	if len(body) > MaxBody {
		return outcome{verdict: refused, reason: reasonLarge}
	}
	if e.asks() {
		may, reason, err := c.o.Gate.Permit(ctx, p, c.def.Purpose, purpose.Unclassified)
		if err != nil {
			return c.unsure(ctx, err)
		}
		if !may {
			return outcome{verdict: dropped, reason: reason}
		}
	}
	return post(ctx, c.def, idOf(&e.Item), c.o.Wall(), body)
}

// seeing gives the destination as it sees whom an item is about: of what is sensitive
// nothing without their yes.
func (c *clerk) seeing(ctx context.Context, e *entry, p *Party) (*Definition, error) {
	if e.Kind != Event || p == nil || !c.def.Sees.Sensitive() {
		return c.def, nil
	}
	ok, _, err := c.o.Gate.Permit(ctx, p, c.def.Purpose, purpose.Sensitive)
	if ok || err != nil {
		return c.def, err
	}
	modest := *c.def
	modest.Sees = modest.Sees.Modest()
	return &modest, nil
}

// unsure is what comes of not being able to tell whether something may go.
func (c *clerk) unsure(ctx context.Context, err error) outcome {
	if ctx.Err() != nil {
		return outcome{verdict: cut}
	}
	c.o.Logger.Warn("whether an item may leave cannot be told; it waits", "destination", c.def.Name, "error", err)
	return outcome{verdict: postponed, reason: reasonUnknown, wait: time.Second}
}

// post signs and sends.
func post(ctx context.Context, d *Definition, name string, at time.Time, body []byte) outcome {
	a, err := d.Client.Post(ctx, d.URL, sign(d.Secrets, name, at, body), body)
	switch {
	case err != nil && (ctx.Err() != nil || errors.Is(err, context.Canceled)):
		return outcome{verdict: cut}
	case err != nil:
		return outcome{verdict: failed, reason: codeOf(err)}
	case a.Status >= 200 && a.Status <= 299:
		return outcome{verdict: delivered, status: a.Status}
	case a.Status == http.StatusGone:
		return outcome{verdict: dismissed, reason: reasonGone, status: a.Status}
	case a.RetryAfter > 0 && (a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable):
		return outcome{verdict: postponed, reason: reasonWait, status: a.Status, wait: min(a.RetryAfter, maxHold)}
	}
	return outcome{verdict: failed, reason: reasonStatus, status: a.Status, wait: min(a.RetryAfter, maxHold)}
}

func codeOf(err error) string {
	if code := fault.CodeOf(err); code != "" {
		return code
	}
	return "failed"
}

// end takes an attempt's outcome in.
func (c *clerk) end(ctx context.Context, r result) {
	c.flying--
	r.job.flying = false
	now := c.o.Now()
	if r.verdict != cut {
		c.lasts, c.lastAt = r.outcome, now
	}
	switch r.verdict {
	case delivered:
		c.o.counts.add(c.def.Name, Delivered, "")
		c.o.ledger.change(c.def.Name, func(b *book) { b.told++ })
		c.done(r.job)
		if c.breaker.worked() {
			c.recovered(now)
		}
	case dropped:
		c.o.counts.add(c.def.Name, Dropped, r.reason)
		c.done(r.job)
	case refused:
		c.die(r.job, r.outcome, now)
	case postponed:
		c.hold = latest(c.hold, now.Add(r.wait))
		c.again(r.job)
	case dismissed:
		c.o.counts.add(c.def.Name, Failed, r.reason)
		c.again(r.job)
		if c.gone == "" {
			c.disable(now, r.reason)
		}
	case failed:
		c.o.counts.add(c.def.Name, Failed, r.reason)
		c.failed(r.job, r.outcome, now)
	default:
		if ctx.Err() == nil {
			c.again(r.job) // The wire was cut by something else.
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// again lets an item go once more as if it had not been tried.
func (c *clerk) again(j *job) {
	j.queued = true
	c.ready = append([]*job{j}, c.ready...)
}

// failed spends an attempt.
func (c *clerk) failed(j *job, o outcome, now time.Time) {
	if o.wait > 0 {
		c.hold = latest(c.hold, now.Add(o.wait))
	}
	if c.breaker.failed(now, c.o.Rand()) {
		c.o.Logger.Error("a destination does not take what it is told; it is tried now and then", "alert", "destination_down", "destination", c.def.Name, "reason", o.reason, "status", o.status)
	}
	h := Held{Seq: j.seq, Reason: o.reason, Status: o.status}
	if j.held != nil {
		h.Attempts = j.held.Attempts
	}
	h.Attempts++
	if h.Attempts >= MaxAttempts {
		c.die(j, o, now)
		return
	}
	h.Due = now.Add(max(after(h.Attempts, c.o.Rand()), o.wait))
	j.queued = false
	c.keep(j, h)
	l := c.lines[j.key]
	for _, behind := range l.jobs { // They wait for it, and so the window does not wait for them.
		if behind.held == nil && !behind.queued {
			c.keep(behind, Held{Seq: behind.seq, Due: now})
		}
	}
	c.next(l)
	c.advance()
}

// die makes an item a dead letter.
func (c *clerk) die(j *job, o outcome, now time.Time) {
	h := Held{Seq: j.seq, Due: now, Dead: true, Reason: o.reason, Status: o.status}
	if j.held != nil {
		h.Attempts = j.held.Attempts
		c.held--
	}
	if o.reason != reasonAge {
		h.Attempts++
	}
	c.o.counts.add(c.def.Name, Died, o.reason)
	c.o.Logger.Warn("an item was given up and is a dead letter", "destination", c.def.Name, "seq", j.seq, "reason", o.reason, "status", o.status)
	c.o.ledger.change(c.def.Name, func(b *book) { b.held[j.seq] = &h })
	c.leave(j)
}

// disable ends the telling until an operator lets it go on.
func (c *clerk) disable(now time.Time, why string) {
	c.gone, c.since = why, now
	c.o.Logger.Error("a destination wants nothing any more and is disabled; `rapport destination enable` lets it go on",
		"alert", "destination_disabled", "destination", c.def.Name, "reason", why)
	c.o.ledger.change(c.def.Name, func(b *book) { b.disabled = &Standing{Name: c.def.Name, Disabled: why, Since: now} })
}

// recovered tries soon what failed while nothing got through.
func (c *clerk) recovered(now time.Time) {
	c.o.Logger.Info("a destination takes what it is told again", "destination", c.def.Name)
	for _, l := range c.lines {
		if j := l.jobs[0]; j.held != nil && !j.queued && j.held.Due.After(now) {
			h := *j.held
			h.Due = now.Add(time.Duration(c.o.Rand() * float64(time.Second)))
			j.held = &h
			c.alarms.set(h.Due, j)
		}
	}
}

// giveUp makes dead letters of what has grown too old while nothing got through.
func (c *clerk) giveUp(now time.Time) {
	if now.Sub(c.aged) < time.Minute {
		return
	}
	c.aged = now
	var old []*job
	for _, l := range c.lines {
		for _, j := range l.jobs {
			if !j.flying && j.at.Before(now.Add(-MaxAge)) {
				old = append(old, j)
			}
		}
	}
	slices.SortFunc(old, func(a, b *job) int { return cmp.Compare(a.seq, b.seq) })
	for _, j := range old {
		c.die(j, outcome{reason: reasonAge}, now)
	}
	if len(old) > 0 {
		c.aged = time.Time{} // There may be more behind them.
		poke(c.more)
	}
}
