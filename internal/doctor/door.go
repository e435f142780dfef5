package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// running tells whether a server could be asked, and whether it has this configuration.
func (p *Patient) running(context.Context) []Finding {
	switch {
	case p.Server == nil:
		return []Finding{found(Note, "", "no running server was asked: its doors, keys and alerts are not reviewed",
			"run it again while the server runs, with --url and --data, or RAPPORT_KEY")}
	case p.Server.Digest != p.Config.Digest:
		return []Finding{found(Warning, "", "the running server has another configuration than the folder", "look at the changes with `rapport apply --dry-run`, then apply the folder")}
	}
	return []Finding{fine("", "the running server has the configuration of the folder")}
}

// plainHTTP tells whether others than this machine reach the doors without TLS.
func (p *Patient) plainHTTP(context.Context) []Finding {
	if p.Server == nil {
		return nil
	}
	d := p.Server.Doors
	switch {
	case d.TLS:
		return []Finding{fine(d.Address, "the server ends TLS itself")}
	case d.Loopback:
		return []Finding{fine(d.Address, "without TLS only this machine reaches the server")}
	case strings.HasPrefix(p.Config.Workspace.BaseURL, "https://"):
		return []Finding{found(Warning, d.Address, "others reach the server without TLS, beside the proxy that base_url leads to",
			"let it listen on 127.0.0.1, or keep everybody but the proxy away from this port")}
	}
	return []Finding{found(Danger, d.Address, "others reach the server without TLS: keys and people's data cross the network readable",
		"give a certificate with --tls-cert and --tls-key, or --acme-domain: docs/tls.md")}
}

// How long before its end a certificate is told of.
const (
	certificateSoon   = 14 * 24 * time.Hour
	certificateUrgent = 3 * 24 * time.Hour
)

// certificate tells until when what the doors show can be used.
func (p *Patient) certificate(context.Context) []Finding {
	if p.Server == nil || p.Server.Doors.Certificate == nil {
		return nil
	}
	s := p.Server.Doors.Certificate
	var out []Finding
	for _, name := range s.Missing {
		out = append(out, found(Danger, name, "there is no certificate for it yet", "look at the log of the server: it says why the authority gives none"))
	}
	if s.Expires.IsZero() {
		return out
	}
	left := s.Expires.Sub(p.Now)
	about, until := strings.Join(s.Names, " "), "it ends at "+s.Expires.UTC().Format(time.RFC3339)
	const renew = "put a new one into the files of --tls-cert and --tls-key; one by ACME is renewed by itself, and the log says why it was not"
	switch {
	case left < 0:
		out = append(out, found(Danger, about, "it ended at "+s.Expires.UTC().Format(time.RFC3339), renew))
	case left < certificateUrgent:
		out = append(out, found(Danger, about, until, renew))
	case left < certificateSoon:
		out = append(out, found(Warning, about, until, renew))
	default:
		out = append(out, fine(about, until))
	}
	if u, err := url.Parse(p.Config.Workspace.BaseURL); err == nil && u.Scheme == "https" && !covers(s.Names, u.Hostname()) {
		out = append(out, found(Warning, about, "it does not name "+u.Hostname()+", where readers reach the server", "get one that does, unless a proxy before the server shows its own"))
	}
	return out
}

// covers tells whether one of a certificate's names is a host's.
func covers(names []string, host string) bool {
	_, above, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(names, func(n string) bool {
		return strings.EqualFold(n, host) || strings.EqualFold(n, "*."+above)
	})
}

// baseURL tells whether readers reach the server at all, and over https as
// one-click unsubscribe demands (RFC 8058).
func (p *Patient) baseURL(context.Context) []Finding {
	base := p.Config.Workspace.BaseURL
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return []Finding{found(Danger, base, "it is no address", "write base_url in rapport.yaml")}
	case here(u.Hostname()):
		return []Finding{found(Warning, base, "links in mails lead to this machine: readers elsewhere cannot unsubscribe", "write the address where readers reach this server, in rapport.yaml")}
	case u.Scheme != "https":
		return []Finding{found(Danger, base, "links in mails go over plain http: one-click unsubscribe (RFC 8058) demands https, and mailbox providers demand that",
			"write https:// in rapport.yaml, and serve under TLS: docs/tls.md")}
	}
	return []Finding{fine(base, "links in mails, and one-click unsubscribe, go over https")}
}

// here tells whether a host is this machine.
func here(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.Unmap().IsLoopback()
}

// How old keys may be.
const (
	manageOld = 365 * 24 * time.Hour
	otherOld  = 2 * manageOld
)

// keyAge tells of keys that were never changed.
func (p *Patient) keyAge(context.Context) []Finding {
	if p.Server == nil {
		return nil
	}
	var out []Finding
	for _, k := range p.Server.Keys {
		old := otherOld
		if k.Kind == "manage" {
			old = manageOld
		}
		age := p.Now.Sub(k.Created)
		if !k.Revoked.IsZero() || !k.Expires.IsZero() && k.Expires.Before(p.Now) || age < old || k.Created.IsZero() {
			continue
		}
		out = append(out, found(Warning, strings.TrimSpace(k.ID+" "+k.Name), fmt.Sprintf("the %s key is %d days old", k.Kind, int(age.Hours()/24)),
			fmt.Sprintf("make another with `rapport key create --kind %s`, use it, then `rapport key revoke %s`", k.Kind, k.ID)))
	}
	return orFine(out, fmt.Sprintf("no management key is older than %d days, and no other than %d", int(manageOld.Hours()/24), int(otherOld.Hours()/24)))
}
