package ingest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// kind is what violations are counted by. What comes from the configuration and
// the spec there can be only so much of; of what senders name, mostNamed.
type kind struct {
	source, event, list, property, code string
}

// tally is what was counted since it was written down last.
type tally struct {
	property, detail string
	count            int64
	first, last      time.Time
	metric           prometheus.Counter
	told             time.Time // when an event told of it last, in machine time
}

// ledger counts violations in memory and has them written down together, now
// and then: a sender that breaks the spec must not cost more than one that keeps
// to it. A crash loses the counts of writeEvery at most.
type ledger struct {
	mu     sync.Mutex
	counts map[kind]*tally
	next   time.Time // when to write them down, in machine time

	writing   sync.Mutex  // one writes at a time, so that Violations waits for what is on its way
	unwritten []Violation // what a write has not taken yet, under writing
}

const writeEvery = 10 * time.Second

// note counts what was found on the events of a call that were taken.
func (in *Ingest) note(ctx context.Context, w *work) {
	if len(w.noted) == 0 && len(w.judged) == 0 {
		return
	}
	if !in.count(w) {
		return
	}
	if err := in.Flush(ctx); err != nil { // The events are safe, and the counts are tried again.
		in.logger.WarnContext(ctx, "what differs from the spec could not be written down", "error", err)
	}
}

// count adds to the counts and tells whether it is time to write them down.
func (in *Ingest) count(w *work) (due bool) {
	l := &in.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range w.noted {
		for _, f := range w.spec.Found[n.from:n.to] {
			k := kind{w.call.Source.Name, f.Event.Name, f.List, f.Property, string(f.Code)}
			t := l.counts[k]
			if t == nil {
				t = l.begin(k, f.Path(), f.Detail(), f.Event.Name, in.metrics)
			}
			t.add(w.received)
		}
	}
	for i := range w.judged {
		for _, t := range w.judged[i].tallies {
			t.add(w.received)
		}
	}
	now := in.machine()
	if due = !now.Before(l.next); due {
		l.next = now.Add(writeEvery)
	}
	return due
}

func (t *tally) add(at time.Time) {
	if t.count == 0 {
		t.first = at
	}
	t.count++
	t.last = at
	t.metric.Inc()
}

// begin begins to count something. label is the event for the metric, whose
// labels must not come from senders.
func (l *ledger) begin(k kind, property, detail, label string, m *Metrics) *tally {
	if l.counts == nil {
		l.counts = map[kind]*tally{}
	}
	t := &tally{property: property, detail: detail, metric: m.Violations.WithLabelValues(k.source, label, k.code)}
	l.counts[k] = t
	return t
}

// take gives what was counted since the last time, and begins anew.
func (l *ledger) take() (out []Violation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, t := range l.counts {
		if t.count > 0 {
			out = append(out, Violation{
				Source: k.source, Event: k.event, Property: t.property, Code: k.code, Detail: t.detail,
				Count: t.count, First: t.first, Last: t.last,
			})
			t.count = 0
		}
	}
	slices.SortFunc(out, order)
	return out
}

// Flush writes down what was counted. What a write that fails does not take is
// written with the next.
func (in *Ingest) Flush(ctx context.Context) error {
	l := &in.ledger
	l.writing.Lock()
	defer l.writing.Unlock()
	l.unwritten = append(l.unwritten, l.take()...)
	if len(l.unwritten) == 0 {
		return nil
	}
	err := in.keeper.Write(ctx, func(st Store) error { return st.AddViolations(l.unwritten) })
	if err == nil {
		l.unwritten = nil
	}
	return err
}

// ViolationQuery selects violations; what is "" selects all.
type ViolationQuery struct{ Source, Event, Code string }

// Violations lists what was counted, the most frequent first.
func (in *Ingest) Violations(ctx context.Context, q ViolationQuery) ([]Violation, error) {
	if err := in.Flush(ctx); err != nil {
		return nil, unavailable(err, "what was counted could not be written down")
	}
	var all []Violation
	err := in.keeper.Read(ctx, func(st Store) (err error) {
		all, err = st.Violations()
		return err
	})
	all = slices.DeleteFunc(all, func(v Violation) bool {
		return q.Source != "" && q.Source != v.Source || q.Event != "" && q.Event != v.Event || q.Code != "" && q.Code != v.Code
	})
	slices.SortFunc(all, order)
	return all, err
}

func order(a, b Violation) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Event, b.Event),
		cmp.Compare(a.Property, b.Property), cmp.Compare(a.Code, b.Code))
}
