// Package letter writes a rendered mail as the bytes of an Internet message
// (RFC 5322, MIME). What comes in is a message.Rendered and an instant; what
// goes out are lines that end in CR LF and are at most 78 octets long wherever
// the standard leaves us the choice. Nothing that stands in a value can become a
// header, a part or a line of SMTP: control characters are taken out, bare CR
// and LF become line ends of the body only. It never signs and never sends.
package letter

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"rapport/internal/fault"
	"rapport/internal/message"
)

// ours are the header fields that this package writes by itself; a mail's own
// headers must not name them, nor those that only transport may write.
var ours = []string{
	"from", "to", "cc", "bcc", "sender", "reply-to", "subject", "date", "message-id", "mime-version",
	"return-path", "received", "dkim-signature", "authentication-results",
}

// Append writes the whole mail behind dst. The error is of kind fault.Invalid
// when the mail can never be written: a malformed address or header name.
func Append(dst []byte, r *message.Rendered, date time.Time) ([]byte, error) {
	from, err := address(r.From)
	if err != nil {
		return nil, fmt.Errorf("write From: %w", err)
	}
	to, err := address(r.To)
	if err != nil {
		return nil, fmt.Errorf("write To: %w", err)
	}
	if !isMessageID(r.MessageID) {
		return nil, fault.New(fault.Invalid, "message_id_malformed", "the Message-ID must be <left@right> in plain ASCII")
	}
	dst = appendFolded(dst, "From", from)
	dst = appendFolded(dst, "To", to)
	if r.ReplyTo != "" {
		reply, err := address(message.Address{Email: r.ReplyTo})
		if err != nil {
			return nil, fmt.Errorf("write Reply-To: %w", err)
		}
		dst = appendFolded(dst, "Reply-To", reply)
	}
	dst = AppendHeader(dst, "Subject", r.Subject)
	dst = appendFolded(dst, "Date", date.Format(time.RFC1123Z))
	dst = appendFolded(dst, "Message-ID", r.MessageID)
	for _, h := range r.Headers {
		lower := strings.ToLower(h[0])
		if !isToken(h[0]) || slices.Contains(ours, lower) || strings.HasPrefix(lower, "content-") {
			return nil, fault.New(fault.Invalid, "header_not_allowed", "a mail's own headers must be named with letters, digits and dashes and must not be %q", clip(h[0]))
		}
		dst = AppendHeader(dst, h[0], h[1])
	}
	dst = append(dst, "MIME-Version: 1.0\r\n"...)
	return appendBody(dst, r), nil
}

// NeedsUTF8 tells whether the envelope or the headers hold an address that only
// a server with SMTPUTF8 may be given.
func NeedsUTF8(r *message.Rendered) bool {
	for _, a := range [...]string{r.From.Email, r.To.Email, r.ReplyTo, r.EnvelopeFrom} {
		if local, _, ok := cutAddress(a); ok && !isASCII(local) {
			return true
		}
	}
	return false
}

// appendBody writes text first, then HTML, as two alternatives; a mail with one
// of them only is that one part.
func appendBody(dst []byte, r *message.Rendered) []byte {
	text, html := clean(r.Text), clean(r.HTML)
	switch {
	case len(html) == 0:
		return appendPart(dst, "plain", text, "")
	case len(text) == 0:
		return appendPart(dst, "html", html, "")
	}
	boundary := "=_" + r.ID.String()
	dst = append(dst, "Content-Type: multipart/alternative;\r\n boundary=\""...)
	dst = append(append(dst, boundary...), "\"\r\n\r\n"...)
	dst = append(append(append(dst, "--"...), boundary...), "\r\n"...)
	dst = appendPart(dst, "plain", text, boundary)
	dst = append(append(append(dst, "\r\n--"...), boundary...), "\r\n"...)
	dst = appendPart(dst, "html", html, boundary)
	return append(append(append(dst, "\r\n--"...), boundary...), "--\r\n"...)
}

// appendPart writes one part with the encoding that fits it. Quoted-printable
// and base64 cannot hold "=_", with which every boundary begins.
func appendPart(dst []byte, kind string, body []byte, boundary string) []byte {
	dst = append(append(append(dst, "Content-Type: text/"...), kind...), "; charset=utf-8\r\nContent-Transfer-Encoding: "...)
	plain, high := survey(body)
	switch {
	case plain && (boundary == "" || !bytes.Contains(body, []byte(boundary))):
		dst = append(append(dst, "7bit\r\n\r\n"...), body...)
	case high*3 > len(body):
		dst = appendBase64(append(dst, "base64\r\n\r\n"...), body)
	default:
		dst = appendQuoted(append(dst, "quoted-printable\r\n\r\n"...), body)
	}
	if !bytes.HasSuffix(dst, []byte("\r\n")) {
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// survey tells whether a body may go as it is (ASCII, short lines, no blanks at
// their ends) and counts the octets that may not. The body is clean.
func survey(body []byte) (plain bool, high int) {
	plain = true
	for rest := body; len(rest) > 0; {
		line := rest
		if n := bytes.IndexByte(rest, '\n'); n >= 0 {
			line, rest = rest[:n-1], rest[n+1:]
		} else {
			rest = nil
		}
		if n := len(line); n > lineMost || n > 0 && (line[n-1] == ' ' || line[n-1] == '\t') {
			plain = false
		}
		for _, c := range line {
			high += int(c >> 7)
		}
	}
	return plain && high == 0, high
}

// clean gives the body valid UTF-8 with CR LF line ends and without other
// control characters than tabs.
func clean(body []byte) []byte {
	if !utf8.Valid(body) {
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	out := make([]byte, 0, len(body)+len(body)/32+2)
	for len(body) > 0 {
		n := 0
		for n < len(body) && (body[n] >= 0x20 && body[n] != 0x7f || body[n] == '\t') {
			n++
		}
		out = append(out, body[:n]...)
		if n == len(body) {
			break
		}
		switch body[n] {
		case '\r':
			if n+1 < len(body) && body[n+1] == '\n' {
				n++
			}
			out = append(out, '\r', '\n')
		case '\n':
			out = append(out, '\r', '\n')
		}
		body = body[n+1:]
	}
	return out
}

// clip shortens what is quoted in an error.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}
