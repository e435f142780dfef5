package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"rapport/internal/delivery"
	"rapport/internal/delivery/dkimsign"
	"rapport/internal/delivery/smtp"
	"rapport/internal/message"
	"rapport/internal/project"
)

// waysOut makes the ways out that a configuration names.
func (h *House) waysOut(c *project.Config) (map[string]delivery.Provider, map[string]delivery.Limits, error) {
	out, limits := map[string]delivery.Provider{}, map[string]delivery.Limits{}
	for _, p := range c.Providers {
		limits[p.Name] = delivery.Limits{
			Concurrency: p.Pacing.Connections, Rate: p.Pacing.PerSecond, DomainRate: p.Pacing.DomainPerSecond, Fallback: p.Pacing.Fallback,
		}
		if h.Wire != nil {
			out[p.Name] = h.Wire
			continue
		}
		switch p.Kind {
		case project.DevinboxProvider:
			out[p.Name] = h.inbox.Provider()
		default:
			relay, err := h.relay(p)
			if err != nil {
				return nil, nil, fmt.Errorf("provider %s: %w", p.Name, err)
			}
			out[p.Name] = relay
			if p.EnvelopeFrom != "" {
				out[p.Name] = returning{relay, p.EnvelopeFrom}
			}
		}
	}
	return out, limits, nil
}

// returning is a provider to which bounces come back at an address of its own.
type returning struct {
	delivery.Connector
	to string
}

var _ delivery.Connector = returning{}

// Send implements delivery.Provider.
func (r returning) Send(ctx context.Context, mails []message.Rendered) []message.Outcome {
	return r.Connector.Send(ctx, returnedTo(r.to, mails))
}

// Connect implements delivery.Connector.
func (r returning) Connect(ctx context.Context, mails []message.Rendered) (delivery.Line, message.Outcome) {
	l, o := r.Connector.Connect(ctx, returnedTo(r.to, mails))
	if l == nil {
		return nil, o
	}
	return returningLine{l, r.to}, o
}

// returningLine is a connection of such a provider.
type returningLine struct {
	delivery.Line
	to string
}

// Send implements delivery.Line.
func (l returningLine) Send(ctx context.Context, mails []message.Rendered) []message.Outcome {
	return l.Line.Send(ctx, returnedTo(l.to, mails))
}

func returnedTo(to string, mails []message.Rendered) []message.Rendered {
	own := slices.Clone(mails)
	for i := range own {
		own[i].EnvelopeFrom = to
	}
	return own
}

func (h *House) relay(p project.Provider) (*smtprelay.Relay, error) {
	c := smtprelay.Config{
		Addr: net.JoinHostPort(p.Host, strconv.Itoa(p.Port)), Username: p.User, Hello: h.hello,
		Connections: p.Pacing.Connections, PerConn: p.Pacing.PerConnection, Rate: p.Pacing.PerSecond,
		Now: h.clock.Now, Mono: time.Now,
	}
	switch p.TLS {
	case "implicit":
		c.TLS = smtprelay.Implicit
	case "none":
		c.TLS = smtprelay.None
	default:
		c.TLS = smtprelay.Required
	}
	if p.CAFile != "" {
		pem, err := h.Secrets.File(p.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca_file holds no certificate in PEM")
		}
		c.TLSBase = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if !p.Password.IsZero() {
		var err error
		if c.Password, err = h.Secrets.Resolve(p.Password); err != nil {
			return nil, err
		}
	}
	signer, err := h.signer(p.DKIM)
	if err != nil {
		return nil, err
	}
	if signer != nil {
		c.Signer = signer
	}
	return smtprelay.New(c)
}

func (h *House) signer(keys []project.DKIM) (*dkimsign.Signer, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	c := dkimsign.Config{Domain: keys[0].Domain, Places: h.Cores}
	for _, k := range keys {
		if k.Domain != c.Domain {
			return nil, fmt.Errorf("dkim keys of two domains, %s and %s: a provider signs for one", c.Domain, k.Domain)
		}
		pem, err := h.Secrets.Resolve(k.Key)
		if err != nil {
			return nil, err
		}
		c.Keys = append(c.Keys, dkimsign.Key{Selector: k.Selector, PEM: []byte(pem)})
	}
	return dkimsign.New(c)
}
