// Package kms is a root key that stands in a key management service: AWS KMS,
// Google Cloud KMS, or Vault's transit engine. What comes in is the key's address
// in the form that Tink gives it, and what the service wants to know its callers
// by; what goes out are wrapped keys. The service is asked when a house opens and
// when keys are rotated, never for an event.
package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/core/registry"
	"github.com/tink-crypto/tink-go/v2/tink"

	"rapport/internal/fault"
)

// Config says by what the services know us. Of those that are not asked nothing
// is needed.
type Config struct {
	AWS    AWS
	Google Google
	Vault  Vault
	Now    func() time.Time // required
	Client *http.Client     // required; its timeout bounds a call
}

// The schemes of addresses.
const (
	awsScheme    = "aws-kms://"
	googleScheme = "gcp-kms://"
	vaultScheme  = "hcvault://"
)

// Supported tells whether an address is one of a key management service.
func Supported(address string) bool {
	for _, s := range [...]string{awsScheme, googleScheme, vaultScheme} {
		if strings.HasPrefix(address, s) {
			return true
		}
	}
	return false
}

// Client gives the keys of all services. It is a registry.KMSClient of Tink's.
type Client struct{ c Config }

var _ registry.KMSClient = (*Client)(nil)

// New makes a client.
func New(c Config) (*Client, error) {
	if c.Now == nil || c.Client == nil {
		return nil, errors.New("kms: Config needs Now and Client")
	}
	own := *c.Client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // It would carry credentials to somebody else.
	c.Client = &own
	return &Client{c}, nil
}

// Supported implements registry.KMSClient.
func (*Client) Supported(address string) bool { return Supported(address) }

// GetAEAD gives the key at an address. It asks nobody yet.
func (c *Client) GetAEAD(address string) (tink.AEAD, error) {
	switch {
	case strings.HasPrefix(address, awsScheme):
		return newAWS(&c.c, strings.TrimPrefix(address, awsScheme))
	case strings.HasPrefix(address, googleScheme):
		return newGoogle(&c.c, strings.TrimPrefix(address, googleScheme))
	case strings.HasPrefix(address, vaultScheme):
		return newVault(&c.c, strings.TrimPrefix(address, vaultScheme))
	}
	return nil, invalid("%q is no root key: give aws-kms://ARN, gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K or hcvault://HOST/transit/keys/NAME", address)
}

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "root_key_invalid", format, args...)
}

const maxAnswer = 1 << 20

// private refuses to send keys and credentials over a wire that others can read.
func private(req *http.Request) error {
	host := req.URL.Hostname()
	if ip, err := netip.ParseAddr(host); req.URL.Scheme == "https" || host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return invalid("%s is not asked without TLS: give an https address", req.URL.Host)
}

// call posts JSON and reads the answer. prepare, if any, has the last word on the
// request. What the service says of an error is told; it never repeats keys.
func call(c *Config, service, address string, in, out any, prepare func(*http.Request, []byte) error) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("ask %s: %w", service, err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return invalid("%s cannot be asked at %q", service, address)
	}
	req.Header.Set("Content-Type", "application/json")
	if prepare != nil {
		if err := prepare(req, body); err != nil {
			return err
		}
	}
	return roundTrip(c, service, req, out)
}

func roundTrip(c *Config, service string, req *http.Request, out any) error {
	if err := private(req); err != nil {
		return err
	}
	res, err := c.Client.Do(req)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "kms_unreachable", "%s does not answer at %s: is it up, and may this machine reach it?", service, req.URL.Host)
	}
	defer func() { _ = res.Body.Close() }() // It was read to the end or given up.
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "kms_unreachable", "the answer of %s broke off", service)
	}
	switch {
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= http.StatusInternalServerError:
		return fault.New(fault.Unavailable, "kms_unreachable", "%s cannot answer now (%d): %s", service, res.StatusCode, said(raw))
	case res.StatusCode < 200 || res.StatusCode > 299:
		return fault.New(fault.Denied, "kms_refused", "%s refuses (%d): %s; may this server use the key, and is it the key under which the house was made?", service, res.StatusCode, said(raw))
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fault.Wrap(err, fault.Unavailable, "kms_answer", "the answer of %s cannot be understood", service)
	}
	return nil
}

// full refuses an answer without what was asked for: an empty key wraps nothing.
func full(service string, b []byte, err error) ([]byte, error) {
	if err == nil && len(b) == 0 {
		err = fault.New(fault.Unavailable, "kms_answer", "the answer of %s holds no key", service)
	}
	return b, err
}

// said gives what a service says is wrong, in a line.
func said(raw []byte) string {
	var a struct {
		Type    string          `json:"__type"`
		Message string          `json:"message"`
		Upper   string          `json:"Message"`
		Error   json.RawMessage `json:"error"`
		Details string          `json:"error_description"`
		Errors  []string        `json:"errors"`
	}
	if json.Unmarshal(raw, &a) != nil {
		return "no reason given"
	}
	var inner struct{ Status, Message string }
	var plain string
	if json.Unmarshal(a.Error, &inner) != nil {
		_ = json.Unmarshal(a.Error, &plain) // Neither: there is none.
	}
	var parts []string
	for _, s := range append([]string{a.Type, a.Message, a.Upper, inner.Status, inner.Message, plain, a.Details}, a.Errors...) {
		if s = strings.TrimSpace(s); s != "" && len(parts) < 4 && (len(parts) == 0 || parts[len(parts)-1] != s) {
			parts = append(parts, s[:min(len(s), 200)])
		}
	}
	if len(parts) == 0 {
		return "no reason given"
	}
	return strings.ToValidUTF8(strings.Join(parts, ", "), "?")
}
