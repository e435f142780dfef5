package audit

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"rapport/internal/fault"
)

// certificate is the first line of what Certify signs: no checkpoint begins so.
const certificate = "rapport certificate"

// Certify signs a text of lines with the key of the trail. What it signs is no
// checkpoint and is taken for none.
func (t *Trail) Certify(lines []string) (string, error) {
	for _, l := range lines {
		if strings.ContainsAny(l, "\r\n") || l == "" {
			return "", fault.New(fault.Internal, "bad_certificate", "a line of a certificate is empty or holds a line break")
		}
	}
	raw, err := note.Sign(&note.Note{Text: certificate + "\n" + strings.Join(lines, "\n") + "\n"}, t.signer)
	if err != nil {
		return "", fmt.Errorf("sign a certificate: %w", err)
	}
	return string(raw), nil
}

// LinesOf reads a certificate without checking it, for whoever has just made it.
func LinesOf(raw []byte) ([]string, error) {
	text, _, ok := strings.Cut(string(raw), "\n\n")
	head, rest, _ := strings.Cut(text, "\n")
	if !ok || head != certificate {
		return nil, fault.New(fault.Invalid, "bad_certificate", "this is no certificate")
	}
	return strings.Split(rest, "\n"), nil
}

// OpenCertificate checks the signature of a certificate and gives its lines.
func OpenCertificate(raw []byte, key string) ([]string, error) {
	v, err := Verifier(key)
	if err != nil {
		return nil, err
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "bad_certificate", "the certificate is not signed by this key, or was changed")
	}
	head, rest, _ := strings.Cut(n.Text, "\n")
	if head != certificate {
		return nil, fault.New(fault.Invalid, "bad_certificate", "this is signed by the key and is no certificate")
	}
	return strings.Split(strings.TrimSuffix(rest, "\n"), "\n"), nil
}
