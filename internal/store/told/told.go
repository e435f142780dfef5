// Package told writes down what other systems are to be told: it wraps a State so
// that each item is written in the transaction of what it tells of, and no room
// need know that there are destinations. What comes in are the writes of the
// rooms; what goes out are items, where somebody wants them. Where nobody does,
// nothing is written.
package told

import (
	"context"
	"encoding/json"
	"time"

	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/event"
	"rapport/internal/feedback"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/processor"
	"rapport/internal/purpose"
	"rapport/internal/segment"
	"rapport/internal/store"
)

// State is a state store whose writes are told.
type State struct {
	store.State
	Wants func(*destination.Item, *event.Event) bool
	Wrote func() // a commit has added items
}

var _ store.State = (*State)(nil)

// Write implements store.State.
func (s *State) Write(ctx context.Context, o store.WriteOptions, fn func(store.Tx) error) error {
	var t *tx
	err := s.State.Write(ctx, o, func(inner store.Tx) error {
		t = &tx{Tx: inner, s: s}
		return fn(t)
	})
	if err == nil && t != nil && t.n > 0 {
		s.Wrote()
	}
	return err
}

// tx is a transaction whose acts are told.
type tx struct {
	store.Tx
	s    *State
	n    int
	said map[statement]bool // what was said of permission in this transaction
}

// statement is one word of one person, under however many identifiers it was kept.
type statement struct {
	who     id.Person
	record  string
	purpose purpose.Purpose
}

var _ store.Listener = (*tx)(nil)

func (t *tx) tell(it *destination.Item, e *event.Event) error {
	if it.Kind == destination.Event && it.Body == nil {
		it.Body = e.Append(nil)
	}
	_, err := t.Destination().Tell(*it)
	return err
}

// Destination implements store.Tx.
func (t *tx) Destination() destination.Store { return &tellings{t.Tx.Destination(), t} }

// tellings counts what is told, whoever tells it, so that it leaves at once.
type tellings struct {
	destination.Store
	t *tx
}

// Tell implements destination.Store.
func (s *tellings) Tell(it destination.Item) (int64, error) {
	s.t.n++
	return s.Store.Tell(it)
}

// Happened implements store.Listener.
func (t *tx) Happened(h processor.Happening) error {
	e := h.Event
	it := destination.Item{At: e.Received, Person: h.Who} // When it happened may be long ago, and says nothing of how long it waits.
	if h.Initial {
		it.Flags |= destination.Initial
	}
	switch {
	case h.Segment != "":
		it.Kind, it.Name = destination.Segment, h.Segment
		if !h.Entered {
			it.Flags |= destination.Left
		}
		if h.Reason == segment.ByConsent { // Whoever acts on the membership must hear of its end.
			it.Flags |= destination.Narrows
		}
	case e.Type == event.Outcome && e.Source == feedback.Source && e.Name == feedback.Opened:
		it.Kind, it.Name, it.Body = destination.Message, "opened", e.Properties
	case e.Type == event.Outcome && e.Source == feedback.Source && e.Name == feedback.Clicked:
		it.Kind, it.Name, it.Body = destination.Message, "clicked", e.Properties
	case e.Type >= event.Track && e.Type <= event.Alias:
		it.Kind, it.Name = destination.Event, destination.NameOf(e)
	default:
		return nil
	}
	if !t.s.Wants(&it, e) {
		return nil
	}
	if h.Segment != "" {
		it.Body = object(map[string]any{"segment": h.Segment, "initial": h.Initial, "cause": e.Previous, "reason": h.Reason})
	}
	return t.tell(&it, e)
}

// object writes a flat JSON object.
func object(m map[string]any) []byte {
	for k, v := range m {
		if v == "" {
			delete(m, k)
		}
	}
	b, _ := json.Marshal(m) // Texts and truths always marshal.
	return b
}

// Outbox implements store.Tx.
func (t *tx) Outbox() outbox.Store { return &mails{t.Tx.Outbox(), t} }

// Consent implements store.Tx.
func (t *tx) Consent() consent.Store { return &permissions{t.Tx.Consent(), t} }

type mails struct {
	outbox.Store
	t *tx
}

// Move tells where a mail has come to.
func (m *mails) Move(x *outbox.Mail, steps ...outbox.Step) error {
	if err := m.Store.Move(x, steps...); err != nil {
		return err
	}
	switch x.State {
	case message.Accepted, message.Deferred, message.Failed, message.Skipped, message.Uncertain, message.Resolved:
	default:
		return nil
	}
	it := destination.Item{Kind: destination.Message, Name: x.State.String(), Person: x.Person, At: x.Decided}
	if !m.t.s.Wants(&it, nil) {
		return nil
	}
	reason := ""
	if n := len(steps); n > 0 {
		reason, it.At = steps[n-1].Reason, steps[n-1].At
	}
	it.Body = object(map[string]any{
		"message_id": x.ID.String(), "state": x.State.String(), "reason": reason, "template": x.Template, "journey": x.Journey, "step": x.Step,
		"purpose": string(x.Purpose), "class": x.Class.String(), "duplicate_possible": x.Duplicate,
	})
	return m.t.tell(&it, nil)
}

type permissions struct {
	consent.Store
	t *tx
}

// Append tells what was said of permission, once for a person, under however many
// identifiers it is kept.
func (p *permissions) Append(e consent.Entry) (int64, bool, error) {
	seq, added, err := p.Store.Append(e)
	if err != nil || !added {
		return seq, added, err
	}
	it := destination.Item{Kind: destination.Consent, Name: string(e.Purpose), At: e.At, Subject: e.Subject}
	if e.State > consent.Granted {
		it.Flags |= destination.Narrows
	}
	if !p.t.s.Wants(&it, nil) {
		return seq, added, nil
	}
	var who [1]id.Person
	if err := p.t.Tx.Identity().Lookup([]id.Hash{e.Subject}, who[:]); err != nil {
		return seq, added, err
	}
	it.Person = who[0]
	if said := (statement{it.Person, e.Record, e.Purpose}); it.Person != 0 {
		if p.t.said[said] {
			return seq, added, nil
		}
		if p.t.said == nil {
			p.t.said = map[statement]bool{}
		}
		p.t.said[said] = true
	}
	it.Body = object(map[string]any{
		"purpose": string(e.Purpose), "state": e.State.String(), "method": e.Method, "source": e.Source, "record": e.Record,
		"said_at": e.Said.UTC().Format(time.RFC3339Nano),
	})
	return seq, added, p.t.tell(&it, nil)
}
