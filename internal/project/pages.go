package project

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/consent"
	"rapport/internal/identity"
	"rapport/internal/message"
	"rapport/internal/profile"
	"rapport/internal/rights"
	"rapport/internal/wording"
)

// Consent says who asks for permission, and how an address confirms it.
type Consent struct {
	Controller   string // who is responsible, in records and receipts
	Jurisdiction string // whose law holds where a statement names none
	ConfirmWith  string // the template of confirmation mails; "": nobody can subscribe by a form
	Limits       consent.OptInLimits
}

func (f *file) consentOf(s *section) Consent {
	c := Consent{
		Controller: s.prose("controller"), Jurisdiction: s.text("jurisdiction"), ConfirmWith: s.text("confirm_with"),
		Limits: consent.OptInLimits{
			PerAddress: s.integer("asks_per_address", 3, 1, 100), PerNetwork: s.integer("asks_per_network", 30, 1, 100_000),
			ValidFor: s.duration("confirm_within", 7*day, time.Hour, 30*day),
		},
	}
	if len(c.Jurisdiction) > 20 {
		f.errorf(s.value("jurisdiction"), "write a country, and perhaps a part of it: DE, US-CA", "there is no jurisdiction %q", c.Jurisdiction)
	}
	return c
}

// Rights says how readers ask for their data on the page of preferences.
type Rights struct {
	ConfirmWith string        // the template of the mail that proves who asks; "": nobody can ask there
	ValidFor    time.Duration // how long its link works
	Law         rights.Law    // whose clock runs
	AtOnce      []string      // the traits that readers put right themselves
}

func (f *file) rightsOf(s *section) Rights {
	r := Rights{ConfirmWith: s.text("confirm_with"), ValidFor: s.duration("confirm_within", day, time.Hour, 7*day), Law: rights.Law(s.choice("law", "gdpr", "ccpa"))}
	for _, n := range s.items("correct_at_once") {
		switch {
		case n.Kind != yaml.ScalarNode || n.Value == "" || len(n.Value) > profile.MaxTraitName || strings.HasPrefix(n.Value, "$"):
			f.errorf(n, "write for example [first_name, city]", "%q takes names of traits", "correct_at_once")
		case n.Value == identity.Email:
			f.errorf(n, "leave it out: readers say in their own words that it is another", "nobody can put their own address right by a link that is mailed to it")
		default:
			r.AtOnce = append(r.AtOnce, profile.Canonical(n.Value))
		}
	}
	return r
}

// crossRights checks that nothing can be put right that is computed.
func (l *loader) crossRights() {
	f, computed := l.parsed["rapport.yaml"], l.config.ComputedTraits()
	for _, name := range l.config.Workspace.Rights.AtOnce {
		if f != nil && slices.Contains(computed, name) {
			f.errorf(f.find("rights", "correct_at_once"), "leave it out", "a journey computes the trait %q: what readers put right would not stay", name)
		}
	}
}

