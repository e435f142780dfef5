package content

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// finishing is what happens to a rendered HTML part on its way out.
type finishing struct {
	preheader string              // shown by mailboxes behind the subject, hidden in the mail
	pixel     string              // URL of the open pixel, or ""
	link      func(string) string // gives the URL that a link is to have; nil leaves links
	text      bool                // make a text part too
}

// finish walks an HTML part once: it copies it, puts in the preheader and the
// pixel, gives links their tracked address, and writes the text part.
func finish(part []byte, f finishing) (out, text []byte) {
	out = make([]byte, 0, len(part)+len(f.preheader)+len(f.pixel)+2048)
	w := textWriter{on: f.text}
	if f.text {
		w.out = make([]byte, 0, len(part)/3)
	}
	copied := 0 // how much of the part is in out
	placed := f.preheader == ""
	s := scanner{rest: part}
	for s.next() {
		switch s.kind {
		case startTag:
			w.start(s.element, &s.attributes, s.closed)
			if s.name == "a" && f.link != nil && s.href != "" {
				if url := f.link(s.href); url != s.href {
					out = append(append(out, part[copied:s.start+s.from]...), '"')
					out = append(append(out, html.EscapeString(url)...), '"')
					copied = s.start + s.to
				}
			}
			if s.name == "body" && !placed {
				out = appendPreheader(append(out, part[copied:s.end]...), f.preheader)
				copied, placed = s.end, true
			}
		case endTag:
			if s.name == "body" && f.pixel != "" {
				out = appendPixel(append(out, part[copied:s.start]...), f.pixel)
				copied, f.pixel = s.start, ""
			}
			w.end(s.element)
		case words:
			w.words(part[s.start:s.end])
		default:
		}
	}
	out = append(out, part[copied:max(copied, s.end)]...) // Without a tag that breaks off, which would swallow what follows.
	if f.pixel != "" {
		out = appendPixel(out, f.pixel)
	}
	return out, w.bytes()
}

// Text makes a text part of an HTML part: links stay as addresses, what is
// hidden stays hidden.
func Text(part []byte) []byte {
	_, text := finish(part, finishing{text: true})
	return text
}

// preheaderRest keeps mailboxes from showing the begin of the mail behind the preheader.
var preheaderRest = strings.Repeat("&#847;&zwnj;&nbsp;", 60)

func appendPreheader(dst []byte, s string) []byte {
	dst = append(dst, `<div style="display:none;max-height:0;overflow:hidden;mso-hide:all" aria-hidden="true">`...)
	dst = append(dst, html.EscapeString(s)...)
	return append(append(dst, preheaderRest...), "</div>"...)
}

func appendPixel(dst []byte, url string) []byte {
	dst = append(dst, `<img src="`...)
	dst = append(dst, html.EscapeString(url)...)
	return append(dst, `" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`...)
}

// textWriter lays text out as a plain reader would: paragraphs apart, lists with
// signs, links as addresses.
type textWriter struct {
	on     bool
	out    []byte
	lines  int      // line ends that are due before the next character
	space  bool     // a space is due
	skip   *element // the element whose content is not shown
	depth  int      // how deep inside elements of that name
	pre    int
	quote  int
	lists  []int // counter of each open list, -1 for one without numbers
	bullet string
	links  []openLink
	cell   bool // a cell of this row has been written
}

type openLink struct {
	href string
	at   int
}

// element is what the walk knows of a kind of element.
type element struct {
	name  string
	lines int  // line ends before and after it
	never bool // its content is not for readers
	void  bool // it has no content
	raw   bool // its content is no markup
}

// other is every element that means nothing to the walk.
var other = &element{}

