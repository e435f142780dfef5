package devinbox

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
)

// content is a mail taken apart for reading.
type content struct {
	Headers [][2]string
	Text    string
	HTML    string
	Other   []string // media types of what is not shown
}

// Limits of what is taken apart.
const (
	partsMost = 100
	depthMost = 8
)

// subjectOf reads the subject without taking the mail apart.
func subjectOf(raw []byte) string {
	for _, h := range headersOf(raw) {
		if strings.EqualFold(h[0], "Subject") {
			return h[1]
		}
	}
	return ""
}

// headersOf gives the header fields in order, unfolded and decoded.
func headersOf(raw []byte) [][2]string {
	var out [][2]string
	dec := new(mime.WordDecoder)
	for len(raw) > 0 {
		line := raw
		if n := bytes.IndexByte(raw, '\n'); n >= 0 {
			line, raw = raw[:n], raw[n+1:]
		} else {
			raw = nil
		}
		text := strings.ToValidUTF8(strings.TrimRight(string(line), "\r\n"), "\uFFFD")
		if text == "" {
			break
		}
		if (text[0] == ' ' || text[0] == '\t') && len(out) > 0 {
			out[len(out)-1][1] += " " + strings.TrimSpace(text)
			continue
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			break
		}
		out = append(out, [2]string{name, strings.TrimSpace(value)})
	}
	for i := range out {
		if plain, err := dec.DecodeHeader(out[i][1]); err == nil {
			out[i][1] = plain
		}
	}
	return out
}

// read takes a mail apart. What is malformed is shown as text.
func read(raw []byte) content {
	c := content{Headers: headersOf(raw)}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		c.Text = strings.ToValidUTF8(string(raw), "\uFFFD")
		return c
	}
	left := partsMost
	c.part(textproto.MIMEHeader(m.Header), m.Body, 0, &left)
	return c
}

// part takes in one part, and those within it.
func (c *content) part(h textproto.MIMEHeader, body io.Reader, depth int, left *int) {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if *left--; *left < 0 || depth > depthMost {
		return
	}
	if strings.HasPrefix(kind, "multipart/") {
		for r := multipart.NewReader(body, params["boundary"]); ; {
			p, err := r.NextRawPart()
			if err != nil {
				return
			}
			c.part(p.Header, p, depth+1, left)
		}
	}
	switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	b, _ := io.ReadAll(body) // What could be decoded is shown.
	text := strings.ToValidUTF8(string(b), "\uFFFD")
	switch {
	case kind == "text/plain" && c.Text == "":
		c.Text = text
	case kind == "text/html" && c.HTML == "":
		c.HTML = text
	default:
		c.Other = append(c.Other, kind)
	}
}
