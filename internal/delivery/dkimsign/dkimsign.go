// Package dkimsign signs mails with DKIM (RFC 6376, RFC 8463). What comes in are
// the bytes of a whole mail; what goes out are the DKIM-Signature fields to put
// in front of it, one for each key: usually an rsa-sha256 signature that every
// receiver knows and an ed25519 one beside it. Signing is the dearest part of a
// mail, so no more mails are signed at a time than there are places. It never
// changes the mail and never keeps a key anywhere else.
package dkimsign

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// Key is one signing key, published in DNS under its selector.
type Key struct {
	Selector string
	PEM      []byte // PKCS #8, or PKCS #1 for RSA
}

// Config is what a Signer is made of. Domain and at least one key are required.
type Config struct {
	Domain string
	Keys   []Key
	Places int // mails signed at a time; 0: as many as there are cores
}

// Signer signs mails. It is safe for concurrent use.
type Signer struct {
	options []dkim.SignOptions
	places  chan struct{}
}

// signed lists the fields under the signature. Those that must not be added by
// somebody later are named once more than a mail has them, which makes a second
// one break the signature; RFC 8058 wants both unsubscribe fields here.
var signed = []string{
	"From", "From", "To", "To", "Subject", "Subject", "Date", "Date", "Message-ID", "Message-ID", "Reply-To",
	"MIME-Version", "Content-Type", "Content-Type", "Content-Transfer-Encoding",
	"List-Unsubscribe", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Unsubscribe-Post", "List-Id", "Feedback-ID", "Auto-Submitted",
}

// New reads the keys.
func New(c Config) (*Signer, error) {
	if c.Domain == "" || len(c.Keys) == 0 {
		return nil, errors.New("dkim: a domain and at least one key are required")
	}
	if c.Places <= 0 {
		// A caller that has raised GOMAXPROCS says itself how many cores there are.
		c.Places = min(runtime.NumCPU(), runtime.GOMAXPROCS(0))
	}
	s := &Signer{places: make(chan struct{}, c.Places)}
	for _, k := range c.Keys {
		if k.Selector == "" || strings.ContainsAny(k.Selector, " ;\r\n\t") {
			return nil, errors.New("dkim: a key needs a selector, the name under which it stands in DNS")
		}
		key, err := parse(k.PEM)
		if err != nil {
			return nil, fmt.Errorf("dkim: key of selector %q: %w", k.Selector, err)
		}
		s.options = append(s.options, dkim.SignOptions{
			Domain: c.Domain, Selector: k.Selector, Signer: key, HeaderKeys: slices.Clone(signed),
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		})
	}
	return s, nil
}

// parse reads a private key that DKIM knows.
func parse(b []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("it is not PEM; write one with `openssl genpkey`")
	}
	if block.Type == "RSA PRIVATE KEY" {
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("the RSA key cannot be read")
		}
		return strong(key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is neither a PKCS #8 nor an RSA private key")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return strong(key)
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errors.New("DKIM knows RSA and Ed25519 keys only")
}

// strong refuses RSA keys that receivers ignore.
func strong(key *rsa.PrivateKey) (crypto.Signer, error) {
	if bits := key.N.BitLen(); bits < 1024 {
		return nil, fmt.Errorf("an RSA key of %d bits is too short; use 2048", bits)
	}
	return key, nil
}

// Sign gives the fields to put in front of a mail, with their line ends. It
// waits for a place, at most until the context ends.
func (s *Signer) Sign(ctx context.Context, mail []byte) ([]byte, error) {
	select {
	case s.places <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.places }()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []byte
	for i := range s.options {
		g, err := dkim.NewSigner(&s.options[i])
		if err != nil {
			return nil, fmt.Errorf("prepare a signature: %w", err)
		}
		_, err = g.Write(mail)
		if end := g.Close(); err == nil {
			err = end
		}
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		out = append(out, g.Signature()...)
	}
	return out, nil
}
