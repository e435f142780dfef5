package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/processor"
	"rapport/internal/source"
)

// Aside is a record of the log that could not be walked and was set aside. It
// stands in the log and nowhere else: no person has it.
type Aside struct {
	Lane      string    `json:"lane"`
	Position  int64     `json:"position"`
	At        time.Time `json:"at"` // when it came into the log
	Code      string    `json:"code"`
	Error     string    `json:"error"`
	Type      string    `json:"type,omitempty"`
	Name      string    `json:"name,omitempty"`
	Source    string    `json:"source,omitempty"`
	MessageID string    `json:"message_id,omitempty"`
	Sent      bool      `json:"sent,omitempty"`  // it was sent again and taken
	Event     *Event    `json:"event,omitempty"` // only where one is asked for
	// Payload is the event as an SDK would send it, to be mended and sent again;
	// the house's own records have none. Only where one is asked for.
	Payload json.RawMessage `json:"payload,omitempty"`
	Bytes   []byte          `json:"bytes,omitempty"` // instead, where the record cannot be read as an event
}

// Asides lists what was set aside, newest first, without what the events hold,
// and the cursor of the next page, "" at the end: the last one's lane and position.
func (r *Reader) Asides(ctx context.Context, cursor string, limit int) ([]Aside, string, error) {
	lane, behind := eventlog.Live, int64(0)
	if cursor != "" {
		word, number, _ := strings.Cut(cursor, "/")
		var known bool
		var err error
		lane, known = LaneOf(word)
		if behind, err = strconv.ParseInt(number, 10, 64); err != nil || behind < 1 || !known {
			return nil, "", fault.New(fault.Invalid, "bad_cursor", "the cursor is not one that this server gave")
		}
	}
	out, next := []Aside{}, ""
	err := r.Keeper.Read(ctx, func(b processor.Books) error {
		list, err := b.Walk.Asides(lane, behind, limit)
		for _, a := range list {
			shown, _, _ := asideOf(a) // What cannot be read is listed too.
			out = append(out, shown)
		}
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list what was set aside: %w", err)
	}
	if n := len(out); n == limit {
		next = out[n-1].Lane + "/" + strconv.FormatInt(out[n-1].Position, 10)
	}
	return out, next, nil
}

// LaneOf finds a lane by its name.
func LaneOf(name string) (eventlog.Lane, bool) {
	for _, lane := range [...]eventlog.Lane{eventlog.Live, eventlog.Bulk} {
		if lane.String() == name {
			return lane, true
		}
	}
	return 0, false
}

// Aside gives one of them with its event.
func (r *Reader) Aside(ctx context.Context, lane eventlog.Lane, position int64) (*Aside, error) {
	var out Aside
	err := r.Keeper.Read(ctx, func(b processor.Books) error {
		a, found, err := b.Walk.Aside(lane, position)
		if err != nil {
			return fmt.Errorf("read what was set aside: %w", err)
		}
		if !found {
			return fault.New(fault.NotFound, "not_set_aside", "no record at position %d of the %s lane was set aside", position, lane)
		}
		shown, e, err := asideOf(a)
		if out = shown; err != nil {
			out.Bytes = append([]byte(nil), a.Body...)
			return nil //nolint:nilerr // It is shown as it is: that it cannot be read is why it was set aside.
		}
		whole := eventOf(e)
		out.Event = &whole
		if e.Source != house && e.Type <= event.Alias {
			out.Payload = source.AppendWire(nil, e)
		}
		return nil
	})
	return &out, err
}

// house is the source of the house's own records.
const house = "rapport"

func asideOf(a processor.Aside) (Aside, *event.Event, error) {
	out := Aside{Lane: a.Lane.String(), Position: a.Pos, At: a.At.UTC(), Code: a.Code, Error: a.Error, Sent: a.Sent}
	var e event.Event
	if err := e.Decode(a.Body); err != nil {
		return out, nil, err
	}
	out.Type, out.Name = e.Type.String(), strings.Clone(e.Name)
	out.Source, out.MessageID = strings.Clone(e.Source), strings.Clone(e.MessageID)
	return out, &e, nil
}
