package letter

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"rapport/internal/fault"
	"rapport/internal/message"
)

// wordMost is the longest run of characters without a blank that is left as it
// is in a header; RFC 5322 ends lines after 998.
const wordMost = 900

// AppendHeader writes one header field with an unstructured value. The value is
// made safe first: it becomes one line of valid text without control characters.
// What is not plain ASCII is written as encoded words (RFC 2047). The name must
// be a token.
func AppendHeader(dst []byte, name, value string) []byte {
	value = safe(value)
	if isPrintable(value) && !strings.Contains(value, "=?") && longest(value) <= wordMost {
		return appendFolded(dst, name, value)
	}
	dst = append(append(dst, name...), ": "...)
	dst = appendWords(dst, value, len(name)+2)
	return append(dst, '\r', '\n')
}

// appendFolded writes a field whose value is plain ASCII, folded at blanks.
func appendFolded(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ':')
	line := len(name) + 1
	for value != "" {
		n := strings.IndexByte(value[1:], ' ') + 1
		if n == 0 {
			n = len(value)
		}
		word := value[:n]
		value = value[n:]
		if word[0] != ' ' {
			word = " " + word
		}
		// A line of blanks only would end the headers for some readers.
		if line+len(word) > lineMost && strings.Trim(word, " ") != "" && line > len(name)+1 {
			dst = append(dst, '\r', '\n')
			line = 0
		}
		dst = append(dst, word...)
		line += len(word)
	}
	return append(dst, '\r', '\n')
}

// appendWords writes a value as encoded words, each of at most 75 characters
// and whole runes, one on a line. used is how much of the first line is taken.
func appendWords(dst []byte, value string, used int) []byte {
	const open, shut = "=?utf-8?q?", "?="
	room := lineMost - used - len(open) - len(shut)
	dst = append(dst, open...)
	for _, r := range value {
		var buf [utf8.UTFMax]byte
		b := buf[:utf8.EncodeRune(buf[:], r)]
		size := 3 * len(b)
		if len(b) == 1 && inWord(b[0]) {
			size = 1
		}
		if room < size {
			dst = append(append(append(dst, shut...), "\r\n "...), open...)
			room = lineMost - 1 - len(open) - len(shut)
		}
		room -= size
		switch {
		case b[0] == ' ':
			dst = append(dst, '_')
		case size == 1:
			dst = append(dst, b[0])
		default:
			for _, c := range b {
				dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
			}
		}
	}
	return append(dst, shut...)
}

// inWord tells whether an octet may stand for itself in an encoded word wherever
// that word stands (RFC 2047 §5 (3)); a blank is written as one character too.
func inWord(c byte) bool {
	return c == ' ' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' ||
		c == '!' || c == '*' || c == '+' || c == '-' || c == '/'
}

// safe makes one line of valid text: line ends, tabs and other control
// characters become blanks, and the marks that turn the reading direction of
// everything behind them are taken out.
func safe(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r < 0x20, r >= 0x7f && r <= 0x9f, r == 0x2028, r == 0x2029:
			return ' '
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff:
			return -1
		}
		return r // Bytes that are not UTF-8 come as U+FFFD, and are written so.
	}, s)
	return strings.TrimSpace(s)
}

// address writes a mailbox as name and angle brackets, or the address alone.
func address(a message.Address) (string, error) {
	email, err := Mailbox(a.Email)
	if err != nil {
		return "", err
	}
	name := safe(a.Name)
	switch {
	case name == "":
		return email, nil
	case isPrintable(name) && !strings.Contains(name, "=?") && longest(name) <= wordMost:
		return phrase(name) + " <" + email + ">", nil
	default:
		// appendFolded breaks at the blanks between the words.
		words := string(appendWords(nil, name, lineMost/2))
		return strings.ReplaceAll(words, "\r\n ", " ") + " <" + email + ">", nil
	}
}

// phrase quotes a name unless it consists of atoms.
func phrase(name string) string {
	plain := true
	for i := range len(name) {
		plain = plain && (name[i] == ' ' || isAtom(name[i]))
	}
	if plain {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// Mailbox checks an address and gives the form in which it goes into headers and
// envelope: the domain in ASCII, the local part as it is.
func Mailbox(email string) (string, error) {
	bad := func(why string) (string, error) {
		return "", fault.New(fault.Invalid, "address_malformed", "the address cannot be written into a mail: %s", why)
	}
	local, domain, ok := cutAddress(email)
	switch {
	case !ok:
		return bad("it has no @, or nothing before or behind it")
	case len(local) > 64:
		return bad("the part before the @ is longer than 64 octets")
	case !utf8.ValidString(email):
		return bad("it is not valid UTF-8")
	case !isLocal(local):
		return bad("the part before the @ holds what must not stand there")
	}
	if !isASCII(domain) {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return bad("the domain is not a valid international name")
		}
		domain = ascii
	}
	if !isDomain(domain) {
		return bad("the domain holds what must not stand there")
	}
	if len(local)+1+len(domain) > 254 {
		return bad("it is longer than 254 octets")
	}
	return local + "@" + domain, nil
}

func cutAddress(email string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(email, '@')
	if at <= 0 || at == len(email)-1 {
		return "", "", false
	}
	return email[:at], email[at+1:], true
}

// isLocal accepts a dot-atom (also beyond ASCII, RFC 6531) and a quoted string.
func isLocal(s string) bool {
	if s[0] == '"' {
		return isQuoted(s)
	}
	dot := true // a dot must not stand here
	for i, r := range s {
		switch {
		case r == '.':
			if dot {
				return false
			}
			dot = true
			continue
		case r < utf8.RuneSelf && !isAtom(s[i]), r >= 0x80 && r <= 0x9f, r == utf8.RuneError, r == 0x2028, r == 0x2029:
			return false
		}
		dot = false
	}
	return !dot
}

func isQuoted(s string) bool {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return false
	}
	for i := 1; i < len(s)-1; i++ {
		switch c := s[i]; {
		case c == '\\':
			if i++; i == len(s)-1 || s[i] < 0x20 || s[i] > 0x7e {
				return false
			}
		case c < 0x20 || c > 0x7e || c == '"':
			return false
		}
	}
	return true
}

func isDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	if s[0] == '[' { // an address literal
		return len(s) > 2 && s[len(s)-1] == ']' && strings.Trim(s[1:len(s)-1], "0123456789abcdefABCDEFIPv:.") == ""
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

func isMessageID(s string) bool {
	if len(s) < 5 || len(s) > 250 || s[0] != '<' || s[len(s)-1] != '>' {
		return false
	}
	for i := 1; i < len(s)-1; i++ {
		if s[i] <= ' ' || s[i] > 0x7e || s[i] == '<' || s[i] == '>' {
			return false
		}
	}
	return strings.Count(s, "@") == 1
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '_') {
			return false
		}
	}
	return s != "" && len(s) <= 76
}

func isAtom(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// longest gives the length of the longest run without a blank.
func longest(s string) int {
	most, run := 0, 0
	for i := range len(s) {
		if run++; s[i] == ' ' {
			run = 0
		}
		most = max(most, run)
	}
	return most
}
