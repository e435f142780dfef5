package letter_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"encoding/base64"

	"rapport/internal/delivery/letter"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/message"
)

var at = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

func sample() message.Rendered {
	return message.Rendered{
		ID: id.NewMessage(at, "k"), MessageID: "<abc@shop.example>",
		From: message.Address{Name: "The Shop", Email: "shop@shop.example"}, To: message.Address{Email: "a@b.example"},
		Subject: "Hello", Text: []byte("Hello.\n"), HTML: []byte("<p>Hello.</p>\n"),
		Headers: [][2]string{
			{"List-Unsubscribe", "<https://shop.example/u/token>, <mailto:u@shop.example>"},
			{"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"},
			{"Feedback-ID", "welcome:journey:shop:rapport"},
		},
	}
}

func write(t *testing.T, r *message.Rendered) []byte {
	t.Helper()
	b, err := letter.Append(nil, r, at)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return b
}

func read(t *testing.T, b []byte) *mail.Message {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("ReadMessage: %v\n%s", err, b)
	}
	return m
}

// parts decodes the alternatives of a mail, by content type.
func parts(t *testing.T, m *mail.Message) (types []string, bodies []string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "multipart/alternative" {
		return []string{kind}, []string{decode(t, m.Header.Get("Content-Transfer-Encoding"), m.Body)}
	}
	for mr := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := mr.NextRawPart()
		if err == io.EOF {
			return types, bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(p.Header.Get("Content-Type"), ";")
		types = append(types, kind)
		bodies = append(bodies, decode(t, p.Header.Get("Content-Transfer-Encoding"), p))
	}
}

func decode(t *testing.T, how string, r io.Reader) string {
	t.Helper()
	switch how {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	case "7bit":
	default:
		t.Fatalf("encoding %q", how)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheWholeMail(t *testing.T) {
	t.Parallel()
	r := sample()
	got := string(write(t, &r))
	want := strings.Join([]string{
		"From: The Shop <shop@shop.example>",
		"To: a@b.example",
		"Subject: Hello",
		"Date: Mon, 02 Nov 2026 10:00:00 +0000",
		"Message-ID: <abc@shop.example>",
		"List-Unsubscribe: <https://shop.example/u/token>, <mailto:u@shop.example>",
		"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
		"Feedback-ID: welcome:journey:shop:rapport",
		"MIME-Version: 1.0",
		"Content-Type: multipart/alternative;",
		` boundary="=_` + r.ID.String() + `"`,
		"",
		"--=_" + r.ID.String(),
		"Content-Type: text/plain; charset=utf-8",
		"Content-Transfer-Encoding: 7bit",
		"",
		"Hello.",
		"",
		"--=_" + r.ID.String(),
		"Content-Type: text/html; charset=utf-8",
		"Content-Transfer-Encoding: 7bit",
		"",
		"<p>Hello.</p>",
		"",
		"--=_" + r.ID.String() + "--",
		"",
	}, "\r\n")
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestBodiesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, html, encoding string
		wantText                   string
	}{
		{name: "plain", text: "a\r\nb", html: "<p>x</p>", encoding: "7bit", wantText: "a\r\nb"},
		{name: "accents", text: "Grüße aus Köln, alles gut", html: "<p>é</p>", encoding: "quoted-printable"},
		{name: "another script", text: strings.Repeat("こんにちは", 40), html: "<p>x</p>", encoding: "base64"},
		{name: "long lines", text: strings.Repeat("word ", 400), html: "<p>x</p>", encoding: "quoted-printable"},
		{name: "blank at the end of a line", text: "a \r\nb\t\r\nc ", html: "<p>x</p>", encoding: "quoted-printable"},
		{name: "bare line ends", text: "a\rb\nc\r\nd", html: "<p>x</p>", encoding: "7bit", wantText: "a\r\nb\r\nc\r\nd"},
		{name: "control characters", text: "a\x00\x07b\x7f", html: "<p>x</p>", encoding: "7bit", wantText: "ab"},
		{name: "not UTF-8", text: "a\xffb", html: "<p>x</p>", encoding: "base64", wantText: "a\uFFFDb"},
		{name: "text only", text: "just text", encoding: "7bit"},
		{name: "the boundary in the text", text: "--=_" + sample().ID.String() + "--", html: "<p>x</p>", encoding: "quoted-printable"},
		{name: "dots", text: ".\r\n..\r\n.x", html: "<p>x</p>", encoding: "7bit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := sample()
			r.Text, r.HTML = []byte(tt.text), []byte(tt.html)
			if tt.html == "" {
				r.HTML = nil
			}
			raw := write(t, &r)
			checkLines(t, raw)
			types, bodies := parts(t, read(t, raw))
			if types[0] != "text/plain" || len(types) == 2 && types[1] != "text/html" {
				t.Errorf("parts %v", types)
			}
			want := tt.wantText
			if want == "" {
				want = tt.text
			}
			if got := strings.TrimSuffix(bodies[0], "\r\n"); got != want {
				t.Errorf("text = %q, want %q", got, want)
			}
			if !strings.Contains(string(raw), "Content-Transfer-Encoding: "+tt.encoding+"\r\n") {
				t.Errorf("no part is %s:\n%s", tt.encoding, raw)
			}
		})
	}
}

