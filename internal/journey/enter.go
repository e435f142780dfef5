package journey

import (
	"encoding/json"
	"strconv"

	"rapport/internal/rule"
)

// The reasons for which somebody does not enter. They are stable.
const (
	RefusedInitial  = "initial"           // the entry into the segment came by backfill or import
	RefusedOld      = "too_old"           // the trigger is older than max_trigger_age
	RefusedRule     = "trigger_if"        // the trigger's rule does not hold
	RefusedNoKey    = "no_key"            // the trigger has no value for the journey's key
	RefusedInside   = "already_inside"    // the person is in the journey
	RefusedOnce     = "once"              // the person was in it, and once is enough
	RefusedSoon     = "too_soon"          // the last entry is not long enough ago
	RefusedExit     = "exit_when"         // exit_when holds already
	RefusedPurpose  = "not_permitted"     // there is no permission for the journey's purpose
	RefusedData     = "trigger_too_large" // MaxTriggerData
	RefusedPlaces   = "too_many_places"   // MaxPlaces
	RefusedJourneys = "too_many_journeys" // MaxRecords
)

// enter lets a person in, or says why not.
func (c *Catalog) enter(t *Turn, f *flow, ev *Event) {
	if !f.trigger.where.Match(&t.event) {
		return
	}
	p := Place{
		Journey: f.name, Version: f.version, Trigger: ev.Time, Cause: ev.MessageID,
		Until: Never, Check: Never,
		Stay: Stay{Origin: t.Person.ID(), Entered: t.Now},
	}
	t.inner.props.Reset(ev.Properties)
	t.workspace = c.zone
	if reason, text := t.gates(f, &p, ev); reason != "" {
		t.refuse(f, ev, reason, text)
		return
	}
	r := t.State.record(f.name)
	if r == nil {
		t.refuse(f, ev, RefusedJourneys, "")
		return
	}
	r.enter(p.Key, t.Now)
	p.Occurrence = r.Count
	p.Data = append([]byte(nil), ev.Properties...)
	t.inner.props.Reset(p.Data)
	t.Changed = true
	t.State.Places = append(t.State.Places, p)
	here := &t.State.Places[len(t.State.Places)-1]
	t.noteOf(here, Note{At: t.Now, Kind: NoteEntered, Text: ev.Name, When: ev.Time})
	if f.trigger.rule != nil {
		t.note(here, t.Now, NoteGate, "", t.why(f.trigger.rule, here, t.Now))
	}
	t.emit(f, here, Effect{Kind: Entered, At: t.Now})
	c.goOn(t, f, here, 0, t.Now)
	t.sweep()
}

// gates asks, in order, everything that may keep a person out.
func (t *Turn) gates(f *flow, p *Place, ev *Event) (reason, text string) {
	if ev.Initial && !f.include && f.trigger.kind != OnNamedEvent {
		return RefusedInitial, ""
	}
	if age := t.Now - ev.Time; age > f.maxAge {
		return RefusedOld, span(age) + " old, at most " + span(f.maxAge)
	}
	if r := f.trigger.rule; r != nil {
		if held, _ := t.ask(r, p, t.Now); !held {
			return RefusedRule, t.why(r, p, t.Now)
		}
	}
	if f.key != "" {
		if p.Key = t.key(f.key); p.Key == "" {
			return RefusedNoKey, f.key
		}
	}
	if t.State.inside(f.name, p.Key) != nil {
		return RefusedInside, ""
	}
	if reason, text = t.again(f, p.Key); reason != "" {
		return reason, text
	}
	if f.exit != nil {
		if held, _, why := t.holds(f.exit, p, t.Now); held {
			return RefusedExit, why
		}
	}
	if allowed, why := t.Person.Permit(f.purpose); !allowed {
		return RefusedPurpose, string(f.purpose) + ": " + why
	}
	if len(ev.Properties) > MaxTriggerData {
		return RefusedData, strconv.Itoa(len(ev.Properties)) + " bytes, at most " + strconv.Itoa(MaxTriggerData)
	}
	if len(t.State.Places) >= MaxPlaces {
		return RefusedPlaces, "at most " + strconv.Itoa(MaxPlaces)
	}
	return "", ""
}

// again tells whether re-entry forbids.
func (t *Turn) again(f *flow, key string) (reason, text string) {
	r := t.State.Record(f.name)
	if r == nil || r.Count == 0 {
		return "", ""
	}
	count, last := r.Count, r.Entered
	if key != "" {
		i := r.key(key)
		if i < 0 {
			return "", ""
		}
		count, last = r.Keys[i].Count, r.Keys[i].Entered
	}
	switch {
	case f.reentry == Once && count > 0:
		return RefusedOnce, "entered " + instant(last)
	case f.reentry == Every && t.Now < add(last, f.every):
		return RefusedSoon, "entered " + instant(last) + ", again from " + instant(add(last, f.every))
	}
	return "", ""
}

// key reads the value by which the journey is keyed, "" when there is none.
func (t *Turn) key(path string) string {
	return valueOf(t.inner.props.Get(path))
}

// valueOf writes a text, number or truth value as a key, "" for anything else.
func valueOf(raw []byte, ok bool) string {
	if !ok || len(raw) == 0 || len(raw) > 4*MaxKey {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil || len(s) > MaxKey {
			return ""
		}
		return s
	case 'n', '{', '[':
		return ""
	}
	if len(raw) > MaxKey {
		return ""
	}
	return string(raw)
}

// refuse remembers why somebody did not enter. Refusals by backfill and import
// are many and of one kind, and leave nothing behind.
func (t *Turn) refuse(f *flow, ev *Event, reason, text string) {
	if !ev.Initial {
		if r := t.State.record(f.name); r != nil {
			r.note(Note{At: t.Now, Kind: NoteRefused, Step: reason, Text: text})
			t.Changed = true
		}
	}
	t.Effects = append(t.Effects, Effect{Kind: Refused, At: t.Now, Journey: f.name, Version: f.version, Reason: reason})
}

// why says in one line what a rule was decided by.
func (t *Turn) why(r *rule.Rule, p *Place, at int64) string {
	if r == nil {
		return ""
	}
	return summary(r.Explain(&t.inner, rule.At{Now: at, Since: p.Trigger}))
}
