package feedback

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rapport/internal/event"
	"rapport/internal/fault"
	"rapport/internal/identity"
	"rapport/internal/ingest"
	"rapport/internal/rights"
)

// Held is one trait of somebody.
type Held struct {
	Name  string
	Value json.RawMessage
	Own   bool // the house computes it: there is nothing in it to put right
}

// Text gives the value as a page shows it.
func (h *Held) Text() string {
	var s string
	if json.Unmarshal(h.Value, &s) != nil {
		s = string(h.Value)
	}
	if utf8.RuneCountInString(s) > mostShown {
		s = string([]rune(s)[:mostShown]) + "…"
	}
	return s
}

// Field is one trait that a reader may put right on the page.
type Field struct {
	Name  string
	Shape Shape
	Was   string // what the page shows
	Want  string // what stands in the field
	Bad   bool   // it was not taken
}

// Shape is what a value must look like: it stays what it was.
type Shape string

// The shapes.
const (
	Words  Shape = "words"
	Number Shape = "number"
	YesNo  Shape = "yes_no" // "true" or "false"
)

// Trouble says why a correction was not taken.
type Trouble string

// The troubles.
const (
	Nothing  Trouble = "nothing"   // nothing was changed and nothing written
	BadField Trouble = "bad_field" // a field has what cannot be its value
	TooLong  Trouble = "too_long"  // the text is too long
)

// Limits of a correction.
const (
	MostFields    = 100
	MostFieldText = 300  // bytes of one value, as it is written
	MostWords     = 2000 // bytes of what else is wrong
	mostShown     = 200
)

// show reads what is held: of what can be changed the fields, and the rest.
func (d *Desk) show(ctx context.Context, c *Claiming) error {
	list, err := d.Rights.Traits(ctx, c.request.Person)
	c.lay(list)
	return err
}

// lay gives each trait its place on the page, as long as there is room.
func (c *Claiming) lay(list []Held) {
	for i := range list {
		h := &list[i]
		shape, text, ok := shapeOf(h)
		switch {
		case ok && len(c.Fields) < MostFields:
			c.Fields = append(c.Fields, Field{Name: h.Name, Shape: shape, Was: text, Want: text})
		case len(c.Held) < MostFields:
			c.Held = append(c.Held, *h)
		default:
			c.More++
		}
	}
}

// shapeOf tells how a trait is put right, false where it is not by a field of a form:
// the house's own, the address that proves who asks, and what has an inner life.
func shapeOf(h *Held) (shape Shape, text string, ok bool) {
	if h.Own || h.Name == identity.Email {
		return "", "", false
	}
	switch raw := bytes.TrimSpace(h.Value); {
	case len(raw) == 0:
	case raw[0] == '"':
		ok = json.Unmarshal(raw, &text) == nil && plain(text)
		return Words, text, ok
	case string(raw) == "true" || string(raw) == "false":
		return YesNo, string(raw), true
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		return Number, string(raw), len(raw) <= MostFieldText
	}
	return "", "", false
}

