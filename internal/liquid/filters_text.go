package liquid

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

var textFilters = map[string]*filter{
	"append":                 {min: 1, max: 1, fn: filterAppend},
	"prepend":                {min: 1, max: 1, fn: filterPrepend},
	"capitalize":             {fn: filterCapitalize},
	"downcase":               {fn: filterDowncase},
	"upcase":                 {fn: filterUpcase},
	"strip":                  {fn: filterStrip},
	"lstrip":                 {fn: filterLstrip},
	"rstrip":                 {fn: filterRstrip},
	"strip_html":             {fn: filterStripHTML},
	"strip_newlines":         {fn: filterStripNewlines},
	"newline_to_br":          {fn: filterNewlineToBr},
	"escape":                 {fn: filterEscape},
	"h":                      {fn: filterEscape},
	"escape_once":            {fn: filterEscapeOnce},
	"url_encode":             {fn: filterURLEncode},
	"url_decode":             {fn: filterURLDecode},
	"base64_encode":          {fn: encoder(base64.StdEncoding)},
	"base64_url_safe_encode": {fn: encoder(base64.URLEncoding)},
	"base64_decode":          {fn: filterBase64Decode},
	"base64_url_safe_decode": {fn: filterBase64URLDecode},
	"replace":                {min: 1, max: 2, fn: filterReplace},
	"replace_first":          {min: 1, max: 2, fn: filterReplaceFirst},
	"replace_last":           {min: 2, max: 2, fn: filterReplaceLast},
	"remove":                 {min: 1, max: 1, fn: filterReplace},
	"remove_first":           {min: 1, max: 1, fn: filterReplaceFirst},
	"remove_last":            {min: 1, max: 1, fn: filterReplaceLast},
	"slice":                  {min: 1, max: 2, fn: filterSlice},
	"split":                  {min: 1, max: 1, fn: filterSplit},
	"truncate":               {max: 2, fn: filterTruncate},
	"truncatewords":          {max: 2, fn: filterTruncateWords},
	"default":                {max: 1, fn: filterDefault, keywords: []string{"allow_false"}},
}

// rubySpace is what Ruby strips from the ends of a text.
const rubySpace = " \t\n\v\f\r\x00"

// joinTexts puts two texts together. In an HTML part a text that is HTML already stays so, and the other is escaped.
func joinTexts(a *args, x, y Value) Value {
	s, t := a.st.text(x), a.st.text(y)
	if x.safe != y.safe && a.st.prog.opts.Escape == HTML {
		if x.safe {
			t = escapeHTML(t)
		} else {
			s = escapeHTML(s)
		}
	}
	if !a.st.room(len(s) + len(t)) {
		return Nil
	}
	out := a.fromScratch(append(append(a.st.scratch[:0], s...), t...))
	out.safe = x.safe || y.safe
	return out
}

func filterAppend(a *args, in Value) Value { return joinTexts(a, in, a.at(0)) }

func filterPrepend(a *args, in Value) Value { return joinTexts(a, a.at(0), in) }

func filterCapitalize(a *args, in Value) Value {
	s := a.st.text(in)
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 || !a.st.work(len(s)) {
		return String("")
	}
	return a.makeText(upper(string(unicode.ToTitle(r))) + strings.ToLower(s[n:]))
}

func filterDowncase(a *args, in Value) Value {
	return changeCase(a, a.st.text(in), 'A', strings.ToLower)
}

func filterUpcase(a *args, in Value) Value {
	return changeCase(a, a.st.text(in), 'a', upper)
}

// changeCase changes the 26 letters from the first on in place, and leaves a text with others to whole.
func changeCase(a *args, s string, first byte, whole func(string) string) Value {
	if !a.st.room(len(s)) {
		return Nil
	}
	buf := append(a.st.scratch[:0], s...)
	for i, c := range buf {
		if c >= utf8.RuneSelf {
			return a.makeText(whole(s))
		}
		if c >= first && c < first+26 {
			buf[i] = c ^ 0x20
		}
	}
	return a.fromScratch(buf)
}

