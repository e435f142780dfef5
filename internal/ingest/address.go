package ingest

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Limits of RFC 5321, in bytes.
const (
	maxAddress = 254
	maxLocal   = 64
)

var domains = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.BidiRule())

// NormalizeAddress gives the one spelling under which a mail address is known:
// the domain in its ASCII form, everything in lower case, without quotes that
// are not needed and without a final dot. ok is false for what is no address
// that mail can be sent to: no dot in the domain, an address literal, a comment,
// too long, control characters. Tags (+news) are part of the address.
func NormalizeAddress(s string) (address string, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) > 2*maxAddress {
		return "", false
	}
	if plainAddress(s) {
		return s, true
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 || !utf8.ValidString(s) {
		return "", false
	}
	local, ok := normalLocal(s[:at])
	if !ok {
		return "", false
	}
	domain := strings.TrimSuffix(s[at+1:], ".")
	domain, err := domains.ToASCII(domain)
	if err != nil || !strings.Contains(domain, ".") || allDigits(domain[strings.LastIndexByte(domain, '.')+1:]) {
		return "", false
	}
	if len(local)+1+len(domain) > maxAddress {
		return "", false
	}
	return local + "@" + domain, true
}

// plainAddress tells whether s is already as simple as almost all addresses
// are, so that nothing needs to be looked at twice.
func plainAddress(s string) bool {
	at, dot := -1, -1
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z':
		case c >= '0' && c <= '9' || c == '_' || c == '+':
			if at >= 0 && (c == '_' || c == '+' || dot >= 0) {
				return false
			}
		case c == '.' || c == '-':
			if i == 0 || i+1 == len(s) || s[i-1] == '.' || s[i-1] == '-' || s[i-1] == '@' || s[i+1] == '@' {
				return false
			}
			if c == '.' && at >= 0 {
				dot = i
			} else if at >= 0 && dot >= 0 {
				return false
			}
		case c == '@':
			if at >= 0 {
				return false
			}
			at = i
		default:
			return false
		}
	}
	return at >= 1 && at <= maxLocal && dot > 0 && len(s)-at-1 <= 63 && len(s) <= maxAddress
}

// normalLocal reads the part before the @: a dot-atom, or a quoted string that
// loses its quotes where it needs none.
func normalLocal(s string) (string, bool) {
	if s[0] == '"' {
		inner, ok := unquote(s)
		if !ok {
			return "", false
		}
		inner = strings.ToLower(norm.NFC.String(inner))
		if !dotAtom(inner) {
			inner = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(inner) + `"`
		}
		return inner, len(inner) <= maxLocal
	}
	s = strings.ToLower(norm.NFC.String(s))
	return s, dotAtom(s) && len(s) <= maxLocal
}

func unquote(s string) (string, bool) {
	if len(s) < 3 || s[len(s)-1] != '"' {
		return "", false
	}
	var out strings.Builder
	for i := 1; i < len(s)-1; i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s)-1 && s[i+1] >= ' ' && s[i+1] != 0x7f:
			i++
			out.WriteByte(s[i])
		case c < ' ' || c == 0x7f || c == '"' || c == '\\':
			return "", false
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), true
}

func dotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r):
		case r >= 0xA0 && printable(r):
		default:
			return false
		}
	}
	return true
}

// printable refuses what hides in a text: separators, direction marks, joiners,
// private and unassigned places, and the mark of unreadable text.
func printable(r rune) bool {
	switch {
	case r == utf8.RuneError, r == 0xAD, r == 0xFEFF, r >= 0x200B && r <= 0x200F, r >= 0x2028 && r <= 0x202E, r >= 0x2060 && r <= 0x206F:
		return false
	}
	return r != 0xA0 && r != 0x3000 && !(r >= 0xE000 && r <= 0xF8FF)
}

func allDigits(s string) bool {
	_, ok := number([]byte(s))
	return ok
}
