package content

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, html, want string }{
		{"paragraphs", "<p>One\n  line</p><p>Two</p>", "One line\n\nTwo\n"},
		{"breaks", "One<br>two<br/>three<br><br>four", "One\ntwo\nthree\n\nfour\n"},
		{"a link keeps its address", `See <a href="https://shop.example/a">our shop</a>.`, "See our shop <https://shop.example/a>.\n"},
		{"a link that is its address", `<a href="https://shop.example/">shop.example</a> <a href="mailto:hi@shop.example">hi@shop.example</a>`, "shop.example hi@shop.example\n"},
		{"a link around a picture", `<a href="https://shop.example/a"><img src="x.png" alt="A walnut shelf"></a><a href="https://shop.example/b"><img src="x.png"></a>`, "A walnut shelf <https://shop.example/a>https://shop.example/b\n"},
		{"a button in a paragraph", `<p>Ready?</p><p><a href="https://shop.example/cart">Back to your basket</a></p><p>Bye</p>`, "Ready?\n\nBack to your basket <https://shop.example/cart>\n\nBye\n"},
		{"a query is no entity", `<a href="https://shop.example/?a=1&copy=2&amp;b=3">go</a>`, "go <https://shop.example/?a=1&copy=2&b=3>\n"},
		{"anchors and scripts are no addresses", `<a href="#top">Top</a> <a href="javascript:x()">Run</a>`, "Top Run\n"},
		{"lists", "<ul><li>One</li><li>Two<ul><li>Deep</li></ul></li></ul><ol><li>First</li><li><p>Second</p></li></ol>", "- One\n- Two\n  - Deep\n\n1. First\n2. Second\n"},
		{"a table", "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Shelf</td><td>79.00</td></tr></table>", "Item Price\nShelf 79.00\n"},
		{"hidden preheader", `<body><div style="display:none; max-height:0">Secret&zwnj;&nbsp;</div><p>Shown</p>`, "Shown\n"},
		{"hidden inside hidden", `<div style="DISPLAY : NONE"><div>a</div>b</div><p hidden>c</p>d`, "d\n"},
		{"head, style, script, comments", "<head><title>T</title><style>p{}</style></head><script>x</script><!--[if mso]><p>Outlook</p><![endif]-->text", "text\n"},
		{"entities", "Fish &amp; chips &lt;3 &euro;5&nbsp;each &#128512;", "Fish & chips <3 €5 each 😀\n"},
		{"quotes", "<p>He said</p><blockquote><p>One</p><p>Two</p></blockquote><p>End</p>", "He said\n\n> One\n\n> Two\n\nEnd\n"},
		{"pre", "<pre>a  b\nc</pre>", "a  b\nc\n"},
		{"words are kept apart by cells", "<table><tr><td><p>Left</p></td><td>Right</td></tr></table>", "Left\n\nRight\n"},
		{"a spacer row is not hidden text", `<td style="font-size:0;line-height:0">&nbsp;</td>x`, "x\n"},
		{"small print is text", `<p style="font-size:0.8em">Small print</p>`, "Small print\n"},
		{"soft hyphens and zero widths", "un\u00adseen\u200bwords", "unseenwords\n"},
		{"nothing", "<p> </p>", ""},
		{"broken", "<p>a<b", "a\n"},
		{"controls", "a\x00b\x1bc", "abc\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := string(Text([]byte(tt.html))); got != tt.want {
				t.Errorf("%s\ngot  %q\nwant %q", tt.html, got, tt.want)
			}
		})
	}
}