// plain tells whether a field of a form carries a text there and back unchanged.
func plain(s string) bool {
	return len(s) <= MostFieldText && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Localise writes the numbers as readers of the page's language do.
func (c *Claiming) Localise(comma bool) {
	for i := range c.Fields {
		if f := &c.Fields[i]; comma && f.Shape == Number {
			f.Was = strings.Replace(f.Was, ".", ",", 1)
			f.Want = f.Was
		}
	}
}

// grouped is a number that readers of a decimal comma may well mean as thousands.
var grouped = regexp.MustCompile(`^-?[1-9][0-9]{0,2}[.][0-9]{3}$`)

// number reads a number as it is written where the page's language has a decimal comma,
// or a point. What may mean a thousand times as much is none.
func number(want string, comma bool) (json.RawMessage, bool) {
	if comma {
		switch decimals := strings.Count(want, ","); {
		case decimals == 1 && !strings.Contains(want, "."):
			want = strings.Replace(want, ",", ".", 1)
		case decimals > 0 || grouped.MatchString(want):
			return nil, false
		}
	}
	if want[0] != '-' && (want[0] < '0' || want[0] > '9') || !json.Valid([]byte(want)) {
		return nil, false
	}
	return ingest.Sound([]byte(want))
}

// value reads what stands in a field; an empty one takes the trait away.
func (f *Field) value(comma bool) (json.RawMessage, bool) {
	want := strings.TrimSpace(f.Want)
	switch {
	case want == "":
		return json.RawMessage("null"), true
	case !plain(want):
		return nil, false
	case f.Shape == YesNo:
		return json.RawMessage(want), want == "true" || want == "false"
	case f.Shape == Number:
		return number(want, comma)
	}
	raw, err := json.Marshal(want)
	return raw, err == nil
}

// read holds what a reader wrote against what may be written. Only what they changed
// is taken: what has become otherwise meanwhile stays so.
func (c *Claiming) read(deed *Deed) *rights.Asks {
	asks := &rights.Asks{Text: strings.TrimSpace(strings.ReplaceAll(deed.Text, "\r\n", "\n")), Traits: map[string]json.RawMessage{}}
	c.Text = asks.Text
	if len(asks.Text) > MostWords || !utf8.ValidString(asks.Text) {
		c.Trouble = TooLong
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		was, shown := deed.Was[f.Name]
		want, there := deed.Want[f.Name]
		if !shown || !there {
			continue
		}
		if f.Was, f.Want = was, want; was == want {
			continue
		}
		raw, ok := f.value(deed.Comma)
		if !ok {
			f.Bad, c.Trouble = true, BadField
			continue
		}
		asks.Traits[f.Name] = raw
	}
	if c.Trouble == "" && len(asks.Traits) == 0 && asks.Text == "" {
		c.Trouble = Nothing
	}
	return asks
}

// correct takes down what is wrong before anything is put right: should the house fall
// between the two, somebody will look at it.
func (d *Desk) correct(ctx context.Context, c *Claiming, deed *Deed) error {
	c.Localise(deed.Comma)
	asks := c.read(deed)
	if c.Trouble != "" {
		return nil
	}
	r := &c.request
	if err := d.Rights.Note(ctx, r.Person, "person.correct_asked"); err != nil {
		return err
	}
	if _, err := d.Rights.Desk.Prove(ctx, r.ID); err != nil {
		return err
	}
	_, err := d.Rights.Desk.Change(ctx, r.ID, func(r *rights.Request) error {
		if r.Asked() != nil {
			return fault.New(fault.Conflict, rights.Closed, "the link was used already")
		}
		r.Body = answered{Asks: asks}.json()
		return nil
	})
	if err != nil {
		return err
	}
	own := d.Rights.How().AtOnce
	now := maps.Clone(asks.Traits)
	maps.DeleteFunc(now, func(name string, _ json.RawMessage) bool { return !slices.Contains(own, name) })
	if err := d.putRight(ctx, c, now); err != nil {
		return err
	}
	left := &rights.Asks{Traits: maps.Clone(asks.Traits), Text: asks.Text, Done: slices.Sorted(maps.Keys(now))}
	maps.DeleteFunc(left.Traits, func(name string, _ json.RawMessage) bool { return now[name] != nil })
	c.Waits = len(left.Traits) > 0 || left.Text != ""
	return d.answer(ctx, r.ID, left, c.Waits)
}

// putRight writes traits as somebody says they are.
func (d *Desk) putRight(ctx context.Context, c *Claiming, traits map[string]json.RawMessage) error {
	if len(traits) == 0 {
		return nil
	}
	raw, err := json.Marshal(traits)
	if err != nil {
		return err
	}
	now := d.Now().UTC().Truncate(time.Millisecond)
	return d.Rights.Walk(ctx, &event.Event{
		Type: event.Identify, Source: Source, MessageID: c.request.ID, Person: int64(c.request.Person), Email: c.address,
		Time: now, Received: now, Traits: raw,
	})
}

// answer closes a request, or leaves it open with what somebody must look at.
func (d *Desk) answer(ctx context.Context, name string, left *rights.Asks, waits bool) (err error) {
	a := answered{Asks: left}
	if !waits {
		err = d.done(ctx, name, a)
	} else if len(left.Done) > 0 {
		_, err = d.Rights.Desk.Change(ctx, name, func(r *rights.Request) error { r.Body = a.json(); return nil })
	}
	if fault.CodeOf(err) == rights.Closed {
		err = nil // An operator was quicker, and has seen all of it.
	}
	return err
}
