package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/fault"
)

// write puts a certificate of its own and its key into a folder, whole or not at
// all as operators' tools do.
func write(t *testing.T, dir, name string, expires time.Time, which ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: expires.Add(-time.Hour), NotAfter: expires}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: raw}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if len(which) > 0 && which[0] != file {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "new"), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
}

// served gives the name in the certificate that a handshake shows.
func served(t *testing.T, k *Keeper, c *tls.Config) (string, error) {
	t.Helper()
	a, b := net.Pipe()
	server := tls.Server(a, k.TLS())
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(t.Context()) }()
	c.InsecureSkipVerify = true
	client := tls.Client(b, c)
	err := client.HandshakeContext(t.Context())
	_ = b.Close() // The server's end must not wait for more.
	<-done
	if err != nil {
		return "", err
	}
	return client.ConnectionState().PeerCertificates[0].DNSNames[0], nil
}

func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir, expires := t.TempDir(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	write(t, dir, "first.example", expires)
	k, err := New(Config{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")})
	if err != nil {
		t.Fatal(err)
	}
	if s := k.Standing(); !s.Expires.Equal(expires) || s.Names[0] != "first.example" {
		t.Errorf("it stands at %+v", s)
	}
	want := func(name string) {
		t.Helper()
		if got, err := served(t, k, &tls.Config{}); err != nil || got != name {
			t.Errorf("%q is served, %v; want %q", got, err, name)
		}
	}
	want("first.example")
	write(t, dir, "second.example", expires.AddDate(1, 0, 0))
	want("second.example")
	if s := k.Standing(); !s.Expires.Equal(expires.AddDate(1, 0, 0)) {
		t.Errorf("after it was replaced it stands at %+v", s)
	}
	write(t, dir, "half.example", expires, "cert.pem") // and the key not yet
	want("second.example")
	if err := os.Remove(filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	want("second.example")
	write(t, dir, "third.example", expires)
	want("third.example")
}

// TestStandingTouchesNothing: what a certificate stands for is told without writing
// into the certificate that is served at the same time.
func TestStandingTouchesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.example", time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	k, err := New(Config{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")})
	if err != nil {
		t.Fatal(err)
	}
	leaf := k.source.(*pair).held.Leaf
	leaf.DNSNames = append(make([]string, 0, 2), "a.example") // with room behind it
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	if s := k.Standing(); strings.Join(s.Names, " ") != "a.example 127.0.0.1" {
		t.Errorf("it stands for %q", s.Names)
	}
	if behind := leaf.DNSNames[:2][1]; behind != "" {
		t.Errorf("%q was written into the certificate", behind)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "shop.example", time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	k, err := New(Config{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")})
	if err != nil {
		t.Fatal(err)
	}
	if name, err := served(t, k, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Errorf("TLS 1.1 is served %q", name)
	}
	if _, err := served(t, k, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.example", time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	cert, key, junk := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		config Config
		code   string
	}{
		"nothing":             {Config{}, "no_certificate"},
		"no key":              {Config{CertFile: cert}, "half_certificate"},
		"no certificate":      {Config{KeyFile: key}, "half_certificate"},
		"both ways":           {Config{CertFile: cert, KeyFile: key, Names: []string{"a.example"}}, "two_certificates"},
		"junk":                {Config{CertFile: junk, KeyFile: key}, "bad_certificate"},
		"not there":           {Config{CertFile: cert + "x", KeyFile: key}, "bad_certificate"},
		"the wrong way round": {Config{CertFile: key, KeyFile: cert}, "bad_certificate"},
		"a wildcard":          {Config{Names: []string{"*.shop.example"}, Folder: dir}, "bad_host_name"},
		"a port":              {Config{Names: []string{"shop.example:443"}, Folder: dir}, "bad_host_name"},
		"one label":           {Config{Names: []string{"shop"}, Folder: dir}, "bad_host_name"},
		"a plain directory":   {Config{Names: []string{"a.example"}, Folder: dir, Directory: "http://ca.example/dir"}, "bad_directory"},
		"roots of junk":       {Config{Names: []string{"a.example"}, Folder: dir, RootsFile: junk}, "bad_roots"},
	} {
		_, err := New(row.config)
		if fault.CodeOf(err) != row.code {
			t.Errorf("%s: got %v, want %s", name, err, row.code)
		}
	}
	k, err := New(Config{Names: []string{"Mail.Shop.Example"}, Folder: dir})
	if err != nil {
		t.Fatal(err)
	}
	if s := k.Standing(); strings.Join(s.Missing, " ") != "mail.shop.example" || !s.Expires.IsZero() {
		t.Errorf("before anybody was asked it stands at %+v", s)
	}
	if _, err := served(t, k, &tls.Config{}); err == nil {
		t.Error("a certificate is served before there is one")
	}
}
