package rule

import (
	"fmt"
	"strconv"
	"strings"
)

// The units of durations in milliseconds, greatest first. A day has 24 hours.
var units = [...]struct {
	name   byte
	millis int64
}{
	{'w', 7 * 24 * 3_600_000}, {'d', 24 * 3_600_000}, {'h', 3_600_000}, {'m', 60_000}, {'s', 1000},
}

// ParseDuration reads a duration as rules write it, a whole number and one of s,
// m, h, d and w, and gives milliseconds. It is the same in every definition of
// the house.
func ParseDuration(s string) (int64, error) {
	if len(s) < 2 {
		return 0, errDuration(s)
	}
	number, unit := s[:len(s)-1], s[len(s)-1]
	for _, u := range units {
		if u.name != unit {
			continue
		}
		n, end := digits(number, 0)
		switch {
		case end != len(number):
			return 0, errDuration(s)
		case n == 0:
			return 0, fmt.Errorf("%q is no time at all", s)
		case len(number) > 18 || n > MaxDuration/u.millis:
			return 0, fmt.Errorf("%q is longer than the limit max_duration = %s", s, FormatDuration(MaxDuration))
		}
		return n * u.millis, nil
	}
	return 0, errDuration(s)
}

func errDuration(s string) error {
	return fmt.Errorf("%q is no duration, which is a whole number and one of s, m, h, d and w", s)
}

// FormatDuration gives the canonical text of a duration: hours for what is whole
// in hours up to two days, else the greatest unit that is whole.
func FormatDuration(millis int64) string {
	if millis > 0 && millis <= 48*3_600_000 && millis%3_600_000 == 0 {
		return strconv.FormatInt(millis/3_600_000, 10) + "h"
	}
	for _, u := range units[1:] {
		if millis%u.millis == 0 {
			return strconv.FormatInt(millis/u.millis, 10) + string(u.name)
		}
	}
	return strconv.FormatInt(millis, 10) + "ms"
}

// quoteText writes a text so that YAML reads it as this text: plain where it is
// made of letters that mean nothing else, else quoted.
func quoteText(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20, r >= 0x7f && r <= 0x9f, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// isPlain says whether a text needs no quotes.
func isPlain(s string) bool {
	if s == "" || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == ' ' || c == '.' || c == '-' || c == '/')) {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return false
	}
	return true
}

// write gives the canonical text of a condition without its outer braces.
func (n *node) write() string {
	switch n.kind {
	case kindAll, kindAny:
		var b strings.Builder
		b.WriteString(n.kind.String())
		b.WriteString(": [")
		for i := range n.kids {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("{" + n.kids[i].text + "}")
		}
		b.WriteByte(']')
		return b.String()
	case kindNot:
		return "not: {" + n.kids[0].text + "}"
	case kindSegment:
		return "in_segment: " + quoteText(n.segment)
	case kindDid:
		return n.did.write()
	}
	var b strings.Builder
	b.WriteString(n.kind.String() + ": " + quoteText(n.terms[0].path) + ", ")
	writeOperators(&b, n.terms)
	return b.String()
}

// write gives the canonical text of a did.
func (d *did) write() string {
	var b strings.Builder
	b.WriteString("did: " + quoteText(d.event))
	switch {
	case d.least == 1 && d.most == unlimited:
	case d.most == unlimited:
		fmt.Fprintf(&b, ", count: {min: %d}", d.least)
	case d.least == d.most:
		fmt.Fprintf(&b, ", count: {exactly: %d}", d.least)
	case d.least == 0:
		fmt.Fprintf(&b, ", count: {max: %d}", d.most)
	default:
		fmt.Fprintf(&b, ", count: {min: %d, max: %d}", d.least, d.most)
	}
	if d.within > 0 {
		b.WriteString(", within: " + FormatDuration(d.within))
	}
	if d.before > 0 {
		b.WriteString(", before: " + FormatDuration(d.before))
	}
	if d.since {
		b.WriteString(", since: trigger")
	}
	if d.where != nil {
		b.WriteString(", where: " + d.where.text)
	}
	for i := range d.measures {
		b.WriteString(", " + d.measures[i].write())
	}
	return b.String()
}
