package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"rapport/internal/fault"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

// worker is one place at a provider: at most one Send at a time, and never more
// mails without a recorded outcome than that Send held.
type worker struct {
	d       *Dispatcher
	l       *lane
	batch   []*job
	passed  []bool
	mails   []message.Rendered
	line    Line   // the connection for the batch in hand, where the provider has such
	pending *entry // outcomes of the Send before
}

// work takes claimed mails through render, hand-over and Send until the queue is
// closed, and gives back what is left in it.
func (d *Dispatcher) work(ctx context.Context, l *lane) {
	w := worker{d: d, l: l}
	for {
		j := l.queue.pop()
		if j == nil {
			break
		}
		w.batch = append(w.batch[:0], j)
		for len(w.batch) < l.batch {
			if j = l.queue.tryPop(); j == nil {
				break
			}
			w.batch = append(w.batch, j)
		}
		w.round(ctx)
	}
	w.settled()
	for _, j := range l.queue.rest() {
		d.giveBack(j, "stopping")
	}
}

// round takes one batch all the way.
func (w *worker) round(ctx context.Context) {
	ready := w.batch[:0]
	for _, j := range w.batch {
		if w.render(ctx, j) && w.admit(j) {
			ready = append(ready, j)
		}
	}
	if w.batch = ready; len(ready) == 0 {
		return
	}
	if !w.connect(ctx) {
		return
	}
	defer w.hangUp()
	// What was sent before is recorded before anything new can be on the wire.
	w.settled()
	if w.handOver(); len(w.batch) > 0 {
		w.send(ctx)
	}
}

// connect waits for a connection where the provider has such; without one the
// mails of the batch end up as if it had been lost at once.
func (w *worker) connect(ctx context.Context) bool {
	c, ok := w.l.provider.(Connector)
	if !ok {
		return true
	}
	o := message.Outcome{Verdict: message.NotSent, Reason: "provider_unreachable"}
	func() {
		ctx, cancel := context.WithTimeout(ctx, w.l.deadline)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				w.d.cfg.Logger.Error("a provider panicked", "provider", w.l.name)
			}
		}()
		w.line, o = c.Connect(ctx, w.rendered())
	}()
	if w.line != nil {
		return true
	}
	if o.Verdict == message.MaybeSent || o.Verdict < message.SentOK || o.Verdict > message.ProviderFault {
		o = message.Outcome{Verdict: message.NotSent, Reason: "provider_unreachable"} // nothing has left
	}
	outcomes := make([]message.Outcome, len(w.batch))
	for i := range outcomes {
		outcomes[i] = o
	}
	w.settled()
	w.conclude(outcomes)
	return false
}

// rendered gives the mails of the batch.
func (w *worker) rendered() []message.Rendered {
	w.mails = w.mails[:0]
	for _, j := range w.batch {
		w.mails = append(w.mails, j.rendered)
	}
	return w.mails
}

// hangUp gives the connection back.
func (w *worker) hangUp() {
	if w.line != nil {
		w.line.Close()
		w.line = nil
	}
}

// settled waits until the outcomes of the last Send are recorded.
func (w *worker) settled() {
	if w.pending != nil {
		<-w.pending.done //nolint:errcheck // The ledger insists until it is written, or closes and says so.
		w.pending = nil
	}
}

// render makes the mail, or ends the job with the reason why not.
func (w *worker) render(ctx context.Context, j *job) bool {
	d := w.d
	if j.pinned && j.rendered.MessageID != "" {
		return true // the same key must mean the same mail
	}
	r, parts, err := d.renderSafely(ctx, j.mail.Intent)
	if err != nil {
		d.leave(j, func(tx store.Tx, m *outbox.Mail, now time.Time) error {
			return d.unrendered(tx, m, now, err)
		})
		return false
	}
	r.ID = j.mail.ID
	if j.mail.MessageID != "" {
		r.MessageID = j.mail.MessageID
	}
	if r.MessageID == "" {
		r.MessageID = "<" + strings.TrimPrefix(j.mail.ID.String(), "msg_") + "@" + hostOf(r.From.Email) + ">"
	}
	j.rendered, j.parts = r, parts
	return true
}

// renderSafely calls the renderer with its time limit; a panic is an error.
func (d *Dispatcher) renderSafely(ctx context.Context, in message.Intent) (r message.Rendered, parts []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.RenderTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			d.cfg.Logger.Error("rendering panicked", "message_id", in.ID.String(), "template", in.Template)
			err = fault.New(fault.Internal, "render_panic", "rendering panicked")
		}
	}()
	return d.cfg.Renderer.Render(ctx, in, d.cfg.Now())
}

