package doctor

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"rapport/internal/doctor/dnstest"
)

// resolver asks the name server of a test.
func resolver(address string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

// pair gives a key in PEM and its public half as it is published.
func pair(t testing.TB, key crypto.Signer) (private, public string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	raw, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		if raw, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
			t.Fatal(err)
		}
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), base64.StdEncoding.EncodeToString(raw)
}

func rsaOf(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// zone is what the world knows of the shop when all is well.
func zone(public string) dnstest.Zone {
	return dnstest.Zone{
		"_dmarc.shop.example":        {TXT: []string{"v=DMARC1; p=reject; rua=mailto:d@shop.example"}},
		"r1._domainkey.shop.example": {TXT: []string{"v=DKIM1; k=rsa; p=" + public}},
		"bounces.shop.example":       {TXT: []string{"site-verification=1", "v=spf1 include:_spf.relay.example -all"}, MX: []string{"mx.relay.example"}},
		"_spf.relay.example":         {TXT: []string{"v=spf1 ip4:192.0.2.0/24 ~all"}},
	}
}

// TestDNS holds every check of the domain name system against a real name server.
func TestDNS(t *testing.T) {
	t.Parallel()
	strong, weak, other := rsaOf(t, 2048), rsaOf(t, 1024), rsaOf(t, 2048)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, public := pair(t, strong)
	weakPrivate, weakPublic := pair(t, weak)
	_, otherPublic := pair(t, other)
	edPrivate, edPublic := pair(t, ed)
	pkcs1 := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(strong.Public().(*rsa.PublicKey)))
	const bounces, dkim, dmarc = "bounces.shop.example", "r1._domainkey.shop.example", "_dmarc.shop.example"
	spf := func(record ...string) dnstest.Zone {
		return dnstest.Zone{bounces: {TXT: record, MX: []string{"mx.relay.example"}}}
	}
	txt := func(name string, record ...string) dnstest.Zone { return dnstest.Zone{name: {TXT: record}} }
	chain := spf("v=spf1 include:a0.example -all")
	for i := range 12 {
		chain[fmt.Sprintf("a%d.example", i)] = dnstest.Record{TXT: []string{fmt.Sprintf("v=spf1 include:a%d.example -all", i+1)}}
	}
	provider := func(old, new string) func(map[string]string) {
		return func(files map[string]string) {
			files["providers/relay.yaml"] = strings.Replace(files["providers/relay.yaml"], old, new, 1)
		}
	}
	unsigned := provider("dkim: [{domain: shop.example, selector: r1, key: env:DKIM_KEY}]\n", "")
	elsewhere := provider("b@bounces.shop.example", "b@relay.example")
	for _, row := range []struct {
		check, name string
		zone        dnstest.Zone // in place of what is well
		change      func(files map[string]string)
		key         string
		want        Grade
	}{
		{"spf", "names who may send", nil, nil, "", OK},
		{"spf", "softly", spf("v=spf1 mx ~all"), nil, "", OK},
		{"spf", "by another", spf("v=spf1 redirect=_spf.relay.example"), nil, "", OK},
		{"spf", "none", dnstest.Zone{bounces: {}}, nil, "", Danger},
		{"spf", "a look-alike", spf("v=spf10 -all"), nil, "", Danger},
		{"spf", "two", spf("v=spf1 -all", "v=spf1 mx -all"), nil, "", Danger},
		{"spf", "everybody", spf("v=spf1 +all"), nil, "", Danger},
		{"spf", "everybody, unsigned", spf("v=spf1 mx all"), nil, "", Danger},
		{"spf", "nothing of others", spf("v=spf1 mx ?all"), nil, "", Warning},
		{"spf", "no end", spf("v=spf1 mx"), nil, "", Warning},
		{"spf", "too many look-ups", spf("v=spf1 a mx ptr a:a.example a:b.example a:c.example a:d.example a:e.example a:f.example a:g.example a:h.example -all"), nil, "", Danger},
		{"spf", "too many by inclusion", chain, nil, "", Danger},
		{"spf", "nobody answers", dnstest.Zone{bounces: {Failing: true}}, nil, "", Warning},

		{"dkim", "published", nil, nil, "", OK},
		{"dkim", "in the older form", txt(dkim, "p="+pkcs1), nil, "", OK},
		{"dkim", "ed25519", txt(dkim, "v=DKIM1; k=ed25519; p="+edPublic), nil, edPrivate, OK},
		{"dkim", "behind a CNAME", dnstest.Zone{dkim: {CNAME: "r1.keys.example"}, "r1.keys.example": {TXT: []string{"v=DKIM1; p=" + public}}}, nil, "", OK},
		{"dkim", "not published", txt(dkim), nil, "", Danger},
		{"dkim", "another key", txt(dkim, "v=DKIM1; p="+otherPublic), nil, "", Danger},
		{"dkim", "revoked", txt(dkim, "v=DKIM1; p="), nil, "", Danger},
		{"dkim", "garbled", txt(dkim, "v=DKIM1; p=###"), nil, "", Danger},
		{"dkim", "another record", txt(dkim, "v=spf1 -all"), nil, "", Danger},
		{"dkim", "two", txt(dkim, "p="+public, "p="+otherPublic), nil, "", Danger},
		{"dkim", "short", txt(dkim, "v=DKIM1; p="+weakPublic), nil, weakPrivate, Warning},
		{"dkim", "being tried", txt(dkim, "v=DKIM1; t=y; p="+public), nil, "", Warning},
		{"dkim", "a key that is not here", txt(dkim, "v=DKIM1; p="+otherPublic), nil, "none", Note},
		{"dkim", "unsigned", nil, unsigned, "", Warning},
		{"dkim", "nobody answers", dnstest.Zone{dkim: {Failing: true}}, nil, "", Warning},

		{"dmarc", "of the organization", nil, nil, "", OK},
		{"dmarc", "of its own", txt("_dmarc.mail.shop.example", "v=DMARC1; p=quarantine; rua=mailto:d@shop.example"), nil, "", OK},
		{"dmarc", "of its own, which only watches", txt("_dmarc.mail.shop.example", "v=DMARC1; p=none; rua=mailto:d@shop.example"), nil, "", Note},
		{"dmarc", "for sub-domains", txt(dmarc, "v=DMARC1; p=reject; sp=none; rua=mailto:d@shop.example"), nil, "", Note},
		{"dmarc", "reports to nobody", txt(dmarc, "v=DMARC1; p=reject"), nil, "", Note},
		{"dmarc", "being tried", txt(dmarc, "v=DMARC1; p=reject; t=y; rua=mailto:d@shop.example"), nil, "", Note},
		{"dmarc", "none", txt(dmarc), nil, "", Danger},
		{"dmarc", "two", txt(dmarc, "v=DMARC1; p=reject", "v=DMARC1; p=none"), nil, "", Danger},
		{"dmarc", "says nothing", txt(dmarc, "v=DMARC1; p=maybe"), nil, "", Danger},
		{"dmarc", "of the suffix", dnstest.Zone{dmarc: {}, "_dmarc.example": {TXT: []string{"v=DMARC1; p=reject; psd=y; rua=mailto:d@example"}}}, nil, "", OK},
		{"dmarc", "nobody answers", dnstest.Zone{dmarc: {Failing: true}}, nil, "", Warning},

		{"alignment", "both", nil, nil, "", OK},
		{"alignment", "bounces elsewhere", nil, elsewhere, "", Warning},
		{"alignment", "signatures elsewhere", nil, provider("domain: shop.example", "domain: relay.example"), "", Warning},
		{"alignment", "both elsewhere", nil, func(f map[string]string) { elsewhere(f); provider("domain: shop.example", "domain: relay.example")(f) }, "", Danger},
		{"alignment", "unsigned", nil, unsigned, "", Note},
		{"alignment", "unsigned, bounces elsewhere", nil, func(f map[string]string) { elsewhere(f); unsigned(f) }, "", Warning},
		{"alignment", "strictly the same", txt(dmarc, "v=DMARC1; p=reject; aspf=s"), nil, "", Warning},
		{"alignment", "two organizations of one", txt("_dmarc.bounces.shop.example", "v=DMARC1; p=none; psd=n"), nil, "", Warning},
		{"alignment", "nobody answers", dnstest.Zone{dmarc: {Failing: true}}, nil, "", Warning},

		{"return_path", "a mail server", nil, nil, "", OK},
		{"return_path", "a host of the name", dnstest.Zone{bounces: {A: []string{"192.0.2.1"}}}, nil, "", Note},
		{"return_path", "takes no mail", dnstest.Zone{bounces: {MX: []string{"."}}}, nil, "", Danger},
		{"return_path", "nothing", dnstest.Zone{bounces: {}}, nil, "", Danger},
		{"return_path", "nobody answers", dnstest.Zone{bounces: {Failing: true}}, nil, "", Warning},
	} {
		t.Run(row.check+" "+row.name, func(t *testing.T) {
			t.Parallel()
			files, env := folder(), environment()
			if row.change != nil {
				row.change(files)
			}
			switch env["DKIM_KEY"] = private; row.key {
			case "":
			case "none":
				delete(env, "DKIM_KEY")
			default:
				env["DKIM_KEY"] = row.key
			}
			z := zone(public)
			maps.Copy(z, row.zone)
			p := patient(t, files, env)
			p.DNS = resolver(dnstest.Serve(t, z))
			if got, text := worst(t, p, row.check); got != row.want {
				t.Errorf("%q, want %q\n%s", got, row.want, text)
			}
		})
	}
}

