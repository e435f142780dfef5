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
