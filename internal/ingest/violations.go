package ingest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rapport/internal/spec"
)

// kind is what violations are counted by. All of it comes from the
// configuration and the spec, so that there can be only so many.
type kind struct {
	source         string
	event          *spec.Event
	list, property string
	code           spec.Code
}

// tally is what was counted since it was written down last.
type tally struct {
	finding     spec.Finding
	count       int64
	first, last time.Time
	metric      prometheus.Counter
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
	if len(w.noted) == 0 {
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
			t := l.tally(kind{w.call.Source.Name, f.Event, f.List, f.Property, f.Code}, f, in.metrics)
			if t.count == 0 {
				t.first = w.received
			}
			t.count++
			t.last = w.received
			t.metric.Inc()
		}
	}
	now := in.machine()
	if due = !now.Before(l.next); due {
		l.next = now.Add(writeEvery)
	}
	return due
}

func (l *ledger) tally(k kind, f spec.Finding, m *Metrics) *tally {
	t := l.counts[k]
	if t == nil {
		if l.counts == nil {
			l.counts = map[kind]*tally{}
		}
		t = &tally{finding: f, metric: m.Violations.WithLabelValues(k.source, f.Event.Name, string(f.Code))}
		l.counts[k] = t
	}
	return t
}

// take gives what was counted since the last time, and begins anew.
func (l *ledger) take() (out []Violation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, t := range l.counts {
		if t.count > 0 {
			out = append(out, Violation{
				Source: k.source, Event: k.event.Name, Property: t.finding.Path(), Code: string(k.code), Detail: t.finding.Detail(),
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