// asked is a Resolver that notes which names are asked for.
type asked struct {
	Resolver
	names []string
}

// LookupTXT implements Resolver.
func (a *asked) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a.names = append(a.names, strings.TrimSuffix(name, "."))
	return a.Resolver.LookupTXT(ctx, name)
}

// TestWalk asks for the names that RFC 9989 says, and finds the organization.
func TestWalk(t *testing.T) {
	t.Parallel()
	record := func(more string) dnstest.Record { return dnstest.Record{TXT: []string{"v=DMARC1; p=none" + more}} }
	const deep = "a.b.c.d.e.f.g.h.i.mail.shop.example"
	for name, row := range map[string]struct {
		zone   dnstest.Zone
		domain string
		asked  []string
		org    string
	}{
		"nothing": {nil, "mail.shop.example", []string{"_dmarc.mail.shop.example", "_dmarc.shop.example", "_dmarc.example"}, "mail.shop.example"},
		"the highest": {
			dnstest.Zone{"_dmarc.mail.shop.example": record(""), "_dmarc.shop.example": record("")},
			"a.mail.shop.example", []string{"_dmarc.a.mail.shop.example", "_dmarc.mail.shop.example", "_dmarc.shop.example", "_dmarc.example"}, "shop.example",
		},
		"psd=n stops": {
			dnstest.Zone{"_dmarc.mail.shop.example": record("; psd=n"), "_dmarc.shop.example": record("")},
			"a.mail.shop.example", []string{"_dmarc.a.mail.shop.example", "_dmarc.mail.shop.example"}, "mail.shop.example",
		},
		"psd=y above": {
			dnstest.Zone{"_dmarc.example": record("; psd=y")},
			"a.mail.shop.example", []string{"_dmarc.a.mail.shop.example", "_dmarc.mail.shop.example", "_dmarc.shop.example", "_dmarc.example"}, "shop.example",
		},
		"psd=y where it began": {
			dnstest.Zone{"_dmarc.shop.example": record("; psd=y")},
			"shop.example", []string{"_dmarc.shop.example", "_dmarc.example"}, "shop.example",
		},
		"eight names at most": {
			dnstest.Zone{"_dmarc.shop.example": record("")}, deep,
			[]string{
				"_dmarc." + deep, "_dmarc.f.g.h.i.mail.shop.example", "_dmarc.g.h.i.mail.shop.example", "_dmarc.h.i.mail.shop.example",
				"_dmarc.i.mail.shop.example", "_dmarc.mail.shop.example", "_dmarc.shop.example", "_dmarc.example",
			},
			"shop.example",
		},
	} {
		a := &asked{Resolver: resolver(dnstest.Serve(t, row.zone))}
		steps, err := (&Patient{DNS: a}).walk(t.Context(), row.domain)
		if err != nil || !slices.Equal(a.names, row.asked) {
			t.Errorf("%s: asked for %q, %v; want %q", name, a.names, err, row.asked)
		}
		if got := organization(row.domain, steps); got != row.org {
			t.Errorf("%s: the organization is %s, want %s", name, got, row.org)
		}
	}
}