func TestFinishChangesOnlyWhatItMust(t *testing.T) {
	t.Parallel()
	page := "<!doctype html>\n<html><BODY class='x'><A title='>' HREF='https://a.example/?x=1&amp;y=2' >a</A><a data-href=x href=https://b.example>b</a><area href=https://c.example><img src='a'/></BODY></html>"
	same, _ := finish([]byte(page), finishing{})
	if !strings.HasPrefix(page, string(same)) {
		t.Errorf("changed without need:\n%s", same)
	}
	out, _ := finish([]byte(page), finishing{preheader: `<"Hi">`, pixel: "https://p.example/o?a=1&b", link: func(u string) string { return "https://t.example/?u=" + u }})
	for _, want := range []string{`HREF="https://t.example/?u=https://a.example/?x=1&amp;y=2" >a</A>`, `data-href=x href="https://t.example/?u=https://b.example">`, "<area href=https://c.example>", "&lt;&#34;Hi&#34;&gt;", `src="https://p.example/o?a=1&amp;b"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("lacks %s in\n%s", want, out)
		}
	}
	if i, j := bytes.Index(out, []byte("p.example")), bytes.Index(out, []byte("</BODY>")); i < 0 || i > j {
		t.Errorf("the pixel is not at the end of the body:\n%s", out)
	}
}

func TestHeaderText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", " a\r\n b\t": "a b", "x\x00y\x7f": "xy", "a\u202eb\u2066c": "abc", "\xff\xfe": "", "a\u2028b": "a b",
		strings.Repeat("é", 400): strings.Repeat("é", 150) + "…",
	} {
		if got := headerText(in); got != want {
			t.Errorf("headerText(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzFinish(f *testing.F) {
	for _, s := range []string{"<p>a", `<a href="x">y</a>`, "<ul><li><ol><li></ul></ol>", `<div style="display:none">x</p></div>y`, "<pre>\n\n</pre>", "<a href='", "<body></body></body>", "<!--[if mso]>", "<blockquote></li></a>", "\xff<\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, page string) {
		same, text := finish([]byte(page), finishing{text: true})
		if !strings.Contains(page, "\x00") && !strings.Contains(page, "\r") && !strings.HasPrefix(page, string(same)) {
			t.Fatalf("the page changed: %q", same)
		}
		if !utf8.Valid(text) || bytes.ContainsAny(text, "\x00\r") {
			t.Fatalf("text part is not clean: %q", text)
		}
		out, _ := finish([]byte(page), finishing{preheader: "p", pixel: "q", link: func(string) string { return "https://t.example/" }})
		_, _ = finish(out, finishing{text: true})
	})
}

func BenchmarkFinish(b *testing.B) {
	page := []byte("<html><body>" + strings.Repeat(`<table><tr><td style="padding:8px"><a href="https://shop.example/x">A thing</a> with <b>words</b> around it.</td></tr></table>`, 80) + "</body></html>")
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		finish(page, finishing{preheader: "p", pixel: "q", text: true})
	}
}

// tokensOf lists the known tags and their links as the scanner sees them, and
// as golang.org/x/net/html does.
func tokensOf(page []byte) (ours, theirs []string) {
	for s := (scanner{rest: page}); s.next(); {
		switch s.kind {
		case startTag:
			ours = append(ours, "<"+s.name+" "+s.href)
		case endTag:
			ours = append(ours, "/"+s.name)
		default:
		}
	}
	z := html.NewTokenizer(bytes.NewReader(page))
	for z.Next() != html.ErrorToken {
		t := z.Token()
		name := elementOf([]byte(t.Data)).name
		switch t.Type {
		case html.StartTagToken, html.SelfClosingTagToken:
			href := ""
			for _, a := range t.Attr {
				if a.Key == "href" && name == "a" {
					href = strings.TrimSpace(a.Val)
					break
				}
			}
			theirs = append(theirs, "<"+name+" "+href)
		case html.EndTagToken:
			theirs = append(theirs, "/"+name)
		default:
		}
	}
	return ours, theirs
}

var pages = []string{
	"<p>a</p>", "<A HREF=x>y</A>", "a < b <3 <", "</ x></>", "<!doctype html><!-- <p> --><p>", "<!--><p>", "<!---><p>", "<!-- --!><p>", "<? x ?><p>",
	"<style>p > a { } </stylex></style ><p>", "<title><a></title><a>", "<textarea></TEXTAREA/><a>", "<a href='x' href=y>", "<a/href=z/>", "<a =b href = \"c>d\">",
	"<a href>", "<a b", "<a b=\"", "<div/><img alt='>'>", "<p<a>", "<a\nhref\n=\nq\n>", "<!x", "<script><!-- </script>x<p>", "<a href=&amp;&copy>",
}

func TestScannerReadsAsABrowserDoes(t *testing.T) {
	t.Parallel()
	for _, p := range pages {
		ours, theirs := tokensOf([]byte(p))
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("%s\n%s", p, diff)
		}
	}
}

func FuzzScanner(f *testing.F) {
	for _, p := range pages {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, page string) {
		low := strings.ToLower(page)
		for _, odd := range []string{"script", "plaintext", "noscript", "\x00", "\r", "<xmp", "<iframe", "<noembed", "<noframes"} {
			if strings.Contains(low, odd) {
				return // A program's escapes, and line ends that the oracle rewrites, are not compared.
			}
		}
		ours, theirs := tokensOf([]byte(page))
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Fatalf("%q\n%s", page, diff)
		}
	})
}
