package privacy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rapport/internal/plan"
	"rapport/internal/project"
)

// measures are those that every house has, and those that the configuration shows:
// (g), and Art. 32(1).
func measures(c *project.Config) []string {
	w := &c.Workspace
	out := []string{
		"permission is asked at every gate, up to the instant at which a mail is handed over",
		"every read of personal data and every change by an operator is in a signed trail, whose checkpoints anybody can check without the server",
		"what is stored of people is sealed by authenticated encryption under a key of each person's own, which their erasure destroys; not so where the server is run with --unsealed",
		"identifiers are looked up by keyed hash; keys and databases stand in files of their own",
		"backups are encrypted and signed; an erasure is carried out again on whatever is restored",
		"the data of a person can be exported, corrected, restricted, objected to and erased; what they ask for has a clock, by the law of " + string(w.Rights.Law),
	}
	if w.Rights.ConfirmWith != "" {
		out = append(out, "people ask for a copy or for their erasure on the page of preferences, by a link that is mailed to them")
	}
	out = append(out, checkpoints(&w.Trail)...)
	if n := len(w.Alerts.Mail); n > 0 {
		out = append(out, fmt.Sprintf("alerts are mailed to %s, among them: a backup older than %s, and a request %s before it is due",
			addresses(n), term(w.Alerts.BackupWithin), term(w.Alerts.RequestBefore)))
	}
	out = append(out, ofPurposes(c)...)
	out = append(out, ofPlans(c)...)
	return append(out, ofWays(c)...)
}

// checkpoints says where the trail is witnessed.
func checkpoints(t *project.Trail) (out []string) {
	if t.File != "" || t.Webhook != "" {
		out = append(out, "checkpoints of the trail leave the machine every "+term(t.Every))
	}
	if n := len(t.Mail); n > 0 {
		out = append(out, fmt.Sprintf("checkpoints of the trail are mailed to %s, every %s at most", addresses(n), term(t.MailEvery)))
	}
	return out
}

func addresses(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprint(n, " addresses")
}

func ofPurposes(c *project.Config) (out []string) {
	var confirmed, gpc []string
	for _, d := range c.Policy.Purposes() {
		if d.OptIn {
			confirmed = append(confirmed, string(d.Name))
		}
		if d.GPC {
			gpc = append(gpc, string(d.Name))
		}
	}
	if confirmed != nil {
		out = append(out, "a yes counts only once it is confirmed by mail, for "+strings.Join(confirmed, ", "))
	}
	if gpc != nil {
		out = append(out, "Global Privacy Control is a no to "+strings.Join(gpc, ", "))
	}
	return out
}

// ofPlans says what tracking plans keep out and apart.
func ofPlans(c *project.Config) (out []string) {
	if c.Purview != nil {
		out = append(out, "each purpose sees only the attributes that the tracking plan gives it")
	}
	for _, d := range c.Plans.Documents() {
		if d.Rules.UnplannedFields > plan.Allow {
			out = append(out, "fields that the tracking plan "+d.Name+" does not name are not taken as they come: "+d.Rules.UnplannedFields.String())
		}
		if d.Rules.UnplannedEvents > plan.Allow {
			out = append(out, "events that the tracking plan "+d.Name+" does not name are not taken as they come: "+d.Rules.UnplannedEvents.String())
		}
		if d.Personal != nil {
			out = append(out, ofPersonal(d.Name, d.Personal)...)
		}
	}
	return out
}

// ofPersonal says what a plan has done about personal data where it should not be.
func ofPersonal(name string, p *plan.Personal) (out []string) {
	for act := plan.Mask; act <= plan.Drop; act++ {
		var kinds []string
		for _, k := range slices.Sorted(maps.Keys(p.Acts)) {
			if p.Acts[k] == act {
				kinds = append(kinds, k.String())
			}
		}
		if kinds != nil {
			out = append(out, fmt.Sprintf("personal data where the tracking plan %s does not expect it (%s): %s", name, strings.Join(kinds, ", "), act))
		}
	}
	for _, x := range []struct {
		what string
		how  plan.Shorten
	}{{"the client's network address", p.IP}, {"the client's browser", p.Agent}} {
		switch x.how {
		case plan.Less:
			out = append(out, x.what+" is shortened before it is kept, as the tracking plan "+name+" says")
		case plan.Without:
			out = append(out, x.what+" is not kept, as the tracking plan "+name+" says")
		}
	}
	return out
}

// ofWays says how data come in and go out.
func ofWays(c *project.Config) (out []string) {
	if strings.HasPrefix(c.Workspace.BaseURL, "https://") {
		out = append(out, "readers reach the server under TLS")
	}
	for i := range c.Providers {
		p := &c.Providers[i]
		if p.Kind != project.DevinboxProvider && p.TLS != "none" {
			out = append(out, "mails go to "+p.Name+" under TLS ("+p.TLS+")")
		}
		if len(p.DKIM) > 0 {
			out = append(out, "mails by "+p.Name+" are signed (DKIM)")
		}
	}
	for i := range c.Destinations {
		d := &c.Destinations[i]
		where := "to public addresses only"
		if d.Private {
			where = "also to private addresses"
		}
		out = append(out, "what "+d.Name+" is told is signed and goes "+where+"; permission is asked again at every attempt")
	}
	for _, s := range c.Sources {
		if s.Kind == project.BrowserSource && !s.UserHash.IsZero() {
			out = append(out, "the source "+s.Name+" signs user ids")
		}
	}
	return out
}