// known has the elements that mean something.
var known = func() map[string]*element {
	m := map[string]*element{}
	of := func(names string) (out []*element) {
		for name := range strings.FieldsSeq(names) {
			if m[name] == nil {
				m[name] = &element{name: name}
			}
			out = append(out, m[name])
		}
		return out
	}
	of("a td th span font b i strong em u s small label button html")
	for _, e := range of("p h1 h2 h3 h4 h5 h6 table ul ol dl blockquote pre section article header footer figure form fieldset hr") {
		e.lines = 2
	}
	for _, e := range of("div tr li dt dd center address caption main nav aside figcaption tbody thead tfoot body") {
		e.lines = 1
	}
	for _, e := range of("head style script title template noscript object iframe svg select textarea noembed noframes") {
		e.never = true
	}
	for _, e := range of("br hr img input meta link area base col embed source track wbr") {
		e.void = true
	}
	for _, e := range of("style script title textarea iframe noembed noframes xmp") {
		e.raw = true
	}
	return m
}()

// start opens an element.
func (w *textWriter) start(e *element, a *attributes, closed bool) {
	switch {
	case !w.on:
	case w.skip != nil:
		if e == w.skip && !closed {
			w.depth++
		}
	case a.hidden || e.never:
		if e != other && !e.void && !closed {
			w.skip, w.depth = e, 1
		}
	default:
		w.open(e, a.href, a.alt)
	}
}

// words writes text as it stands in a page.
func (w *textWriter) words(b []byte) {
	if !w.on || w.skip != nil {
		return
	}
	if bytes.IndexByte(b, '&') >= 0 {
		b = []byte(html.UnescapeString(string(b)))
	}
	w.text(b)
}

func (w *textWriter) open(e *element, href, alt string) {
	w.block(e.lines)
	switch e.name {
	case "br":
		w.lines++
		w.space = false
	case "hr":
		w.write("----------")
		w.block(2)
	case "img":
		w.text([]byte(alt))
	case "a":
		w.links = append(w.links, openLink{href, len(w.out)})
	case "ul":
		w.lists = append(w.lists, -1)
	case "ol":
		w.lists = append(w.lists, 0)
	case "li":
		w.bullet = "- "
		if n := len(w.lists); n > 0 && w.lists[n-1] >= 0 {
			w.lists[n-1]++
			w.bullet = strconv.Itoa(w.lists[n-1]) + ". "
		}
	case "blockquote":
		w.quote++
	case "pre":
		w.pre++
	case "tr":
		w.cell = false
	case "td", "th":
		if w.cell {
			w.space = true
		}
		w.cell = true
	default:
	}
}

// end closes an element.
func (w *textWriter) end(e *element) {
	if !w.on {
		return
	}
	if w.skip != nil {
		if e == w.skip {
			if w.depth--; w.depth == 0 {
				w.skip = nil
			}
		}
		return
	}
	switch e.name {
	case "a":
		w.endLink()
	case "ul", "ol":
		if len(w.lists) > 0 {
			w.lists = w.lists[:len(w.lists)-1]
		}
	case "li":
		w.bullet = ""
	case "blockquote":
		w.quote = max(w.quote-1, 0)
	case "pre":
		w.pre = max(w.pre-1, 0)
	default:
	}
	if e.name != "body" && !e.void {
		w.block(e.lines)
	}
}

func (w *textWriter) endLink() {
	if len(w.links) == 0 {
		return
	}
	l := w.links[len(w.links)-1]
	w.links = w.links[:len(w.links)-1]
	if l.href == "" || l.href[0] == '#' || hasScheme(l.href, "javascript") {
		return
	}
	shown := strings.TrimSpace(string(w.out[min(l.at, len(w.out)):]))
	url := strings.TrimPrefix(l.href, "mailto:")
	switch {
	case shown == "":
		w.write(url)
	case same(shown, l.href) || shown == url:
	default:
		w.space = false
		lines := w.lines
		w.lines = 0
		w.write(" <" + url + ">")
		w.lines = lines
	}
}

func hasScheme(url, scheme string) bool {
	return len(url) > len(scheme) && url[len(scheme)] == ':' && strings.EqualFold(url[:len(scheme)], scheme)
}

