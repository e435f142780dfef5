package plan

import (
	"time"

	"rapport/internal/event"
)

// Terms tells how long traits are kept, by name: as the identify events of the plans
// say of each, or of all. Where several plans speak of a trait the shortest holds.
func (s *Set) Terms() map[string]time.Duration {
	out := map[string]time.Duration{}
	for _, d := range s.Documents() {
		for _, e := range d.Events {
			if e.Type != event.Identify {
				continue
			}
			for _, v := range e.Versions {
				for name, f := range v.Fields {
					term := f.Attribute.Retention // Compile has given it the event's where it says nothing.
					if term == 0 {
						term = e.Attribute.Retention
					}
					if old := out[name]; term > 0 && (old == 0 || term < old) {
						out[name] = term
					}
				}
			}
		}
	}
	return out
}

// EventTerms tells how long events are kept that are not kept for ever, by type and
// name; the name "*" of pages and screens is any. Where several plans speak of an
// event the shortest term holds.
func (s *Set) EventTerms() map[EventName]time.Duration {
	out := map[EventName]time.Duration{}
	for _, d := range s.Documents() {
		for _, e := range d.Events {
			term := e.Attribute.Retention
			key := EventName{e.Type, e.Name}
			if old := out[key]; term > 0 && (old == 0 || term < old) {
				out[key] = term
			}
		}
	}
	return out
}

// EventName names a kind of event.
type EventName struct {
	Type event.Type
	Name string
}

// Of gives the term of an event, zero for ever.
func (n EventName) Of(terms map[EventName]time.Duration) time.Duration {
	if t := terms[n]; t > 0 {
		return t
	}
	if n.Type == event.Page || n.Type == event.Screen {
		return terms[EventName{n.Type, "*"}]
	}
	return 0
}