// TestReach connects to mail servers that greet and that do not.
func TestReach(t *testing.T) {
	t.Parallel()
	serve := func(greeting string) string {
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := l.Accept()
				if err != nil {
					return // The test has ended.
				}
				w := bufio.NewWriter(conn)
				_, _ = w.WriteString(greeting) // Whoever came has gone, or reads it.
				_ = w.Flush()                  // As above.
				_ = conn.Close()               // It has said what it says.
			}
		}()
		t.Cleanup(func() { _ = l.Close(); <-done })
		return l.Addr().String()
	}
	closed := serve("")
	for greeting, want := range map[string]Grade{"220 relay.example ESMTP\r\n": OK, "554 not you\r\n": Danger, "": Danger} {
		address := closed
		if greeting != "" {
			address = serve(greeting)
		}
		p := patient(t, folder(), environment())
		p.Dial = func(ctx context.Context, network, asked string) (net.Conn, error) {
			if asked != "smtp.relay.example:587" {
				t.Errorf("%s is dialled", asked)
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		if got, text := worst(t, p, "provider_reach"); got != want {
			t.Errorf("greeted with %q: %s, want %s\n%s", greeting, got, want, text)
		}
	}
	p := patient(t, folder(), environment())
	p.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	if got, _ := worst(t, p, "provider_reach"); got != Danger {
		t.Errorf("who cannot be reached is %s", got)
	}
	if got, text := worst(t, patient(t, folder(), environment()), "provider_reach"); got != "" {
		t.Errorf("without being asked to, it says %s\n%s", got, text)
	}
}

// FuzzRecords reads whatever name servers may say.
func FuzzRecords(f *testing.F) {
	f.Add("v=DMARC1; p=reject; psd=y", "v=DKIM1; k=ed25519; p=AAAA", "v=spf1 include:a.example redirect=b.example -all")
	f.Add("v=DMARC1;;=;p", "p=;p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQ==", "v=spf1 a:/%{i} ::/ -all all")
	f.Fuzz(func(t *testing.T, dmarc, dkim, spf string) {
		steps := []step{{"mail.shop.example", nil}, {"shop.example", tagsOf(dmarc)}, {"example", tagsOf(dmarc)}}
		if org := organization("a.mail.shop.example", steps); !strings.HasSuffix("a.mail.shop.example", org) || org == "" {
			t.Errorf("the organization is %q", org)
		}
		policy("a.mail.shop.example", steps)
		if found := judgeDKIM("name", dkim, nil, "publish it"); found.Grade == OK {
			t.Errorf("%q is well, though nobody knows the key", dkim)
		}
		p := &Patient{DNS: said(spf)}
		if n, err := p.lookups(t.Context(), "v=spf1 "+spf, 0); err != nil || n > maxLookups+1 {
			t.Errorf("%d look-ups, %v", n, err)
		}
		p.spfOf(t.Context(), "shop.example")
	})
}

// said is a Resolver that says the same of every name.
type said string

// LookupTXT implements Resolver.
func (s said) LookupTXT(context.Context, string) ([]string, error) { return []string{string(s)}, nil }

// LookupMX implements Resolver.
func (said) LookupMX(context.Context, string) ([]*net.MX, error) { return nil, nil }

// LookupHost implements Resolver.
func (said) LookupHost(context.Context, string) ([]string, error) { return nil, nil }
