package spec

import (
	"math"
	"strconv"

	"rapport/internal/scan"
)

// Code says what is not as the spec has it. Codes are stable.
type Code string

// The codes.
const (
	WrongType Code = "property_wrong_type" // it is of another type, and was left as it came
	Missing   Code = "property_missing"    // nothing is there without which the event tells little
	Converted Code = "property_converted"  // it was of another type and now is of the right one; nothing was lost
	OlderName Code = "event_older_name"    // V1 of the spec called the event so; it keeps that name
	NearName  Code = "event_near_name"     // the name is that of a reserved event but for case and spaces; it is none
)

// Breaks tells whether a finding is a break of the spec and not a mere hint.
func (c Code) Breaks() bool { return c == WrongType || c == Missing }

// Finding is one thing that is not as the spec has it. It bears names from the
// spec only, nothing that a sender wrote.
type Finding struct {
	Event    *Event
	Code     Code
	Property string // a property, the alternatives of one that is missing, or "" where the name is meant
	List     string // the array that it stands in, or ""
	Index    int    // and where there
	Kind     Kind   // what it should be
}

// Path names the property for a reader: "price", "products.price".
func (f *Finding) Path() string {
	if f.List != "" && f.Property != "" {
		return f.List + "." + f.Property
	}
	return f.List + f.Property
}

// Pointer is the JSON pointer to the property below the properties.
func (f *Finding) Pointer() string {
	switch {
	case f.Code == Missing || f.Path() == "":
		return ""
	case f.List == "":
		return "/" + f.Property
	case f.Property == "":
		return "/" + f.List + "/" + strconv.Itoa(f.Index)
	}
	return "/" + f.List + "/" + strconv.Itoa(f.Index) + "/" + f.Property
}

// Detail says what is the matter, without values.
func (f *Finding) Detail() string {
	switch f.Code {
	case Missing:
		return f.Event.Name + " needs " + f.Property
	case Converted:
		return f.Path() + " of " + f.Event.Name + " came as another type; it is kept as " + f.Kind.String()
	case OlderName:
		return "the newer name is " + f.Event.Name
	case NearName:
		return "did you mean " + f.Event.Name + "?"
	}
	return f.Path() + " of " + f.Event.Name + " is no " + f.Kind.String()
}

// MaxFindings is how many findings on one event are told; of those alike only
// the first is.
const MaxFindings = 16

// Check holds events against the spec. Its memory is used again and again; what
// Properties returns stands in it. It is not safe for concurrent use.
type Check struct {
	Found []Finding // of all events since Reset

	arena []byte
	raw   []byte
	event *Event
	match Match
	first int // where the findings of this event begin
	start int // where its properties begin in arena, -1 while nothing was converted
	done  int // up to where raw is in the arena
}

// Reset forgets everything but the memory. What Properties returned must not be
// used any more.
func (c *Check) Reset() {
	clear(c.Found)
	*c = Check{Found: c.Found[:0], arena: c.arena[:0]}
}

// Room is about how many bytes the check holds on to.
func (c *Check) Room() int { return cap(c.arena) + cap(c.Found)*findingBytes }

const findingBytes = 96

// Properties looks through the properties of an event, which are a sound JSON
// object or nil, and gives them with the types of the spec: the same bytes where
// there was nothing to convert. An event of no reserved name is left alone.
func (c *Check) Properties(name string, raw []byte) []byte {
	if !c.begin(name, raw) {
		return raw
	}
	return c.end(c.object(raw, 0, c.event.Properties, &c.event.fields, "", 0))
}

// Keyed does the same for whoever knows already where the keys stand, without
// their quotes and counted from base bytes before the properties. None of them
// bears an escape.
func (c *Check) Keyed(name string, raw []byte, keys []scan.Span, base uint32) []byte {
	if !c.begin(name, raw) {
		return raw
	}
	seen, known := uint64(0), c.event.Properties
	for _, k := range keys {
		n := c.event.fields.find(raw[k.From-base:k.To-base], known)
		if n < 0 {
			continue
		}
		p, at := &known[n], int(k.To-base)+2
		if raw[at-1] != ':' || raw[at] <= ' ' { // Hardly any program writes spaces.
			at = scan.ValueAt(raw, at-1)
		}
		if begins[raw[at]]&(1<<p.Kind) != 0 {
			seen |= 1 << n // Almost all are as they should be, and that can be seen at once.
			continue
		}
		end, _, _ := scan.Measure(raw, at, math.MaxInt) // It is sound: it ends.
		seen |= c.member(p, raw[at:end], at, "", 0) << n
	}
	return c.end(seen)
}

