package ingest

import (
	"slices"

	"rapport/internal/event"
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

// properties looks through them by the keys that checking the item has found, if
// it went the fast way.
func (w *work) properties(it *item, e *event.Event) []byte {
	if !it.checked {
		return w.spec.Properties(e.Name, e.Properties)
	}
	return w.spec.Keyed(e.Name, e.Properties, w.check.props[it.props.From:it.props.To], it.spans[fProperties].From)
}

// forget leaves no trace of what was found on an event that permission forbids.
func (w *work) forget(event int) {
	w.unspec(event)
	if j := w.judgement(event); j != nil {
		j.silent = true
	}
}

// unspec takes back what the spec says of an event that is not in the log.
func (w *work) unspec(event int) {
	i, ok := slices.BinarySearchFunc(w.noted, event, func(n noted, event int) int { return n.event - event })
	if ok {
		w.noted[i].to = w.noted[i].from
	}
}
