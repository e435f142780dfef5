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
func (t *Trail) Certify(lines []string) (string, error) { return certify(t.signer, lines) }

// CertifyWith does the same with a signing key, where nobody keeps a trail.
func CertifyWith(key string, lines []string) (string, error) {
	s, err := note.NewSigner(key)
	if err != nil {
		return "", fault.New(fault.Conflict, "trail_key_damaged", "the key that signs the trail cannot be read: restore it from a backup")
	}
	return certify(s, lines)
}

func certify(signer note.Signer, lines []string) (string, error) {
	for _, l := range lines {
		if strings.ContainsAny(l, "\r\n") || l == "" {
			return "", fault.New(fault.Internal, "bad_certificate", "a line of a certificate is empty or holds a line break")
		}
	}
	raw, err := note.Sign(&note.Note{Text: certificate + "\n" + strings.Join(lines, "\n") + "\n"}, signer)
	if err != nil {
		return "", fmt.Errorf("sign a certificate: %w", err)
	}
	return string(raw), nil
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
