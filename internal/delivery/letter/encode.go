package letter

import "encoding/base64"

// lineMost is the longest line that we write by choice, without CR LF: what
// quoted-printable allows.
const lineMost = 76

const hexDigits = "0123456789ABCDEF"

// appendQuoted writes a body as quoted-printable: lines end where the body's do,
// longer ones are broken softly.
func appendQuoted(dst, body []byte) []byte {
	line := 0
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c == '\r' && i+1 < len(body) && body[i+1] == '\n' {
			dst = append(dst, '\r', '\n')
			line = 0
			i++
			continue
		}
		size := 3
		if c >= 0x21 && c <= 0x7e && c != '=' {
			size = 1
		} else if (c == ' ' || c == '\t') && i+1 < len(body) && body[i+1] != '\r' {
			size = 1
		}
		if line+size > lineMost-1 {
			dst = append(dst, '=', '\r', '\n')
			line = 0
		}
		if size == 1 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
		}
		line += size
	}
	return dst
}

// appendBase64 writes a body as base64 in lines of 76 characters.
func appendBase64(dst, body []byte) []byte {
	const chunk = lineMost / 4 * 3
	for len(body) > 0 {
		n := min(chunk, len(body))
		dst = base64.StdEncoding.AppendEncode(dst, body[:n])
		dst = append(dst, '\r', '\n')
		body = body[n:]
	}
	return dst
}
