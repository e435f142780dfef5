package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"

	"rapport/internal/fault"
)

// pair is a certificate and its key in two files. Whether they have changed is
// looked at in every handshake, which costs far less than the handshake itself;
// so a new certificate is served at once, by whatever means it was put there.
type pair struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu     sync.Mutex
	held   *tls.Certificate
	was    [2]fs.FileInfo // of what is held, or of what could not be read last
	reason string         // why what is there now is not what is held
}

// load reads both files for the first time.
func (p *pair) load() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.was, err = p.look(); err == nil {
		p.held, err = p.read()
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "bad_certificate",
			"the certificate %s with the key %s cannot be used (%v): both are PEM, the key fits the certificate and has no passphrase", p.certFile, p.keyFile, err)
	}
	return nil
}

func (p *pair) look() (now [2]fs.FileInfo, err error) {
	for i, name := range []string{p.certFile, p.keyFile} {
		if now[i], err = os.Stat(name); err != nil {
			return now, err
		}
	}
	return now, nil
}

func (p *pair) read() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return nil, err
	}
	if c.Leaf == nil {
		c.Leaf, err = x509.ParseCertificate(c.Certificate[0])
	}
	return &c, err
}

// current gives what is in the files by now. While that cannot be used (one of
// the two was replaced and the other not yet), what was there before is served.
func (p *pair) current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := p.look()
	if err == nil && same(now, p.was) {
		return p.held
	}
	var c *tls.Certificate
	if err == nil {
		c, err = p.read()
	}
	if err != nil {
		if p.was = now; p.reason != err.Error() {
			p.reason = err.Error()
			p.logger.Error("the certificate's files have changed and cannot be used; the former one is still served", "error", err)
		}
		return p.held
	}
	p.held, p.was, p.reason = c, now, ""
	p.logger.Info("the certificate was replaced", "expires", c.Leaf.NotAfter)
	return c
}

func same(a, b [2]fs.FileInfo) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size() || !os.SameFile(a[i], b[i]) {
			return false
		}
	}
	return true
}

func (p *pair) config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current(), nil },
	}
}

func (p *pair) standing() Standing {
	leaf := p.current().Leaf
	names := slices.Clone(leaf.DNSNames) // What is served is read by others at the same time.
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return Standing{Names: names, Expires: leaf.NotAfter}
}

// run has nothing to do: whoever wrote the files renews them.
func (p *pair) run(ctx context.Context, _, _ string) error {
	<-ctx.Done()
	return nil
}

// answers nothing: nobody is asked for a certificate.
func (p *pair) answers(http.ResponseWriter, *http.Request) bool { return false }
