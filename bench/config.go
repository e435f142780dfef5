package bench

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/sqlitestore"
)

// writeConfig makes the folder that is measured: 50 live segments, 20 of them
// with windows; every Product Viewed concerns ten of them, three with windows;
// 5 journeys.
func writeConfig(dir string, sh shape, sink string) error {
	host, port, err := net.SplitHostPort(sink)
	if err != nil {
		return err
	}
	files := map[string]string{
		"rapport.yaml": `workspace: bench
base_url: http://127.0.0.1:8420
sending:
  from: Bench <hello@shop.example>
  postal_address: 1 Sample Street, Sampletown
  provider: sink
limits: {events_per_second: 5000000, burst: 5000000, manage_per_second: 100000}
`,
		"purposes.yaml": `purposes:
  service: {title: Service, description: What you asked for., basis: contract}
  marketing.newsletter: {title: News, description: News., basis: legitimate_interest}
  profiling: {title: Profile, description: A profile., basis: legitimate_interest, scope: device}
`,
		"sources/shop.yaml":               "kind: server\npurpose: profiling\nbasis: legitimate_interest\n",
		"providers/sink.yaml":             fmt.Sprintf("kind: smtp\nhost: %s\nport: %s\ntls: none\npacing: {connections: %d}\n%s", host, port, cmp.Or(sh.connections, connections), dkimPart(sh.dkim)),
		"templates/note/template.yaml":    "subject: \"News {{ trigger.ref | default: '-' }}\"\npurpose: marketing.newsletter\n",
		"templates/note/body.html":        mailBody,
		"templates/receipt/template.yaml": "subject: \"Receipt {{ trigger.ref | default: '-' }}\"\npurpose: service\nclass: transactional\n",
		"templates/receipt/body.html":     mailBody,
	}
	if sh.asks {
		files["purposes.yaml"] = `purposes:
  service: {title: Service, description: What you asked for., basis: contract}
  marketing.newsletter: {title: News, description: News., basis: consent, categories: [marketing], gpc: true}
  profiling: {title: Profile, description: A profile., basis: legitimate_interest, scope: device}
`
	}
	if sh.perSecond > 0 {
		files["providers/sink.yaml"] = strings.Replace(files["providers/sink.yaml"], "{connections:", fmt.Sprintf("{per_second: %d, connections:", sh.perSecond), 1)
	}
	for name, text := range rules(sh.unrelated) {
		files[name] = text
	}
	for i, address := range sh.hooks {
		files[fmt.Sprintf("destinations/d%d.yaml", i)] = fmt.Sprintf("kind: webhook\nurl: %s\nprivate: true\npurpose: profiling\nsecrets: file:hook.secret\nevents: [%s]\n", address, hookEvent)
		files["hook.secret"] = "whsec_" + base64.StdEncoding.EncodeToString([]byte("this-is-no-secret-but-thirty-two")) + "\n"
	}
	if sh.dkim != "" {
		key, err := dkimKey(sh.dkim)
		if err != nil {
			return err
		}
		files["dkim.pem"] = key
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// connections is how many SMTP connections the server may have, each with one
// mail on the wire at most. As many hand-overs share one fsync.
const connections = 64

const mailBody = `<!doctype html><html><body><h1>Hello {{ person.first_name | default: "there" }}</h1>
<p>Thank you for looking at {{ trigger.name | default: "our shop" }}. It is still here.</p>
<table>{% for p in trigger.products %}<tr><td>{{ p.name | default: "-" }}</td><td>{{ p.price | default: "-" }}</td></tr>{% endfor %}</table>
<p>{{ workspace.postal_address }}</p><p><a href="{{ mail.unsubscribe_url }}">Unsubscribe</a></p></body></html>
`

func rules(unrelated int) map[string]string {
	out := map[string]string{}
	seg := func(name, rule string) { out["segments/"+name+".yaml"] = "rule: " + rule + "\n" }
	for i, window := range []string{"30d", "14d", "7d"} {
		seg(fmt.Sprintf("viewed-w%d", i), fmt.Sprintf("{did: Product Viewed, count: %d, within: %s}", 2+i, window))
	}
	for i := range 7 {
		seg(fmt.Sprintf("viewed-n%d", i), fmt.Sprintf("{all: [{did: Product Viewed, count: %d}, {trait: tier, is: t%d}]}", 5+7*i, i%4))
	}
	for i := range 17 {
		seg(fmt.Sprintf("ordered-w%d", i), fmt.Sprintf("{all: [{did: Order Completed, count: %d, within: %dd}, {trait: country, in: [DE, FR]}]}", i+1, i+1))
	}
	for i := range 23 {
		seg(fmt.Sprintf("score-%d", i), fmt.Sprintf("{trait: score, gte: %d}", i*4))
	}
	for i := range unrelated {
		seg(fmt.Sprintf("other-%d", i), fmt.Sprintf("{did: Never Happens %d, count: 2, within: 7d}", i))
	}
	for i, trigger := range []string{"{event: Order Completed}", "{enters: ordered-w1}", "{event: Trigger}", "{leaves: ordered-w0}", "{event: Signed Up}"} {
		out[fmt.Sprintf("journeys/j%d.yaml", i)] = fmt.Sprintf("purpose: marketing.newsletter\ntrigger: %s\nreentry: always\nsteps:\n  - send: note\n", trigger)
	}
	return out
}

func dkimPart(kind string) string {
	if kind == "" {
		return ""
	}
	return "dkim:\n  - {domain: shop.example, selector: bench, key: \"file:dkim.pem\"}\n"
}

func dkimKey(kind string) (string, error) {
	var key any
	var err error
	if kind == "rsa" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// state opens the state of a server that is halted.
func (s *server) state(ctx context.Context) (store.State, error) {
	if s.database != "" {
		return pgstore.OpenState(ctx, pgstore.Config{URL: s.database})
	}
	return sqlitestore.OpenState(sqlitestore.Config{Path: filepath.Join(s.dir, "data", "state.db")})
}

// fillSeen stops the server, writes random ids into its duplicate window, and
// starts it again.
func (b *run) fillSeen(ctx context.Context, s *server, n int) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.halt()
	state, err := s.state(ctx)
	if err != nil {
		return err
	}
	const row = 1000 * 16
	err = state.Write(ctx, store.WriteOptions{Durable: true}, func(tx store.Tx) error {
		hashes := make([]byte, row)
		for range n / 1000 {
			if _, err := rand.Read(hashes); err != nil {
				return err
			}
			if err := tx.Processor().AppendSeen(time.Now(), hashes); err != nil {
				return err
			}
		}
		return nil
	})
	if cerr := state.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return s.launch(ctx, b.Program)
}
