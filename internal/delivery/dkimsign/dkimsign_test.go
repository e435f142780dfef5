//go:debug rsa1024min=0
package dkimsign_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport/internal/delivery/deliverytest"
	"rapport/internal/delivery/dkimsign"
	"rapport/internal/delivery/letter"
	smtprelay "rapport/internal/delivery/smtp"
	"rapport/internal/id"
	"rapport/internal/message"
)

// python is Debian's own, for which Debian's python3-dkim is installed.
const python = "/usr/bin/python3"

func needVerifier(t *testing.T) {
	t.Helper()
	if err := exec.Command(python, "-c", "import dkim, nacl").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("dkimpy is missing; run scripts/install-test-tools.sh")
		}
		t.Skip("dkimpy is missing; run scripts/install-test-tools.sh")
	}
}

func encode(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// keys makes one key of each kind, and the DNS records under which they stand.
func keys(t testing.TB) (keys []dkimsign.Key, records string) {
	t.Helper()
	rk, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub, ek, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(crypto.PublicKey(&rk.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	records = "rsa._domainkey.shop.example\tv=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der) + "\n" +
		"ed._domainkey.shop.example\tv=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pub) + "\n"
	return []dkimsign.Key{{Selector: "rsa", PEM: encode(t, rk)}, {Selector: "ed", PEM: encode(t, ek)}}, records
}

func sample(text string) message.Rendered {
	return message.Rendered{
		ID: id.NewMessage(time.Unix(1, 0), text), MessageID: "<abc@shop.example>",
		From: message.Address{Name: "Läden & Co", Email: "shop@shop.example"}, To: message.Address{Email: "a@b.example"},
		EnvelopeFrom: "bounce@shop.example", Subject: "Grüße an alle, die es gern etwas länger haben, so dass die Zeile bricht",
		Text: []byte(text), HTML: []byte("<p>" + text + "</p>\n\n\n"),
		Headers: [][2]string{
			{"List-Unsubscribe", "<https://shop.example/u/" + strings.Repeat("token", 20) + ">"},
			{"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"}, {"Feedback-ID", "welcome:journey:shop:rapport"},
		},
	}
}

// verify asks dkimpy about each signature of a mail: "algorithm good h".
func verify(t *testing.T, records string, mail []byte) []string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string][]byte{"records": []byte(records), "mail": mail} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(python, "testdata/verify.py", filepath.Join(dir, "records"), filepath.Join(dir, "mail")).CombinedOutput()
	if err != nil {
		t.Fatalf("verify: %v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestSignaturesHoldAfterARealTrip(t *testing.T) {
	t.Parallel()
	needVerifier(t)
	sink, err := deliverytest.NewSink(deliverytest.SinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	list, records := keys(t)
	signer, err := dkimsign.New(dkimsign.Config{Domain: "shop.example", Keys: list})
	if err != nil {
		t.Fatal(err)
	}
	relay, err := smtprelay.New(smtprelay.Config{Addr: sink.Addr(), TLS: smtprelay.None, Signer: signer, Now: time.Now, Mono: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	for _, text := range []string{"Hello.\n", "Grüße\n.\n..\n", "trailing  \n\n\n", "", "こんにちは、" + strings.Repeat("世界", 300)} {
		m := sample(text)
		if out := relay.Send(t.Context(), []message.Rendered{m}); out[0].Verdict != message.SentOK {
			t.Fatalf("verdict %d (%s)", out[0].Verdict, out[0].Reason)
		}
	}
	for i, got := range sink.All() {
		lines := verify(t, records, got.Raw)
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "rsa-sha256 True") || !strings.HasPrefix(lines[1], "ed25519-sha256 True") {
			t.Errorf("mail %d: %v\n%s", i, lines, got.Raw)
			continue
		}
		for _, line := range lines {
			for _, name := range []string{"from", "subject", "list-unsubscribe", "list-unsubscribe-post", "feedback-id", "message-id", "content-type"} {
				if !strings.Contains(":"+line[strings.LastIndexByte(line, ' ')+1:]+":", ":"+name+":") {
					t.Errorf("mail %d: %s is not signed: %s", i, name, line)
				}
			}
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"a word of the text": func(b []byte) []byte { return bytes.Replace(b, []byte("Hello."), []byte("Jello."), 1) },
		"another subject":    func(b []byte) []byte { return append([]byte("Subject: Win\r\n"), b...) },
		"another unsubscribe": func(b []byte) []byte {
			return bytes.Replace(b, []byte("shop.example/u/"), []byte("evil.example/u/"), 1)
		},
		"a second unsubscribe": func(b []byte) []byte {
			return bytes.Replace(b, []byte("\r\nFeedback-ID"), []byte("\r\nList-Unsubscribe: <https://evil.example/>\r\nFeedback-ID"), 1)
		},
	} {
		changed := change(bytes.Clone(sink.All()[0].Raw))
		for _, line := range verify(t, records, changed) {
			if strings.Contains(line, "True") {
				t.Errorf("%s was changed and the signature still holds: %s", name, line)
			}
		}
	}
}

func TestKeysThatCannotServe(t *testing.T) {
	t.Parallel()
	short, err := rsa.GenerateKey(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	weak := encode(t, short)
	good, _ := keys(t)
	tests := []struct {
		name string
		c    dkimsign.Config
	}{
		{"no domain", dkimsign.Config{Keys: good}},
		{"no key", dkimsign.Config{Domain: "shop.example"}},
		{"no selector", dkimsign.Config{Domain: "shop.example", Keys: []dkimsign.Key{{PEM: good[0].PEM}}}},
		{"not PEM", dkimsign.Config{Domain: "shop.example", Keys: []dkimsign.Key{{Selector: "a", PEM: []byte("key")}}}},
		{"a key of 512 bits", dkimsign.Config{Domain: "shop.example", Keys: []dkimsign.Key{{Selector: "a", PEM: weak}}}},
		{"PEM of something else", dkimsign.Config{Domain: "shop.example", Keys: []dkimsign.Key{{Selector: "a", PEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})}}}},
	}
	for _, tt := range tests {
		s, err := dkimsign.New(tt.c)
		if err == nil {
			t.Errorf("%s: accepted %v", tt.name, s)
		} else if tt.name == "a key of 512 bits" && !strings.Contains(err.Error(), "512 bits is too short") {
			t.Errorf("%s: error %v", tt.name, err)
		} else if strings.Contains(err.Error(), "MII") {
			t.Errorf("%s: the error shows the key: %v", tt.name, err)
		}
	}
}

func TestPlacesBoundTheSigning(t *testing.T) {
	t.Parallel()
	list, _ := keys(t)
	signer, err := dkimsign.New(dkimsign.Config{Domain: "shop.example", Keys: list, Places: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := sample("Hello.")
	mail, err := letter.Append(nil, &r, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := signer.Sign(t.Context(), mail); err != nil {
				t.Errorf("Sign: %v", err)
			}
		})
	}
	wg.Wait()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := signer.Sign(ended, mail); err == nil {
		t.Error("an ended context does not end the signing")
	}
}

// Signing does nothing but compute: more places than cores would only have mails
// wait for each other half-signed.
func TestThereAreNoMorePlacesThanCores(t *testing.T) { //nolint:paralleltest // It changes the whole process.
	list, _ := keys(t)
	was := runtime.GOMAXPROCS(2 * runtime.NumCPU())
	defer runtime.GOMAXPROCS(was)
	signer, err := dkimsign.New(dkimsign.Config{Domain: "shop.example", Keys: list})
	if err != nil {
		t.Fatal(err)
	}
	if got := signer.Places(); got != runtime.NumCPU() {
		t.Errorf("%d places on %d cores", got, runtime.NumCPU())
	}
}

func BenchmarkSign(b *testing.B) {
	list, _ := keys(b)
	r := sample(strings.Repeat("Grüße, hier sind deine Sachen.\n", 100))
	mail, err := letter.Append(nil, &r, time.Unix(1, 0))
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct {
		name string
		keys []dkimsign.Key
	}{{"rsa", list[:1]}, {"ed25519", list[1:]}, {"both", list}} {
		b.Run(bb.name, func(b *testing.B) {
			s, err := dkimsign.New(dkimsign.Config{Domain: "shop.example", Keys: bb.keys})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(mail)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sign(b.Context(), mail); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
