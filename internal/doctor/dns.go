package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"rapport/internal/project"
)

// relays lists the providers by which mails leave to the world.
func (p *Patient) relays() (out []project.Provider) {
	for _, d := range p.Config.Providers {
		if d.Kind == project.SMTPProvider && !here(d.Host) {
			out = append(out, d)
		}
	}
	return out
}

// sending tells whether there is a domain name system to ask, and anything to ask it.
func (p *Patient) sending() bool { return p.DNS != nil && len(p.relays()) > 0 }

// authors lists the domains that mails are from.
func (p *Patient) authors() []string {
	all := []string{domainOf(p.Config.Workspace.Sending.From.Email)}
	for _, t := range p.Config.Templates {
		if t.From.Email != "" {
			all = append(all, domainOf(t.From.Email))
		}
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(d string) bool { return d == "" })
}

// envelope is where bounces of a provider's mails go.
func (p *Patient) envelope(d project.Provider) string {
	if d.EnvelopeFrom != "" {
		return domainOf(d.EnvelopeFrom)
	}
	return domainOf(p.Config.Workspace.Sending.From.Email)
}

func domainOf(address string) string {
	_, d, _ := strings.Cut(address, "@")
	return strings.ToLower(strings.TrimSuffix(d, "."))
}

// envelopes lists the domains to which bounces go.
func (p *Patient) envelopes() (out []string) {
	for _, d := range p.relays() {
		if e := p.envelope(d); e != "" && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// texts asks for the TXT records of a name; none is no error.
func (p *Patient) texts(ctx context.Context, name string) ([]string, error) {
	list, err := p.DNS.LookupTXT(ctx, name+".") // The dot keeps search domains out.
	if none(err) {
		return nil, nil
	}
	return list, err
}

// none tells that a name, or a record of the kind, is not there.
func none(err error) bool {
	var d *net.DNSError
	return errors.As(err, &d) && d.IsNotFound
}

// unknown is a finding that nobody can tell.
func unknown(about string, err error) Finding {
	reason := err.Error()
	var d *net.DNSError
	if errors.As(err, &d) {
		reason = d.Err
	}
	return found(Warning, about, "the name servers do not answer: "+reason, "try again; if it stays so, look at the name servers of the domain, or name another with --resolver")
}

// maxLookups is how many names an SPF record may have others look up (RFC 7208, 4.6.4).
const maxLookups = 10

// spf tells whether the domains of bounces say who may send for them.
func (p *Patient) spf(ctx context.Context) (out []Finding) {
	if !p.sending() {
		return nil
	}
	for _, domain := range p.envelopes() {
		out = append(out, p.spfOf(ctx, domain))
	}
	return out
}

func (p *Patient) spfOf(ctx context.Context, domain string) Finding {
	list, err := p.spfRecords(ctx, domain)
	const write = "publish one TXT record at %s: `v=spf1 include:… -all`, with what your mail server's operator tells you"
	switch {
	case err != nil:
		return unknown(domain, err)
	case len(list) == 0:
		return found(Danger, domain, "it has no SPF record: mailbox providers refuse bulk mail of it", fmt.Sprintf(write, domain))
	case len(list) > 1:
		return found(Danger, domain, fmt.Sprintf("it has %d SPF records, of which none counts", len(list)), "make one of them")
	}
	record := strings.ToLower(list[0])
	terms := strings.Fields(record)[1:]
	end := terms[max(len(terms)-1, 0):]
	switch n, err := p.lookups(ctx, record, 0); {
	case err != nil:
		return unknown(domain, err)
	case n > maxLookups:
		return found(Danger, domain, fmt.Sprintf("its SPF record needs more than %d look-ups: receivers give up on it", maxLookups), "take out what no longer sends for you, or give each sender a sub-domain of its own")
	}
	switch {
	case slices.Contains(terms, "+all") || slices.Contains(terms, "all"):
		return found(Danger, domain, "its SPF record lets everybody send for it (+all)", "let it end with -all or ~all")
	case slices.Contains(terms, "?all"):
		return found(Warning, domain, "its SPF record says nothing about those it does not name (?all)", "let it end with -all or ~all")
	case len(end) == 0 || !slices.Contains(terms, "-all") && !slices.Contains(terms, "~all") && !strings.HasPrefix(end[0], "redirect="):
		return found(Warning, domain, "its SPF record does not say what holds for everybody else", "let it end with -all or ~all")
	}
	return fine(domain, "it has one SPF record, which names who may send")
}

// spfRecords gives the SPF records of a domain.
func (p *Patient) spfRecords(ctx context.Context, domain string) ([]string, error) {
	list, err := p.texts(ctx, domain)
	return slices.DeleteFunc(list, func(t string) bool {
		version, _, _ := strings.Cut(strings.ToLower(t), " ")
		return version != "v=spf1"
	}), err
}

// lookups counts what a record has looked up, those of what it includes among
// it, up to one more than may be.
func (p *Patient) lookups(ctx context.Context, record string, n int) (int, error) {
	for _, term := range strings.Fields(record)[1:] {
		term = strings.TrimLeft(term, "+-~?")
		name, value, _ := strings.Cut(strings.Replace(term, "=", ":", 1), ":")
		name, _, _ = strings.Cut(name, "/")
		switch name {
		case "a", "mx", "ptr", "exists", "include", "redirect":
			n++
		default:
			continue
		}
		if n > maxLookups {
			return n, nil
		}
		if (name == "include" || name == "redirect") && value != "" && !strings.Contains(value, "%") {
			list, err := p.spfRecords(ctx, value)
			if err != nil {
				return n, err
			}
			if len(list) != 1 {
				continue
			}
			if n, err = p.lookups(ctx, strings.ToLower(list[0]), n); err != nil || n > maxLookups {
				return n, err
			}
		}
	}
	return n, nil
}

// returnPath tells whether bounces reach anybody.
func (p *Patient) returnPath(ctx context.Context) (out []Finding) {
	if !p.sending() {
		return nil
	}
	for _, domain := range p.envelopes() {
		list, err := p.DNS.LookupMX(ctx, domain+".")
		const write = "publish an MX record for it, or write envelope_from of the provider with a domain that has one"
		switch {
		case err != nil && !none(err):
			out = append(out, unknown(domain, err))
		case len(list) == 1 && strings.Trim(list[0].Host, ".") == "":
			out = append(out, found(Danger, domain, "it says that it takes no mail (a null MX): bounces are lost, and receivers refuse mails of it", write))
		case len(list) > 0:
			out = append(out, fine(domain, "bounces reach "+strings.TrimSuffix(list[0].Host, ".")))
		default:
			if _, err := p.DNS.LookupHost(ctx, domain+"."); err == nil {
				out = append(out, found(Note, domain, "it has no MX record; bounces go to the host of the same name", write))
			} else if none(err) {
				out = append(out, found(Danger, domain, "it has no MX record and no address: bounces are lost, and receivers refuse mails of it", write))
			} else {
				out = append(out, unknown(domain, err))
			}
		}
	}
	return out
}
