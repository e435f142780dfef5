package privacy

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rapport/internal/event"
	"rapport/internal/plan"
	"rapport/internal/profile"
	"rapport/internal/project"
	"rapport/internal/purpose"
)

// retention says what the house forgets by itself.
func retention(c *project.Config, terms *profile.Terms) []Term {
	e := c.Workspace.Events
	out := []Term{
		{"events in the log, with their context (network address, browser)", term(e.KeepLog)},
		{"message ids, for finding duplicates", term(e.DedupeWindow)},
		{"rejects", "the newest " + strconv.Itoa(c.Workspace.Limits.RejectsKept)},
		{"the ledger of permission, and suppressions", "for as long as the installation: they prove what was permitted"},
		{"the trail", "for as long as the installation; it holds no personal data but details behind commitments"},
	}
	r := c.Workspace.Retention
	if r.Mails > 0 {
		out = append(out, Term{"what was in mails", term(r.Mails)})
	}
	for _, name := range purpose.Classes() {
		class, _ := purpose.ParseClass(name) // It is one of them.
		if t := r.Classes[class]; t > 0 {
			out = append(out, Term{"what is " + name, term(t)})
		}
	}
	for _, p := range slices.Sorted(maps.Keys(r.Purposes)) {
		out = append(out, Term{"what is kept for " + string(p) + " alone, and what was in its mails", term(r.Purposes[p])})
	}
	return append(out, planned(terms)...)
}

// planned lists what the tracking plans give a term, or what they plan has by its
// class and purposes.
func planned(terms *profile.Terms) (out []Term) {
	for _, n := range eventNames(terms) {
		terms.Events[n].Each(func(path string, t time.Duration) {
			what := "the event " + called(n)
			switch {
			case n.Type == event.Identify && path == "":
				what = "all traits"
			case n.Type == event.Identify:
				what = "the trait " + path
			case path != "":
				what = called(n) + ": " + path
			}
			out = append(out, Term{what, term(t)})
		})
	}
	return out
}

// termsOf gives the terms of what is planned, and of the traits that journeys make of it.
func termsOf(c *project.Config) *profile.Terms {
	limits := c.Workspace.Retention.Limits
	out := profile.TermsOf(c.Plans, limits)
	for name, use := range c.Computed {
		out.Limit(name, limits.Of(plan.Attribute{Class: use.Class, Purposes: use.Purposes}))
	}
	return out
}

func eventNames(terms *profile.Terms) []plan.EventName {
	names := slices.Collect(maps.Keys(terms.Events))
	slices.SortFunc(names, func(a, b plan.EventName) int {
		return strings.Compare(a.Type.String()+" "+a.Name, b.Type.String()+" "+b.Name)
	})
	return names
}

// called is how people speak of an event: a track by its name, a view by what it is of.
func called(n plan.EventName) string {
	switch {
	case n.Name == "":
		return n.Type.String()
	case n.Type == event.Track:
		return n.Name
	}
	return n.Type.String() + " " + n.Name
}

// missing lists what Art. 30 asks for and the configuration does not say.
func missing(c *project.Config, terms *profile.Terms) []string {
	w := &c.Workspace
	who := "the data protection officer, and any joint controller or representative"
	if w.Consent.Controller == "" {
		who = "who is responsible, by their full name (`consent: controller` in rapport.yaml); " + who
	}
	out := []string{who, "the categories of people: what your sources collect of customers, visitors, members"}
	mailed := map[purpose.Purpose]bool{}
	for _, t := range c.Templates {
		mailed[t.Purpose] = true
	}
	var undescribed, mails []string
	for _, d := range c.Policy.Purposes() {
		if d.Description == "" {
			undescribed = append(undescribed, string(d.Name))
		}
		if w.Retention.OfMail(d.Name) == 0 && mailed[d.Name] {
			mails = append(mails, string(d.Name))
		}
	}
	if undescribed != nil {
		out = append(out, "what these purposes are for, in words (`description` in purposes.yaml): "+strings.Join(undescribed, ", "))
	}
	if leaves(c) {
		out = append(out, "transfers to third countries, and what they rest on: no host tells in which country it stands")
	}
	if events, traits := termless(c.Plans, terms); len(events)+len(traits) > 0 {
		if len(events) > 0 {
			out = append(out, "until when these events are kept (`retention` in the plan, or of their class): "+strings.Join(events, ", "))
		}
		if len(traits) > 0 {
			out = append(out, "until when these traits are kept (`retention` in the plan, or of their class): "+strings.Join(traits, ", "))
		}
	}
	if takesUnplanned(c.Plans) {
		out = append(out, "until when is kept what no tracking plan names: it has no term")
	}
	if mails != nil {
		out = append(out, "until when is kept what was in mails (`retention: mails` in rapport.yaml) for "+strings.Join(mails, ", "))
	}
	return append(out, "until when somebody is known at all: who they are, by which identifiers, is kept until they are erased")
}

// leaves tells whether anybody else is given data.
func leaves(c *project.Config) bool {
	return len(c.Destinations) > 0 || slices.ContainsFunc(c.Providers, func(p project.Provider) bool { return p.Kind != project.DevinboxProvider })
}

// termless lists planned events and traits that are kept for ever.
func termless(set *plan.Set, terms *profile.Terms) (events, traits []string) {
	for _, d := range set.Documents() {
		for _, e := range d.Events {
			own := terms.Events[plan.EventName{Type: e.Type, Name: e.Name}]
			switch {
			case own != nil && own.Term > 0:
			case e.Type != event.Identify:
				events = append(events, called(plan.EventName{Type: e.Type, Name: e.Name}))
			default:
				for _, v := range e.Versions {
					for name := range v.Fields {
						if x := terms.Traits[profile.Canonical(name)]; x == nil || x.Term == 0 {
							traits = append(traits, name)
						}
					}
				}
			}
		}
	}
	slices.Sort(events)
	slices.Sort(traits)
	return slices.Compact(events), slices.Compact(traits)
}

// takesUnplanned tells whether anything is kept that no plan names.
func takesUnplanned(set *plan.Set) bool {
	all := true // sources have no plan
	for _, d := range set.Documents() {
		if d.Rules.UnplannedEvents <= plan.Allow || d.Rules.UnplannedFields <= plan.Allow {
			return true
		}
		for _, r := range d.Sources {
			if r.UnplannedEvents == plan.Allow || r.UnplannedFields == plan.Allow {
				return true
			}
		}
		all = all && d.Sources != nil
	}
	return all
}
