package destination

import (
	"encoding/json"
	"maps"
	"slices"

	"rapport/internal/event"
	"rapport/internal/purpose"
	"rapport/internal/rule"
)

// NameOf is how an event is called in Definition.Events: a track event by its own
// name, any other by its type.
func NameOf(e *event.Event) string {
	if e.Type == event.Track {
		return e.Name
	}
	return e.Type.String()
}

// Wants tells whether any destination wants an item at all, before it is written.
// e is the event of an item of kind Event.
func (o *Office) Wants(it *Item, e *event.Event) bool {
	set := o.defs.Load()
	if set == nil {
		return false
	}
	for i := range *set {
		if ok, _ := (*set)[i].wants(it, e); ok {
			return true
		}
	}
	return false
}

// wants holds an item against the filters. options are those that the event's
// sender gave for this destination, a JSON object or nil.
func (d *Definition) wants(it *Item, e *event.Event) (ok bool, options []byte) {
	if it.Flags&Initial != 0 && !d.Existing {
		return false, nil
	}
	switch it.Kind {
	case Event:
		if !d.Events.Has(it.Name) || !d.Sees.Event(e.Type, e.Name) || !d.where(e) {
			return false, nil
		}
		return e.Integrations.Allows(d.Integration)
	case Segment:
		return d.Segments.Has(it.Name) && d.Sees.Segment(it.Name), nil
	case Message:
		return d.Messages.Has(it.Name), nil
	case Consent:
		return d.Consent.Has(it.Name), nil
	case Alert:
		return d.Alerts, nil
	case Erasure, trial:
		return true, nil
	}
	return false, nil
}

// where holds an event's properties, or the traits that it brings, against the
// comparisons.
func (d *Definition) where(e *event.Event) bool {
	if d.Where == nil {
		return true
	}
	raw, traits := d.sees(e)
	if e.Type == event.Identify || e.Type == event.Group {
		raw = traits
	}
	var o rule.Object
	o.Reset(raw)
	return d.Where.Match(&o)
}

// sees gives what the destination may know of an event. What it may not know, its
// filter does not know either.
func (d *Definition) sees(e *event.Event) (properties, traits []byte) {
	return d.Sees.Properties(e.Type, e.Name, e.Properties), d.Sees.Traits(e.Type, e.Traits)
}

// about is the body of an item of another kind, as far as the destination may know
// it: what stands in a mail for a purpose is seen by those that see as much, and of
// who was erased it learns the identifiers that it was ever told.
func (d *Definition) about(it *Item) []byte {
	if it.Kind == Erasure {
		return d.erased(it.Body)
	}
	if it.Kind != Message || d.Sees == nil {
		return it.Body
	}
	var said map[string]json.RawMessage
	if json.Unmarshal(it.Body, &said) != nil {
		return nil
	}
	var made purpose.Purpose
	if json.Unmarshal(said["purpose"], &made) == nil && d.Sees.Serves(made) {
		return it.Body
	}
	delete(said, "email_subject")
	delete(said, "link_url")
	b, err := json.Marshal(said)
	if err != nil {
		return nil
	}
	return b
}

func (d *Definition) erased(body []byte) []byte {
	var said map[string]json.RawMessage
	if json.Unmarshal(body, &said) != nil {
		return nil
	}
	if all, ok := said["identifiers"]; ok {
		var by map[string]json.RawMessage
		if json.Unmarshal(all, &by) != nil {
			return nil
		}
		maps.DeleteFunc(by, func(kind string, _ json.RawMessage) bool { return !slices.Contains(d.Identifiers, kind) })
		var err error
		if said["identifiers"], err = json.Marshal(by); err != nil {
			return nil
		}
	}
	b, err := json.Marshal(said)
	if err != nil {
		return nil
	}
	return b
}

// asks tells whether permission is asked for an item. A narrowing and an erasure
// are told in any case: keeping them back would keep the data in use.
func (it *Item) asks() bool {
	return it.Kind != Erasure && it.Kind != Alert && it.Kind != trial && it.Flags&Narrows == 0
}

// about tells whether an item is about somebody who must be found.
func (it *Item) about() bool { return it.Kind != Erasure && it.Kind != Alert && it.Kind != trial }