// begin finds the reserved event of a name; false when there is nothing to look
// through.
func (c *Check) begin(name string, raw []byte) bool {
	c.event, c.match = Known(name)
	if c.match == None {
		return false
	}
	c.raw, c.first, c.start, c.done = raw, len(c.Found), -1, 0
	switch c.match {
	case Near:
		c.find(Finding{Code: NearName})
		return false // It is another event; who sends it may mean that.
	case Older:
		c.find(Finding{Code: OlderName})
	}
	return true
}

// end looks for what is missing among what was seen and gives the properties.
func (c *Check) end(seen uint64) []byte {
	if c.event.Names != "" {
		c.named()
	}
	if c.match == Exact {
		for i, bits := range c.event.needs {
			if seen&bits == 0 {
				c.find(Finding{Code: Missing, Property: Need(c.event.Needs[i])})
			}
		}
	}
	if c.start < 0 {
		return c.raw
	}
	c.arena = append(c.arena, c.raw[c.done:]...)
	return c.arena[c.start:len(c.arena):len(c.arena)]
}

// object looks through one object that begins at a place in the properties and
// tells which of its known members are there.
func (c *Check) object(raw []byte, at int, known []Property, f *fields, list string, index int) (seen uint64) {
	for m := scan.MembersOf(raw); ; {
		key, value, ok := m.Next()
		if !ok {
			return seen
		}
		if n := f.find(key, known); n >= 0 {
			seen |= c.member(&known[n], value, at+m.At()-len(value), list, index) << n
		}
	}
}

// member looks at a value that begins at a place in the properties; 1 tells that
// it is one, 0 that it is null.
func (c *Check) member(p *Property, value []byte, at int, list string, index int) uint64 {
	switch {
	case len(value) == 0 || value[0] == 'n':
		return 0
	case !p.Kind.fits(value):
		c.value(value, at, Finding{Property: p.Name, Kind: p.Kind, List: list, Index: index})
	case p.Kind == Products:
		c.array(value, at, p, product, &productFields)
	case p.Kind == Choices:
		c.array(value, at, p, choice, &choiceFields)
	}
	return 1
}

func (c *Check) array(raw []byte, at int, p *Property, known []Property, f *fields) {
	list := scan.ElementsOf(raw)
	for i := 0; ; i++ {
		value, ok := list.Next()
		if !ok {
			return
		}
		if len(value) == 0 || value[0] != '{' {
			c.find(Finding{Code: WrongType, List: p.Name, Index: i, Kind: p.Kind})
			continue
		}
		c.object(value, at+list.At()-len(value), known, f, p.Name, i)
	}
}

// named looks at the property that another one names.
func (c *Check) named() {
	name, ok := scan.Find(c.raw, c.event.Names)
	if !ok {
		return
	}
	name, ok = inText(name)
	if !ok || string(name) == c.event.Names {
		return
	}
	for m := scan.MembersOf(c.raw); ; {
		key, value, ok := m.Next()
		switch {
		case !ok:
			return
		case string(key) != string(name):
		case len(value) > 0 && value[0] != 'n' && !c.event.Named.fits(value):
			// The finding names the key's property: the other name is the sender's.
			c.value(value, m.At()-len(value), Finding{Property: c.event.Names, Kind: c.event.Named})
			return
		default:
			return
		}
	}
}

// value converts a value of a wrong type, or notes that it cannot.
func (c *Check) value(raw []byte, at int, f Finding) {
	f.Code = WrongType
	start, length := c.start, len(c.arena)
	if start < 0 {
		start = length
	}
	c.arena = append(c.arena, c.raw[c.done:at]...)
	out, ok := f.Kind.convert(c.arena, raw)
	if !ok {
		c.arena = c.arena[:length]
		c.find(f)
		return
	}
	c.arena, c.start, c.done = out, start, at+len(raw)
	f.Code = Converted
	c.find(f)
}

// find notes a finding unless the event has one like it.
func (c *Check) find(f Finding) {
	mine := c.Found[c.first:]
	if len(mine) >= MaxFindings {
		return
	}
	for i := range mine {
		if mine[i].Code == f.Code && mine[i].Property == f.Property && mine[i].List == f.List {
			return
		}
	}
	f.Event = c.event
	c.Found = append(c.Found, f)
}
