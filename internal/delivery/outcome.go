package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rapport/internal/fault"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

// report is the evidence that a step of a mail's story keeps, and that its event
// carries. It never holds an address.
type report struct {
	Provider   string `json:"provider,omitempty"`
	Code       int    `json:"code,omitempty"`
	Enhanced   string `json:"enhanced,omitempty"`
	Reply      string `json:"reply,omitempty"`
	ProviderID string `json:"provider_id,omitempty"`
	Bounce     string `json:"bounce,omitempty"` // "hard", "soft" (counts against the address) or "ignored"
	Refusals   int    `json:"refusals,omitempty"`
	Duplicate  bool   `json:"duplicate_possible,omitempty"`
	Uncertain  bool   `json:"uncertain,omitempty"` // it may have been sent; nobody knows
	Fallbacks  int    `json:"fallbacks,omitempty"`

	subject string // for the event alone: the mail's parts have it in the story
}

func (r *report) json() []byte {
	b, _ := json.Marshal(r) // A flat struct of strings and numbers always encodes.
	return b
}

// relay writes the event about a mail's end for the log, in the transaction that
// writes the end.
func relay(tx store.Tx, m *outbox.Mail, name, reason string, gate []byte, r *report, now time.Time) error {
	p := struct {
		outbox.About
		report
	}{outbox.AboutMail(m, reason), *r}
	p.Subject, p.Duplicate = r.subject, p.Duplicate || m.Duplicate
	if json.Valid(gate) {
		p.Detail = gate
	}
	e, err := outbox.Ended(m, name, &p, now)
	if err != nil {
		return err
	}
	if err := tx.Processor().AppendRelay(e.Append(nil)); err != nil {
		return fmt.Errorf("relay the end of %s: %w", m.ID, err)
	}
	return nil
}

// skip ends a mail that must not go. It is called in a transaction of the ledger
// only, which counts it once that is committed.
func (d *Dispatcher) skip(tx store.Tx, m *outbox.Mail, now time.Time, reason string, detail []byte) error {
	if err := d.cfg.Rules.Return(tx.Outbox(), m); err != nil {
		return err
	}
	m.State, m.LeaseEnds = message.Skipped, time.Time{}
	if err := tx.Outbox().Move(m, outbox.Step{State: m.State, At: now, Reason: reason, Detail: detail}); err != nil {
		return err
	}
	if err := relay(tx, m, outbox.EventSkipped, reason, detail, &report{}, now); err != nil {
		return err
	}
	d.ledger.skipped[reason]++
	return nil
}

// fail ends a mail that could not go. One that a provider refused has bounced;
// one that never came so far was skipped.
func (d *Dispatcher) fail(tx store.Tx, m *outbox.Mail, now time.Time, reason string, r *report) error {
	if err := d.cfg.Rules.Return(tx.Outbox(), m); err != nil {
		return err
	}
	m.State, m.LeaseEnds = message.Failed, time.Time{}
	if err := tx.Outbox().Move(m, outbox.Step{State: m.State, At: now, Reason: reason, Detail: r.json()}); err != nil {
		return err
	}
	name := outbox.EventSkipped
	if r.Bounce != "" {
		name = outbox.EventBounced
	}
	return relay(tx, m, name, reason, nil, r, now)
}

// put lets a mail wait after something temporary, by the schedule of its class,
// or gives it up when it has waited for too long.
func (d *Dispatcher) put(tx store.Tx, m *outbox.Mail, now time.Time, reason string, r *report) error {
	m.Attempts++
	return d.postpone(tx, m, now, d.cfg.Rules.Schedule(m.Class).After(m.Attempts, d.cfg.Rand()), reason, r)
}

// postpone lets a mail wait for a time.
func (d *Dispatcher) postpone(tx store.Tx, m *outbox.Mail, now time.Time, wait time.Duration, reason string, r *report) error {
	r.Refusals = m.Attempts
	if d.cfg.Rules.GaveUp(m, now) {
		if r.Provider != "" {
			r.Bounce = "soft"
		}
		return d.fail(tx, m, now, "gave_up", r)
	}
	m.State, m.NotBefore, m.LeaseEnds = message.Deferred, now.Add(wait), time.Time{}
	return tx.Outbox().Move(m, outbox.Step{State: m.State, At: now, Reason: reason, Detail: r.json()})
}

