package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"rapport/internal/doctor"
)

// writeCertificate puts a certificate for this machine into a folder, and gives
// the pool in which it is trusted.
func writeCertificate(t *testing.T, dir string, serial int64, expires time.Time) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: expires.AddDate(-1, 0, 0), NotAfter: expires,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: raw}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		text := pem.EncodeToMemory(block)
		pool.AppendCertsFromPEM(text)
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

var secureLine = regexp.MustCompile(`address=(https://127\.0\.0\.1:[0-9]+) `)

// TestServeUnderTLS serves under a certificate's files, replaces them while it
// runs, and lets a command speak to it.
func TestServeUnderTLS(t *testing.T) {
	t.Parallel()
	dir, data, certs := filepath.Join(t.TempDir(), "shop"), filepath.Join(t.TempDir(), "data"), t.TempDir()
	if _, err := writeScaffold(dir); err != nil {
		t.Fatal(err)
	}
	pool := writeCertificate(t, certs, 1, time.Now().AddDate(0, 1, 0))
	cmd, lines, at := startedSaying(t, secureLine, "serve", "--config", dir, "--data", data, "--listen", "127.0.0.1:0", "--admin", "",
		"--tls-cert", filepath.Join(certs, "cert.pem"), "--tls-key", filepath.Join(certs, "key.pem"))
	ask := func(pool *x509.CertPool) *http.Response {
		t.Helper()
		way := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
		defer way.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at[1]+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: way}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close() // Its header is what is looked at.
		return res
	}
	res := ask(pool)
	if got := res.Header.Get("Strict-Transport-Security"); res.StatusCode != http.StatusOK || got != "max-age=31536000" || res.ProtoMajor != 2 || res.TLS.Version != tls.VersionTLS13 {
		t.Errorf("got %d, HSTS %q, HTTP/%d, TLS %x", res.StatusCode, got, res.ProtoMajor, res.TLS.Version)
	}
	pool = writeCertificate(t, certs, 2, time.Now().AddDate(0, 2, 0))
	if got := ask(pool).TLS.PeerCertificates[0].SerialNumber.Int64(); got != 2 {
		t.Errorf("after the files were replaced certificate %d is served", got)
	}
	cli := program(t, "source", "report", "--url", at[1], "--data", data)
	cli.Env = append(cli.Env, "SSL_CERT_FILE="+filepath.Join(certs, "cert.pem"))
	if out, err := cli.CombinedOutput(); err != nil {
		t.Errorf("a command over https: %v\n%s", err, out)
	}
	look := program(t, "doctor", "--config", dir, "--data", data, "--url", at[1], "--offline", "--json")
	look.Env = append(look.Env, "SSL_CERT_FILE="+filepath.Join(certs, "cert.pem"))
	var found examined
	if out, err := look.Output(); err != nil || json.Unmarshal(out, &found) != nil {
		t.Errorf("doctor over https: %v\n%s", err, out)
	}
	for _, check := range []string{"running", "plain_http", "certificate", "key_age", "file_mode", "alert"} {
		i := slices.IndexFunc(found.Findings, func(f doctor.Finding) bool { return f.Check == check })
		if i < 0 || found.Findings[i].Grade != doctor.OK {
			t.Errorf("doctor says of %s: %+v", check, found.Findings)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, rest)
	}
}
