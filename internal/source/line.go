package source

import (
	"context"
	"strconv"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/liquid"
)

// Line is one line of a file and what it became.
type Line struct {
	Number   int64 // from 1
	Events   []event.Event
	Consents []Consent
	Err      error // the line is bad: nothing of it was taken
}

// line maps one record.
func (f *Format) line(ctx context.Context, rec *record) Line {
	out := Line{Number: rec.number}
	vars, err := f.variables(rec)
	if err != nil {
		out.Err = err
		return out
	}
	m := mapping{zone: f.Zone, ctx: ctx, row: vars, vars: liquid.ObjectOf(vars)}
	id := strconv.FormatInt(rec.number, 10)
	if f.content != "" {
		id = f.content + "-" + id
	}
	out.Events = make([]event.Event, 0, len(f.calls))
	for i := range f.calls {
		c := &f.calls[i]
		if c.when != nil && textOf(m.eval(c.when)) == "" {
			continue
		}
		own := id
		if i > 0 {
			own += "-" + strconv.Itoa(i+1)
		}
		out.Events = append(out.Events, m.event(c, own))
	}
	var first *event.Event
	if len(out.Events) > 0 {
		first = &out.Events[0]
	}
	for i := range f.consents {
		if c, ok := m.consent(&f.consents[i], id+"-c"+strconv.Itoa(i+1), first); ok {
			out.Consents = append(out.Consents, c)
		}
	}
	if out.Err = m.err; m.err != nil {
		out.Events, out.Consents = nil, nil
	}
	return out
}

// event maps one call; id is the message id where the mapping makes none.
func (m *mapping) event(c *call, id string) (e event.Event) {
	text := func(field string) string { return m.optional(c.fields[field]) }
	if e.MessageID = text("message_id"); e.MessageID == "" {
		e.MessageID = id
	}
	kind := text("type")
	if kind == "" {
		kind = "track"
	}
	var ok bool
	if e.Type, ok = event.ParseType(kind); !ok {
		m.fail("there is no event of type %q", kind)
	}
	if e.Name = text("event"); e.Name == "" {
		e.Name = text("name")
	}
	e.UserID, e.Anonymous, e.GroupID, e.Previous = text("user_id"), text("anonymous_id"), text("group_id"), text("previous_id")
	e.Email = strings.ToLower(strings.TrimSpace(text("email")))
	e.Properties, e.Traits = m.object(c.props), m.object(c.traits)
	for _, x := range c.external {
		if v := textOf(m.eval(x.value)); v != "" {
			e.External = append(e.External, event.ExternalID{Type: x.name, Value: v})
		}
	}
	if e.UserID == "" && e.Anonymous == "" && e.Email == "" && len(e.External) == 0 {
		m.fail("the line names nobody: user_id, anonymous_id and email are empty")
	}
	e.Original = m.time(strings.TrimSpace(text("timestamp")))
	e.Time = e.Original
	return e
}

func (m *mapping) time(s string) time.Time {
	t, ok := instant(s, m.zone)
	if !ok {
		m.fail("timestamp is no instant: want RFC 3339, 2006-01-02, 20060102, Unix seconds or milliseconds")
	}
	return t
}

// object writes mapped members as a JSON object, nil when there are none. What
// has no value is left out: a file that does not know something must not undo
// what is known.
func (m *mapping) object(members []member) []byte {
	if len(members) == 0 {
		return nil
	}
	out := make([]byte, 1, 32*len(members))
	out[0] = '{'
	for i := range members {
		if v := m.eval(members[i].value); !v.IsNil() {
			out = appendMember(out, members[i].key, v)
		}
	}
	return append(out, '}')
}

// appendMember writes a member behind an object that is not closed yet.
func appendMember(dst, key []byte, v liquid.Value) []byte {
	if len(dst) > 1 {
		dst = append(dst, ',')
	}
	dst = append(append(dst, key...), ':')
	return liquid.AppendJSON(dst, v)
}
