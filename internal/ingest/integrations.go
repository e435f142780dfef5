package ingest

import (
	"rapport/internal/event"
	"rapport/internal/scan"
)

// usableIntegrations checks the batch's own integrations once, for they are
// merged into items as they are. Like Segment it reads what is no object as if
// nothing were said.
func (in *Ingest) usableIntegrations(w *work) bool {
	if absent(w.allowed) {
		w.allowed = nil
		return true
	}
	_, f, _ := scan.Measure(w.allowed, 0, in.limits.Depth)
	sound, _, p := in.sound(w.allowed, f)
	w.allowed = object(sound)
	return p.ok()
}

// object gives an object that says something, else nil.
func object(raw []byte) []byte {
	if m := scan.MembersOf(raw); isObject(raw) {
		if _, _, ok := m.Next(); ok {
			return raw
		}
	}
	return nil
}

// integrations gives what an item says on destinations and below it, name by
// name, what its batch says.
func (w *work) integrations(own []byte) event.Integrations {
	own = object(own)
	switch {
	case w.allowed == nil:
		return own
	case own == nil:
		return w.allowed
	}
	start := len(w.arena)
	w.arena = append(w.arena, openObject(own)...)
	for m := scan.MembersOf(w.allowed); ; {
		name, value, ok := m.Next()
		if !ok {
			break
		}
		if _, there := scan.Find(own, string(name)); !there {
			w.member(start, string(name))
			w.arena = append(w.arena, value...)
		}
	}
	w.arena = append(w.arena, '}')
	return w.arena[start:len(w.arena):len(w.arena)]
}