// same tells whether the words of a link are its address already.
func same(shown, href string) bool {
	trim := func(s string) string {
		for _, p := range []string{"https://", "http://", "www."} {
			s = strings.TrimPrefix(s, p)
		}
		return strings.TrimSuffix(s, "/")
	}
	return trim(shown) == trim(href)
}

func (w *textWriter) block(lines int) {
	if lines == 0 {
		return
	}
	w.space = false
	if w.bullet != "" || lines == 2 && len(w.lists) > 0 && w.lines < 2 {
		lines = 1 // What stands in an item begins beside its sign, and lists are not torn apart.
	}
	w.lines = max(w.lines, lines)
}

func (w *textWriter) write(s string) {
	w.due()
	w.out = append(w.out, s...)
}

// due writes the line ends, quotation marks, indents and signs that stand
// before the next character.
func (w *textWriter) due() {
	if w.lines > 0 || len(w.out) == 0 {
		if len(w.out) > 0 {
			w.out = bytes.TrimRight(w.out, " ")
			for range min(w.lines, 2) {
				w.out = append(w.out, '\n')
			}
		}
		w.lines, w.space = 0, false
		for range w.quote {
			w.out = append(w.out, "> "...)
		}
		if n := len(w.lists); n > 0 {
			indent := 2 * (n - 1)
			if w.bullet == "" {
				indent += 2
			}
			for range indent {
				w.out = append(w.out, ' ')
			}
		}
		w.out = append(w.out, w.bullet...)
		w.bullet = ""
	}
	if w.space {
		w.out = append(w.out, ' ')
		w.space = false
	}
}

// text writes words; white space is one space, signs nobody sees are dropped.
func (w *textWriter) text(b []byte) {
	if !w.on || w.skip != nil {
		return
	}
	for len(b) > 0 {
		n := 0
		for n < len(b) && b[n] > ' ' && b[n] < 0x7f {
			n++
		}
		if n > 0 {
			w.due()
			w.out = append(w.out, b[:n]...)
			b = b[n:]
			continue
		}
		r, size := utf8.DecodeRune(b)
		c := b[:size]
		b = b[size:]
		switch {
		case r == '\n' && w.pre > 0:
			w.lines = min(w.lines+1, 2)
		case r == ' ' && w.pre > 0:
			w.due()
			w.out = append(w.out, ' ')
		case r == '\u00a0' || unicode.IsSpace(r):
			w.space = w.space || len(w.out) > 0 && w.lines == 0
		case r == utf8.RuneError && size == 1, unseen(r):
		default:
			w.due()
			w.out = append(w.out, c...)
		}
	}
}

// unseen tells whether a character shows nothing: controls, soft hyphens, marks
// that senders stuff preheaders with.
func unseen(r rune) bool {
	switch r {
	case '\u00ad', '\u034f', '\u200b', '\ufeff', '\u2060':
		return true
	}
	return r < ' ' || r >= 0x7f && r < 0xa0
}

func (w *textWriter) bytes() []byte {
	out := bytes.TrimSpace(w.out)
	if len(out) == 0 {
		return nil
	}
	return append(out, '\n')
}

// hides tells whether a style hides its element.
func hides(style []byte) bool {
	if len(style) > 4096 {
		return false
	}
	var buf [512]byte
	s := buf[:0]
	for _, c := range style {
		switch {
		case isSpace(c):
		case c >= 'A' && c <= 'Z':
			s = append(s, c+'a'-'A')
		default:
			s = append(s, c)
		}
	}
	s = append(s, ';')
	has := func(mark string) bool { return bytes.Contains(s, []byte(mark)) }
	return has("display:none") || has("visibility:hidden") || has("mso-hide:all") ||
		has("max-height:0;") || has("max-height:0px") || has("opacity:0;") ||
		(has("font-size:0;") || has("font-size:0px")) && (has("line-height:0;") || has("line-height:0px"))
}