// upper is ToUpper with the one letter that becomes two.
func upper(s string) string { return strings.ReplaceAll(strings.ToUpper(s), "ß", "SS") }

func filterStrip(a *args, in Value) Value {
	return keepSafe(in, strings.Trim(a.st.text(in), rubySpace))
}

func filterLstrip(a *args, in Value) Value {
	return keepSafe(in, trimStart(a.st.text(in)))
}

func filterRstrip(a *args, in Value) Value {
	return keepSafe(in, strings.TrimRight(a.st.text(in), rubySpace))
}

func keepSafe(in Value, s string) Value {
	out := String(s)
	out.safe = in.safe
	return out
}

// filterStripHTML takes out scripts, styles and comments with what is in them, then all tags.
func filterStripHTML(a *args, in Value) Value {
	s := a.st.text(in)
	if !a.st.work(2 * len(s)) {
		return Nil
	}
	return a.makeText(dropTags(dropBlocks(s)))
}

func dropBlocks(s string) string {
	blocks := [...][2]string{{"<script", "</script>"}, {"<!--", "-->"}, {"<style", "</style>"}}
	var out strings.Builder
	gone := [3]bool{} // ends that do not come any more
	for {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			break
		}
		out.WriteString(s[:open])
		s = s[open:]
		cut := 0
		for i, b := range blocks {
			if gone[i] || !strings.HasPrefix(s, b[0]) {
				continue
			}
			if end := strings.Index(s[len(b[0]):], b[1]); end >= 0 {
				cut = len(b[0]) + end + len(b[1])
			} else {
				gone[i] = true
			}
		}
		if cut == 0 {
			out.WriteByte('<')
			cut = 1
		}
		s = s[cut:]
	}
	out.WriteString(s)
	return out.String()
}

func dropTags(s string) string {
	var out strings.Builder
	for {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			break
		}
		end := strings.IndexByte(s[open:], '>')
		if end < 0 {
			break
		}
		out.WriteString(s[:open])
		s = s[open+end+1:]
	}
	out.WriteString(s)
	return out.String()
}

func filterStripNewlines(a *args, in Value) Value {
	return a.makeText(strings.ReplaceAll(strings.ReplaceAll(a.st.text(in), "\r\n", ""), "\n", ""))
}

// filterNewlineToBr makes HTML: in an HTML part the text itself is escaped first.
func filterNewlineToBr(a *args, in Value) Value {
	s := a.st.text(in)
	html := a.st.prog.opts.Escape == HTML
	if html && !in.safe {
		s = escapeHTML(s)
	}
	if !a.st.room(len(s) + 6*strings.Count(s, "\n")) {
		return Nil
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "<br />\n")
	if html {
		return a.makeSafe(s)
	}
	return a.makeText(s)
}

func filterEscape(a *args, in Value) Value {
	if in.kind == KindNil || in.safe {
		return in
	}
	s := a.st.text(in)
	if !needsEscape(s) {
		return SafeString(s)
	}
	if !a.st.room(6 * len(s)) {
		return Nil
	}
	out := a.fromScratch(appendEscaped(a.st.scratch[:0], s))
	out.safe = true
	return out
}

// filterEscapeOnce escapes what is not the beginning of an entity.
func filterEscapeOnce(a *args, in Value) Value {
	s := a.st.text(in)
	if !a.st.room(6 * len(s)) {
		return Nil
	}
	buf := a.st.scratch[:0]
	for i := 0; i < len(s); i++ {
		if s[i] == '&' && isEntity(s[i+1:]) {
			buf = append(buf, '&')
			continue
		}
		buf = appendEscapedByte(buf, s[i])
	}
	out := a.fromScratch(buf)
	out.safe = true
	return out
}