// checkLines holds that every line ends in CR LF, is at most 998 octets long
// (what we can choose: 78) and is plain ASCII.
func checkLines(t *testing.T, raw []byte) {
	t.Helper()
	rest := raw
	for len(rest) > 0 {
		n := bytes.IndexByte(rest, '\n')
		if n < 1 || rest[n-1] != '\r' {
			t.Fatalf("a line does not end in CR LF: %q", rest)
		}
		line := rest[:n-1]
		if bytes.IndexByte(line, '\r') >= 0 || len(line) > 998 {
			t.Fatalf("line %q", line)
		}
		for _, c := range line {
			if c < 0x20 && c != '\t' || c == 0x7f {
				t.Fatalf("a control character in %q", line)
			}
		}
		rest = rest[n+1:]
	}
}

func TestNothingGetsIntoAHeader(t *testing.T) {
	t.Parallel()
	evil := "x\r\nBcc: spy@evil.example\r\n\r\n<p>body</p>\n.\r\nMAIL FROM:<a@evil.example>"
	r := sample()
	r.Subject = evil
	r.From.Name, r.To.Name = evil, evil
	r.Headers = append(r.Headers, [2]string{"X-Shop", evil})
	raw := write(t, &r)
	checkLines(t, raw)
	m := read(t, raw)
	if m.Header.Get("Bcc") != "" || len(m.Header) != 11 {
		t.Errorf("headers = %v", m.Header)
	}
	from, err := m.Header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Address != "shop@shop.example" {
		t.Errorf("From = %v, %v", from, err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != "a@b.example" {
		t.Errorf("To = %v, %v", to, err)
	}
}

func TestMarkupInAValueStaysAValue(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Subject, r.To.Name = `<script>alert("1")</script> =?utf-8?q?x?=`, `<b>"Ann"</b>, evil@evil.example`
	m := read(t, write(t, &r))
	dec := new(mime.WordDecoder)
	if got, err := dec.DecodeHeader(m.Header.Get("Subject")); err != nil || got != r.Subject {
		t.Errorf("Subject = %q, %v", got, err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != "a@b.example" || to[0].Name != r.To.Name {
		t.Errorf("To = %v, %v", to, err)
	}
}

func TestRefusedMails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		bend func(*message.Rendered)
		code string
	}{
		{"CR LF in the address", func(r *message.Rendered) { r.To.Email = "a@b.example>\r\nRCPT TO:<c@d.example" }, "address_malformed"},
		{"a blank in the address", func(r *message.Rendered) { r.To.Email = "a b@c.example" }, "address_malformed"},
		{"two addresses", func(r *message.Rendered) { r.To.Email = "a@b.example,c@d.example" }, "address_malformed"},
		{"no address", func(r *message.Rendered) { r.To.Email = "" }, "address_malformed"},
		{"an address without domain", func(r *message.Rendered) { r.To.Email = "a@" }, "address_malformed"},
		{"an address of 255 octets", func(r *message.Rendered) { r.To.Email = "a@" + strings.Repeat("b.", 127) + "xy" }, "address_malformed"},
		{"angle brackets in From", func(r *message.Rendered) { r.From.Email = "<a@b.example>" }, "address_malformed"},
		{"a header of ours", func(r *message.Rendered) { r.Headers = [][2]string{{"bcc", "x"}} }, "header_not_allowed"},
		{"a header name with a line end", func(r *message.Rendered) { r.Headers = [][2]string{{"X\r\nBcc", "x"}} }, "header_not_allowed"},
		{"a content header", func(r *message.Rendered) { r.Headers = [][2]string{{"Content-Type", "x"}} }, "header_not_allowed"},
		{"a Message-ID with a line end", func(r *message.Rendered) { r.MessageID = "<a@b>\r\nX: <y>" }, "message_id_malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := sample()
			tt.bend(&r)
			_, err := letter.Append(nil, &r, at)
			if fault.CodeOf(err) != tt.code || fault.KindOf(err) != fault.Invalid {
				t.Errorf("error %v, want %s", err, tt.code)
			}
		})
	}
}

func TestMailbox(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"a@b.example", "a@b.example"},
		{"first.last+tag@b.example", "first.last+tag@b.example"},
		{`"quoted local"@b.example`, `"quoted local"@b.example`},
		{"a@bücher.example", "a@xn--bcher-kva.example"},
		{"jürgen@b.example", "jürgen@b.example"},
		{"a@b", "a@b"},
		{"a@[127.0.0.1]", "a@[127.0.0.1]"},
		{".a@b.example", ""}, {"a.@b.example", ""}, {"a..b@c.example", ""}, {"a@b.example.", ""}, {"a@-b.example", ""},
		{`"a"b"@c.example`, ""}, {"\"a\r\n\"@c.example", ""}, {"a@b\x00.example", ""}, {"a\xff@b.example", ""}, {"@b.example", ""},
		{strings.Repeat("a", 65) + "@b.example", ""},
	}
	for _, tt := range tests {
		got, err := letter.Mailbox(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("Mailbox(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		"Hello", "Grüße", "x\r\nBcc: a@b.example", strings.Repeat("long ", 300), strings.Repeat("x", 3000), "=?utf-8?q?=0D=0A?=",
		"\u202eevil", "\xff\xfe\x00", "a\u2028b", "  blanks  inside  ", "", "👩‍👩‍👧 family", "\t", "a ?= b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		raw := letter.AppendHeader(nil, "Subject", value)
		checkLines(t, raw)
		for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
			if utf8.RuneCount(line) != len(line) {
				t.Fatalf("not ASCII: %q", line)
			}
		}
		m, err := mail.ReadMessage(bytes.NewReader(append(bytes.Clone(raw), "\r\nbody"...)))
		if err != nil || len(m.Header) != 1 {
			t.Fatalf("headers %v, %v from %q", m, err, raw)
		}
		if body, _ := io.ReadAll(m.Body); string(body) != "body" {
			t.Fatalf("body %q from %q", body, raw)
		}
		got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil {
			t.Fatalf("decode %q: %v", raw, err)
		}
		if want := expect(value); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
			t.Fatalf("got %q, want %q, wrote %q", got, want, raw)
		}
	})
}

