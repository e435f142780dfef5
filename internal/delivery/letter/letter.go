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
// their ends) and counts the octets that may not.
func survey(body []byte) (plain bool, high int) {
	plain = true
	line := 0
	var last byte
	for _, c := range body {
		switch {
		case c >= 0x80:
			high++
			plain = false
		case c == '\n':
			line = 0
		case c == '\r':
			plain = plain && last != ' ' && last != '\t'
		default:
			line++
		}
		plain = plain && line <= lineMost
		last = c
	}
	return plain && last != ' ' && last != '\t', high
}

// clean gives the body valid UTF-8 with CR LF line ends and without other
// control characters than tabs.
func clean(body []byte) []byte {
	if isClean(body) {
		return body
	}
	body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	out := make([]byte, 0, len(body)+len(body)/32)
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\r':
			if i+1 < len(body) && body[i+1] == '\n' {
				i++
			}
			out = append(out, '\r', '\n')
		case c == '\n':
			out = append(out, '\r', '\n')
		case c == '\t' || c >= 0x20 && c != 0x7f:
			out = append(out, c)
		}
	}
	return out
}

func isClean(body []byte) bool {
	for i, c := range body {
		switch {
		case c == '\n':
			if i == 0 || body[i-1] != '\r' {
				return false
			}
		case c == '\r':
			if i+1 == len(body) || body[i+1] != '\n' {
				return false
			}
		case c < 0x20 && c != '\t' || c >= 0x7f:
			return false // Not necessarily unclean, but it takes a closer look.
		}
	}
	return true
}

// clip shortens what is quoted in an error.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}
