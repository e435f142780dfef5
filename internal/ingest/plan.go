package ingest

import (
	"slices"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/plan"
	"rapport/internal/scan"
)

// judged is what the tracking plan has found on one event.
type judged struct {
	event, item int
	verdict     plan.Verdict
	tallies     []*tally // of its violations, once it is known that they may be told
	silent      bool     // permission forbids the event: nothing is told of it
}

// planned holds an event against its source's plan, which may change it. A strict
// call refuses at once what the plan does not let pass; else permission is asked
// first, and the event is set apart when that allows it. ok is false when the
// event was rejected.
func (in *Ingest) planned(w *work, index int, e *event.Event, prefs []Preference) (ok bool) {
	v := w.call.Source.Plan.Judge(e, in.hash)
	if len(v.Violations) == 0 {
		return true
	}
	w.judged = append(w.judged, judged{event: len(w.events) - 1, item: index, verdict: v})
	if v.Effect <= plan.Strip || !w.call.Strict || !in.permitted(w, e, prefs) {
		return true
	}
	raw := w.treatedItem(index, e)
	w.withdraw(index, problem{v.Code, v.Detail})
	last := len(w.rejected) - 1
	w.rejected[last].Pointer = "/" + strings.ReplaceAll(v.Field, ".", "/")
	w.payloads[last] = payload{raw: raw, treated: true, refused: v.Effect == plan.Refuse}
	w.judged = w.judged[:len(w.judged)-1] // The caller hears of it.
	return false
}

func (in *Ingest) permitted(w *work, e *event.Event, prefs []Preference) bool {
	return in.permit.Admit(&w.call.Source, Statement{Event: e, Preferences: prefs, GPC: w.call.GPC, At: w.received}).Allow
}

// judgement finds what the plan has found on an event.
func (w *work) judgement(event int) *judged {
	i, ok := slices.BinarySearchFunc(w.judged, event, func(j judged, event int) int { return j.event - event })
	if !ok {
		return nil
	}
	return &w.judged[i]
}

// setApart keeps an event that permission allows and the plan does not out of
// the log, and tells whether it did.
func (w *work) setApart(event int) bool {
	if len(w.judged) == 0 {
		return false
	}
	j := w.judgement(event)
	if j == nil || j.verdict.Effect <= plan.Strip {
		return false
	}
	raw := w.treatedItem(j.item, &w.events[event])
	w.reject(j.item, problem{j.verdict.Code, j.verdict.Detail}, nil)
	w.payloads[len(w.payloads)-1] = payload{raw: raw, treated: true, refused: j.verdict.Effect == plan.Refuse}
	w.unspec(event)
	return true
}

// unname takes away an address that the plan has stripped from the traits. What
// the event says on permission has been asked and written down for it by now.
func (w *work) unname(event int) {
	if j := w.judgement(event); j != nil && j.verdict.Unnamed {
		w.events[event].Email = ""
	}
}

// refused gives the answer to a single event that the plan turns away: unlike one
// that is kept aside, its sender must hear of it.
func (w *work) refused() error {
	if w.call.Type == event.Unknown || len(w.payloads) != 1 || !w.payloads[0].refused {
		return nil
	}
	return fault.New(fault.Invalid, w.rejected[0].Code, "%s; the tracking plan refuses such events", w.rejected[0].Detail)
}

// treatedItem writes an item anew as the plan has left its event: what is kept
// aside holds no more personal data than what is in the log. What the door does
// not read is left out, and the signed user hash stays for when it is sent again.
func (w *work) treatedItem(index int, e *event.Event) []byte {
	if index < 0 {
		return nil // It was kept elsewhere.
	}
	raw := w.items[index].all()
	out := append(make([]byte, 0, len(raw)+len(e.Context)), '{')
	put := func(key string, value []byte) {
		if len(value) > 0 {
			out = appendMember(out, key, value, ' ')
			out = out[:len(out)-1]
		}
	}
	var hash []byte
	if hash, _ = scan.Find(w.context, "userHash"); hash == nil {
		own, _ := scan.Find(raw, "context")
		hash, _ = scan.Find(own, "userHash")
	}
	for m := scan.MembersOf(raw); ; {
		key, value, ok := m.Next()
		if !ok {
			break
		}
		switch f := ofEvent(key); f {
		case noField, fProperties, fTraits, fContext:
		case fEvent, fName:
			if s, ok := text(value); ok && s != "" && s != e.Name && e.Name != "" && (f == fEvent) == (e.Type == event.Track) {
				value = quoted(e.Name)
			}
			put(string(key), value)
		default:
			put(string(key), value)
		}
	}
	put("properties", e.Properties)
	if e.Type == event.Identify || e.Type == event.Group {
		put("traits", e.Traits)
	}
	context := e.Context
	if len(hash) > 0 {
		context = appendMember(openObject(append([]byte(nil), e.Context...)), "userHash", hash, '}')
	}
	put("context", context)
	return append(out, '}')
}

// Violations are told by events once a minute for each source, event, field and
// kind: a sender who errs must not fill the log with it. All are counted.
const (
	tellEvery = time.Minute
	// mostNamed is how many kinds of violations are counted one by one; what
	// senders name freely would else fill the memory.
	mostNamed = 5000
)

// others is where violations beyond mostNamed are counted.
const others = "(others)"

// tell adds events that tell of violations, as Segment's Protocols does, behind
// the events of the call. They are held against no plan.
func (in *Ingest) tell(w *work) {
	l := &in.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	now := in.machine()
	for i := range w.judged {
		j := &w.judged[i]
		if j.silent {
			continue
		}
		e := &w.events[j.event]
		for n, v := range j.verdict.Violations {
			t := in.planTally(w.call.Source, e, v)
			j.tallies = append(j.tallies, t)
			if w.call.Source.Plan.Quiet() || !t.told.IsZero() && now.Sub(t.told) < tellEvery {
				continue
			}
			t.told = now
			told := w.call.Source.Plan.Tell(v, e, n)
			told.Flags |= e.Flags & event.Bulk
			w.encoded = told.Append(w.encoded)
			w.ends = append(w.ends, len(w.encoded))
		}
	}
}

// planTally finds what a violation is counted by.
func (in *Ingest) planTally(src Source, e *event.Event, v plan.Violation) *tally {
	l := &in.ledger
	name := plan.SafeName(e.Name)
	if name == "" {
		name = e.Type.String()
	}
	k := kind{source: src.Name, event: name, property: v.Field, code: v.Code}
	if t := l.counts[k]; t != nil {
		return t
	}
	label := name
	if !src.Plan.Knows(e) {
		label = "(unplanned)"
	}
	detail := v.Description
	if len(l.counts) >= mostNamed {
		k.event, k.property, detail = others, "", "there are too many kinds of violations to count each"
		label = others
		if t := l.counts[k]; t != nil {
			return t
		}
	}
	return l.begin(k, k.property, detail, label, in.metrics)
}
