package doctor

import (
	"context"
	"net/url"
	"strings"

	"rapport/internal/alert"
	"rapport/internal/profile"
	"rapport/internal/project"
)

// sourcesOpen tells of browser keys that any page may use.
func (p *Patient) sourcesOpen(context.Context) []Finding {
	var out []Finding
	for _, s := range p.Config.Sources {
		if s.Kind != project.BrowserSource {
			continue
		}
		if len(s.Origins) == 0 {
			out = append(out, found(Warning, s.Name, "pages of any site may send with its key", "list your sites: `origins: [https://www.shop.example]` in sources/"+s.Name+".yaml"))
			continue
		}
		for _, o := range s.Origins {
			if u, err := url.Parse(o); err == nil && u.Scheme == "http" && !here(u.Hostname()) {
				out = append(out, found(Warning, s.Name, o+" is not protected: whoever is on the network may change what its pages send", "serve the site over https and write https:// in sources/"+s.Name+".yaml"))
			}
		}
	}
	return orFine(out, "browser keys are for the sites that are listed")
}

// sourcesUnsigned tells of places whose word on who somebody is nobody vouches for.
func (p *Patient) sourcesUnsigned(context.Context) []Finding {
	var out []Finding
	for _, s := range p.Config.Sources {
		if s.Kind == project.BrowserSource && s.UserHash.IsZero() {
			out = append(out, found(Note, s.Name, "its events are not signed: they may name anybody, and are kept from what needs a signature (no grants for an address, no change of one)",
				"let your server sign user ids and write `user_hash: env:NAME` in sources/"+s.Name+".yaml, if pages are to do more"))
		}
	}
	return orFine(out, "every public source signs who its events are about")
}

// retention tells of purposes that do not say how long data is kept, and where nothing
// ever goes, whatever they say: their word is only told to people.
func (p *Patient) retention(context.Context) []Finding {
	var silent []string
	for _, d := range p.Config.Policy.Purposes() {
		if d.Retention == "" {
			silent = append(silent, string(d.Name))
		}
	}
	var out []Finding
	if len(silent) > 0 {
		out = append(out, found(Warning, strings.Join(silent, ", "), "nobody says how long the data of these purposes is kept", "write `retention:` for each in purposes.yaml: receipts and the record of processing name it"))
	}
	if !p.forgets() {
		out = append(out, found(Warning, "", "profiles, history and mails are kept for ever: `retention` in purposes.yaml is told to people, and takes nothing",
			"give them terms: `retention.purposes` or `retention.classes` in rapport.yaml, or `retention` in a tracking plan: docs/plan.md"))
	}
	return orFine(out, "every purpose says how long its data is kept, and some data has a term")
}

// forgets tells whether anything at all is kept for a term only.
func (p *Patient) forgets() bool {
	r := &p.Config.Workspace.Retention
	return r.Mails > 0 || len(r.Classes) > 0 || len(r.Purposes) > 0 || len(profile.TermsOf(p.Config.Plans, r.Limits).Events) > 0
}

// alertsUnheard tells whether anybody hears of what goes wrong.
func (p *Patient) alertsUnheard(context.Context) []Finding {
	ways := 0
	if len(p.Config.Workspace.Alerts.Mail) > 0 {
		ways++
	}
	for _, d := range p.Config.Destinations {
		if d.Alerts {
			ways++
		}
	}
	switch ways {
	case 0:
		return []Finding{found(Warning, "", "nobody is told when something goes wrong: it stands in the log only", "write `alerts: {mail: …}` in rapport.yaml, or `alerts: true` in a destination: docs/alerts.md")}
	case 1:
		return []Finding{found(Note, "", "alerts have one way out beside the log", "give them a second one, for when that is what is broken: docs/alerts.md")}
	}
	return []Finding{fine("", "alerts have more than one way out")}
}

// alerts tells what is wrong with the running server.
func (p *Patient) alerts(context.Context) []Finding {
	if p.Server == nil {
		return nil
	}
	var out []Finding
	for _, a := range p.Server.Alerts {
		g := Warning
		if a.Severity == alert.Danger {
			g = Danger
		}
		out = append(out, found(g, strings.TrimSpace(a.Name+" "+a.About), a.Text, a.Do))
	}
	return orFine(out, "the running server has no alerts")
}

// trailStays tells whether checkpoints of the trail leave the machine.
func (p *Patient) trailStays(context.Context) []Finding {
	if t := p.Config.Workspace.Trail; t.File == "" && t.Webhook == "" && len(t.Mail) == 0 {
		return []Finding{found(Note, "", "checkpoints of the trail stay on this machine: whoever owns it may write another history", "write `trail: {webhook: …}`, `trail: {file: …}` or `trail: {mail: …}` in rapport.yaml: docs/trail.md")}
	}
	return []Finding{fine("", "checkpoints of the trail leave the machine")}
}

// wayOut tells whether mails reach anybody.
func (p *Patient) wayOut(context.Context) []Finding {
	name := p.Config.Workspace.Sending.Provider
	if d, ok := p.Config.Provider(name); ok && d.Kind == project.DevinboxProvider {
		return []Finding{found(Note, name, "mails go to the development inbox and reach nobody", "write a provider of kind smtp, and name it under sending.provider in rapport.yaml")}
	}
	return []Finding{fine(name, "mails leave by a mail server")}
}
