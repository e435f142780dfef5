package ingest

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rapport/internal/event"
	"rapport/internal/spec"
)

// noted says which findings of the spec are on which event of a call.
type noted struct{ event, from, to int }

// reserved gives the properties of a reserved event the types of the spec, so
// that the log holds them and every replay reads the same. What breaks the spec
// is taken and noted; a strict call refuses it, unless somebody has looked at it
// and sends it again. ok is false when the event was rejected.
func (in *Ingest) reserved(w *work, index int, e *event.Event) (ok bool) {
	from := len(w.spec.Found)
	e.Properties = w.properties(&w.items[index], e)
	to := len(w.spec.Found)
	if from == to {
		return true
	}
	if w.call.Strict && w.call.resent == 0 {
		for i := range w.spec.Found[from:] {
			if f := &w.spec.Found[from+i]; f.Code.Breaks() {
				w.withdraw(index, problem{string(f.Code), f.Detail()})
				w.rejected[len(w.rejected)-1].Pointer = "/properties" + f.Pointer()
				return false
			}
		}
	}
	w.noted = append(w.noted, noted{len(w.events) - 1, from, to})
	return true
}

// properties looks through them by the places that checking the item has
// found, if it went the fast way.
func (w *work) properties(it *item, e *event.Event) []byte {
	if !it.checked {
		return w.spec.Properties(e.Name, e.Properties)
	}
	return w.spec.Placed(e.Name, e.Properties, w.check.places[it.places.from:it.places.to], it.spans[fProperties].from)
}

// forget leaves no trace of what was found on an event that permission forbids.
func (w *work) forget(event int) {
	i, ok := slices.BinarySearchFunc(w.noted, event, func(n noted, event int) int { return n.event - event })
	if ok {
		w.noted[i].to = w.noted[i].from
	}
}

// Violation is one way in which events of a source are not as the spec has
// them. They were taken all the same.
type Violation struct {
	Source   string
	Event    string // the reserved event
	Property string // "price", "products.price"; "" where the event's name is meant
	Code     string
	Detail   string // what is the matter, without values
	Count    int64  // events, since the process started
	First    time.Time
	Last     time.Time
}

// kind is what violations are counted by. All of it comes from the
// configuration and the spec, so that there can be only so many.
type kind struct {
	source         string
	event          *spec.Event
	list, property string
	code           spec.Code
}

type tally struct {
	finding     spec.Finding
	count       int64
	first, last time.Time
	metric      prometheus.Counter
}

// ledger counts violations. A sender that breaks the spec must not cost more
// than one that keeps to it, so nothing is written to disk for it.
type ledger struct {
	mu     sync.Mutex
	counts map[kind]*tally
}

// note counts what was found on the events of a call that are taken.
func (in *Ingest) note(w *work) {
	if len(w.noted) == 0 {
		return
	}
	in.ledger.mu.Lock()
	defer in.ledger.mu.Unlock()
	for _, n := range w.noted {
		for _, f := range w.spec.Found[n.from:n.to] {
			in.ledger.add(in.metrics, w.call.Source.Name, f, w.received)
		}
	}
}

func (l *ledger) add(m *Metrics, source string, f spec.Finding, at time.Time) {
	k := kind{source, f.Event, f.List, f.Property, f.Code}
	t := l.counts[k]
	if t == nil {
		if l.counts == nil {
			l.counts = map[kind]*tally{}
		}
		t = &tally{finding: f, first: at, metric: m.Violations.WithLabelValues(source, f.Event.Name, string(f.Code))}
		l.counts[k] = t
	}
	t.count++
	t.last = at
	t.metric.Inc()
}

// ViolationQuery selects violations; what is "" selects all.
type ViolationQuery struct{ Source, Event, Code string }

// Violations lists what was counted since the process started, the most
// frequent first.
func (in *Ingest) Violations(q ViolationQuery) []Violation {
	in.ledger.mu.Lock()
	defer in.ledger.mu.Unlock()
	out := []Violation{}
	for k, t := range in.ledger.counts {
		if q.Source != "" && q.Source != k.source || q.Event != "" && q.Event != k.event.Name || q.Code != "" && q.Code != string(k.code) {
			continue
		}
		out = append(out, Violation{
			Source: k.source, Event: k.event.Name, Property: t.finding.Path(), Code: string(k.code), Detail: t.finding.Detail(),
			Count: t.count, First: t.first, Last: t.last,
		})
	}
	slices.SortFunc(out, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Event, b.Event),
			cmp.Compare(a.Property, b.Property), cmp.Compare(a.Code, b.Code))
	})
	return out
}