// record has the outcomes of one Send written, again and again until they are;
// a mail leaves the room only then.
func (d *Dispatcher) record(jobs []*job, outcomes []message.Outcome) *entry {
	moved := make([]outbox.Mail, len(jobs))
	told := make([]func(), len(jobs))
	e := &entry{insist: true}
	e.write = func(tx store.Tx) error {
		now := d.cfg.Now()
		for i, j := range jobs {
			moved[i], told[i] = j.mail, nil
			after, err := d.conclude(tx, j, &moved[i], &outcomes[i], now)
			if err != nil {
				return fmt.Errorf("record the outcome of %s: %w", j.mail.ID, err)
			}
			told[i] = after
		}
		return nil
	}
	e.committed = func() {
		for i, j := range jobs {
			if told[i] != nil {
				told[i]()
			}
			if moved[i].State == message.Uncertain {
				d.unsure.add(&moved[i], j, d.cfg.Now())
			}
			d.forget(j, &moved[i])
		}
	}
	return d.ledger.submit(e)
}

// conclude applies one outcome to its mail under the token of the hand-over. An
// outcome that comes too late, because the mail has been moved since, is written
// into the story and changes nothing.
func (d *Dispatcher) conclude(tx store.Tx, j *job, m *outbox.Mail, o *message.Outcome, now time.Time) (func(), error) {
	var err error
	if m.State != message.HandingOver { // It never came so far.
		err = d.writeClaim(tx, j, m)
	}
	if err == nil {
		err = d.apply(tx, j, m, o, now)
	}
	if fault.KindOf(err) == fault.NotFound { // erased while it was on the wire
		*m = outbox.Mail{}
		return nil, nil
	}
	if errors.Is(err, outbox.ErrStale) {
		*m = outbox.Mail{}
		s := outbox.Step{State: stateOf(o), At: now, Reason: "late_result", Detail: evidence(j, o).json()}
		if err := tx.Outbox().Note(j.mail.ID, s); err != nil {
			return nil, fmt.Errorf("note a late result: %w", err)
		}
		return nil, nil
	}
	if err != nil || !o.Suppress || d.cfg.Suppressor == nil {
		return nil, err
	}
	return d.cfg.Suppressor.Bounced(tx, j.rendered.To.Email, *o, now)
}

// apply moves the mail to where its outcome puts it.
func (d *Dispatcher) apply(tx store.Tx, j *job, m *outbox.Mail, o *message.Outcome, now time.Time) error {
	r := evidence(j, o)
	switch o.Verdict {
	case message.SentOK:
		m.State, m.LeaseEnds = message.Accepted, time.Time{}
		r.Duplicate = m.Duplicate
		if err := tx.Outbox().Move(m, outbox.Step{State: m.State, At: now, Detail: r.json()}); err != nil {
			return err
		}
		return relay(tx, m, outbox.EventSent, "", nil, r, now)
	case message.Refused:
		r.Bounce = bounceOf(o)
		return d.fail(tx, m, now, orReason(o, "refused"), r)
	case message.TryLater, message.NotSent:
		if o.Verdict == message.NotSent && o.Again { // nobody was asked: no attempt is burned
			return d.postpone(tx, m, now, 0, orReason(o, "not_sent"), r)
		}
		m.Attempts++
		wait := d.cfg.Rules.Schedule(m.Class).After(m.Attempts, d.cfg.Rand())
		if o.Verdict == message.NotSent && m.Attempts == 1 {
			// Nobody asked for patience: a lost connection is tried again soon,
			// and a provider that loses all of them is the breaker's business.
			wait = min(wait, time.Second+time.Duration(d.cfg.Rand()*float64(time.Second)))
		}
		return d.postpone(tx, m, now, max(wait, o.RetryAfter), orReason(o, "try_later"), r)
	case message.ProviderFault:
		// Not the mail's fault: it waits as after a first refusal; the pause of
		// its stream holds it for longer.
		wait := d.cfg.Rules.Schedule(m.Class).After(1, d.cfg.Rand())
		return d.postpone(tx, m, now, max(wait, o.RetryAfter), orReason(o, "provider_fault"), r)
	default:
		m.State, m.LeaseEnds = message.Uncertain, time.Time{}
		return tx.Outbox().Move(m, outbox.Step{State: m.State, At: now, Reason: orReason(o, "no_answer"), Detail: r.json()})
	}
}

// stateOf is the state that an outcome would have led to.
func stateOf(o *message.Outcome) message.State {
	switch o.Verdict {
	case message.SentOK:
		return message.Accepted
	case message.Refused:
		return message.Failed
	case message.TryLater, message.NotSent, message.ProviderFault:
		return message.Deferred
	default:
		return message.Uncertain
	}
}

func evidence(j *job, o *message.Outcome) *report {
	return &report{
		Provider: j.lane.name, Code: o.Code, Enhanced: o.Enhanced, Reply: o.Reply, ProviderID: o.ProviderID, subject: j.rendered.Subject,
	}
}

// bounceOf names how a refusal bears on the address.
func bounceOf(o *message.Outcome) string {
	switch {
	case o.Suppress:
		return "hard"
	case o.Counts:
		return "soft"
	default:
		return "ignored"
	}
}

func orReason(o *message.Outcome, other string) string {
	if o.Reason != "" {
		return o.Reason
	}
	return other
}