// isEntity says whether s continues an entity: letters or # and digits, then a semicolon.
func isEntity(s string) bool {
	i := 0
	if strings.HasPrefix(s, "#") {
		for i = 1; i < len(s) && isDigit(s[i]); i++ {
		}
		return i > 1 && i < len(s) && s[i] == ';'
	}
	for i < len(s) && s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' {
		i++
	}
	return i > 0 && i < len(s) && s[i] == ';'
}

func filterURLEncode(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	s := a.st.text(in)
	if !a.st.room(len(s)) {
		return Nil
	}
	return a.fromScratch(appendURLComponent(a.st.scratch[:0], s, true))
}

func filterURLDecode(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	s := a.st.text(in)
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	if !utf8.Valid(out) {
		return a.fail("invalid byte sequence in UTF-8")
	}
	return a.makeText(string(out))
}

func isHex(c byte) bool { return isDigit(c) || (c|0x20 >= 'a' && c|0x20 <= 'f') }

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func encoder(enc *base64.Encoding) func(*args, Value) Value {
	return func(a *args, in Value) Value { return a.makeText(enc.EncodeToString([]byte(a.st.text(in)))) }
}

func filterBase64Decode(a *args, in Value) Value {
	s := a.st.text(in)
	out, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return a.fail("invalid base64 provided to base64_decode")
	}
	return a.makeText(strings.ToValidUTF8(string(out), "\uFFFD"))
}

func filterBase64URLDecode(a *args, in Value) Value {
	s := a.st.text(in)
	enc := base64.URLEncoding
	if !strings.HasSuffix(s, "=") {
		enc = base64.RawURLEncoding
	}
	out, err := enc.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return a.fail("invalid base64 provided to base64_url_safe_decode")
	}
	return a.makeText(strings.ToValidUTF8(string(out), "\uFFFD"))
}

// replaced is the size of s with n replacements.
func replaced(s, old, with string, n int) int { return len(s) + n*(len(with)-len(old)) }

func filterReplace(a *args, in Value) Value {
	s, old, with := a.st.text(in), a.text(0), a.text(1)
	n := 0
	if old == "" {
		n = utf8.RuneCountInString(s) + 1
	} else {
		n = strings.Count(s, old)
	}
	if !a.st.work(len(s)) || !a.st.charge(replaced(s, old, with, n)) {
		return Nil
	}
	return String(strings.ReplaceAll(s, old, with))
}

func filterReplaceFirst(a *args, in Value) Value {
	s, old, with := a.st.text(in), a.text(0), a.text(1)
	if !a.st.charge(replaced(s, old, with, 1) + len(old)) {
		return Nil
	}
	return String(strings.Replace(s, old, with, 1))
}

func filterReplaceLast(a *args, in Value) Value {
	s, old, with := a.st.text(in), a.text(0), a.text(1)
	i := strings.LastIndex(s, old)
	if i < 0 {
		return String(s)
	}
	return a.makeText(s[:i] + with + s[i+len(old):])
}

func filterSlice(a *args, in Value) Value {
	from, ok1 := a.st.strictInt(a.at(0))
	n, ok2 := int64(1), true
	if a.at(1).truthy() {
		n, ok2 = a.st.strictInt(a.at(1))
	}
	if !ok1 || !ok2 {
		return a.fail("invalid integer")
	}
	if in.kind == KindArray {
		items := in.items()
		lo, hi := window(int64(len(items)), from, n)
		return a.makeList(items[lo:hi:hi])
	}
	return substring(a.st.text(in), from, n)
}

// window is the part of n things from a place, counted from the end if negative.
func window(size, from, n int64) (lo, hi int64) {
	if from < 0 {
		from += size
	}
	if from < 0 || from > size || n < 0 {
		return 0, 0
	}
	return from, from + min(n, size-from)
}

// substring cuts n characters out of a text.
func substring(s string, from, n int64) Value {
	lo, hi := window(int64(utf8.RuneCountInString(s)), from, n)
	return String(s[runeOffset(s, lo):runeOffset(s, hi)])
}

