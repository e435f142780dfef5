// Package fetch is the one guarded HTTP client: it posts to addresses that
// somebody configured and that nobody vouches for. What comes in are an address,
// headers and a body; what goes out is a status, or a fault with a stable code.
// It connects only where it may: by default to public addresses, which it looks
// at after names are resolved, at the very address that is dialled. It follows no
// redirect, heeds no proxy, reads little of an answer and keeps none of it.
package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rapport/internal/fault"
)

// The limits of one exchange.
const (
	DefaultTimeout = 15 * time.Second // from the name's look-up to the last byte of the answer
	MaxAnswer      = 64 << 10         // bytes of an answer that are read; the rest is left on the wire
	maxHeader      = 32 << 10         // bytes of an answer's headers
	dialTimeout    = 10 * time.Second
)

// The codes of what goes wrong before there is a status.
const (
	Forbidden   = "address_forbidden" // the name leads to where this client may not go
	TimedOut    = "timeout"
	Unreachable = "unreachable"
	Untrusted   = "tls_failed"
	Garbled     = "bad_answer" // what answered does not speak HTTP, or says too much
)

// Config says where a Client may go. The zero value may go to public addresses
// only and has the default limits.
type Config struct {
	// Private allows this machine and private networks too. Addresses of the
	// link itself, where clouds keep secrets of machines, stay forbidden.
	Private     bool
	Timeout     time.Duration
	Connections int              // that are kept open for the next request
	TLS         *tls.Config      // nil: the system's authorities
	Now         func() time.Time // wall-clock time, for Retry-After in the form of a date; required
}

// Client posts. It is safe for concurrent use.
type Client struct {
	http *http.Client
	now  func() time.Time
}

// New makes a client.
func New(c Config) (*Client, error) {
	if c.Now == nil {
		return nil, errors.New("fetch: Config.Now is missing")
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Connections <= 0 {
		c.Connections = 2
	}
	d := &net.Dialer{Timeout: min(dialTimeout, c.Timeout), Control: func(_, address string, _ syscall.RawConn) error {
		return guard(address, c.Private)
	}}
	t := &http.Transport{
		DialContext: d.DialContext, TLSClientConfig: c.TLS, ForceAttemptHTTP2: true, // Proxy stays nil: the environment decides nothing here.
		MaxIdleConnsPerHost: c.Connections, MaxConnsPerHost: c.Connections, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: min(dialTimeout, c.Timeout), MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &Client{now: c.Now, http: &http.Client{
		Transport: t, Timeout: c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close lets go of connections that are kept open.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Answer is what is kept of an answer.
type Answer struct {
	Status     int
	RetryAfter time.Duration // zero: it does not say
}

// Post sends a body. Headers are set as they are given. An error has one of the
// codes of this package and names neither the address nor what was sent.
func (c *Client) Post(ctx context.Context, address string, headers http.Header, body []byte) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fault.New(fault.Invalid, Unreachable, "the address cannot be used")
	}
	r.Header = headers
	answer, err := c.http.Do(r)
	if err != nil {
		return Answer{}, told(err)
	}
	defer func() { _ = answer.Body.Close() }()                         // What matters of it was read.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, MaxAnswer)) // So that the connection may serve again.
	return Answer{answer.StatusCode, c.after(answer.Header.Get("Retry-After"))}, nil
}

// after reads Retry-After: seconds or a date.
func (c *Client) after(s string) time.Duration {
	if s = strings.TrimSpace(s); s == "" {
		return 0
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Duration(min(max(n, 0), int64(366*24*time.Hour/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(c.now()), 0)
	}
	return 0
}

// told makes a fault of an error of the wire, whose own words hold addresses.
func told(err error) error {
	var says *url.Error
	if errors.As(err, &says) {
		err = says.Err
	}
	var own *fault.Error
	var timeout net.Error
	var dial *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return temporary(TimedOut, "no answer came in time")
	case errors.As(err, &cert), errors.As(err, &record), errors.As(err, &alert), errors.Is(err, http.ErrSchemeMismatch):
		return temporary(Untrusted, "no trusted connection could be made")
	case errors.As(err, &dns):
		return temporary(Unreachable, "the name leads nowhere")
	case errors.As(err, &dial), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return temporary(Unreachable, "the connection could not be made, or broke")
	}
	return temporary(Garbled, "what answered cannot be understood")
}

func temporary(code, says string) error { return fault.New(fault.Unavailable, code, "%s", says) }

// guard looks at the address that is about to be dialled.
func guard(address string, private bool) error {
	at, err := netip.ParseAddrPort(address)
	if err == nil && Allowed(at.Addr(), private) {
		return nil
	}
	return fault.New(fault.Denied, Forbidden, "the name leads to an address that is not public")
}

// Allowed tells whether a client may connect to an address.
func Allowed(a netip.Addr, private bool) bool {
	a = a.WithZone("").Unmap()
	for _, p := range never {
		if p.Contains(a) {
			return false
		}
	}
	if !a.IsValid() || a.IsMulticast() || a.IsUnspecified() {
		return false
	}
	for _, p := range inside {
		if p.Contains(a) {
			return private
		}
	}
	return !(embeds(a) && !private)
}

// embeds tells whether an IPv6 address stands for an IPv4 address that is not
// public: through a translator it would lead there.
func embeds(a netip.Addr) bool {
	b := a.As16()
	for _, t := range translated {
		if t.prefix.Contains(a) {
			return !Allowed(netip.AddrFrom4([4]byte(b[t.at:t.at+4])), false)
		}
	}
	return false
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

var (
	// never holds what nobody's webhook is at: the link itself with the metadata
	// of clouds, this network, documentation, reserved and broadcast.
	never = prefixes("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"fe80::/10", "fec0::/10", "fd00:ec2::254/128", "100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16", "ff00::/8")
	// inside holds this machine and private networks.
	inside = prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "::1/128", "fc00::/7")
	// translated holds the prefixes under which IPv4 addresses hide, and where in
	// the address they stand: NAT64, its local form, 6to4, and the old compatible form.
	translated = []struct {
		prefix netip.Prefix
		at     int
	}{
		{netip.MustParsePrefix("64:ff9b::/96"), 12},
		{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
		{netip.MustParsePrefix("2002::/16"), 2},
		{netip.MustParsePrefix("::/96"), 12},
	}
)
