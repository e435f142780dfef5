package destination

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"rapport/internal/event"
)

// MaxBody is how large a request may be; what is larger becomes a dead letter.
const MaxBody = 1 << 20

// TypeOf is what the envelope calls an item.
func TypeOf(it *Item, e *event.Event) string {
	switch it.Kind {
	case Event:
		return "event." + e.Type.String()
	case Segment:
		if it.Flags&Left != 0 {
			return "segment.exited"
		}
		return "segment.entered"
	case Message:
		return "message." + it.Name
	case Consent:
		return "consent.changed"
	case Erasure:
		return "person.erased"
	case Alert:
		return "alert." + it.Name
	}
	return "destination.test"
}

// typeAlone is TypeOf for an item that is not open.
func (it *Item) typeAlone() string {
	e := &event.Event{}
	if it.Kind == Event && e.Decode(it.Body) != nil {
		return "event"
	}
	return TypeOf(it, e)
}

// told is what an event tells. Its context stays here: it holds where and with
// what somebody reads, which nobody asked for.
type told struct {
	MessageID  string          `json:"message_id"`
	Source     string          `json:"source"`
	Event      string          `json:"event,omitempty"`
	UserID     string          `json:"user_id,omitempty"`
	Anonymous  string          `json:"anonymous_id,omitempty"`
	Previous   string          `json:"previous_id,omitempty"`
	GroupID    string          `json:"group_id,omitempty"`
	Received   time.Time       `json:"received_at"`
	Properties json.RawMessage `json:"properties,omitempty"`
	Traits     json.RawMessage `json:"traits,omitempty"`
}

// envelope writes the body of a request: type, timestamp and data, after Standard
// Webhooks. In data stands what the item tells, the person by the identifiers
// that the destination may know, and the options its sender gave.
func envelope(it *Item, e *event.Event, p *Party, d *Definition, options []byte) ([]byte, error) {
	kinds := d.Identifiers
	at, data := it.At, d.about(it)
	if it.Kind == Event {
		properties, traits := d.sees(e)
		t := told{
			MessageID: e.MessageID, Source: e.Source, Event: e.Name, Previous: e.Previous, GroupID: e.GroupID, Received: e.Received,
			Properties: properties, Traits: traits,
		}
		if slices.Contains(kinds, "user_id") {
			t.UserID = e.UserID
		}
		if slices.Contains(kinds, "anonymous_id") {
			t.Anonymous = e.Anonymous
		}
		var err error
		if data, err = json.Marshal(&t); err != nil {
			return nil, fmt.Errorf("write an event: %w", err)
		}
		at = e.Time
	}
	var b bytes.Buffer
	b.Grow(len(data) + 512)
	fmt.Fprintf(&b, `{"type":%q,"timestamp":%q,"data":`, TypeOf(it, e), at.UTC().Format(time.RFC3339Nano))
	data = bytes.TrimSpace(data)
	if len(data) < 2 || data[0] != '{' {
		data = []byte("{}")
	}
	b.Write(data[:len(data)-1])
	comma := func() {
		if b.Bytes()[b.Len()-1] != '{' {
			b.WriteByte(',')
		}
	}
	if p != nil {
		person, err := p.json(kinds)
		if err != nil {
			return nil, err
		}
		comma()
		b.WriteString(`"person":`)
		b.Write(person)
	}
	if options != nil {
		comma()
		b.WriteString(`"options":`)
		b.Write(options)
	}
	b.WriteString("}}")
	return b.Bytes(), nil
}

// json gives a party by the kinds of identifiers that may be told.
func (p *Party) json(kinds []string) ([]byte, error) {
	by := map[string][]string{}
	for _, n := range p.Names {
		if slices.Contains(kinds, n.Kind) {
			by[n.Kind] = append(by[n.Kind], n.Value)
		}
	}
	out, err := json.Marshal(struct {
		ID          string              `json:"id"`
		Identifiers map[string][]string `json:"identifiers,omitempty"`
	}{p.Person.String(), by})
	if err != nil {
		return nil, fmt.Errorf("write a person: %w", err)
	}
	return out, nil
}
