package app

import (
	"net/http"

	"rapport/internal/cert"
	"rapport/internal/doctor"
	"rapport/internal/fault"
	"rapport/internal/telemetry"
)

// Check refuses doors that others could read along at: whoever wants that says so.
func (d *Doors) Check() error {
	if d.TLS == nil && !d.Plain && d.Listener == nil && !telemetry.IsLoopback(d.Listen) {
		return fault.New(fault.Invalid, "plain_http",
			"%s can be reached by others, who would send people's data and keys without TLS: give a certificate with --tls-cert and --tls-key, have one made with --acme-domain, listen on 127.0.0.1, or say --plain-http if a proxy before it ends TLS (docs/tls.md)",
			d.Listen)
	}
	if d.HTTP != "" && d.TLS == nil {
		return fault.New(fault.Invalid, "http_beside_nothing", "--listen-http is for plain HTTP beside TLS, and there is no certificate: give one with --tls-cert and --tls-key, or have one made with --acme-domain (docs/tls.md)")
	}
	return nil
}

// Scheme is how the doors are spoken to: "https" or "http".
func (d *Doors) Scheme() string {
	if d.TLS != nil {
		return "https"
	}
	return "http"
}

// certify has a server serve under a certificate, where one is wanted.
func (h *House) certify(d *Doors, server *http.Server) error {
	if d.TLS == nil {
		return nil
	}
	c := *d.TLS
	c.Logger = h.logger.With("room", "cert")
	keeper, err := cert.New(c)
	if err != nil {
		return err
	}
	h.certificate.Store(keeper)
	server.TLSConfig = keeper.TLS()
	server.Handler = strictly(server.Handler)
	return nil
}

// strictly tells browsers for a year to come back by https only (RFC 6797). It
// speaks for this host alone: what else is in its domain is not ours to decide.
func strictly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		next.ServeHTTP(w, r)
	})
}

// reached tells how others reach the house, nil while they do not.
func (h *House) reached() *doctor.Doors {
	open := h.open.Load()
	if open == nil {
		return nil
	}
	d := *open
	if k := h.certificate.Load(); k != nil {
		s := k.Standing()
		d.Certificate = &s
	}
	return &d
}
