package profile

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/rule"
)

// Reserved user traits of Segment's spec (Spec: Identify) that have two words:
// both spellings are accepted, the snake_case one is kept.
var spellings = map[string]string{
	"firstName": "first_name", "lastName": "last_name", "createdAt": "created_at",
	"firstname": "first_name", "lastname": "last_name",
}

// nestedSpellings are those inside address and company, both ways round, for
// objects are kept as they came.
var nestedSpellings = map[string]string{
	"postal_code": "postalCode", "postalCode": "postal_code",
	"employee_count": "employeeCount", "employeeCount": "employee_count",
}

// Twin gives the other spelling of a reserved name inside address and company,
// false where it has one spelling only.
func Twin(name string) (string, bool) {
	other, ok := nestedSpellings[name]
	return other, ok
}

// Canonical gives the name under which a trait is kept that came under another.
func Canonical(name string) string {
	if to, ok := spellings[name]; ok {
		return to
	}
	return name
}

// Reads gives the names of the traits, as they are kept, that the value at a
// dotted path follows from.
func Reads(path string) []string {
	if name := head(path); name != "name" {
		return []string{name}
	}
	return []string{"name", "first_name", "last_name"}
}

// within looks into an object at a dotted path.
func within(raw []byte, path string) ([]byte, bool) {
	var o rule.Object
	o.Reset(raw)
	if v, ok := o.Get(path); ok {
		return v, true
	}
	if other, ok := nestedSpellings[path]; ok {
		return o.Get(other)
	}
	return nil, false
}

func stringOf(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	return string(b), err == nil
}

func quote(s string) []byte {
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil { // not UTF-8: replaced, never refused
		b, _ = jsontext.AppendQuote(nil, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return b
}

// normal brings the reserved traits to one form; everything else stays as it came.
func normal(name string, value []byte) []byte {
	switch name {
	case "email":
		if s, ok := stringOf(value); ok {
			return quote(strings.ToLower(strings.TrimSpace(s)))
		}
	case "first_name", "last_name", "name", "title", "username":
		if s, ok := stringOf(value); ok {
			if clean := cleanName(s); clean != s {
				return quote(clean)
			}
		}
	case "age":
		if s, ok := stringOf(value); ok {
			if n := jsontext.Value(strings.TrimSpace(s)); n.Kind() == '0' && n.IsValid() {
				return n
			}
		}
	case "birthday", "created_at":
		return normalTime(value)
	}
	return value
}

// cleanName takes out what can break a header or turn a line around: control
// characters, zero-width and bidirectional marks (Unicode TR 36); the joiners
// that scripts need inside words stay.
func cleanName(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\u200d' || r == '\u200c':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s))
}

// normalTime writes Unix seconds or milliseconds, as some senders give them, as
// RFC 3339; everything else stays as it came.
func normalTime(value []byte) []byte {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n == 0 {
		return value
	}
	at := time.Unix(n, 0)
	if n > 1e11 || n < -1e11 {
		at = time.UnixMilli(n)
	}
	if y := at.UTC().Year(); y < 1900 || y > 9999 {
		return value
	}
	return quote(at.UTC().Format(time.RFC3339))
}
