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
// proofs on two ports of this machine: under TLS, and by plain HTTP.
func pebble(t *testing.T, dns, proofs, plain string) authority {
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
	_, plainPort, _ := net.SplitHostPort(plain)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage, "certificate": cert, "privateKey": key,
		"tlsPort": json.Number(port), "httpPort": json.Number(plainPort), "keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
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
	var all strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "ACME directory available") {
			break
		}
	}
	go func() { // It must not wait for a reader of what it says.
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

// rig is the true binary with a configuration of its own.
type rig struct {
	*testing.T
	rapport, config, data, listen string
	ca                            authority
}

func setup(t *testing.T, listen string, ca authority) *rig {
	t.Helper()
	rapport, err := program.Build()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t, rapport, filepath.Join(t.TempDir(), "config"), filepath.Join(t.TempDir(), "data"), listen, ca}
	if out, err := exec.CommandContext(t.Context(), rapport, "init", r.config).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// serve runs the server until it serves under a certificate, and then does something
// more; it gives the certificate's number.
func (r *rig) serve(more func(), flags ...string) string {
	r.Helper()
	cmd := exec.Command(r.rapport, append([]string{
		"serve", "--config", r.config, "--data", r.data, "--listen", r.listen, "--admin", "",
		"--acme-domain", name, "--acme-directory", r.ca.directory, "--acme-roots", r.ca.roots, "--acme-email", "operator@shop.example",
	}, flags...)...)
	url, said, err := program.Start(cmd)
	if err != nil {
		r.Fatal(err)
	}
	if url != "https://"+r.listen {
		r.Errorf("it says that it serves %s", url)
	}
	serial, missing := handshake(r.T, r.listen, r.ca.trust)
	if missing == nil && more != nil {
		more()
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		r.Fatal(err)
	}
	log := <-said
	if err := cmd.Wait(); err != nil {
		r.Errorf("it ended with %v\n%s", err, log)
	}
	if missing != nil {
		r.Fatalf("no certificate is served: %v\n%s", missing, log)
	}
	if strings.Contains(log, "operator@") {
		r.Errorf("the log names a person:\n%s", log)
	}
	return serial
}

// zone is where the name leads to.
func zone(t *testing.T) string {
	t.Helper()
	return dnstest.Serve(t, dnstest.Zone{name: {A: []string{"127.0.0.1"}}})
}

// TestCertificateByACME has the true binary prove a name to an authority on the
// port that it serves, be served under what that gives, and find it again.
func TestCertificateByACME(t *testing.T) {
	t.Parallel()
	listen := free(t)
	r := setup(t, listen, pebble(t, zone(t), listen, free(t)))
	first := r.serve(nil)
	if err := r.ca.stop(); err != nil {
		t.Fatal(err)
	}
	if again := r.serve(nil); again != first { // Nobody is asked: it has what it needs.
		t.Errorf("certificate %s was had, and %s is served after a restart", first, again)
	}
	secret(t, filepath.Join(r.data, "acme"))
}

// TestCertificateByPlainHTTP has the name proven where the authority cannot reach the
// port of TLS; the same port leads whoever looks to https.
func TestCertificateByPlainHTTP(t *testing.T) {
	t.Parallel()
	listen, plain := free(t), free(t)
	_, port, _ := net.SplitHostPort(listen)
	r := setup(t, listen, pebble(t, zone(t), free(t), plain))
	r.serve(func() {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		for path, want := range map[string]string{"/p/x?y=1": "https://" + name + ":" + port + "/p/x?y=1", "/.well-known/acme-challenge/x": "https://" + name + ":" + port + "/.well-known/acme-challenge/x"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+plain+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = name
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close() // Its header is what is looked at.
			if got := res.Header.Get("Location"); res.StatusCode != http.StatusPermanentRedirect || got != want {
				t.Errorf("%s: %d to %q, want %q", path, res.StatusCode, got, want)
			}
		}
	}, "--listen-http", plain)
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
