// Package spec knows the events that Segment's spec reserves: e-commerce V2,
// email, and what Engage sends. What comes in are the name of an event and its
// properties as raw JSON; what goes out are properties of the types that the
// spec gives them, as far as nothing is lost by it, and findings on the rest.
// It never refuses an event, never drops a property, says nothing of properties
// that it does not know, and keeps nothing.
package spec

import "strings"

// Kind is the type of a property.
type Kind uint8

// The kinds. A null is always as if the property were not there.
const (
	Any      Kind = iota // whatever it is
	Text                 // a string
	Number               // a number
	Whole                // a number without a fraction
	Bool                 // true or false
	Products             // an array of objects, each a product
	Choices              // an array of objects, each with a type and a value
)

// String names the kind for a reader.
func (k Kind) String() string {
	return [...]string{"anything", "text", "number", "whole number", "true or false", "array of products", "array of type and value"}[k]
}

// Property is one property that the spec gives a type.
type Property struct {
	Name string
	Kind Kind
}

// Event is one reserved event.
type Event struct {
	Name       string
	Says       string     // what it tells, for a reader
	Part       string     // which part of the spec it is of
	Older      string     // the name that V1 of the spec gave it, or ""
	Needs      [][]string // of each list one property must be there, or the event tells nothing
	Properties []Property
	Names      string // the property whose value is the name of another one, or ""
	Named      Kind   // the kind of that other one

	fields fields
	needs  []uint64 // of each list the bits of its properties
}

// Match says how a name is that of a reserved event.
type Match uint8

// The ways.
const (
	None  Match = iota // it is not
	Exact              // it is the name
	Older              // V1 of the spec called it so
	Near               // letters, but not their case, and the spaces between them differ
)

type known struct {
	event *Event
	match Match
}

// longest is how many bytes the name of a reserved event may be longer by what
// stands between its words.
const longest = 48

// Known finds the reserved event of a name.
func Known(name string) (*Event, Match) {
	if k, ok := byName[name]; ok {
		return k.event, k.match
	}
	if name == "" || len(name) > longest || !firsts[name[0]] {
		return nil, None // Most names go no further.
	}
	var letters [longest]byte
	if e, ok := byLetters[string(fold(letters[:0], name))]; ok {
		return e, Near
	}
	return nil, None
}

// All gives every reserved event, part by part. It must not be changed.
func All() []*Event { return events }

// Fields gives what the objects in arrays of a kind have; nil for any other
// kind. It must not be changed.
func Fields(k Kind) []Property {
	switch k {
	case Products:
		return product
	case Choices:
		return choice
	}
	return nil
}

// Names lists the names of every reserved event.
func Names() []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = e.Name
	}
	return out
}

// separators are what may stand between the words of a name.
const separators = " _-."

// fold writes the letters of a name in lower case, without what stands between
// words.
func fold(dst []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'A' && c <= 'Z':
			dst = append(dst, c|0x20)
		case strings.IndexByte(separators, c) < 0:
			dst = append(dst, c)
		}
	}
	return dst
}

// fields finds properties by name: a table of small numbers, for an event is
// looked through at the door, where every nanosecond counts.
type fields [128]uint8

func slot[T string | []byte](name T) int {
	if len(name) == 0 {
		return 0
	}
	return (len(name)*7 + int(name[0])*3 + int(name[len(name)-1]) + int(name[len(name)/2])*5) & 127
}

func (f *fields) add(name string, number int) {
	at := slot(name)
	for f[at] != 0 {
		at = (at + 1) & 127
	}
	f[at] = uint8(number + 1)
}

// find gives the number of a property, -1 for one that is not known.
func (f *fields) find(name []byte, of []Property) int {
	for at := slot(name); ; at = (at + 1) & 127 {
		n := int(f[at]) - 1
		if n < 0 || of[n].Name == string(name) {
			return n
		}
	}
}

var (
	byName    = map[string]known{}
	byLetters = map[string]*Event{}
	firsts    [256]bool // with what a name begins whose letters may be those of an event

	productFields, choiceFields fields
)

func init() {
	index := func(f *fields, of []Property) {
		for i, p := range of {
			f.add(p.Name, i)
		}
	}
	index(&productFields, product)
	index(&choiceFields, choice)
	for _, e := range events {
		index(&e.fields, e.Properties)
		for _, list := range e.Needs {
			bits := uint64(0)
			for _, name := range list {
				bits |= 1 << e.fields.find([]byte(name), e.Properties)
			}
			e.needs = append(e.needs, bits)
		}
		byName[e.Name] = known{e, Exact}
		byLetters[string(fold(nil, e.Name))] = e
		firsts[e.Name[0]], firsts[e.Name[0]|0x20] = true, true
	}
	for _, between := range separators {
		firsts[between] = true
	}
	for _, e := range events {
		if e.Older != "" {
			byName[e.Older] = known{e, Older}
		}
	}
}

// Need writes what must be there for a reader: "product_id or sku".
func Need(list []string) string { return strings.Join(list, " or ") }
