package journey

import (
	"encoding/json"
	"strings"
)

// What became of a mail comes back as events of these names.
const (
	emailSent    = "Email Sent"
	emailBounced = "Email Bounced"
	emailSkipped = "Email Skipped"
)

// fate is what an outcome event says, by its properties.
type fate struct {
	journey, step, place, reason string
}

// outcome remembers what became of a mail of a journey, and ends the stay where
// a mail failed whose step asks for it.
func (c *Catalog) outcome(t *Turn, name string) {
	if name != emailSent && name != emailBounced && name != emailSkipped {
		return
	}
	of := fate{journey: t.said("journey"), step: t.said("step"), place: t.said("place"), reason: t.said("reason")}
	r := t.State.Record(of.journey)
	if r == nil || of.step == "" {
		return
	}
	stay, place := t.State.stay(&of)
	n := Note{At: t.Now, Kind: NoteOutcome, Step: of.step, Text: name}
	if of.reason != "" {
		n.Text += ": " + of.reason
	}
	dropped := false
	if stay != nil {
		n.Occurrence = stay.Occurrence
		dropped = stay.came(&of, name == emailSent)
	}
	r.note(n)
	t.Changed = true
	if name == emailSent || place == nil || dropped {
		return
	}
	f := c.flow(place)
	if f == nil {
		return
	}
	for i := range f.nodes {
		if s := &f.nodes[i]; s.kind == sendStep && s.id == of.step && s.stopOnFail {
			t.end(f, place, t.Now, SendFailed, strings.TrimSpace(of.step+": "+strings.ToLower(name)+" "+of.reason))
			return
		}
	}
}

// came notes what became of a mail, and tells whether it had been dropped.
func (s *Stay) came(of *fate, left bool) (dropped bool) {
	_, twin, exact := parsePlaceID(of.place)
	for i := range s.Sent {
		m := &s.Sent[i]
		if m.Step != of.step || exact && m.By != twin {
			continue
		}
		m.Fate, dropped = Missed, m.Dropped
		if left {
			m.Fate = Left
		}
	}
	return dropped
}

// said reads a text from the event at hand.
func (t *Turn) said(key string) string {
	raw, ok := t.event.Get(key)
	var s string
	if !ok || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// stay finds the stay that decided a mail: by its place, or where that is not
// said as the newest of the journey that decided this step.
func (s *State) stay(of *fate) (*Stay, *Place) {
	journey, twin, exact := parsePlaceID(of.place)
	fits := func(st *Stay) bool {
		if exact {
			return journey == of.journey && st.is(twin)
		}
		return st.sent(of.step)
	}
	for i := len(s.Places) - 1; i >= 0; i-- {
		if p := &s.Places[i]; p.Journey == of.journey && p.End == 0 && fits(&p.Stay) {
			return &p.Stay, p
		}
	}
	r := s.Record(of.journey)
	for i := len(r.Stays) - 1; i >= 0; i-- {
		if fits(&r.Stays[i]) {
			return &r.Stays[i], nil
		}
	}
	return nil, nil
}
