package kms_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rapport/internal/fault"
	"rapport/internal/seal"
	"rapport/internal/seal/kms"
)

var at = time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)

// vaulted is the key that a stand-in keeps: it seals with associated data, as the
// services do.
type vaulted struct{ aead cipher.AEAD }

func newVaulted(t *testing.T) vaulted {
	t.Helper()
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // It never fails.
	block, err := aes.NewCipher(raw)
	must(t, err)
	a, err := cipher.NewGCM(block)
	must(t, err)
	return vaulted{a}
}

func (v vaulted) seal(plain, associated []byte) []byte {
	nonce := make([]byte, v.aead.NonceSize())
	_, _ = rand.Read(nonce) // It never fails.
	return v.aead.Seal(nonce, nonce, plain, associated)
}

func (v vaulted) open(body, associated []byte) ([]byte, bool) {
	n := v.aead.NonceSize()
	if len(body) < n {
		return nil, false
	}
	plain, err := v.aead.Open(nil, body[:n], body[n:], associated)
	return plain, err == nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// standIn is a service that speaks the protocol.
type standIn struct {
	t       *testing.T
	server  *httptest.Server
	answers atomic.Int64 // a status to answer instead, or 0
}

func serve(t *testing.T, h func(s *standIn, w http.ResponseWriter, r *http.Request)) *standIn {
	t.Helper()
	s := &standIn{t: t}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := s.answers.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		h(s, w, r)
	}))
	t.Cleanup(s.server.Close)
	return s
}

func (s *standIn) json(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.t.Error(err)
	}
}

// read decodes a request strictly: a member that the service does not know is a mistake.
func (s *standIn) read(r *http.Request, body []byte, v any) {
	s.t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil || r.Method != http.MethodPost {
		s.t.Errorf("%s %s: %s: %v", r.Method, r.URL.Path, body, err)
	}
}

func root(t *testing.T, c kms.Config, address string) seal.Root {
	t.Helper()
	c.Now, c.Client = func() time.Time { return at }, &http.Client{Timeout: 10 * time.Second}
	client, err := kms.New(c)
	must(t, err)
	key, err := client.GetAEAD(address)
	must(t, err)
	return key
}

// holds has a key wrap and unwrap, refuses another label, and says what is the
// matter when the service is not there or will not.
func holds(t *testing.T, s *standIn, key, stranger seal.Root) {
	t.Helper()
	body, err := key.Encrypt([]byte("a wrapping key"), []byte("label"))
	must(t, err)
	if bytes.Contains(body, []byte("a wrapping key")) {
		t.Fatalf("%q", body)
	}
	plain, err := key.Decrypt(body, []byte("label"))
	if err != nil || string(plain) != "a wrapping key" {
		t.Errorf("%q, %v", plain, err)
	}
	for what, err := range map[string]error{
		"another label": second(key.Decrypt(body, []byte("other"))),
		"a stranger":    second(stranger.Encrypt([]byte("x"), nil)),
	} {
		if fault.KindOf(err) != fault.Denied || fault.CodeOf(err) != "kms_refused" || !strings.Contains(err.Error(), "may this server use the key") {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.answers.Store(http.StatusServiceUnavailable)
	if _, err := key.Decrypt(body, []byte("label")); fault.CodeOf(err) != "kms_unreachable" {
		t.Errorf("a service that is ill: %v", err)
	}
	s.server.Close()
	if _, err := key.Decrypt(body, []byte("label")); fault.CodeOf(err) != "kms_unreachable" || !strings.Contains(err.Error(), "may this machine reach it") {
		t.Errorf("a service that is gone: %v", err)
	}
}

func second(_ []byte, err error) error { return err }

// TestAddressesThatAreNone are refused with the form that is one.
func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	client, err := kms.New(kms.Config{
		Now: time.Now, Client: http.DefaultClient, Vault: kms.Vault{Token: "t", Address: "http://vault.example"},
		AWS: kms.AWS{AccessKey: "a", Secret: "s"},
	})
	must(t, err)
	for address, says := range map[string]string{
		"":                             "hcvault://HOST",
		"file://x":                     "hcvault://HOST",
		"aws-kms://alias/x":            "aws-kms://arn:aws:kms:REGION",
		"gcp-kms://projects/p":         "gcp-kms://projects/P/locations",
		"hcvault://vault.example":      "hcvault://HOST/transit/keys/NAME",
		"hcvault://vault.example/keys": "hcvault://HOST/transit/keys/NAME",
		"gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k": "GOOGLE_APPLICATION_CREDENTIALS",
	} {
		if _, err := client.GetAEAD(address); fault.CodeOf(err) != "root_key_invalid" || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", address, err)
		}
	}
	key, err := client.GetAEAD("hcvault://vault.example/transit/keys/rapport")
	must(t, err)
	if _, err := key.Encrypt([]byte("x"), nil); fault.CodeOf(err) != "root_key_invalid" || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("over plain HTTP: %v", err)
	}
}