// ComputedTraits lists the traits that journeys write, sorted.
func (c *Config) ComputedTraits() []string {
	var out []string
	for _, d := range c.Journeys {
		for _, v := range d.Refs().Values {
			out = append(out, profile.Canonical(v.Trait)) // as it is kept
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// readNotices reads notices/*.md.
func (l *loader) readNotices() {
	for _, p := range slices.Sorted(maps.Keys(l.files)) {
		if path.Dir(p) != "notices" {
			continue
		}
		n, problem := consent.ParseNotice(path.Base(p), l.files[p])
		if problem != nil {
			l.report.add(Problem{File: p, Line: problem.Line, Severity: Error, Message: problem.Message, Hint: problem.Hint})
			continue
		}
		l.config.Notices = append(l.config.Notices, n)
	}
}

// readPages reads pages/LANGUAGE.yaml and theme.yaml.
func (l *loader) readPages() {
	for _, n := range l.in("pages") {
		if !consent.Language(n.name) {
			n.file.errorf(nil, "name it after its language: pages/fr.yaml", "%q is no language", n.name)
		}
		if l.config.Pages == nil {
			l.config.Pages = map[string]wording.Texts{}
		}
		l.config.Pages[n.name] = n.file.texts()
	}
	l.config.Theme = wording.Theme{Corner: -1}
	if f := l.parsed["theme.yaml"]; f != nil {
		l.config.Theme = f.theme()
	}
}

func (f *file) texts() wording.Texts {
	out := wording.Texts{}
	s := f.section(f.root, "the texts of the pages", wording.Keys()...)
	for _, key := range wording.Keys() {
		if !s.has(key) {
			continue
		}
		out[key] = s.prose(key)
		if has, wants := wording.Holes(out[key]), wording.Wants(key); !slices.Equal(has, wants) {
			hint := "put nothing in braces"
			if len(wants) > 0 {
				hint = "it must have " + strings.Join(wants, " and ")
			}
			f.errorf(s.value(key), hint, "%q says %s", key, strings.Join(has, " "))
		}
	}
	return out
}

func (f *file) theme() wording.Theme {
	s := f.section(f.root, "the theme", "light", "dark", "font", "corner")
	t := wording.Theme{Light: f.colours(s, "light"), Dark: f.colours(s, "dark"), Font: s.text("font"), Corner: s.integer("corner", -1, 0, 40)}
	if t.Font != "" && !wording.Families(t.Font) {
		f.errorf(s.value("font"), `write families that readers have: Georgia, "Times New Roman", serif`, "these are no font families")
	}
	for _, p := range t.Faint() {
		scheme := "light"
		if p.Dark {
			scheme = "dark"
		}
		f.errorf(f.find(scheme, p.Front), "take a darker or a lighter one: WCAG 2.2 AA asks for that", "%s on %s has a contrast of %.1f, at least %.1f is needed (%s)", p.Front, p.Back, p.Has, p.Least, scheme)
	}
	return t
}

func (f *file) colours(s *section, scheme string) map[string]string {
	sub := s.sub(scheme, wording.Colours()...)
	out := map[string]string{}
	for _, name := range wording.Colours() {
		if !sub.has(name) {
			continue
		}
		if v := sub.text(name); wording.Colour(v) {
			out[name] = v
		} else {
			f.errorf(sub.value(name), `write it in quotes: "#1f5f4a"`, "%q is no colour", v)
		}
	}
	return out
}

// Book gives the texts of the pages with their looks.
func (c *Config) Book() *wording.Book { return wording.New(c.Pages, c.Workspace.Locale, c.Theme) }

// crossConsent holds notices, purposes and the confirmation mail against each other.
func (l *loader) crossConsent() {
	p := l.config.Policy
	if p == nil {
		return
	}
	w := &l.config.Workspace
	p.About = consent.About{Tenant: w.Name, Controller: w.Consent.Controller, Jurisdiction: w.Consent.Jurisdiction}
	if p.About.Controller == "" {
		p.About.Controller = w.Title
	}
	p.SetNotices(l.config.Notices)
	var names []string
	for _, n := range l.config.Notices {
		names = append(names, n.ID)
	}
	f := l.parsed["purposes.yaml"]
	asks := ""
	for _, d := range p.Purposes() {
		if d.Notice != "" && !slices.Contains(names, d.Notice) {
			f.errorf(f.find("purposes", string(d.Name), "notice"), "write notices/"+d.Notice+".en.md", "there is no notice %q", d.Notice)
		}
		if d.OptIn {
			asks = string(d.Name)
		}
	}
	l.crossConfirm(asks)
}

// crossConfirm checks the templates of mails that ask whether an address is its
// owner's.
func (l *loader) crossConfirm(asks string) {
	f, w := l.parsed["rapport.yaml"], &l.config.Workspace
	if f == nil {
		return
	}
	if w.Consent.ConfirmWith == "" && asks != "" {
		f.errorf(f.find("consent"), "write `consent: {confirm_with: confirm}` and templates/confirm/", "%q wants confirmation, and no template asks for it", asks)
	}
	l.crossProof(f, "consent", w.Consent.ConfirmWith, "confirm_url")
	l.crossProof(f, "rights", w.Rights.ConfirmWith, "claim_url")
}

// crossProof checks such a template: nothing in it may be marketing or watch the
// reader, and it must have the link.
func (l *loader) crossProof(f *file, section, name, link string) {
	if name == "" {
		return
	}
	at := f.find(section, "confirm_with")
	if !slices.Contains(l.templateNames(), name) {
		f.errorf(at, didYouMean(name, l.templateNames()), "there is no template %q", name)
		return
	}
	t := l.config.Templates[name]
	if t == nil {
		return // What is wrong with it is said at its own place.
	}
	d, ok := l.config.Policy.Purpose(t.Purpose)
	switch {
	case !ok || d.Objectable() || t.Class != message.Transactional:
		f.errorf(at, "give it purpose: service", "the template %q is no service mail: whoever did not ask for it must get no marketing", name)
	case t.Tracking:
		f.errorf(at, "write `tracking: false` into its template.yaml", "the template %q would watch whether it is opened", name)
	case !t.ReadsPath("trigger." + link):
		f.errorf(at, `write <a href="{{ trigger.`+link+` }}"> inside {% if trigger.`+link+` %}`, "the template %q does not show the link", name)
	}
}
