// Package source is everything that brings events in its own dialect. What
// comes in are files: fixed width, CSV or lines of JSON, with a mapping whose
// values are Liquid; what goes out are the events and the words on permission
// that each line makes, with its number. It never validates an event's meaning,
// never makes a permission out of nothing, and never appends.
package source

import (
	"time"

	"rapport/internal/purpose"
)

// The formats of files.
const (
	Fixed  = "fixed"  // columns at fixed places
	CSV    = "csv"    // RFC 4180
	NDJSON = "ndjson" // one JSON object a line
)

// The encodings of files.
const (
	UTF8        = "utf-8"
	Latin1      = "latin1"       // ISO 8859-1
	Windows1252 = "windows-1252" // what spreadsheets in western Europe write
)

// Limits of a mapping.
const (
	MaxColumns  = 500 // columns of a file
	MaxCalls    = 20  // events that one line makes
	MaxConsents = 32  // words on permission that one line makes
)

// Format says how the lines of a file become events: the `file` section of a
// source, or a mapping file of its own.
type Format struct {
	Kind     string
	Comma    rune     // CSV: what parts columns
	Quote    byte     // CSV: what stands around columns; 0: nothing does
	Header   bool     // CSV: the first line names the columns
	Encoding string   // of the file's characters
	Columns  []column // fixed: with places; CSV without header: names in order
	Zone     *time.Location
	Until    time.Time // where business time stops when the file is played back; zero: with the last line
	content  string    // what message ids begin with, see Of
	types    map[string]columnType
	calls    []call
	consents []consentRule
}

// column is one named column; from and to count characters from 1.
type column struct {
	name     string
	from, to int
}

// call is one event that each line makes, unless its condition fails.
type call struct {
	fields   map[string]*value // of the event: type, event, user_id …
	props    []member
	traits   []member
	external []member
	when     *value // nil: always
}

// member is a mapped member of an object; key is its name as JSON writes it.
type member struct {
	name  string
	key   []byte
	value *value
}

// The members of an event that can be mapped to a text.
var fieldNames = []string{"type", "event", "name", "user_id", "anonymous_id", "email", "group_id", "previous_id", "message_id", "timestamp"}

// Of gives the format for one file of a certain content. Without it a line's
// message id, where the mapping makes none, is its bare number, which is the
// same in every file; with it the content stands before the number, so that the
// lines of one file are known again and those of another file are others.
func (f *Format) Of(content string) *Format {
	g := *f
	g.content = content
	return &g
}

// NamesMessages tells whether the mapping makes all message ids itself, so that
// the content of the file need not be known.
func (f *Format) NamesMessages() bool {
	for i := range f.calls {
		if f.calls[i].fields["message_id"] == nil {
			return false
		}
	}
	return len(f.consents) == 0
}

// Purposes lists the purposes that lines may speak of.
func (f *Format) Purposes() []purpose.Purpose {
	var out []purpose.Purpose
	for i := range f.consents {
		out = append(out, f.consents[i].purpose)
	}
	return out
}

// Consents tells whether lines may speak of permission.
func (f *Format) Consents() bool { return len(f.consents) > 0 }
