package project

import "strings"

// The kinds of provider.
const (
	SMTPProvider     = "smtp"
	DevinboxProvider = "devinbox"
)

// Provider is one way out for mails: providers/<name>.yaml.
type Provider struct {
	Name         string
	Title        string
	Kind         string
	Host         string
	Port         int
	TLS          string // "starttls", "implicit" or "none"
	CAFile       string // a certificate authority of one's own, or ""
	User         string
	Password     Ref
	EnvelopeFrom string // the bounce address, or "" for the mail's own from
	Pacing       Pacing
	DKIM         []DKIM
}

// Pacing keeps a provider from being overrun. Zero values leave it to the
// provider's own capabilities.
type Pacing struct {
	PerSecond       float64 // mails a second
	DomainPerSecond float64 // mails a second to one receiving domain
	Connections     int
	PerConnection   int    // mails over one connection
	Fallback        string // the provider that takes over while this one is held back
}

// DKIM is one signature that every mail gets.
type DKIM struct {
	Domain   string
	Selector string
	Key      Ref // a PEM file: PKCS #8, ed25519 or RSA
}

// provider reads one file of providers/.
func provider(f *file, name string) Provider {
	s := f.section(f.root, "a provider", "title", "kind", "host", "port", "tls", "ca_file", "auth", "envelope_from", "pacing", "dkim")
	s.need("write smtp, or devinbox for the inbox that only you can see", "kind")
	out := Provider{Name: name, Title: s.text("title"), Kind: s.choice("kind", SMTPProvider, DevinboxProvider)}
	if out.Kind == SMTPProvider {
		s.need("write the mail server's name, for example smtp.mail.example", "host")
		smtpOf(s, &out)
	} else {
		for _, k := range []string{"host", "port", "tls", "ca_file", "auth"} {
			if s.has(k) {
				f.errorf(s.key(k), "remove it: the development inbox is inside Rapport", "%q has no meaning for a devinbox", k)
			}
		}
	}
	out.EnvelopeFrom = s.address("envelope_from").Email
	p := s.sub("pacing", "per_second", "per_domain_per_second", "connections", "per_connection", "fallback")
	out.Pacing = Pacing{
		PerSecond:       p.number("per_second", 0, 100_000),
		DomainPerSecond: p.number("per_domain_per_second", 0, 100_000),
		Connections:     p.integer("connections", 8, 1, 500),
		PerConnection:   p.integer("per_connection", 100, 1, 100_000),
		Fallback:        p.text("fallback"),
	}
	for _, n := range s.items("dkim") {
		d := f.section(n, "a DKIM signature", "domain", "selector", "key")
		d.need("write for example `{domain: shop.example, selector: r1, key: file:keys/r1.pem}`", "domain", "selector", "key")
		if d == nil {
			continue
		}
		out.DKIM = append(out.DKIM, DKIM{Domain: d.domain("domain"), Selector: d.domain("selector"), Key: d.ref("key")})
	}
	return out
}

func smtpOf(s *section, out *Provider) {
	out.Host = strings.ToLower(s.text("host"))
	if out.Host != "" && !isHost(out.Host) {
		s.file.errorf(s.value("host"), "write the name alone, and the port under `port`", "%q is no host name", out.Host)
	}
	out.TLS = s.choice("tls", "starttls", "implicit", "none")
	otherwise := map[string]int{"starttls": 587, "implicit": 465, "none": 25}[out.TLS]
	out.Port = s.integer("port", otherwise, 1, 65535)
	out.CAFile = s.text("ca_file")
	a := s.sub("auth", "user", "password")
	a.need("write the user's name and where the password is: `password: env:SMTP_PASSWORD`", "user", "password")
	out.User, out.Password = a.text("user"), a.ref("password")
	if out.TLS == "none" && !isLoopback(out.Host) && out.Host != "" {
		s.file.errorf(s.value("tls"), "use starttls (port 587) or implicit (port 465)", "mails would cross the network unencrypted to %s", out.Host)
	}
	if s.has("tls") && s.has("port") && (out.TLS == "starttls" && out.Port == 465 || out.TLS == "implicit" && out.Port == 587) {
		s.file.warnf(s.value("port"), "465 goes with implicit, 587 with starttls", "port %d is unusual for tls: %s", out.Port, out.TLS)
	}
}
