package pii

import (
	"net/netip"
	"strings"
)

// Truncate shortens an address of the network until it names no household any
// more: of IPv4 the first 24 bits stay, of IPv6 the first 48, as the German
// data protection authorities ask of analytics and Google Analytics does it.
// What is no address is given back as it is, with ok false.
func Truncate(s string) (short string, ok bool) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		return s, false
	}
	bits := 48
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return s, false
	}
	return p.Addr().String(), true
}

// Reduce takes out of a user agent what tells one device from others of its kind
// and keeps what tells browser, system and form: of versions the first number,
// no device's name. It follows Chrome's user-agent reduction,
// https://www.chromium.org/updates/ua-reduction/.
func Reduce(agent string) string {
	var b strings.Builder
	b.Grow(len(agent))
	depth, android, first := 0, false, true
	for i := 0; i < len(agent); {
		switch c := agent[i]; {
		case c == '(':
			depth++
			first = true
		case c == ')':
			depth--
		case depth == 1 && c == ';':
			first = false
		}
		if depth == 1 && (first || agent[i] == ';') {
			// One part of the comment: "Linux", "Android 14", "Pixel 8 Build/AP1A".
			end := i + 1
			for end < len(agent) && strings.IndexByte(";()", agent[end]) < 0 {
				end++
			}
			part := agent[i:end]
			if android && !first {
				part = "; K"
				for end < len(agent) && agent[end] != ')' {
					end++
				}
				b.WriteString(part)
				i = end
				continue
			}
			android = android || strings.Contains(part, "Android")
			if strings.Contains(part, "Android ") {
				part = part[:strings.Index(part, "Android ")] + "Android 10"
			}
			first = false
			writeReduced(&b, part)
			i = end
			continue
		}
		end := i + 1
		for end < len(agent) && strings.IndexByte(";()", agent[end]) < 0 {
			end++
		}
		writeReduced(&b, agent[i:end])
		i = end
	}
	return b.String()
}

// writeReduced copies a text with every number behind the first dot or
// underscore of a version turned into zero: 126.0.6478.127 becomes 126.0.0.0.
func writeReduced(b *strings.Builder, text string) {
	for i := 0; i < len(text); {
		if !digit(text[i]) || i > 0 && letter(text[i-1]) {
			b.WriteByte(text[i])
			i++
			continue
		}
		for i < len(text) && digit(text[i]) {
			b.WriteByte(text[i])
			i++
		}
		for i+1 < len(text) && (text[i] == '.' || text[i] == '_') && digit(text[i+1]) {
			b.WriteByte(text[i])
			b.WriteByte('0')
			for i++; i < len(text) && alnum(text[i]); i++ {
			}
		}
	}
}
