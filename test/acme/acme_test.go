package acme

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/doctor/dnstest"
	"rapport/test/program"
)

func TestMain(m *testing.M) {
	code := m.Run()
	program.Remove()
	os.Exit(code)
}

// name is what a certificate is wanted for.
const name = "mail.shop.example"

// free gives an address on which nobody listens.
func free(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // It was open for its number only.
	return l.Addr().String()
}

// own writes the certificate of the authority's own server, and gives its files.
func own(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: raw}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// authority is a running Pebble.
type authority struct {
	directory, roots string         // for the server
	trust            *x509.CertPool // of what it issues
	stop             func() error
}

// pebble starts an authority that looks for names by asking a name server, and for
// proofs on a port of this machine.
func pebble(t *testing.T, dns, proofs string) authority {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "pebble")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/letsencrypt/pebble/v2/cmd/pebble")
	build.Dir = "pebble"
	if out, err := build.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("Pebble cannot be built: %v\n%s", err, out)
		}
		t.Skipf("Pebble cannot be built: %v\n%s", err, out)
	}
	cert, key := own(t, dir)
	listen, manage := free(t), free(t)
	_, port, _ := net.SplitHostPort(proofs)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage, "certificate": cert, "privateKey": key,
		"tlsPort": json.Number(port), "httpPort": 1, "keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "-config", file, "-dnsserver", dns, "-strict")
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // It may have been before.
		if log := <-said; t.Failed() {
			t.Log(log)
		}
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "ACME directory available") {
	}
	go func() { // It must not wait for a reader of what it says.
		var all strings.Builder
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
		}
		said <- all.String()
	}()
	a := authority{directory: "https://" + listen + "/dir", roots: cert, trust: x509.NewCertPool(), stop: cmd.Process.Kill}
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	own := x509.NewCertPool()
	own.AppendCertsFromPEM(text)
	root := fetch(t, "https://"+manage+"/roots/0", own)
	if !a.trust.AppendCertsFromPEM(root) {
		t.Fatalf("the authority's root cannot be read: %q", root)
	}
	return a
}

// fetch reads an address, which may begin to listen a little later than it says.
func fetch(t *testing.T, address string, trust *x509.CertPool) []byte {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	for tries := 0; ; tries++ {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			if tries == patience {
				t.Fatal(err)
			}
			time.Sleep(pause)
			continue
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // It was read.
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", address, res.StatusCode, err)
		}
		return body
	}
}

// patience is how often something is looked for that is not there yet, and how
// long between.
const patience, pause = 600, 100 * time.Millisecond

// TestCertificateByACME has the true binary prove a name to an authority on the
// port that it serves, be served under what that gives, and find it again.
func TestCertificateByACME(t *testing.T) {
	t.Parallel()
	rapport, err := program.Build()
	if err != nil {
		t.Fatal(err)
	}
	listen := free(t)
	ca := pebble(t, dnstest.Serve(t, dnstest.Zone{name: {A: []string{"127.0.0.1"}}}), listen)
	config, data := filepath.Join(t.TempDir(), "config"), filepath.Join(t.TempDir(), "data")
	if out, err := exec.CommandContext(t.Context(), rapport, "init", config).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	serve := func() string {
		t.Helper()
		cmd := exec.Command(rapport, "serve", "--config", config, "--data", data, "--listen", listen, "--admin", "",
			"--acme-domain", name, "--acme-directory", ca.directory, "--acme-roots", ca.roots, "--acme-email", "operator@shop.example")
		url, said, err := program.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		if url != "https://"+listen {
			t.Errorf("it says that it serves %s", url)
		}
		serial, missing := handshake(t, listen, ca.trust)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		log := <-said
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v\n%s", err, log)
		}
		if missing != nil {
			t.Fatalf("no certificate is served: %v\n%s", missing, log)
		}
		if strings.Contains(log, "operator@") {
			t.Errorf("the log names a person:\n%s", log)
		}
		return serial
	}
	first := serve()
	if err := ca.stop(); err != nil {
		t.Fatal(err)
	}
	if again := serve(); again != first { // Nobody is asked: it has what it needs.
		t.Errorf("certificate %s was had, and %s is served after a restart", first, again)
	}
	secret(t, filepath.Join(data, "acme"))
}

// handshake waits until the name is served under a certificate that the authority
// gave, and gives its number.
func handshake(t *testing.T, listen string, trust *x509.CertPool) (serial string, err error) {
	t.Helper()
	d := tls.Dialer{Config: &tls.Config{RootCAs: trust, ServerName: name, MinVersion: tls.VersionTLS12}}
	for range patience {
		var conn net.Conn
		if conn, err = d.DialContext(t.Context(), "tcp", listen); err == nil {
			serial = conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
			return serial, conn.Close()
		}
		time.Sleep(pause)
	}
	return "", err
}

// secret looks whether anybody but their owner may read what is kept.
func secret(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			return errors.New(path + " may be read by others")
		}
		if !d.IsDir() {
			files++
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Errorf("%d files are kept, %v", files, err)
	}
}
