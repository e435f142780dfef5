// Package deliverytest holds what tests of sending need: a store in memory, a
// sink that takes mails as a provider or over SMTP and can be made to fail in
// every way a receiver fails, and the contract that every provider passes. What
// comes in are mails and scripted faults; what goes out is an exact record of
// what each recipient got. It never sends anything anywhere, and no program
// imports it outside of tests and benchmarks.
package deliverytest

import (
	"context"
	"sync"

	"rapport/internal/delivery"
	"rapport/internal/message"
)

// Got is one mail as the sink received it.
type Got struct {
	To        string
	MessageID string
	Raw       []byte           // over SMTP only
	Mail      message.Rendered // in process only
}

// Record counts what reached a receiver. It is safe for concurrent use.
type Record struct {
	mu     sync.Mutex
	got    []Got
	byTo   map[string]int
	total  int
	Slim   bool // keep counts only
	notify []waiter
}

type waiter struct {
	n    int
	done chan struct{}
}

// Add notes one mail.
func (r *Record) Add(g Got) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byTo == nil {
		r.byTo = map[string]int{}
	}
	r.byTo[g.To]++
	r.total++
	if !r.Slim {
		r.got = append(r.got, g)
	}
	rest := r.notify[:0]
	for _, w := range r.notify {
		if r.total >= w.n {
			close(w.done)
		} else {
			rest = append(rest, w)
		}
	}
	r.notify = rest
}

// Reached is closed once the record holds n mails.
func (r *Record) Reached(n int) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := waiter{n: n, done: make(chan struct{})}
	if r.total >= n {
		close(w.done)
	} else {
		r.notify = append(r.notify, w)
	}
	return w.done
}

// Total gives the number of mails.
func (r *Record) Total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// To gives the number of mails to one recipient.
func (r *Record) To(address string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byTo[address]
}

// Most gives the largest number of mails to one recipient.
func (r *Record) Most() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := 0
	for _, n := range r.byTo {
		most = max(most, n)
	}
	return most
}

// All lists the mails in order of arrival.
func (r *Record) All() []Got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Got(nil), r.got...)
}

// Provider is a provider in process: it records what it accepts, and answers as
// Answer says.
type Provider struct {
	Record
	Can delivery.Capabilities
	// Answer decides each mail; nil accepts all. It may wait for ctx. What it
	// gives SentOK for is recorded, and so is what it gives MaybeSent for when
	// Arrived says so.
	Answer  func(ctx context.Context, m *message.Rendered) message.Outcome
	Arrived func(m *message.Rendered) bool
}

var _ delivery.Provider = (*Provider)(nil)

// Capabilities implements delivery.Provider.
func (p *Provider) Capabilities() delivery.Capabilities { return p.Can }

// Send implements delivery.Provider.
func (p *Provider) Send(ctx context.Context, mails []message.Rendered) []message.Outcome {
	out := make([]message.Outcome, len(mails))
	for i := range mails {
		o := message.Outcome{Verdict: message.SentOK, Code: 250}
		if p.Answer != nil {
			o = p.Answer(ctx, &mails[i])
		}
		if o.Verdict == message.SentOK || o.Verdict == message.MaybeSent && p.Arrived != nil && p.Arrived(&mails[i]) {
			p.Add(Got{To: mails[i].To.Email, MessageID: mails[i].MessageID, Mail: mails[i]})
		}
		out[i] = o
	}
	return out
}
