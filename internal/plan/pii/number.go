package pii

import (
	"net/netip"
	"strings"
)

// addresses finds mail addresses, also in a URL where the @ is written %40. What
// it takes for one is narrower than RFC 5322: quoted names are rare, and words
// beside an @ are not.
func addresses(dst []Match, text string) []Match {
	floor := 0 // where the address before ended: "a@b.example@c.example" is one and a rest
	for i := 0; i < len(text); i++ {
		width := 0
		switch {
		case text[i] == '@':
			width = 1
		case text[i] == '%' && strings.HasPrefix(text[i:], "%40"):
			width = 3
		default:
			continue
		}
		from := i
		for from > floor && ofLocal(text[from-1]) {
			from--
		}
		for from < i && (text[from] == '.' || text[from] == '\'' || text[from] == '-') {
			from++
		}
		to, dot := i+width, -1
		for to < len(text) && (alnum(text[to]) || text[to] == '-' || text[to] == '.') {
			if text[to] == '.' {
				dot = to
			}
			to++
		}
		if dot == to-1 && dot > 0 { // A sentence ends behind it.
			to--
			dot = strings.LastIndexByte(text[:to], '.')
		}
		if from < i && i-from <= 64 && dot > i+width && to-dot > 2 && !digit(text[dot+1]) && !files[text[dot+1:to]] {
			dst = append(dst, Match{Email, from, to})
			i, floor = to-1, to
		}
	}
	return dst
}

// files are endings of names such as logo@2x.png.
var files = map[string]bool{"png": true, "jpg": true, "jpeg": true, "gif": true, "svg": true, "webp": true, "avif": true, "js": true, "css": true}

func ofLocal(c byte) bool { return alnum(c) || strings.IndexByte("._+-'~", c) >= 0 }

// card tells payment cards by ISO/IEC 7812: 13 to 19 digits of a range that a
// network issues, with the check digit of Luhn (annex B), in one word or in
// groups. Of several ends the last that fits is taken.
func card(text string, i int) (end int, ok bool) {
	if !digit(text[i]) {
		return i, false
	}
	var room [19]byte
	digits := room[:0]
	for at := i; at < len(text) && len(digits) < len(room); at++ {
		switch c := text[at]; {
		case digit(c):
			digits = append(digits, c)
			if len(digits) >= 13 && ends(text, at+1) && issued(digits) && luhn(digits) {
				end, ok = at+1, true
			}
		case (c != ' ' && c != '-') || !digit(text[at-1]):
			return end, ok
		}
	}
	return end, ok
}

// issued tells whether a number lies in a range of Visa, Mastercard, American
// Express, Discover, Diners, JCB, UnionPay or Maestro, and is as long as theirs.
func issued(d []byte) bool {
	two, four, n := int(d[0]-'0')*10+int(d[1]-'0'), 0, len(d)
	for _, c := range d[:4] {
		four = four*10 + int(c-'0')
	}
	switch {
	case d[0] == '4':
		return n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720:
		return n == 16
	case two == 34 || two == 37:
		return n == 15
	case two == 36 || two == 38 || four >= 3000 && four <= 3059:
		return n == 14 || n == 16
	case four >= 3528 && four <= 3589, four == 6011, two == 65, two == 64:
		return n >= 16
	case two == 62:
		return n >= 16
	case two == 50 || two == 56 || two == 57 || two == 58 || two == 63 || two == 67:
		return n >= 16
	}
	return false
}

func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		v := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// phone tells numbers in the form of E.164: a plus, a country code that does not
// begin with zero, 8 to 15 digits in all. Without the plus a number is one by
// the name of its field only: there are too many others.
func phone(text string, i int) (end int, ok bool) {
	if text[i] != '+' || i+1 >= len(text) || text[i+1] < '1' || text[i+1] > '9' {
		return i, false
	}
	var room [16]byte
	digits := room[:0]
	end = i
	for at := i + 1; at < len(text) && len(digits) < len(room); at++ {
		c := text[at]
		if digit(c) {
			digits = append(digits, c)
			end = at + 1
		} else if at-end > 1 || c == ' ' && len(digits) > 10 || strings.IndexByte(" -.()/", c) < 0 {
			break
		}
	}
	return end, len(digits) >= 8 && len(digits) <= 15 && ends(text, end)
}

// network tells addresses of the network, of either version. Those that belong
// to every machine are nobody's.
func network(text string, i int) (end int, ok bool) {
	dots, colons, digits := 0, 0, 0
	for end = i; end < len(text); end++ {
		c := text[end]
		switch {
		case c == '.':
			dots++
		case c == ':':
			colons++
		case digit(c):
			digits++
		case upper(c) >= 'A' && upper(c) <= 'F':
		default:
			if alnum(c) {
				return i, false
			}
			goto done
		}
	}
done:
	for end > i && (text[end-1] == '.' || text[end-1] == ':' && !strings.HasSuffix(text[i:end], "::")) {
		end--
	}
	if digits == 0 || dots < 3 && colons < 2 || end-i > 45 {
		return i, false
	}
	word := text[i:end]
	if at := strings.LastIndexByte(word, ':'); colons == 1 && at > 0 {
		word = word[:at] // A port.
	}
	a, err := netip.ParseAddr(word)
	if err != nil || a.IsLoopback() || a.IsUnspecified() {
		return i, false
	}
	return i + len(word), true
}

// lengths says how long the accounts of a country are: the registry of ISO 13616.
var lengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28,
	"CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18,
	"GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32,
	"LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
	"PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25,
	"SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}

// bankAccount tells IBANs, in one word or in groups, by the length of their
// country and the check of ISO 7064 MOD 97-10.
func bankAccount(text string, i int) (end int, ok bool) {
	if i+4 > len(text) || !letter(text[i]) || !letter(text[i+1]) || !digit(text[i+2]) || !digit(text[i+3]) {
		return i, false
	}
	want, ok := lengths[string([]byte{upper(text[i]), upper(text[i+1])})]
	if !ok {
		return i, false
	}
	var room [34]byte
	got := room[:0]
	for end = i; end < len(text) && len(got) < want; end++ {
		switch c := text[end]; {
		case c < 0x80 && alnum(c):
			got = append(got, upper(c))
		case c != ' ' || text[end-1] == ' ':
			return i, false
		}
	}
	if len(got) != want || !ends(text, end) {
		return i, false
	}
	rest := 0
	for k := range got {
		if c := got[(k+4)%want]; digit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	return end, rest == 1
}