// expect is what a reader should see of a value.
func expect(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x20, r >= 0x7f && r <= 0x9f, r == 0x2028, r == 0x2029:
			return ' '
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff:
			return -1
		}
		return r
	}, s)
}

func FuzzMail(f *testing.F) {
	f.Add("Ann", "a@b.example", "Hello", "text", "<p>html</p>")
	f.Add("x\r\ny", "a b@c.example", "s\n.\r\n", "\r\n.\r\nMAIL", "\r.\n\x00")
	f.Add(`"`, `"q"@b.example`, "é", "--=_msg", strings.Repeat("é", 200))
	f.Fuzz(func(t *testing.T, name, to, subject, text, html string) {
		r := sample()
		r.To = message.Address{Name: name, Email: to}
		r.Subject, r.Text, r.HTML = subject, []byte(text), []byte(html)
		raw, err := letter.Append(nil, &r, at)
		if err != nil {
			return
		}
		checkLines(t, raw)
		m := read(t, raw)
		if len(m.Header) > 11 {
			t.Fatalf("headers %v", m.Header)
		}
		if types, _ := parts(t, m); len(types) > 2 {
			t.Fatalf("parts %v", types)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r := sample()
	r.HTML = bytes.Repeat([]byte("<p style=\"margin:0\">Grüße, schön dass du da bist, hier sind deine Sachen.</p>\n"), 100)
	r.Text = bytes.Repeat([]byte("Grüße, hier sind deine Sachen.\n"), 60)
	buf, _ := letter.Append(nil, &r, at)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = letter.Append(buf[:0], &r, at)
	}
}
