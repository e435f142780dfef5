package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"rapport/internal/fault"
)

// authority asks an authority for certificates, proves that the names are ours, and
// renews in time. The proof is given by the very listener that serves everybody else
// (TLS-ALPN-01), so no other port need be open; where plain HTTP is listened to as
// well, that may give it too (HTTP-01).
type authority struct {
	Config
	roots   *x509.CertPool
	cache   *certmagic.Cache
	managed atomic.Pointer[certmagic.Config]     // set while it runs
	issuer  atomic.Pointer[certmagic.ACMEIssuer] // likewise
}

func newACME(c Config) (*authority, error) {
	if c.Folder == "" {
		return nil, errors.New("cert: Folder is required with Names")
	}
	if c.Directory == "" {
		c.Directory = LetsEncrypt
	}
	if u, err := url.Parse(c.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fault.New(fault.Invalid, "bad_directory", "the directory of an authority is an https address such as %s, not %q", LetsEncrypt, c.Directory)
	}
	a := &authority{Config: c}
	if c.RootsFile != "" {
		pem, err := os.ReadFile(c.RootsFile)
		if err != nil {
			return nil, fmt.Errorf("read the roots of the authority: %w", err)
		}
		if a.roots = x509.NewCertPool(); !a.roots.AppendCertsFromPEM(pem) {
			return nil, fault.New(fault.Invalid, "bad_roots", "%s holds no certificate in PEM", c.RootsFile)
		}
	}
	return a, nil
}

func (a *authority) config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			m := a.managed.Load()
			if m == nil {
				return nil, errors.New("certificates are not kept at the moment")
			}
			return m.GetCertificate(hello)
		},
		NextProtos: []string{"acme-tls/1"}, // RFC 8737
	}
}

// run has the names' certificates obtained and renewed. What cannot be had now is
// tried again for days, with longer and longer pauses.
func (a *authority) run(ctx context.Context, address, plain string) error {
	host, number, err := place(address)
	if err != nil {
		return err
	}
	other := 0
	if plain != "" {
		if _, other, err = place(plain); err != nil {
			return err
		}
	}
	var m *certmagic.Config
	silent := zap.NewNop() // It would write people's addresses; told says what matters.
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return m, nil },
		Logger:           silent,
	})
	defer a.cache.Stop()
	defer certmagic.CleanUpOwnLocks(context.WithoutCancel(ctx), silent) // Whoever opens the folder next need not wait for them.
	m = certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: a.Folder}, DefaultServerName: a.Names[0], OnEvent: a.told, Logger: silent,
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, // It would ask one more server, and authorities have given it up.
	})
	issuer := certmagic.NewACMEIssuer(m, certmagic.ACMEIssuer{
		CA: a.Directory, Email: a.Email, Agreed: true, TrustedRoots: a.roots, DisableHTTPChallenge: plain == "",
		ListenHost: host, AltTLSALPNPort: number, AltHTTPPort: other, Logger: silent,
		HTTPProxy: func(*http.Request) (*url.URL, error) { return nil, nil }, // The environment decides nothing here.
	})
	m.Issuers = []certmagic.Issuer{issuer}
	a.managed.Store(m)
	a.issuer.Store(issuer)
	defer a.managed.Store(nil)
	defer a.issuer.Store(nil)
	if err := m.ManageAsync(ctx, a.Names); err != nil {
		return fmt.Errorf("keep certificates: %w", err)
	}
	<-ctx.Done()
	return nil
}

// place takes an address apart at which an authority is answered.
func place(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		return "", 0, fmt.Errorf("where an authority is answered: %w", err)
	}
	return host, port, nil
}

// answers what an authority asks over plain HTTP, and tells whether it was that.
func (a *authority) answers(w http.ResponseWriter, r *http.Request) bool {
	return a.issuer.Load().HandleHTTPChallenge(w, r) // Nil answers nothing.
}

// told passes on what happens to a certificate.
func (a *authority) told(_ context.Context, what string, data map[string]any) error {
	name := slog.Any("name", data["identifier"])
	switch what {
	case "cert_obtained":
		a.Logger.Info("a certificate was obtained", name, slog.Any("renewed", data["renewal"]))
	case "cert_failed":
		a.Logger.Error("a certificate could not be obtained and is tried again: does the name lead to this server, and the outside's port 443 to its --listen, or port 80 to its --listen-http?",
			name, slog.Any("error", data["error"]))
	}
	return nil
}

func (a *authority) standing() Standing {
	s := Standing{Names: a.Names}
	if a.managed.Load() == nil {
		s.Missing = a.Names
		return s
	}
	for _, name := range a.Names {
		var best x509.Certificate
		for _, c := range a.cache.AllMatchingCertificates(name) {
			if c.Leaf != nil && c.Leaf.NotAfter.After(best.NotAfter) {
				best = *c.Leaf
			}
		}
		switch {
		case best.NotAfter.IsZero():
			s.Missing = append(s.Missing, name)
		case s.Expires.IsZero() || best.NotAfter.Before(s.Expires):
			s.Expires = best.NotAfter
		}
	}
	return s
}