// unrendered writes why a mail could not be made.
func (d *Dispatcher) unrendered(tx store.Tx, m *outbox.Mail, now time.Time, err error) error {
	reason := "render_failed"
	var f *fault.Error
	if errors.As(err, &f) && f.Code != "" {
		reason = f.Code
	}
	switch kind := fault.KindOf(err); {
	case kind == fault.Denied || kind == fault.NotFound:
		return d.skip(tx, m, now, reason, nil)
	case fault.Temporary(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return d.put(tx, m, now, reason, &report{})
	default:
		return d.fail(tx, m, now, reason, &report{})
	}
}

// admit asks for a place in the provider's and the receiving domain's pace; a
// mail that gets none is put back to wait for its turn.
func (w *worker) admit(j *job) bool {
	host := hostOf(j.rendered.To.Email)
	returning := j.mail.NotBefore.After(j.mail.Due) && j.mail.NotBefore.After(j.mail.Decided)
	h, ok := w.l.admit(host, returning, w.d.cfg.Mono())
	if ok {
		if h.wait > 0 {
			time.Sleep(h.wait) // at most shortWait
		}
		return true
	}
	w.d.leave(j, func(tx store.Tx, m *outbox.Mail, now time.Time) error {
		m.State, m.NotBefore, m.LeaseEnds = message.Deferred, now.Add(h.wait), time.Time{}
		return tx.Outbox().Move(m, outbox.Step{State: message.Deferred, At: now, Reason: h.reason})
	})
	return false
}

// handOver writes the durable mark for the batch and keeps in it what passed.
func (w *worker) handOver() {
	d := w.d
	moved := make([]outbox.Mail, len(w.batch))
	w.passed = append(w.passed[:0], make([]bool, len(w.batch))...)
	err := d.ledger.write(&entry{durable: true, about: w.batch, write: func(tx store.Tx) error {
		for i, j := range w.batch {
			var err error
			moved[i] = outbox.Mail{}
			if w.passed[i], err = d.mark(tx, j, &moved[i]); err != nil {
				return fmt.Errorf("hand over %s: %w", j.mail.ID, err)
			}
		}
		return nil
	}})
	now, on := d.cfg.Mono(), w.batch[:0]
	for i, j := range w.batch {
		host := hostOf(j.rendered.To.Email)
		switch {
		case err != nil:
			w.l.cancel(host, now)
			d.giveBack(j, "hand_over_failed")
		case w.passed[i]:
			j.mail = moved[i]
			d.mails.handed(j)
			on = append(on, j)
		default:
			w.l.cancel(host, now)
			d.forget(j, &moved[i])
		}
	}
	if err != nil {
		d.cfg.Logger.Error("handing over failed", "mails", len(w.batch), "error", err)
	}
	w.batch = on
}

// mark reads everything again that could have changed since the claim and, if
// all still holds, writes that the mail is being handed over. m is the mail as
// it stands afterwards.
func (d *Dispatcher) mark(tx store.Tx, j *job, m *outbox.Mail) (bool, error) {
	now, box := d.cfg.Now(), tx.Outbox()
	cur, ok, err := box.Get(j.mail.ID)
	if err != nil {
		return false, err
	}
	*m = cur
	if !ok || !j.holds(&cur, d.cfg.Mono()) {
		return false, nil // the lease has ended: it is somebody else's now
	}
	wait, err := d.mayGo(tx, j, m, now)
	if err != nil {
		return false, err
	}
	if wait != nil {
		if err := d.writeClaim(tx, j, m); err != nil {
			return false, err
		}
		return false, wait()
	}
	m.State, m.MessageID, m.LeaseEnds = message.HandingOver, j.rendered.MessageID, d.cfg.Mono().Add(d.cfg.Lease)
	detail := (&report{Provider: j.lane.name, Duplicate: m.Duplicate, Fallbacks: j.rendered.Fallbacks}).json()
	steps := make([]outbox.Step, 0, 2)
	if j.inMemory() {
		steps = append(steps, outbox.Step{State: message.Claimed, At: j.claimed})
	}
	if err := box.Move(m, append(steps, outbox.Step{State: message.HandingOver, At: now, Detail: detail})...); err != nil {
		return false, err
	}
	if len(j.parts) > 0 {
		return true, box.SaveParts(m.ID, j.parts)
	}
	return true, nil
}

// mayGo asks everything that can keep a mail back. nil says that it may go, with
// its use of the cap reserved; otherwise what it gives moves the mail to where it
// belongs instead.
func (d *Dispatcher) mayGo(tx store.Tx, j *job, m *outbox.Mail, now time.Time) (instead func() error, err error) {
	skip := func(reason string, detail []byte) func() error {
		return func() error { return d.skip(tx, m, now, reason, detail) }
	}
	if m.Person != j.mail.Person { // merged since: render for who it is now
		return func() error {
			m.State, m.LeaseEnds = message.Pending, time.Time{}
			return tx.Outbox().Move(m, outbox.Step{State: message.Pending, At: now, Reason: "person_merged"})
		}, nil
	}
	a := d.cfg.Rules.Check(m, now, d.cfg.Zone(tx, m.Person))
	if !a.Wait.IsZero() {
		return func() error {
			m.State, m.NotBefore, m.LeaseEnds = message.Deferred, a.Wait, time.Time{}
			return tx.Outbox().Move(m, outbox.Step{State: message.Deferred, At: now, Reason: a.Reason, Detail: ruleDetail(a.Detail)})
		}, nil
	}
	if !a.OK {
		return skip(a.Reason, ruleDetail(a.Detail)), nil
	}
	asked := *m
	asked.To = j.rendered.To.Email
	ok, reason, detail, err := d.cfg.Gate.Pass(tx, &asked, now)
	if err != nil { // What the gate cannot say is put off, never let through.
		d.cfg.Logger.Error("the gate cannot answer; the mail waits", "message_id", m.ID.String(), "error", err)
		return func() error { return d.put(tx, m, now, "gate_unavailable", &report{}) }, nil
	}
	if !ok {
		return skip(reason, detail), nil
	}
	if a, err = d.cfg.Rules.Reserve(tx.Outbox(), m, now); err != nil || a.OK {
		return nil, err
	}
	return skip(a.Reason, ruleDetail(a.Detail)), nil
}

// writeClaim writes a claim that was in memory, for the story of a mail that is
// not handed over after all.
func (d *Dispatcher) writeClaim(tx store.Tx, j *job, m *outbox.Mail) error {
	if !j.inMemory() {
		return nil
	}
	m.State, m.LeaseEnds = message.Claimed, j.lease
	return tx.Outbox().Move(m, outbox.Step{State: message.Claimed, At: j.claimed})
}

// send gives the batch to the provider and has the outcomes recorded.
func (w *worker) send(ctx context.Context) {
	w.conclude(w.d.sendSafely(ctx, w.l, w.line, w.rendered()))
	clear(w.mails)
}

// conclude tells the lane what became of the batch and has it recorded.
func (w *worker) conclude(outcomes []message.Outcome) {
	d, now := w.d, w.d.cfg.Mono()
	for i, j := range w.batch {
		a, alarmed := w.l.report(hostOf(j.rendered.To.Email), &outcomes[i], now)
		if alarmed {
			d.alert(w.l, a, &outcomes[i])
		}
	}
	jobs := append([]*job(nil), w.batch...)
	w.pending = d.record(jobs, outcomes)
}

// alert tells an operator that sending is held back and what to look at.
func (d *Dispatcher) alert(l *lane, a alarm, o *message.Outcome) {
	if a.pause == 0 {
		d.cfg.Logger.Warn("a provider refuses us or cannot be reached; trying again", "provider", l.name, "reason", a.reason, "code", o.Code)
		return
	}
	d.cfg.Logger.Error("sending is paused: the provider refuses us or cannot be reached",
		"alert", "provider_paused", "provider", l.name, "domain", a.domain, "reason", a.reason,
		"code", o.Code, "enhanced", o.Enhanced, "pause", a.pause.Round(time.Second).String())
}

// sendSafely calls the provider under its deadline. Whatever it does not say
// clearly is MaybeSent.
func (d *Dispatcher) sendSafely(ctx context.Context, l *lane, line Line, mails []message.Rendered) (out []message.Outcome) {
	ctx, cancel := context.WithTimeout(ctx, l.deadline)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			d.cfg.Logger.Error("a provider panicked", "provider", l.name)
			out = nil
		}
		for len(out) < len(mails) {
			out = append(out, message.Outcome{Verdict: message.MaybeSent, Reason: "no_answer"})
		}
		for i := range out {
			if out[i].Verdict < message.SentOK || out[i].Verdict > message.ProviderFault {
				out[i] = message.Outcome{Verdict: message.MaybeSent, Reason: "no_answer"}
			}
		}
	}()
	if line != nil {
		return line.Send(ctx, mails)
	}
	return l.provider.Send(ctx, mails)
}

// hostOf gives the domain of an address in lower case, or "".
func hostOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}

// ruleDetail is the detail of a step that one of the rules decided.
func ruleDetail(limit string) []byte {
	if limit == "" {
		return nil
	}
	b, _ := json.Marshal(struct { // A struct of one string always encodes.
		Limit string `json:"limit"`
	}{limit})
	return b
}
