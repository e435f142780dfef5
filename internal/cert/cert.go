// Package cert keeps the certificate under which the doors are served. What comes
// in are two files, which are read again when they change, or the names for which
// an authority gives certificates by ACME (RFC 8555); what goes out is a
// configuration of TLS and until when it can be used. It opens no listener, and
// knows no way to be asked without TLS 1.2 or newer.
package cert

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"rapport/internal/fault"
)

// LetsEncrypt is the directory of the authority that is asked where no other is named.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Config says where the certificate comes from: CertFile and KeyFile, or Names.
type Config struct {
	CertFile string // the certificate in PEM, and those between it and its root
	KeyFile  string // its key in PEM

	Names     []string // host names for which an authority is asked
	Email     string   // where the authority may write to; "": nowhere
	Directory string   // of the authority; "": LetsEncrypt
	RootsFile string   // PEM with which the directory's own certificate is checked; "": as the system does
	Folder    string   // where account, keys and certificates are kept, readable by their owner only

	Logger *slog.Logger // nil: none
}

// Wanted tells whether a certificate is asked for at all.
func (c *Config) Wanted() bool { return c.CertFile != "" || c.KeyFile != "" || len(c.Names) > 0 }

// Standing is what a certificate is good for.
type Standing struct {
	Names   []string  `json:"names"`
	Expires time.Time `json:"expires,omitzero"`  // of what expires first; zero: there is none yet
	Missing []string  `json:"missing,omitempty"` // names for which there is none yet
}

// Keeper keeps a certificate. It is safe for concurrent use.
type Keeper struct {
	source source
}

// source is one of the two ways to a certificate.
type source interface {
	config() *tls.Config
	standing() Standing
	run(ctx context.Context, address, plain string) error
	answers(w http.ResponseWriter, r *http.Request) bool
}

// New reads what must be there from the start: files, or roots. Nobody is asked
// before Run.
func New(c Config) (*Keeper, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	files := c.CertFile != "" || c.KeyFile != ""
	switch {
	case files && len(c.Names) > 0:
		return nil, fault.New(fault.Invalid, "two_certificates", "a certificate comes from files or by ACME: leave out the one or the other")
	case files && (c.CertFile == "" || c.KeyFile == ""):
		return nil, fault.New(fault.Invalid, "half_certificate", "a certificate needs its key: name both files")
	case files:
		f := &pair{certFile: c.CertFile, keyFile: c.KeyFile, logger: c.Logger}
		return &Keeper{f}, f.load()
	case len(c.Names) == 0:
		return nil, fault.New(fault.Invalid, "no_certificate", "name the files of a certificate, or host names for which an authority is asked")
	}
	for i, n := range c.Names {
		c.Names[i] = strings.ToLower(strings.TrimSpace(n))
		if !isHost(c.Names[i]) {
			return nil, fault.New(fault.Invalid, "bad_host_name", "%q is no host name that an authority gives a certificate for: write one such as mail.shop.example", n)
		}
	}
	a, err := newACME(c)
	if err != nil {
		return nil, err
	}
	return &Keeper{a}, nil
}

// isHost tells whether text is a name of at least two labels, without a port or a wildcard.
func isHost(text string) bool {
	labels := strings.Split(text, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return len(labels) > 1 && len(text) <= 253
}

// TLS gives the configuration with which a server uses the certificate of the
// moment: TLS 1.2 or newer, HTTP/2 where the caller speaks it.
func (k *Keeper) TLS() *tls.Config {
	c := k.source.config()
	c.MinVersion = tls.VersionTLS12
	c.NextProtos = append([]string{"h2", "http/1.1"}, c.NextProtos...)
	return c
}

// Standing tells until when what is served can be used.
func (k *Keeper) Standing() Standing { return k.source.standing() }

// Run gets and renews certificates until the context ends. The addresses are where
// the server that uses TLS listens, and, if there is one, that of HTTP: an authority
// that asks whether the names are ours is answered there.
func (k *Keeper) Run(ctx context.Context, address, plain string) error {
	return k.source.run(ctx, address, plain)
}

// HTTP answers over plain HTTP what authorities ask, and leaves the rest to next.
func (k *Keeper) HTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !k.source.answers(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}
