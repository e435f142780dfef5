package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rapport/internal/project"
)

// step is a DMARC record that a walk found.
type step struct {
	domain string
	tags   map[string]string
}

// walkMost is how many labels are left where a longer name is cut (RFC 9989).
const walkMost = 7

// walk looks for DMARC records from a domain upwards, as receivers do: RFC 9989
// has put this in the place of lists of public suffixes. At most eight names are
// asked for.
func (p *Patient) walk(ctx context.Context, domain string) (out []step, err error) {
	labels := strings.Split(domain, ".")
	for first := true; len(labels) > 0; first = false {
		at := strings.Join(labels, ".")
		tags, err := p.dmarcAt(ctx, at)
		if err != nil {
			return nil, err
		}
		if tags != nil {
			out = append(out, step{at, tags})
			if psd := tags["psd"]; psd == "n" || psd == "y" && !first {
				return out, nil
			}
		}
		if len(labels) > walkMost {
			labels = labels[len(labels)-walkMost:]
			continue
		}
		labels = labels[1:]
	}
	return out, nil
}

// dmarcAt gives the one DMARC record of a domain, nil where there is none or
// there are several: those are all passed over.
func (p *Patient) dmarcAt(ctx context.Context, domain string) (map[string]string, error) {
	list, err := p.texts(ctx, "_dmarc."+domain)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(t string) bool {
		version, _, _ := strings.Cut(t, ";")
		return strings.Join(strings.Fields(version), "") != "v=DMARC1"
	})
	if len(list) != 1 {
		return nil, nil
	}
	return tagsOf(list[0]), nil
}

// organization gives the organizational domain that a walk from a domain shows.
func organization(domain string, steps []step) string {
	for i, s := range steps {
		switch s.tags["psd"] {
		case "n":
			return s.domain
		case "y":
			if s.domain != domain {
				return below(domain, s.domain)
			}
		}
		if i == len(steps)-1 {
			return s.domain // that with the fewest labels
		}
	}
	return domain
}

// below gives the domain one label below a parent, on the way to a domain.
func below(domain, parent string) string {
	rest := strings.TrimSuffix(domain, "."+parent)
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + parent
}

// policy finds the record that holds for mails from a domain, and what is asked of
// receivers: of the domain itself, else of its organizational domain, else of the
// public suffix above.
func policy(domain string, steps []step) (at string, want string, tags map[string]string) {
	org := organization(domain, steps)
	for _, where := range []string{domain, org, ""} {
		for _, s := range steps {
			if s.domain != where && !(where == "" && s.tags["psd"] == "y") {
				continue
			}
			want := s.tags["p"]
			if sp := s.tags["sp"]; s.domain != domain && sp != "" {
				want = sp
			}
			if !slices.Contains([]string{"none", "quarantine", "reject"}, want) {
				want = ""
			}
			return s.domain, want, s.tags
		}
	}
	return "", "", nil
}

// dmarc tells what the domains that mails are from ask of receivers.
func (p *Patient) dmarc(ctx context.Context) (out []Finding) {
	if !p.sending() {
		return nil
	}
	for _, domain := range p.authors() {
		out = append(out, p.dmarcOf(ctx, domain))
	}
	return out
}

func (p *Patient) dmarcOf(ctx context.Context, domain string) Finding {
	steps, err := p.walk(ctx, domain)
	if err != nil {
		return unknown(domain, err)
	}
	at, want, tags := policy(domain, steps)
	if tags == nil {
		return found(Danger, domain, "neither it nor a domain above has a DMARC record: mailbox providers refuse bulk mail of it",
			fmt.Sprintf("publish a TXT record at _dmarc.%s: `v=DMARC1; p=none; rua=mailto:…` to begin with", domain))
	}
	record := "the record at _dmarc." + at
	switch {
	case want == "" && tags["rua"] == "":
		return found(Danger, domain, record+" says nothing that receivers understand (p=none, quarantine or reject)", "write p=none, quarantine or reject into it")
	case want == "none" || want == "":
		return found(Note, domain, record+" asks receivers to do nothing about forged mails (p=none)", "read its reports; when all your mails pass, write p=quarantine, then p=reject")
	case tags["rua"] == "":
		return found(Note, domain, record+" names nobody to whom receivers report", "write rua=mailto:… into it")
	case tags["t"] == "y":
		return found(Note, domain, record+" says that it is being tried (t=y)", "take t=y out of it once all your mails pass")
	}
	return fine(domain, record+" asks for "+want)
}

// alignment tells whether SPF and DKIM speak of the domain that readers see: DMARC
// counts only what does.
func (p *Patient) alignment(ctx context.Context) (out []Finding) {
	if !p.sending() {
		return nil
	}
	for _, author := range p.authors() {
		for _, d := range p.relays() {
			f, err := p.alignmentOf(ctx, author, d)
			if err != nil {
				f = unknown(author+" by "+d.Name, err)
			}
			out = append(out, f)
		}
	}
	return out
}

func (p *Patient) alignmentOf(ctx context.Context, author string, d project.Provider) (Finding, error) {
	about := author + " by " + d.Name
	steps, err := p.walk(ctx, author)
	if err != nil {
		return Finding{}, err
	}
	_, _, tags := policy(author, steps)
	org := organization(author, steps)
	spf, err := p.aligned(ctx, author, org, p.envelope(d), tags["aspf"] == "s")
	if err != nil {
		return Finding{}, err
	}
	dkim := false
	for _, k := range d.DKIM {
		ok, err := p.aligned(ctx, author, org, k.Domain, tags["adkim"] == "s")
		if err != nil {
			return Finding{}, err
		}
		dkim = dkim || ok
	}
	envelope := fmt.Sprintf("write envelope_from in providers/%s.yaml with an address of %s or a domain below it", d.Name, org)
	sign := fmt.Sprintf("sign for %s: dkim in providers/%s.yaml", author, d.Name)
	switch {
	case spf && dkim:
		return fine(about, "bounces and signatures are of the domain that readers see"), nil
	case spf && len(d.DKIM) == 0:
		return found(Note, about, "bounces are of the domain that readers see; who signs is not known here", sign+", or make sure that the mail server does so"), nil
	case spf:
		return found(Warning, about, "signatures are of another domain than readers see: forwarded mails fail", sign), nil
	case dkim:
		return found(Warning, about, "bounces go to another domain ("+p.envelope(d)+") than readers see: Outlook wants both", envelope), nil
	case len(d.DKIM) == 0:
		return found(Warning, about, "bounces go to another domain ("+p.envelope(d)+") than readers see, and who signs is not known here", envelope+"; "+sign), nil
	}
	return found(Danger, about, "neither bounces ("+p.envelope(d)+") nor signatures are of the domain that readers see: every mail fails DMARC", envelope+"; "+sign), nil
}

// aligned tells whether a domain is of the author's organization, or the same
// where the author wants that.
func (p *Patient) aligned(ctx context.Context, author, org, other string, strict bool) (bool, error) {
	if author == other || strict {
		return author == other, nil
	}
	steps, err := p.walk(ctx, other)
	return organization(other, steps) == org, err
}
