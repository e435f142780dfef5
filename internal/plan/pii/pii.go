// Package pii finds personal data in texts: mail addresses, phone numbers,
// payment cards, bank accounts, national ids, addresses of the network, and
// secrets. What comes in is one text or the name of a field; what goes out are
// places in the text, or a kind. It changes nothing but what it is asked to
// shorten, keeps nothing, and its answers never hold the datum itself.
package pii

import "slices"

// Kind is a kind of personal data.
type Kind uint8

// The kinds.
const (
	None Kind = iota
	Email
	Phone
	Card
	IBAN
	NationalID
	IP
	Secret // a password, a security code: known by the field's name alone
	kinds
)

var names = [kinds]string{"", "email", "phone", "card", "iban", "national_id", "ip", "secret"}

// String gives the word that stands in a plan and in violations.
func (k Kind) String() string {
	if k < kinds {
		return names[k]
	}
	return ""
}

// ParseKind reads what String gives.
func ParseKind(s string) (Kind, bool) {
	i := slices.Index(names[:], s)
	if i <= 0 {
		return None, false
	}
	return Kind(i), true
}

// Kinds lists all kinds.
func Kinds() []Kind {
	out := make([]Kind, 0, kinds-1)
	for k := Email; k < kinds; k++ {
		out = append(out, k)
	}
	return out
}

// Match is where in a text personal data stands.
type Match struct {
	Kind     Kind
	From, To int
}

// maxText is how much of a text is looked at: an event has at most some 32 KB,
// and a field that is longer than this is looked at up to here.
const maxText = 64 << 10

// Find adds to dst the places where personal data stands, in order and without
// overlap. A text that is a digest as a whole is none: somebody has hashed it.
func Find(dst []Match, text string) []Match {
	text = text[:min(len(text), maxText)]
	digits, at, colons, dots := signs(text)
	if !at && digits < leastDigits && colons < 2 && (digits < 4 || dots < 3) || Hashed(text) {
		return dst
	}
	begin := len(dst)
	if at {
		dst = addresses(dst, text)
	}
	for i := 0; i < len(text); {
		if !starts(text, i) {
			i++
			continue
		}
		kind, end := number(text, i)
		if kind == None {
			i = pass(text, i)
			continue
		}
		if !covered(dst[begin:], i) {
			dst = append(dst, Match{kind, i, end})
		}
		i = end
	}
	found := dst[begin:]
	slices.SortFunc(found, func(a, b Match) int { return a.From - b.From })
	return dst
}

// leastDigits is how many digits the shortest number has that is looked for: a
// national id of six digits and two letters.
const leastDigits = 6

// signs looks once over a text for what any personal datum has.
func signs(text string) (digits int, at bool, colons, dots int) {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '@':
			at = true
		case c == '%':
			at = at || i+2 < len(text) && text[i+1] == '4' && text[i+2] == '0'
		case c == ':':
			colons++
		case c == '.':
			dots++
		}
	}
	return digits, at, colons, dots
}

func covered(list []Match, i int) bool {
	return slices.ContainsFunc(list, func(m Match) bool { return i >= m.From && i < m.To })
}

// starts tells whether a word begins at i.
func starts(text string, i int) bool {
	c := text[i]
	if !alnum(c) && c != '+' && c != ':' {
		return false
	}
	return i == 0 || !alnum(text[i-1]) && text[i-1] != '.' && text[i-1] != '_' && (c != ':' || text[i-1] != ':')
}

// pass gives the place behind the word at i.
func pass(text string, i int) int {
	for i++; i < len(text) && alnum(text[i]); i++ {
	}
	return i
}

// ends tells whether no word goes on at i.
func ends(text string, i int) bool { return i >= len(text) || !alnum(text[i]) && text[i] != '_' }

// number tells what stands at the beginning of a word, and where it ends.
func number(text string, i int) (Kind, int) {
	if end, ok := bankAccount(text, i); ok {
		return IBAN, end
	}
	if end, ok := card(text, i); ok {
		return Card, end
	}
	if end, ok := nationalID(text, i); ok {
		return NationalID, end
	}
	if end, ok := phone(text, i); ok {
		return Phone, end
	}
	if end, ok := network(text, i); ok {
		return IP, end
	}
	return None, i
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}
func letter(c byte) bool { c = upper(c); return c >= 'A' && c <= 'Z' }
func alnum(c byte) bool  { return digit(c) || letter(c) || c >= 0x80 }

// Hashed tells whether a text is a digest in hexadecimal digits: of MD5 (or the
// half of an HMAC-SHA256 that this house makes), SHA-1, SHA-224, SHA-256,
// SHA-384 or SHA-512.
func Hashed(s string) bool {
	switch len(s) {
	case 32, 40, 56, 64, 96, 128:
	default:
		return false
	}
	for i := range len(s) {
		if c := upper(s[i]); !digit(c) && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