// runeOffset is where the nth character begins.
func runeOffset(s string, n int64) int {
	if n >= int64(len(s)) {
		return len(s)
	}
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

func filterSplit(a *args, in Value) Value {
	s, sep := a.st.text(in), a.text(0)
	if !a.st.work(len(s)) {
		return Nil
	}
	if sep == " " {
		return splitWords(a, s)
	}
	n := strings.Count(s, sep) + 1
	if !a.st.charge(valueBytes * n) {
		return Nil
	}
	out := make([]Value, 0, n)
	for s != "" && a.st.step() {
		_, width := utf8.DecodeRuneInString(s) // Without a separator each character is a part.
		if sep != "" {
			width = strings.Index(s, sep)
		}
		if width < 0 {
			width = len(s)
		}
		out = append(out, String(s[:width]))
		s = s[min(width+len(sep), len(s)):]
	}
	// Empty parts at the end do not count.
	for len(out) > 0 && out[len(out)-1].s == "" {
		out = out[:len(out)-1]
	}
	return Array(out)
}

// splitWords splits at white space, which counts as one separator and not at all at the ends.
func splitWords(a *args, s string) Value {
	out := []Value{}
	for a.st.step() {
		for s != "" && isSpace(s[0]) {
			s = s[1:]
		}
		if s == "" {
			break
		}
		n := 0
		for n < len(s) && !isSpace(s[n]) {
			n++
		}
		if !a.st.room(valueBytes * len(out)) {
			return Nil
		}
		out = append(out, String(s[:n]))
		s = s[n:]
	}
	return a.makeList(out)
}

func filterTruncate(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	s, n, end := a.st.text(in), int64(50), "..."
	if len(a.pos) > 0 {
		var ok bool
		if n, ok = a.st.strictInt(a.at(0)); !ok {
			return a.fail("invalid integer")
		}
	}
	if len(a.pos) > 1 {
		end = a.text(1)
	}
	if int64(utf8.RuneCountInString(s)) <= n {
		return keepSafe(in, s)
	}
	cut := max(max(n, 0)-int64(utf8.RuneCountInString(end)), 0)
	if !a.st.room(len(s) + len(end)) {
		return Nil
	}
	return a.fromScratch(append(append(a.st.scratch[:0], s[:runeOffset(s, cut)]...), end...))
}

func filterTruncateWords(a *args, in Value) Value {
	if in.kind == KindNil {
		return Nil
	}
	s, n, end := a.st.text(in), int64(15), "..."
	if len(a.pos) > 0 {
		var ok bool
		if n, ok = a.st.strictInt(a.at(0)); !ok {
			return a.fail("invalid integer")
		}
	}
	if len(a.pos) > 1 {
		end = a.text(1)
	}
	n = max(n, 1)
	if !a.st.room(len(s) + len(end)) {
		return Nil
	}
	buf := a.st.scratch[:0]
	rest := trimStart(s)
	for n > 0 && rest != "" {
		i := indexSpace(rest)
		if i < 0 {
			return keepSafe(in, s)
		}
		if len(buf) > 0 {
			buf = append(buf, ' ')
		}
		buf = append(buf, rest[:i]...)
		if rest = rest[i:]; n > 1 {
			rest = trimStart(rest)
		}
		n--
	}
	if rest == "" {
		return keepSafe(in, s)
	}
	return a.fromScratch(append(buf, end...))
}

func trimStart(s string) string {
	for s != "" && (isSpace(s[0]) || s[0] == 0) {
		s = s[1:]
	}
	return s
}

// indexSpace is where the first white space is, or -1.
func indexSpace(s string) int {
	for i := 0; i < len(s); i++ {
		if isSpace(s[i]) || s[i] == 0 {
			return i
		}
	}
	return -1
}

func filterDefault(a *args, in Value) Value {
	missing := !in.truthy()
	if allow, ok := a.named("allow_false"); ok && allow.truthy() {
		missing = in.kind == KindNil
	}
	if !missing && !in.isEmpty() {
		return in
	}
	if len(a.pos) == 0 {
		return String("")
	}
	return a.at(0)
}
